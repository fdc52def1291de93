"""What DICOM over TLS is spoken with: this node's key and certificate, and whom it trusts.

| file in `dicom-tls/` | what it is |
|---|---|
| `node.key`, `node.pem` | its private key (mode 0600), its certificate and what signed that |
| `authority.key`, `authority.pem` | what signed it, if `meshpacs dicom tls init` made it |
| `trusted/NAME.pem` | certificates of other machines, or of who signs theirs |

A clinic with an authority of its own puts its files in the place of `node.key` and `node.pem`. A
running node looks at the folder every `LOOK_S`; a change is taken whole, or kept out and told.

TLS as in BCP 195 (RFC 8996, RFC 9325) and the profile of PS3.15 B.12, which is built on it.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import structlog
import trio

from meshpacs.model.errors import LocalFault
from meshpacs.node.book import Entry
from meshpacs.node.certificates import (
    Certificate,
    as_pem,
    read_certificates,
    subject_of,
    until_us,
    vouched_for,
)
from meshpacs.node.home import Home, read_secret
from meshpacs.node.views import Health, Trouble

log = structlog.get_logger()

LOOK_S = 1.0
"""Between looks at the folder, as at the AE book."""

TRUSTED = 256
"""Machines or authorities that are trusted. A guess."""

FILE_BYTES = 256 * 1024
"""One file of certificates; one certificate has 2 KiB. A guess."""

ANYBODY = ""
"""No machine's title."""

WARN_S = 30 * 86_400
"""So long before a certificate expires `status` says so. A guess: a month is enough to get one."""

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""The suites of TLS 1.2 that RFC 9325 4.2 recommends, by OpenSSL's names. Those of TLS 1.3 are the
three of RFC 8446 B.4 that OpenSSL has by default: AES-128 and AES-256 in GCM, ChaCha20-Poly1305."""

SECURITY_LEVEL = 2
"""OpenSSL's: no keys below RSA 2048 or EC 224, no SHA-1 signatures (RFC 9325 4.5)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """All of it, as read together."""

    own: Certificate
    authority: Certificate | None
    """The node's own; what it signs is trusted too."""
    trusted: Mapping[str, tuple[Certificate, ...]]
    """By name. What is trusted under a machine's own AE title is what that machine is known by."""
    accepting: ssl.SSLContext
    """For callers."""
    key_file: Path
    chain_file: Path
    _ready: dict[str, ssl.SSLContext] = field(default_factory=dict)
    """By title; under `ANYBODY` for all of whom nothing is trusted under their own."""

    def dialling(self, title: str) -> ssl.SSLContext:
        """For a connection to the machine of this title.

        What is trusted under its title is all that it may show. Without that it may show what is
        signed by anyone who is trusted, as long as it names the host that was dialled.
        """
        whom = title if title in self.trusted else ANYBODY
        if whom not in self._ready:
            self._ready[whom] = self._dialling(self.trusted.get(whom, ()))
        return self._ready[whom]

    def prepare(self) -> None:
        """Make ready whatever may be dialled with: after this no file is read any more, which may
        hang, or have been replaced by one that cannot be used.

        Raises:
            LocalFault: it cannot be used.
        """
        for title in (ANYBODY, *self.trusted):
            self.dialling(title)

    def _dialling(self, known: tuple[Certificate, ...]) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_CLIENT, self.chain_file, self.key_file)
        context.check_hostname = not known
        anchors = as_pem(known or self._anchors()).decode()
        if anchors:
            context.load_verify_locations(cadata=anchors)
        return context

    def vouch_for(self, title: str, shown: bytes) -> bool:
        """Whether who showed this certificate (DER) may call itself by this title."""
        known = self.trusted.get(title)
        return known is None or vouched_for(read_certificates(shown, "what was shown")[0], known)

    def _anchors(self) -> Iterator[Certificate]:
        for certificates in self.trusted.values():
            yield from certificates
        if self.authority is not None:
            yield self.authority


def key_file(home: Home) -> Path:
    """This node's private key."""
    return home.dicom_tls / "node.key"


def chain_file(home: Home) -> Path:
    """Its certificate."""
    return home.dicom_tls / "node.pem"


def authority_file(home: Home) -> Path:
    """The certificate of its own authority: what other machines are to trust."""
    return home.dicom_tls / "authority.pem"


def authority_key_file(home: Home) -> Path:
    """The private key that signs."""
    return home.dicom_tls / "authority.key"


def trusted_file(home: Home, name: str) -> Path:
    """The certificates that are trusted under this name."""
    return home.dicom_tls / "trusted" / f"{quote(name, safe=' ')}.pem"


def read_trusted(home: Home) -> dict[str, tuple[Certificate, ...]]:
    """Whom the operator trusts, by name.

    Raises:
        LocalFault: a file cannot be read; the error names it.
    """
    files = sorted((home.dicom_tls / "trusted").glob("*.pem"))
    if len(files) > TRUSTED:
        raise LocalFault(
            f"{home.dicom_tls / 'trusted'} has {len(files)} files.", f"At most {TRUSTED} are read."
        )
    return {unquote(file.stem): read_certificates(_read(file), str(file)) for file in files}


def read_credentials(home: Home) -> Credentials | None:
    """What is in the folder; None if this node has no key.

    Raises:
        LocalFault: it cannot be used; the error names the file.
    """
    try:
        return _read_credentials(home)
    except OSError as error:  # OpenSSL's errors too
        raise LocalFault(
            f"{home.dicom_tls} cannot be read: {error.strerror or error}.",
            "See that the node's user may read it, and what lies in it.",
        ) from error


