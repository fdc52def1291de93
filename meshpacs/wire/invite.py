"""An invite: one line of text that lets one node join (PROTOCOL 1.5).

    meshpacs:<length><base58 of the bytes below>

| bytes | what |
|---|---|
| 1 | version, 1 |
| 32 | the mesh's id |
| 16 | the fingerprint of the founder who granted it |
| 1 | the role, by its place in `ROLE_CODES` |
| 4 | expiry, Unix seconds |
| 16 | the secret that the join handshake's psk is made from |
| 16 | the seed of the invite's one-time key |
| 64 | the founder's signature over the grant |
| 1 and more | how many addresses, then each: kind, host, port |
| 4 | the beginning of the SHA-256 of all before |

Base58 has no character that mail or chat programs break, decorate or take for a link's end, and
none that looks like another. The length, two characters of it, tells a text that was cut off from
one that was mistyped.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

from nacl.signing import SigningKey
from nacl.utils import random as random_bytes

from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import MeshId
from meshpacs.model.limits import ADDRESSES, INVITE_CHARACTERS
from meshpacs.model.member import Role
from meshpacs.wire.admission import REDEEM_CONTEXT, Grant, make_grant
from meshpacs.wire.codec import pack
from meshpacs.wire.keys import FounderKey, Signed, fingerprint, sign

PREFIX = "meshpacs:"
VERSION = 1
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LENGTH_CHARACTERS = 2
SECRET_BYTES = 16
SEED_BYTES = 16
"""128 bits: nobody guesses that in 72 hours, and 16 bytes more would cost an address."""
CHECK_BYTES = 4
FIXED_BYTES = 1 + 32 + 16 + 1 + 4 + SECRET_BYTES + SEED_BYTES + 64

ROLE_CODES = (Role.MEMBER, Role.CUSTODIAN, Role.RELAY, Role.RESEARCHER, Role.OBSERVER)
"""A role's number in the text; only ever appended to."""

IPV4, IPV6, NAME = 4, 6, 1

EDGES = "<>()[]{}\"'`*_.,;!?|"
"""What people and mail programs put around a text."""
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
"""Soft hyphen, zero-width characters, byte order mark."""

MEND = "Ask for it again, or copy the whole line, from `meshpacs:` to its last character."


class BadInvite(LocalFault):
    """A text that is no invite; the sentence says what is wrong with it."""


@dataclass(frozen=True, slots=True, repr=False)
class Invite:
    """What an invite says. Its seed and secret are worth a membership: never logged."""

    mesh: MeshId
    founder: bytes
    """The founder's fingerprint."""
    role: Role
    expires_s: int
    secret: bytes
    seed: bytes
    grant_signature: bytes
    addresses: tuple[str, ...]

    @property
    def key(self) -> SigningKey:
        """The one-time key, spread from its short seed."""
        return SigningKey(hashlib.sha256(b"meshpacs/invite-key/1\0" + self.seed).digest())

    @property
    def public(self) -> bytes:
        """The one-time key's public half: the invite's name."""
        return bytes(self.key.verify_key)

    @property
    def granted(self) -> Signed:
        """The founder's grant."""
        grant = Grant(self.founder, self.public, self.role.value, self.expires_s)
        return Signed(pack(grant), self.grant_signature)

    @property
    def psk(self) -> bytes:
        """The join handshake's psk."""
        return spread(self.secret, self.mesh)

    def redeem(self, statement: bytes) -> bytes:
        """The one-time key's signature over a joiner's key statement."""
        return sign(self.key, REDEEM_CONTEXT, self.mesh, statement)

    def __repr__(self) -> str:
        """Without seed and secret."""
        return f"Invite({self.public.hex()[:8]})"


# ---------------------------------------------------------------- secrets


def short_secret(mesh_secret: bytes, invite: bytes) -> bytes:
    """What every member can derive for an invite, and its text carries."""
    return hmac.digest(mesh_secret, b"meshpacs/invite/1\0" + invite, "sha256")[:SECRET_BYTES]


def spread(secret: bytes, mesh: MeshId) -> bytes:
    """The psk of 32 bytes from an invite's short secret."""
    return hmac.digest(secret, b"meshpacs/join-psk/1\0" + mesh, "sha256")


def invite_psk(mesh_secret: bytes, mesh: MeshId, invite: bytes) -> bytes:
    """The psk for joiners with this invite."""
    return spread(short_secret(mesh_secret, invite), mesh)


def mesh_psk(mesh_secret: bytes, mesh: MeshId) -> bytes:
    """The psk between members."""
    return hmac.digest(mesh_secret, b"meshpacs/member-psk/1\0" + mesh, "sha256")


# ---------------------------------------------------------------- making one


def make_invite(
    founder: FounderKey,
    mesh: MeshId,
    mesh_secret: bytes,
    *,
    role: Role,
    expires_s: int,
    addresses: tuple[str, ...],
    seed: bytes | None = None,
) -> Invite:
    """A new invite; `seed` is for tests.

    Raises:
        LocalFault: an address is none.
    """
    for address in addresses:
        parse_address(address)
    mark = fingerprint(founder.public)
    bare = Invite(
        mesh, mark, role, expires_s, b"", seed or random_bytes(SEED_BYTES), b"", addresses
    )
    public = bare.public
    granted = make_grant(founder, mesh, Grant(mark, public, role.value, expires_s))
    return Invite(
        mesh,
        mark,
        role,
        expires_s,
        short_secret(mesh_secret, public),
        bare.seed,
        granted.signature,
        addresses,
    )


