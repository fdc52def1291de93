"""What coverage-guided fuzzing is let loose on: bytes in, nothing out but our own errors.

Each target takes any bytes. What is behind a signature or a cipher is signed and sealed here with
sound keys, since no fuzzer guesses those: so it gets where only an insider gets.
"""

import zlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache

from garbage.mesh import NOW_S, Company, company, entropy
from garbage.messages import bodies, entries_of, payloads
from garbage.shelf import study_bytes
from meshpacs.archive.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.archive.indexed import scan
from meshpacs.archive.part10 import make_preface, read_preface
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.model.charsets import charset
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.values import texts
from meshpacs.wire.admission import ADMIT_CONTEXT
from meshpacs.wire.codec import decode, encode, pack, unpack
from meshpacs.wire.entries import ENTRY_CONTEXT
from meshpacs.wire.frames import FrameReader
from meshpacs.wire.greeting import MEMBER_OPENING, prologue
from meshpacs.wire.keys import Signed
from meshpacs.wire.messages import ChainHead, Digests, Heads
from meshpacs.wire.noise import Cipher, Handshake, KeyPair
from meshpacs.wire.record import RECORD_CONTEXT
from meshpacs.wire.roster import Roster

Target = Callable[[bytes], None]

TERMS = (
    "", "ISO_IR 100", "ISO_IR 192", "GB18030", "GBK", "ISO 2022 IR 87", "ISO 2022 IR 149",
    "ISO_IR 13", "ISO 2022 IR 58", "ISO_IR 166", "nonsense",
)  # fmt: skip
SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, "1.2.840.10008.1.2.4.50")


@cache
def _company() -> Company:
    return company()


@cache
def _gate() -> Gatekeeper:
    """The target's door. What it remembers of earlier inputs are keys that were seen before."""
    return _company().gate(_company().target)


def _roster() -> Roster:
    """The target's; copied, because to verify the same signatures again takes most of the time."""
    return deepcopy(_gate().roster)


@cache
def _bodies() -> tuple[tuple[bytes, Callable[[bytes], object]], ...]:
    return tuple(bodies(_company()))


def codec(data: bytes) -> None:
    """A frame's payload, or what is signed, sealed or kept inside one."""
    if not data:
        return
    which, rest = data[0], data[1:]
    try:
        if which < 128:
            message = decode(rest)
        else:
            _bodies()[which % len(_bodies())][1](rest)
            return
    except MeshError:
        return
    again = encode(message)
    assert decode(again) == message, "what was read is written as something else"


def noise(data: bytes) -> None:
    """Handshake messages as they come, or sealed by who knows how, and what is made of them."""
    if not data:
        return
    which, rest = data[0] % 8, data[1:]
    try:
        _NOISE[which](rest)
    except MeshError:
        return


def _pair() -> tuple[Handshake, Handshake]:
    """Bert dials the target, with keys that are always the same."""
    one = _company()
    psk, words = _gate().psk, prologue(one.mesh, MEMBER_OPENING)
    made = [
        Handshake(initiator=initiator, static=static, psk=psk, prologue=words,
                  ephemeral=KeyPair.of(entropy(f"ephemeral {initiator}", 32)))
        for initiator, static in ((True, one.bert.link), (False, one.target.link))
    ]  # fmt: skip
    return made[0], made[1]


def _first(rest: bytes) -> None:
    _pair()[1].read(rest)


def _second(rest: bytes) -> None:
    dialer, _ = _pair()
    dialer.write(b"")
    dialer.read(rest)


def _third(rest: bytes) -> None:
    dialer, door = _pair()
    door.read(dialer.write(b""))
    dialer.read(door.write(b""))
    door.read(rest)


def _claim(rest: bytes) -> None:
    dialer, door = _pair()
    _gate().weigh(door.read(dialer.write(rest[:60_000])), door.remote_ephemeral)


def _join_claim(rest: bytes) -> None:
    _gate().weigh_join(_company().invite.public, rest, entropy("ephemeral", 32))


def _credentials(rest: bytes) -> None:
    one = _company()
    _gate().recognise(rest, one.bert.link.public, one.bert.node)


def _record(rest: bytes) -> None:
    Cipher(bytes(32)).decrypt(rest)


def _frames(rest: bytes) -> None:
    reader = FrameReader(1000)
    whole = [bytes(piece) for piece in reader.feed(rest)]
    torn = FrameReader(1000)
    pieces = [bytes(p) for at in range(len(rest)) for p in torn.feed(rest[at : at + 1])]
    assert pieces == whole, "a stream's frames hang on how it was cut"
    assert reader.buffered_bytes == torn.buffered_bytes <= len(rest)


_NOISE = (_first, _second, _third, _claim, _join_claim, _credentials, _record, _frames)