def _read_credentials(home: Home) -> Credentials | None:
    key, chain = key_file(home), chain_file(home)
    if not key.exists() and not chain.exists():
        return None
    read_secret(key)  # that nobody else can read it
    own = read_certificates(_read(chain), str(chain))[0]
    authority = authority_file(home)
    signer = read_certificates(_read(authority), str(authority))[0] if authority.exists() else None
    trusted = read_trusted(home)
    context = _context(ssl.PROTOCOL_TLS_SERVER, chain, key)
    credentials = Credentials(own, signer, trusted, context, key, chain)
    anchors = as_pem(credentials._anchors()).decode()  # noqa: SLF001 - its own module
    if anchors:
        context.load_verify_locations(cadata=anchors)
    return credentials


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES + 1)
    except OSError as error:
        raise LocalFault(
            f"{file} cannot be read: {error.strerror}.", "Make it readable."
        ) from error
    if len(data) > FILE_BYTES:
        raise LocalFault(f"{file} is too large for certificates.", "Put the right file there.")
    return data


def _context(protocol: int, chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_ciphers(":".join((*CIPHERS, f"@SECLEVEL={SECURITY_LEVEL}")))
    # No tickets and no sessions: whoever comes back is looked at anew, by what is trusted now.
    context.options |= (
        ssl.OP_NO_TICKET
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.verify_mode = ssl.CERT_REQUIRED
    # A machine's own certificate can be trusted without whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # The empty passphrase: without it OpenSSL would ask for one on the terminal.
        context.load_cert_chain(chain, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise LocalFault(
            f"{key} and {chain} cannot be used together.",
            "The key must not be encrypted and must be that of the first certificate.",
        ) from error
    return context


class Keeper:
    """The credentials as a running node has them."""

    def __init__(self, home: Home) -> None:
        """Nothing is read before `watch`."""
        self._home = home
        self._stamp: object = None
        self.current: Credentials | None = None
        """None: this node has no key, or none that could be used since it started."""

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read them, and again whenever a file has changed, until cancelled."""
        await trio.to_thread.run_sync(self._look)
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            await trio.to_thread.run_sync(self._look)

    def _look(self) -> None:
        """In a thread: it reads files."""
        stamp: object
        try:
            stamp = tuple(_facts(self._home.dicom_tls))
        except OSError as error:
            stamp = error.errno  # what is wrong is told by who reads, once
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = read_credentials(self._home)
            if found is not None:
                found.prepare()
        except LocalFault as fault:
            log.warning("dicom_tls_kept_out", what=fault.what, mend=fault.mend)
            return
        except Exception:
            # Files of others' making must not end the node.
            log.exception("dicom_tls_failed")
            return
        self.current = found
        if self.current is not None:
            log.info(
                "dicom_tls_in_force",
                certificate=subject_of(self.current.own),
                trusted=sorted(self.current.trusted),
            )


def tls_for(known: Entry, credentials: Credentials | None) -> ssl.SSLContext | None:
    """What to speak TLS with to a machine of the book; None where it is spoken to without.

    Raises:
        LocalFault: this node has no key.
    """
    if not known.tls:
        return None
    if credentials is None:
        raise no_key()
    return credentials.dialling(known.title)


def no_key() -> LocalFault:
    """What to do about it."""
    return LocalFault(
        "This node has no key for DICOM over TLS.", "Make one with `meshpacs dicom tls init`."
    )


def _facts(folder: Path) -> Iterator[tuple[str, int, int]]:
    for file in sorted([*folder.glob("*.pem"), *folder.glob("*.key"), *folder.glob("*/*.pem")]):
        try:
            facts = file.stat()
        except OSError:
            continue
        yield str(file), facts.st_mtime_ns, facts.st_size


def credential_troubles(
    home: Home, *, listening: bool, wall_s: float | None = None
) -> Iterator[Trouble]:
    """What is wrong with the files, or will be soon; `listening`: whether callers are expected."""
    now_us = int((time.time() if wall_s is None else wall_s) * 1_000_000)
    try:
        credentials = read_credentials(home)
    except LocalFault as fault:
        yield Trouble(
            Health.DEGRADED, f"A change of DICOM's TLS files is kept out: {fault.what}", fault.mend
        )
        return
    if credentials is None:
        if listening:
            none = no_key()
            yield Trouble(Health.DEGRADED, f"{none.what} Callers over TLS are refused.", none.mend)
        return
    renew = "meshpacs dicom tls init --renew; or replace node.key and node.pem, if they are yours."
    yield from _expiring("This node's certificate", credentials.own, renew, now_us)
    if credentials.authority is not None:
        start = "Make a new one in time (docs/CLI.md), and have the other machines trust it."
        yield from _expiring("This node's authority", credentials.authority, start, now_us)
    for name, certificates in credentials.trusted.items():
        again = f"Get its new one, and run `meshpacs dicom tls trust {name!r} FILE`."
        for certificate in certificates:
            yield from _expiring(f"What is trusted as {name}", certificate, again, now_us)


def _expiring(what: str, certificate: Certificate, mend: str, now_us: int) -> Iterator[Trouble]:
    left_s = (until_us(certificate) - now_us) // 1_000_000
    day = certificate.not_valid_after_utc.date().isoformat()
    if left_s <= 0:
        yield Trouble(Health.DEGRADED, f"{what} for DICOM over TLS expired on {day}.", mend)
    elif left_s <= WARN_S:
        yield Trouble(Health.DEGRADED, f"{what} for DICOM over TLS expires on {day}.", mend)