def write_invite(invite: Invite) -> str:
    """The text, with as many of the addresses, from the first on, as it has room for.

    Raises:
        LocalFault: there is room for none of them.
    """
    fixed = b"".join(
        (
            bytes((VERSION,)),
            invite.mesh,
            invite.founder,
            bytes((ROLE_CODES.index(invite.role),)),
            invite.expires_s.to_bytes(4, "big"),
            invite.secret,
            invite.seed,
            invite.grant_signature,
        )
    )
    packed = [_pack_address(address) for address in invite.addresses[:ADDRESSES]]
    for count in range(len(packed), 0, -1):
        body = fixed + bytes((count,)) + b"".join(packed[:count])
        text = _text(body + _check(body))
        if len(text) <= INVITE_CHARACTERS:
            return text
    raise LocalFault(
        "No address fits into an invite."
        if packed
        else "An invite needs an address under which a member can be reached.",
        "Advertise one, by mesh.advertise or --advertise, as an IP address or a short name.",
    )


def _text(data: bytes) -> str:
    digits = _base58(data)
    length = len(PREFIX) + LENGTH_CHARACTERS + len(digits)
    high, low = divmod(length, len(ALPHABET))
    return f"{PREFIX}{ALPHABET[high]}{ALPHABET[low]}{digits}"


def _base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")  # the first byte is the version, so no zero is lost
    digits: list[str] = []
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"meshpacs/invite-text/1\0" + body).digest()[:CHECK_BYTES]


def _pack_address(address: str) -> bytes:
    host, port = parse_address(address)
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        try:
            name = host.encode() if host.isascii() else host.encode("idna")
            return bytes((NAME, len(name))) + name + port.to_bytes(2, "big")
        except ValueError as error:  # longer than 255, or a label that is no domain name's
            raise LocalFault(f"The address {address!r} cannot stand in an invite.") from error
    return bytes((parsed.version,)) + parsed.packed + port.to_bytes(2, "big")


# ---------------------------------------------------------------- reading one


def read_invite(text: str) -> Invite:
    """Read an invite as somebody has pasted it.

    Raises:
        BadInvite: it is none, or cut off, mistyped, or of a later version.
    """
    plain = "".join(text.translate(INVISIBLE).split()).strip(EDGES)
    marked = plain[: len(PREFIX)].lower() == PREFIX
    plain = plain[len(PREFIX) :] if marked else plain
    if not plain:
        raise BadInvite("There is no invite here: the text is empty.", MEND)
    for place, character in enumerate(plain, start=len(PREFIX) + 1):
        if character not in ALPHABET and not marked:
            raise BadInvite(f"This is no invite: it does not begin with `{PREFIX}`.", MEND)
        if character not in ALPHABET:
            raise BadInvite(f"This is no invite: its character {place} is {character!r}.", MEND)
    if len(plain) <= LENGTH_CHARACTERS:
        raise BadInvite("This is no invite: it is too short.", MEND)
    high, low = (ALPHABET.index(character) for character in plain[:LENGTH_CHARACTERS])
    length, has = high * len(ALPHABET) + low, len(PREFIX) + len(plain)
    if has > INVITE_CHARACTERS:
        raise BadInvite("This is no invite: it is too long.", MEND)
    if length > INVITE_CHARACTERS:
        raise BadInvite("This is no invite, or its beginning was mistyped.", MEND)
    if has < length:
        raise BadInvite(f"This invite was cut off: it has {has} of {length} characters.", MEND)
    data = _bytes58(plain[LENGTH_CHARACTERS:])
    body = data[:-CHECK_BYTES]
    if has > length or data[-CHECK_BYTES:] != _check(body):
        raise BadInvite("This invite was mistyped, or something was added to it.", MEND)
    if body[0] != VERSION:
        raise BadInvite(
            f"This invite is of version {body[0]}; this meshpacs reads version {VERSION}.",
            "Install a newer meshpacs.",
        )
    return _read_body(body)


def _bytes58(digits: str) -> bytes:
    number = 0
    for digit in digits:
        number = number * len(ALPHABET) + ALPHABET.index(digit)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _read_body(body: bytes) -> Invite:
    # The checksum has held, so a fault from here on is its maker's, not its typist's.
    reader = _Reader(body)
    reader.take(1)
    mesh, founder = MeshId(reader.take(32)), reader.take(16)
    role, expires_s = reader.number(1), reader.number(4)
    secret, seed, signature = reader.take(SECRET_BYTES), reader.take(SEED_BYTES), reader.take(64)
    addresses = tuple(_read_address(reader) for _ in range(reader.number(1)))
    if role >= len(ROLE_CODES) or not 1 <= len(addresses) <= ADDRESSES or not reader.done:
        raise BadInvite("This invite makes no sense.", MEND)
    return Invite(mesh, founder, ROLE_CODES[role], expires_s, secret, seed, signature, addresses)


def _read_address(reader: "_Reader") -> str:
    kind = reader.number(1)
    if kind == IPV4:
        host = str(ipaddress.IPv4Address(reader.take(4)))
    elif kind == IPV6:
        host = str(ipaddress.IPv6Address(reader.take(16)))
    elif kind == NAME:
        host = reader.take(reader.number(1)).decode("ascii", errors="replace")
    else:
        raise BadInvite("This invite has an address of an unknown kind.", "Update meshpacs.")
    address = write_address(host, reader.number(2))
    try:
        parse_address(address)
    except LocalFault as fault:
        raise BadInvite(f"This invite makes no sense: {fault.what}", MEND) from fault
    return address


class _Reader:
    """Takes an invite's bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise BadInvite("This invite makes no sense: it ends too early.", MEND)
        self._at += count
        return part

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")
