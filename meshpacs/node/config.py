"""One TOML file holds a node's configuration; it is taken whole or not at all."""

import difflib
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from meshpacs.model.address import is_wildcard, parse_address
from meshpacs.model.errors import LocalFault, MeshError
from meshpacs.model.limits import (
    ADDRESSES,
    DISK_RESERVE_BYTES,
    DISK_RESERVE_LEAST_BYTES,
    MEMBERS,
    NAME_CHARACTERS,
)
from meshpacs.model.titles import TITLE_RULE, is_ae_title
from meshpacs.node.views import ConfigView

MESH_LISTEN = "127.0.0.1:7117"
"""Loopback until somebody says otherwise. 7117: unassigned at IANA."""
HTTP_LISTEN = "127.0.0.1:7118"
DICOM_LISTEN = "127.0.0.1:11112"
"""11112 is DICOM's registered port that needs no privileges (PS3.8 9.1.2)."""
DICOM_TLS_LISTEN = "127.0.0.1:2762"
"""An example: nothing is listened on for TLS before there is a key."""
AE_TITLE = "MESHPACS"
WORKLIST = "worklist"
TITLES = 8
"""AE titles of one node. A guess."""
PRIVATE_CLASSES = 256
"""SOP classes of makers' own. A guess."""

MIB = 1024 * 1024
KEEP_FREE_MIB = DISK_RESERVE_BYTES // MIB
KEEP_FREE_LEAST_MIB = DISK_RESERVE_LEAST_BYTES // MIB

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]


@dataclass(frozen=True, slots=True)
class Config:
    """What is in force. The comments in `template.default_toml` tell people what each key does."""

    name: str
    mesh_listen: tuple[str, ...] = (MESH_LISTEN,)
    advertise: tuple[str, ...] = ()
    """Addresses that other members are told to dial; empty means those listened on."""
    http_listen: str = HTTP_LISTEN
    dicom_listen: tuple[str, ...] = (DICOM_LISTEN,)
    """Empty: no DICOM is spoken without TLS."""
    dicom_tls_listen: tuple[str, ...] = ()
    """The same over TLS; 2762 is the port that is registered for it (IANA, dicom-tls)."""
    ae_titles: tuple[str, ...] = (AE_TITLE,)
    """The application entity titles that DICOM callers reach this node by."""
    private_classes: tuple[str, ...] = ()
    """SOP classes that are stored beside those of the standard: makers' own."""
    worklist: str = WORKLIST
    """The folder of the modality worklist, absolute or below the home."""
    issuer: str = ""
    """Issuer of Patient ID of this clinic: whose the numbers are that its own machines send."""
    shared_for: tuple[str, ...] = ("*",)
    """Members, by name or id, that may use the destinations which this node shares."""
    default_charset: str = "ISO_IR 100"
    """For text in data sets that declare no character set (PS3.3 C.12.1.1.2)."""
    keep_free_mib: int = KEEP_FREE_MIB
    """Room on the archive's disk that instances may not use."""
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    """`auto` is `console` on a terminal and `json` otherwise."""

    def worklist_folder(self, home: Path) -> Path:
        """Where the worklist's files lie."""
        return home / Path(self.worklist).expanduser()


KEYS = {
    "name": "name",
    "mesh_listen": "mesh.listen",
    "advertise": "mesh.advertise",
    "http_listen": "http.listen",
    "dicom_listen": "dicom.listen",
    "dicom_tls_listen": "dicom.tls_listen",
    "ae_titles": "dicom.ae_titles",
    "private_classes": "dicom.private_classes",
    "worklist": "dicom.worklist",
    "issuer": "dicom.issuer",
    "shared_for": "dicom.shared_for",
    "default_charset": "archive.default_charset",
    "keep_free_mib": "archive.keep_free_mib",
    "log_level": "log.level",
    "log_format": "log.format",
}
"""Each field of `Config` by its key in the file."""

