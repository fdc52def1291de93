"""Small data sets, read and written: the identifiers of queries and retrievals (PS3.5 chapter 7).

Little-endian, implicit or explicit. Everything is read into memory, within `IDENTIFIER_BYTES` and
`IDENTIFIER_DEPTH`; which is why this is not how instances are read. What is written is what a row
holds: text in the character set that is chosen for the row, numbers in binary.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile

from meshpacs.dimse.faults import MalformedIdentifier, OversizedIdentifier
from meshpacs.model.attributes import Record, Value, element
from meshpacs.model.charsets import Charset, charset, express
from meshpacs.model.limits import IDENTIFIER_BYTES, IDENTIFIER_DEPTH, QUERY_KEYS, VALUES_PER_KEY
from meshpacs.model.values import CHARACTER_SET_VRS, DIVIDED, KNOWN, NUMBERS, UNDIVIDED, texts

CHARACTER_SET = 0x0008_0005
ITEM, ITEM_END, SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
UNDEFINED = 0xFFFF_FFFF

LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""PS3.5 table 7.1-1: two reserved bytes, then a length of 32 bits."""

SHORT_LENGTH = 0xFFFE
"""The longest even value that a length of 16 bits can say."""

ELEMENTS_MOST = 8 * QUERY_KEYS
"""Elements of one identifier at all depths: keys, and what is passed over. A guess."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a small data set may have at most."""

    size_bytes: int = IDENTIFIER_BYTES
    elements: int = ELEMENTS_MOST
    """At all depths."""
    items: int = VALUES_PER_KEY
    """Of one sequence."""


IDENTIFIER = Bounds()

VRS: Mapping[int, str] = {
    CHARACTER_SET: "CS",
    0x0008_0052: "CS",
    0x0008_0053: "CS",
    0x0008_0054: "AE",
    0x0008_0056: "CS",
    0x0008_0058: "UI",
    0x0008_1150: "UI",
    0x0008_1155: "UI",
    0x0008_1195: "UI",
    0x0008_1197: "US",
    0x0008_1198: "SQ",
    0x0008_1199: "SQ",
}
"""VRs of what identifiers have beside attributes of the index (PS3.4 C.4), and of what storage
commitment has (PS3.4 J.3)."""


@dataclass(slots=True)
class DataSet:
    """A small data set as it was read."""

    record: Record = field(default_factory=dict)
    """The attributes whose VR is known."""
    terms: tuple[str, ...] = ()
    """Its Specific Character Set."""
    unknown: dict[int, bool] = field(default_factory=dict)
    """Tags that nothing is known of here, and whether they have a value."""


VrOf = Callable[[int], str]
"""The VR of a tag; empty where it is not known."""


def vr_of(tag: int) -> str:
    """The VR of what an identifier of Query/Retrieve may hold; empty where it is not known."""
    known = element(tag)
    return known.vr if known else VRS.get(tag, "")


# ---------------------------------------------------------------- reading


def read_data_set(
    data: bytes | bytearray,
    *,
    explicit: bool,
    default: str,
    known: VrOf = vr_of,
    bounds: Bounds = IDENTIFIER,
) -> DataSet:
    """Read a whole small data set; `default` is the codec for bytes that no set declares.

    Kept is what `known` has a VR for, at every depth.

    Raises:
        MalformedIdentifier: it is cut off, too large or too deep.
    """
    if len(data) > bounds.size_bytes:
        raise OversizedIdentifier(f"The identifier has more than {bounds.size_bytes} bytes.")
    reader = _Reader(memoryview(data), bounds, explicit=explicit, default=default, known=known)
    found, _ = reader.data_set(0, len(data), charset((), default), 0)
    return found


@dataclass(frozen=True, slots=True)
class _Head:
    tag: int
    vr: str
    """Empty in implicit VR."""
    start: int
    length: int