def header(data: bytes) -> None:
    """A file as it comes, or a data set of any transfer syntax, or one text of any character set.

    A data set that is declared deflated is taken as its stream, or deflated here first.
    """
    if not data:
        return
    which, rest = data[0], data[1:]
    try:
        if which >= 192:
            declared = charset((TERMS[which % len(TERMS)],), "latin_1")
            for vr in ("PN", "LO", "UT", "DS", "AT", "FL", "SV"):
                texts(vr, rest, "<", declared)
            return
        syntax, offset = SYNTAXES[which % len(SYNTAXES)], 0
        if which >= 128:
            preface = read_preface(rest, whole=True)
            assert preface is not None
            syntax, offset = preface.transfer_syntax, preface.offset
        elif syntax == DEFLATED and which >= 64:
            squeezed = zlib.compressobj(wbits=-15)
            rest = squeezed.compress(rest) + squeezed.flush()
        size = len(rest) - offset
        scan(lambda at, count: rest[offset + at : offset + at + count], size, syntax, "latin_1")
    except MeshError:
        return


def roster(data: bytes) -> None:
    """Items, each signed by who may sign it, merged; then everything is asked of the roster.

    An item is a byte for its kind and author, two for its length, and its body.
    """
    one = _company()
    entries: list[bytes] = []
    admissions: list[bytes] = []
    records: list[bytes] = []
    while len(data) >= 3 and len(entries) + len(admissions) + len(records) < 8:
        kind, size = data[0], int.from_bytes(data[1:3], "big")
        body, data = data[3 : 3 + size], data[3 + size :]
        author = (one.target, one.bert, one.carl)[kind % 3]
        match kind >> 6:
            case 0:
                entries.append(pack(Signed(body, one.founder.sign(ENTRY_CONTEXT, one.mesh, body))))
            case 1:
                admissions.append(pack(Signed(body, author.sign(ADMIT_CONTEXT, one.mesh, body))))
            case 2:
                records.append(pack(Signed(body, author.sign(RECORD_CONTEXT, one.mesh, body))))
            case _:
                entries.append(body)
    found = _roster()
    found.merge(entries, admissions, records)
    other = _roster()
    other.merge(reversed(entries), reversed(admissions), reversed(records))
    again = Roster(one.mesh)
    everything = found.everything()
    news = again.merge(everything.entries, everything.admissions, everything.records)
    assert not news.refused, "what one roster keeps another refuses"
    assert again.members() == found.members(), "who keeps the same agrees"
    if len(found.everything().entries) == len(other.everything().entries):
        assert found.heads() == other.heads(), "the order of coming makes a difference"
    for node in (one.target.node, one.bert.node, one.carl.node, NodeId(bytes(32))):
        found.why(node)
        found.proof(node)
    found.forks()
    encode(found.heads())
    for digests in found.digests(2):
        encode(digests)
        found.lacking(digests)
    found.lacking(Digests((), (), 2**40, 0))
    found.entries_beyond(Heads((ChainHead(one.founder.public, 2**62, Digest(bytes(32))),),
                               Digest(bytes(32)), Digest(bytes(32))))  # fmt: skip
    try:
        found.void(one.invite.granted, NOW_S)
        found.void(one.invite.granted, 2**63 - 1)
    except MeshError:
        return


TARGETS: Mapping[str, Target] = {
    "codec": codec, "noise": noise, "header": header, "roster": roster
}  # fmt: skip


def seeds(name: str) -> list[bytes]:
    """Honest inputs to begin with."""
    one = _company()
    match name:
        case "codec":
            inside = [
                bytes((_selector(number),)) + body for number, (body, _) in enumerate(_bodies())
            ]
            return [b"\0" + payload for payload in payloads(one)] + inside
        case "noise":
            gate = one.gate(one.bert)
            dialer, _ = _pair()
            first = dialer.write(gate.claim(one.target.node))
            return [
                b"\0" + first,
                b"\3" + gate.claim(one.target.node),
                b"\4" + bodies(one)[-3][0],
                b"\5" + gate.credentials(),
                b"\6" + Cipher(bytes(32)).encrypt(b"clear"),
                b"\7\0\0\0\2ab\0\0\0\0\0\0\0\1",
            ]
        case "header":
            data = study_bytes(b"seed")
            file = make_preface("1.2.840.10008.5.1.4.1.1.2", "1.2", EXPLICIT_LITTLE) + data
            return [
                b"\0" + data, b"\x41" + data, b"\x80" + file,
                bytes((64 + 4,)) + data, b"\xc0\x1b$)C\xb1\xe8^\x1b(Babc",
            ]  # fmt: skip
        case _:
            items = [(0, unpack(Signed, entry).body) for entry in entries_of(one)]
            items += [(64, unpack(Signed, item).body) for item in one.items.admissions]
            items += [
                (_record_kind(author), unpack(Signed, item).body)
                for author, item in enumerate(one.items.records)
            ]
            single = [bytes((kind,)) + len(b).to_bytes(2, "big") + b for kind, b in items]
            return [*single, b"".join(single)]


def _record_kind(author: int) -> int:
    """A first byte that says: a record, by this author."""
    return next(byte for byte in range(128, 192) if byte % 3 == author)


def _selector(number: int) -> int:
    """A first byte from 128 on that picks this body."""
    count = len(_bodies())
    return next(byte for byte in range(128, 256) if byte % count == number)