AT_RESTART = frozenset(
    {
        "mesh_listen",
        "http_listen",
        "dicom_listen",
        "dicom_tls_listen",
        "worklist",
        "issuer",
        "default_charset",
        "keep_free_mib",
    }
)
"""Fields whose new value takes effect at the next start: sockets and the index are open."""


class _Mesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: tuple[str, ...] = (MESH_LISTEN,)
    advertise: tuple[str, ...] = ()


class _Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = HTTP_LISTEN


class _Dicom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: tuple[str, ...] = (DICOM_LISTEN,)
    tls_listen: tuple[str, ...] = ()
    ae_titles: tuple[str, ...] = (AE_TITLE,)
    private_classes: tuple[str, ...] = ()
    worklist: str = WORKLIST
    issuer: str = ""
    shared_for: tuple[str, ...] = ("*",)


class _Archive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    default_charset: str = "ISO_IR 100"
    keep_free_mib: int = KEEP_FREE_MIB


class _Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: LogLevel = "info"
    format: LogFormat = "auto"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of the file."""

    name: str
    mesh: _Mesh = _Mesh()
    http: _Http = _Http()
    dicom: _Dicom = _Dicom()
    archive: _Archive = _Archive()
    log: _Log = _Log()


def load_config(file: Path, flags: Mapping[str, Any] | None = None) -> Config:
    """Read and check the whole file; `flags`, by field of `Config`, win over it.

    Raises:
        LocalFault: it cannot be read, is not TOML, or a key is unknown, of the wrong type or has
            a value that cannot be used. The error names the file, the key and what was expected.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LocalFault(
            f"{file} does not exist.", "`meshpacs init` or `meshpacs join` writes one."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LocalFault(f"{file} cannot be read: {error}.", "Make it readable UTF-8.") from error
    return parse_config(text, str(file), flags)


def parse_config(text: str, file: str, flags: Mapping[str, Any] | None = None) -> Config:
    """`load_config` for text that is here already; `file` is what errors name.

    Raises:
        LocalFault: as `load_config` says.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LocalFault(f"{file} is not TOML: {error}.", "Mend that line.") from error
    try:
        shape = msgspec.convert(tree, _File)
    except msgspec.ValidationError as error:
        raise _explained(file, str(error)) from error
    config = Config(
        name=shape.name,
        mesh_listen=shape.mesh.listen,
        advertise=shape.mesh.advertise,
        http_listen=shape.http.listen,
        dicom_listen=shape.dicom.listen,
        dicom_tls_listen=shape.dicom.tls_listen,
        ae_titles=shape.dicom.ae_titles,
        private_classes=shape.dicom.private_classes,
        worklist=shape.dicom.worklist,
        issuer=shape.dicom.issuer,
        default_charset=shape.archive.default_charset,
        keep_free_mib=shape.archive.keep_free_mib,
        log_level=shape.log.level,
        log_format=shape.log.format,
    )
    _check(config, file)
    if flags:
        config = replace(config, **flags)
        _check(config, "the command line")
    return config


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<key>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<key>[^`]*)`$")


def _explained(file: str, message: str) -> LocalFault:
    """What msgspec found, in the words of somebody who has the file before them."""
    found = _AT.match(message)
    what, key = (found["what"], found["key"] or "") if found else (message, "")
    if unknown := _UNKNOWN.match(what):
        wrong = ".".join(part for part in (key, unknown["key"]) if part)
        known = sorted(KEYS.values())
        tables = ["mesh", "http", "dicom", "archive", "log"]
        near = difflib.get_close_matches(wrong, [*known, *tables], n=1)
        mend = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}."
        return LocalFault(f"{file}: the key {wrong} is not known.", mend)
    if what.startswith("Object missing required field"):
        return LocalFault(
            f"{file}: the key name is missing.", 'Add name = "…", the clinic\'s name.'
        )
    plain = _plain(what)
    if what.startswith("Invalid enum value"):
        literal = LogLevel if key == "log.level" else LogFormat
        plain += f" is not one of {', '.join(get_args(literal))}"
    return LocalFault(f"{file}: {key}: {plain}.", f"See `{_example(key)}`.")


_WORDS = {
    "str": "text in quotes",
    "array": "a list in brackets",
    "object": "a table",
    "int": "a number",
}


def _plain(what: str) -> str:
    words = re.sub(r"`(\w+)`", lambda found: _WORDS.get(found[1], found[1]), what)
    return words.replace("Expected", "expected").replace("Invalid enum value", "the value")


def _example(key: str) -> str:
    examples = {
        "name": 'name = "Clinic North"',
        "mesh": "[mesh]",
        "http": "[http]",
        "dicom": "[dicom]",
        "archive": "[archive]",
        "log": "[log]",
        "mesh.listen": f'[mesh] listen = ["{MESH_LISTEN}"]',
        "mesh.advertise": '[mesh] advertise = ["clinic.example.org:7117"]',
        "http.listen": f'[http] listen = "{HTTP_LISTEN}"',
        "dicom.listen": f'[dicom] listen = ["{DICOM_LISTEN}"]',
        "dicom.tls_listen": f'[dicom] tls_listen = ["{DICOM_TLS_LISTEN}"]',
        "dicom.private_classes": '[dicom] private_classes = ["1.2.276.0.19.55.1.5.1.1.1"]',
        "dicom.worklist": '[dicom] worklist = "/srv/worklist"',
        "dicom.issuer": '[dicom] issuer = "CLINIC-NORTH"',
        "dicom.ae_titles": f'[dicom] ae_titles = ["{AE_TITLE}"]',
        "archive.default_charset": '[archive] default_charset = "ISO_IR 100"',
        "archive.keep_free_mib": f"[archive] keep_free_mib = {KEEP_FREE_MIB}",
        "log.level": '[log] level = "info"',
        "log.format": '[log] format = "json"',
    }
    return examples[key.partition("[")[0]]


_ISO_IR = (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192, 203)
CHARSETS = (*(f"ISO_IR {number}" for number in _ISO_IR), "GB18030", "GBK")
"""Single sets that can stand for undeclared text: PS3.3 tables C.12-2 and C.12-5."""


def _check(config: Config, file: str) -> None:
    """What types alone cannot say."""
    if (
        not config.name.strip()
        or len(config.name) > NAME_CHARACTERS
        or not config.name.isprintable()
    ):
        raise LocalFault(
            f"{file}: name must be 1 to {NAME_CHARACTERS} printable characters.",
            "It is what the other clinics see.",
        )
    if not config.mesh_listen:
        raise LocalFault(f"{file}: mesh.listen is empty.", f"See `{_example('mesh.listen')}`.")
    _check_addresses(file, "mesh.listen", config.mesh_listen, any_port=True)
    _check_addresses(file, "mesh.advertise", config.advertise, any_port=False)
    _check_addresses(file, "http.listen", (config.http_listen,), any_port=True)
    _check_addresses(file, "dicom.listen", config.dicom_listen, any_port=True)
    _check_addresses(file, "dicom.tls_listen", config.dicom_tls_listen, any_port=True)
    _check_titles(file, config.ae_titles)
    _check_classes(file, config.private_classes)
    if not config.worklist.strip():
        raise LocalFault(
            f"{file}: dicom.worklist is empty.", f"See `{_example('dicom.worklist')}`."
        )
    if len(config.issuer) > 64 or not config.issuer.isprintable() or set(config.issuer) & {*"*?\\"}:
        raise LocalFault(
            f"{file}: dicom.issuer: {config.issuer!r} is no Issuer of Patient ID.",
            "It has at most 64 printable characters, without backslash, * and ?.",
        )
    if len(config.shared_for) > MEMBERS:
        raise LocalFault(
            f"{file}: dicom.shared_for has {len(config.shared_for)} entries.", 'Say ["*"] for all.'
        )
    for address in config.advertise:
        if is_wildcard(parse_address(address)[0]):
            raise LocalFault(
                f"{file}: mesh.advertise: nobody can dial {address}.",
                "Say the address or name by which the other clinics reach this machine.",
            )
    if config.default_charset not in CHARSETS:
        near = difflib.get_close_matches(config.default_charset, CHARSETS, n=1, cutoff=0.3)
        mend = f"Did you mean {near[0]}?" if near else "Use a term of PS3.3 C.12.1.1.2."
        raise LocalFault(
            f"{file}: archive.default_charset: {config.default_charset!r} is not known.", mend
        )

    if config.keep_free_mib < KEEP_FREE_LEAST_MIB:
        raise LocalFault(
            f"{file}: archive.keep_free_mib is {config.keep_free_mib}.",
            f"Say at least {KEEP_FREE_LEAST_MIB}: the index itself needs room.",
        )


def _check_addresses(file: str, key: str, addresses: tuple[str, ...], *, any_port: bool) -> None:
    if len(addresses) > ADDRESSES:
        raise LocalFault(
            f"{file}: {key} has {len(addresses)} addresses.", f"At most {ADDRESSES} can be told."
        )
    for address in addresses:
        try:
            parse_address(address, any_port=any_port)
        except LocalFault as error:
            raise LocalFault(f"{file}: {key}: {error.what}", error.mend) from error


def _check_titles(file: str, titles: tuple[str, ...]) -> None:
    if not 1 <= len(titles) <= TITLES:
        raise LocalFault(
            f"{file}: dicom.ae_titles has {len(titles)} titles.", f"Give 1 to {TITLES} of them."
        )
    for title in titles:
        if not is_ae_title(title):
            raise LocalFault(f"{file}: dicom.ae_titles: {title!r} is no AE title.", TITLE_RULE)


def _check_classes(file: str, classes: tuple[str, ...]) -> None:
    if len(classes) > PRIVATE_CLASSES:
        raise LocalFault(
            f"{file}: dicom.private_classes has {len(classes)} entries.",
            f"Give at most {PRIVATE_CLASSES} of them.",
        )
    for uid in classes:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", uid) or len(uid) > 64:
            raise LocalFault(
                f"{file}: dicom.private_classes: {uid!r} is no UID.",
                f"See `{_example('dicom.private_classes')}`.",
            )


class ConfigFile:
    """The file and what is in force of it: a change is swapped in whole, or kept out."""

    def __init__(self, file: Path, flags: Mapping[str, Any] | None = None) -> None:
        """Load it for the first time.

        Raises:
            LocalFault: as `load_config` says; nothing is in force then.
        """
        self.file = file
        self._flags = dict(flags or {})
        self.config = load_config(file, self._flags)
        self._started_with = self.config
        self._since_us = _now_us()
        self._fault: MeshError | None = None
        self._stamp = self._look()

    @property
    def view(self) -> ConfigView:
        """What `status` tells of it."""
        waits = tuple(
            KEYS[field.name]
            for field in fields(Config)
            if field.name in AT_RESTART
            and getattr(self.config, field.name) != getattr(self._started_with, field.name)
        )
        return ConfigView(
            file=self.file,
            in_force_since_us=self._since_us,
            refused=self._fault.what if self._fault else "",
            mend=self._fault.mend if self._fault else "",
            waits_for_restart=waits,
        )

    @property
    def touched(self) -> bool:
        """Whether the file is another one than at the last look, by time and size."""
        return self._look() != self._stamp

    def reload(self) -> ConfigView:
        """Swap in what the file says now, or keep what is in force and remember why."""
        self._stamp = self._look()
        try:
            config = load_config(self.file, self._flags)
        except LocalFault as fault:
            self._fault = fault
            return self.view
        self._fault = None
        if config != self.config:
            self.config = config
            self._since_us = _now_us()
        return self.view

    def _look(self) -> tuple[int, int] | None:
        try:
            facts = self.file.stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size


def _now_us() -> int:
    return time.time_ns() // 1000