class _Reader:
    def __init__(
        self, data: memoryview, bounds: Bounds, *, explicit: bool, default: str, known: VrOf
    ) -> None:
        self._known = known
        self._data = data
        self._bounds = bounds
        self._explicit = explicit
        self._default = default
        self._elements = 0

    def data_set(
        self, at: int, end: int, letters: Charset, depth: int, *, item: bool = False
    ) -> tuple[DataSet, int]:
        """A data set, or an item of undefined length if `item`; and where it has ended."""
        found = DataSet()
        while at < end:
            head = self._head(at, end)
            if item and head.tag == ITEM_END:
                return found, head.start
            named = self._known(head.tag)
            vr = named or head.vr
            if vr == "SQ" or head.length == UNDEFINED:
                items, at = self._sequence(head, end, letters, depth)
                if named == "SQ":
                    found.record[head.tag] = items
                else:
                    found.unknown[head.tag] = any(map(bool, items))
                continue
            at = head.start + head.length
            raw = bytes(self._data[head.start : at])
            if head.tag == CHARACTER_SET:
                terms = tuple(raw.decode("latin_1").strip(" \0").split("\\"))
                found.terms = terms
                letters = charset(terms, self._default)
            elif head.tag & 0xFFFF == 0:
                pass  # a group length, retired
            elif named and vr in KNOWN:
                # Nothing is cut here: a question cut short would have another answer.
                size = len(raw)
                found.record[head.tag] = texts(vr, raw, "<", letters, most=size, longest=size)
            else:
                found.unknown[head.tag] = bool(raw.strip(b" \0"))
        if item:
            raise MalformedIdentifier("An item of the identifier does not end.")
        return found, at

    def _head(self, at: int, end: int) -> _Head:
        self._elements += 1
        most = self._bounds.elements
        if self._elements > most:
            raise OversizedIdentifier(f"The identifier has more than {most} elements.")
        if end - at < 8:
            raise MalformedIdentifier("The identifier ends within an element's head.")
        group, number = struct.unpack_from("<HH", self._data, at)
        tag = group << 16 | number
        vr = ""
        if self._explicit and group != 0xFFFE:
            vr = bytes(self._data[at + 4 : at + 6]).decode("latin_1")
            if vr in LONG_VRS:
                if end - at < 12:
                    raise MalformedIdentifier("The identifier ends within an element's head.")
                (length,) = struct.unpack_from("<L", self._data, at + 8)
                start = at + 12
            else:
                (length,) = struct.unpack_from("<H", self._data, at + 6)
                start = at + 8
        else:
            (length,) = struct.unpack_from("<L", self._data, at + 4)
            start = at + 8
        if length != UNDEFINED and length > end - start:
            raise MalformedIdentifier(
                f"The element ({group:04X},{number:04X}) is longer than what holds it."
            )
        return _Head(tag, vr, start, length)

    def _sequence(
        self, head: _Head, end: int, letters: Charset, depth: int
    ) -> tuple[tuple[Record, ...], int]:
        if depth >= IDENTIFIER_DEPTH:
            raise MalformedIdentifier(f"The identifier nests deeper than {IDENTIFIER_DEPTH}.")
        items: list[Record] = []
        defined = head.length != UNDEFINED
        at, stop = head.start, head.start + head.length if defined else end
        while at < stop:
            inner = self._head(at, stop)
            at = inner.start
            if inner.tag == SEQUENCE_END and not defined:
                return tuple(items), at
            if inner.tag != ITEM:
                raise MalformedIdentifier("A sequence of the identifier has no usable items.")
            if len(items) >= self._bounds.items:
                raise OversizedIdentifier(
                    f"A sequence of the identifier has more than {self._bounds.items} items."
                )
            if inner.length == UNDEFINED:
                item, at = self.data_set(at, stop, letters, depth + 1, item=True)
            else:
                item, at = self.data_set(at, at + inner.length, letters, depth + 1)
            items.append(item.record)
        if not defined:
            raise MalformedIdentifier("A sequence of the identifier does not end.")
        return tuple(items), at


# ---------------------------------------------------------------- writing

UTF_8 = ("ISO_IR 192",)


def write_data_set(
    record: Record, *, explicit: bool, terms: tuple[str, ...] = (), known: VrOf = vr_of
) -> bytes:
    """A record as a data set in the character set of these terms, or UTF-8 where that fails.

    Specific Character Set is written where it is needed, or was asked for; of the rest, what
    `known` has a VR for.
    """
    ascii_only = all(text.isascii() for text in _all_texts(record))
    if not ascii_only and any(
        express(text, terms, name=vr == "PN") is None for vr, text in _declared(record, known)
    ):
        terms = UTF_8
    whole = dict(record)
    if terms and any(terms):
        whole[CHARACTER_SET] = terms
    return _written(whole, terms, known, explicit=explicit)


def _all_texts(record: Record) -> Iterator[str]:
    for value in record.values():
        for item in value:
            if isinstance(item, str):
                yield item
            else:
                yield from _all_texts(item)


def _declared(record: Record, known: VrOf) -> Iterator[tuple[str, str]]:
    """The texts that Specific Character Set is for, with their VRs."""
    for tag, value in record.items():
        vr = known(tag)
        for item in value:
            if not isinstance(item, str):
                yield from _declared(item, known)
            elif vr in CHARACTER_SET_VRS:
                yield vr, item


def _written(record: Record, terms: tuple[str, ...], known: VrOf, *, explicit: bool) -> bytes:
    parts = []
    for tag, value in sorted(record.items()):
        vr = "CS" if tag == CHARACTER_SET else known(tag)
        if not vr:
            continue
        if vr == "SQ":
            raw = _items(value, terms, known, explicit=explicit)
        else:
            raw = _raw(vr, value, terms)
        parts.append(_head(tag, vr, len(raw), explicit=explicit))
        parts.append(raw)
    return b"".join(parts)


def _head(tag: int, vr: str, length: int, *, explicit: bool) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    if not explicit:
        return struct.pack("<HHL", group, number, length)
    if vr in LONG_VRS:
        return struct.pack("<HH2sHL", group, number, vr.encode("ascii"), 0, length)
    return struct.pack("<HH2sH", group, number, vr.encode("ascii"), length)


def _items(value: Value, terms: tuple[str, ...], known: VrOf, *, explicit: bool) -> bytes:
    parts = []
    for item in value:
        assert not isinstance(item, str), "a sequence has items"
        body = _written(item, terms, known, explicit=explicit)
        parts.append(struct.pack("<HHL", ITEM >> 16, ITEM & 0xFFFF, len(body)) + body)
    return b"".join(parts)


def _raw(vr: str, value: Value, terms: tuple[str, ...]) -> bytes:
    found = [text for text in value if isinstance(text, str)]
    if vr in NUMBERS:
        return _sayable(vr, b"".join(_number(vr, text) for text in found))
    if vr == "AT":
        return _sayable(vr, b"".join(_tag(text) for text in found))
    raws = [_text(vr, text, terms) for text in found]
    if vr in UNDIVIDED:
        raws = raws[:1]
    if vr in DIVIDED:
        raws = raws[: _fitting(raws)]
    raw = _sayable(vr, b"\\".join(raws))
    if len(raw) % 2:
        raw += b"\0" if vr == "UI" else b" "
    return raw


def _sayable(vr: str, raw: bytes) -> bytes:
    """Nothing of a value that a length of 16 bits cannot say: half a text would be another text."""
    return raw if len(raw) <= SHORT_LENGTH or vr in LONG_VRS else b""


def _fitting(raws: Sequence[bytes]) -> int:
    """How many of the values a short VR has room for: what fits is better than nothing."""
    ends = accumulate(len(raw) + 1 for raw in raws)
    return sum(1 for _ in takewhile(lambda end: end <= SHORT_LENGTH + 1, ends))


def _number(vr: str, text: str) -> bytes:
    letter = NUMBERS[vr]
    try:
        return struct.pack(f"<{letter}", float(text) if letter in "df" else int(text))
    except (ValueError, struct.error, OverflowError):
        return b""


def _tag(text: str) -> bytes:
    try:
        return struct.pack("<HH", int(text[:4], 16), int(text[4:8], 16))
    except ValueError:
        return b""


def _text(vr: str, text: str, terms: tuple[str, ...]) -> bytes:
    if vr not in CHARACTER_SET_VRS:
        return text.encode("ascii", "replace")
    raw = express(text, terms, name=vr == "PN")
    return text.encode("ascii", "replace") if raw is None else raw
