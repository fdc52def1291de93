"""Our own bounded reading of a data set's header, up to its pixels.

Source: PS3.5 chapter 7 and annex A. It reads the attributes that the index wants, decodes their
text, and walks everything else only to see that it is well formed: every length fits into what
encloses it, nothing nests deeper than `SEQUENCE_DEPTH`, the pixels are all there. It never
recurses by depth of the data and holds one window of the data set at a time.

Tolerated, because real files have it (each is in the corpus of pydicom's test files): implicit
VR in a file that declares explicit and the other way round, in the whole data set, in the items
of a sequence or in one element; unknown VRs (read with a 16-bit length); sequences as UN; odd
lengths; tags out of order; up to seven stray bytes or any number of zeros after the last
element; bytes after the pixels. Elements behind the pixels are not read.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.window import FileWindow, Truncated
from meshpacs.model.attributes import Record
from meshpacs.model.charsets import Charset, charset
from meshpacs.model.limits import (
    ATTRIBUTE_BYTES,
    HEADER_KEPT_BYTES,
    SCANNED_ELEMENTS,
    SEQUENCE_DEPTH,
    VALUES_PER_KEY,
)
from meshpacs.model.values import KNOWN, texts

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT = "1.2.840.113619.5.2"
"""Implicit little-endian data sets with big-endian pixels, from older GE systems."""

CHARACTER_SET = 0x00080005
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

LONG_VRS = frozenset(
    b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
)  # PS3.5 table 7.1-1: two reserved bytes, then a length of 32 bits
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())

PLAIN_LONG_VRS = LONG_VRS - {b"SQ"}
THOUGHTFUL_GROUPS = frozenset({0x0000, 0x7FE0, 0xFFFE})
"""Padding, pixels and delimiters: elements that change where the scan is."""

ITEM_COST = 64
"""Bytes that an item counts as, be it empty: what an empty dictionary takes."""

PROBE_BYTES = 1024 * 1024
"""Values of unknown kind that begin like a sequence are walked up to this size. A guess."""

Wanted = Mapping[int, "str | Wanted"]
"""Tags to read: their VR, or for a sequence what to read of its items."""


@dataclass(slots=True)
class _Elements:
    """Where the scan is: inside a data set or an item."""

    end: int | None
    """Byte behind the last; None until a delimiter."""
    explicit: bool
    order: str
    charset: Charset
    wanted: Wanted
    record: Record


@dataclass(slots=True)
class _Items:
    """Where the scan is: inside a sequence."""

    end: int | None
    explicit: bool
    order: str
    charset: Charset
    wanted: Wanted
    items: list[Record] | None
    """Where the items' records go; None if nobody wants them."""


@dataclass(slots=True)
class Scanner:
    """One scan of one data set."""

    window: FileWindow
    default: str
    """The codec for bytes beyond ASCII that the data set does not declare."""
    items_limit: int = VALUES_PER_KEY
    """Items kept of one sequence."""
    kept_limit: int = HEADER_KEPT_BYTES
    kept: int = 0
    """Bytes of all that was kept so far."""
    depth: int = 0
    """Sequences already around this data set."""
    elements: int = 0
    stack: list[_Elements | _Items] = field(default_factory=list)
    _sequences: list[tuple[Record, int, list[Record]]] = field(default_factory=list)
    """Wanted sequences that were met, with their items."""

    def run(self, wanted: Wanted, transfer_syntax: str) -> Record:
        """Read the attributes in `wanted`.

        Raises:
            Refused: truncated, malformed, too deep, or absurdly long.
        """
        order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
        record: Record = {}
        explicit = is_explicit(self.window.peek(6), transfer_syntax)
        top = _Elements(
            self.window.size, explicit, order, charset((), self.default), wanted, record
        )
        self.stack = [top]
        while True:
            place = self.stack[-1]
            if isinstance(place, _Elements):
                self._hurry(place)
            if place is top and self._finished():
                break
            if place.end is not None and self.window.at >= place.end and place is not top:
                if self.window.at > place.end:
                    raise self._malformed("an element is longer than what encloses it")
                self.stack.pop()
            elif isinstance(place, _Items):
                self._item(place)
            elif self._element(place, top=place is top):
                break
        for of, tag, items in self._sequences:
            of[tag] = tuple(items)
        return record

    def _hurry(self, place: _Elements) -> None:
        """Take the elements that are as they should be, as far as the window reaches.

        This is the same reading as `_element`'s, without its cases: it stops before whatever
        needs thought. Measured: it makes the scan of a CT four times as fast.
        """
        chunk, start = self.window.held()
        limit = len(chunk)
        if place.end is not None:
            limit = min(limit, start + place.end - self.window.at)
        unpack = (_EXPLICIT if place.explicit else _IMPLICIT)[place.order].unpack_from
        at, wanted = start, place.wanted
        while at + 12 <= limit:
            group, element, vr, length = (*unpack(chunk, at), 0)[:4]
            value = at + 8
            if not place.explicit:
                vr, length = b"UN", vr
            elif vr in PLAIN_LONG_VRS:
                (length,) = _LENGTH[place.order].unpack_from(chunk, value)
                value += 4
            elif vr not in SHORT_VRS:
                break
            tag = group << 16 | element
            if (
                value + length > limit
                or group in THOUGHTFUL_GROUPS
                or tag == CHARACTER_SET
                or (vr == b"UN" and chunk[value : value + 4] == _ITEM_BYTES)
            ):
                break
            want = wanted.get(tag)
            if want is not None:
                if not isinstance(want, str) or length > ATTRIBUTE_BYTES:
                    break
                said = vr.decode("ascii")
                order = place.order
                if said not in KNOWN:
                    said, order = want, "<" if place.explicit and said == "UN" else order
                raw = chunk[value : value + length]
                self._count(length)
                place.record[tag] = texts(said, raw, order, place.charset)
            at = value + length
            self.elements += 1
        self.window.at += at - start

    def _finished(self) -> bool:
        """Whether the data set is over: at its end, or only stray bytes are left."""
        if self.window.ended():
            return True
        left = self.window.peek(8)
        if len(left) < 8:
            # An element's header does not fit. Zeros are padding; anything else is a cut.
            if left.strip(b"\0"):
                raise Truncated(self.window.at)
            return True
        return left[:4] == b"\0\0\0\0" and not self.window.peek(512).strip(b"\0")

    def _element(self, place: _Elements, *, top: bool) -> bool:
        """Take one element; True when the pixels have come and the scan is over."""
        self.elements += 1
        if self.elements > SCANNED_ELEMENTS:
            raise Refused(
                Reason.TOO_LARGE, f"The header has more than {SCANNED_ELEMENTS} elements."
            )
        tag, vr, length = self._head(place)
        if tag == ITEM_END and place.end is None and not top:
            self.stack.pop()
            return False
        if tag >> 16 == 0xFFFE:
            if top and length == 0:
                return False  # a stray delimiter; nothing is lost by passing over it
            raise self._malformed(f"a delimiter ({tag:08X}) where an element should be")
        if tag in PIXELS:
            if length == UNDEFINED:
                self._fragments(place.order)
            else:
                self._skip(place, length)
            return top
        want = place.wanted.get(tag)
        if length == UNDEFINED:
            if vr in {None, b"SQ", b"UN"}:
                self._enter(place, tag, want, None)
            else:
                self._fragments(place.order)
            return False
        self._fits(place, length)
        sequence = want is not None and not isinstance(want, str)
        if vr == b"SQ" or (sequence and vr in {None, b"UN"}):
            self._enter(place, tag, want, self.window.at + length)
        elif tag == CHARACTER_SET:
            self._declare(place, self.window.take(min(length, self._most(tag, length))))
        elif isinstance(want, str):
            self._keep(place, tag, want, vr, length)
        else:
            if vr in {None, b"UN"}:
                self._probe(length)
            self.window.skip(length)
        return False

    def _head(self, place: _Elements) -> tuple[int, bytes | None, int]:
        """One element's tag, VR (None if implicit) and length."""
        head = self.window.take(8)
        group, element, vr, length = _EXPLICIT[place.order].unpack(head)
        tag = group << 16 | element
        if not place.explicit or group == 0xFFFE or not vr.isalpha() or not vr.isupper():
            return tag, None, _IMPLICIT[place.order].unpack(head)[2]
        if vr in LONG_VRS:
            (length,) = _LENGTH[place.order].unpack(self.window.take(4))
        return tag, vr, length

    def _fits(self, place: _Elements, length: int) -> None:
        if place.end is not None and self.window.at + length > place.end:
            if place is self.stack[0]:
                raise Truncated(self.window.at)
            raise self._malformed("an element is longer than what encloses it")

    def _skip(self, place: _Elements, length: int) -> None:
        self._fits(place, length)
        self.window.skip(length)

    def _count(self, kept: int) -> None:
        """So many bytes more are kept; many values within their limits are too much together."""
        self.kept += kept
        if self.kept > self.kept_limit:
            raise Refused(
                Reason.TOO_LARGE,
                f"The attributes that are indexed have more than {self.kept_limit} bytes.",
            )

    @staticmethod
    def _most(tag: int, length: int) -> int:
        if length > ATTRIBUTE_BYTES:
            raise Refused(
                Reason.TOO_LARGE,
                f"Attribute ({tag >> 16:04X},{tag & 0xFFFF:04X}) has {length} bytes; "
                f"at most {ATTRIBUTE_BYTES} make sense.",
            )
        return length

    def _declare(self, place: _Elements, raw: bytes) -> None:
        terms = texts("CS", raw, place.order, place.charset)
        # An empty declaration is the default repertoire, not the parent's (PS3.3 C.12.1.1.2).
        place.charset = charset([str(term) for term in terms], self.default)

    def _keep(self, place: _Elements, tag: int, want: str, vr: bytes | None, length: int) -> None:
        raw = self.window.take(self._most(tag, length))
        self._count(length)
        said = vr.decode("ascii") if vr is not None else want
        if said not in KNOWN:
            said, order = want, "<" if said == "UN" else place.order
        else:
            order = place.order
        place.record[tag] = texts(said, raw, order, place.charset)

    def _enter(
        self, place: _Elements, tag: int, want: "str | Wanted | None", end: int | None
    ) -> None:
        """Go into a sequence."""
        self._check_depth()
        items: list[Record] | None = None
        inside: Wanted = {}
        if want is not None and not isinstance(want, str):
            inside, items = want, []
            self._sequences.append((place.record, tag, items))
        order = place.order
        if self.window.peek(4) == _ITEM_BYTES:
            order = "<"  # a sequence as UN is little-endian in any file (PS3.5 6.2.2)
        self.stack.append(_Items(end, place.explicit, order, place.charset, inside, items))

    def _check_depth(self) -> None:
        """Refuse one more sequence inside those that the scan is in."""
        if self.depth + len(self.stack) // 2 >= SEQUENCE_DEPTH:
            raise Refused(Reason.TOO_DEEP, f"Sequences are nested more than {SEQUENCE_DEPTH} deep.")

    def _item(self, place: _Items) -> None:
        """Take one item's header, or the end of the sequence."""
        group, element, length = _IMPLICIT[place.order].unpack(self.window.take(8))
        tag = group << 16 | element
        if tag == SEQUENCE_END and place.end is None:
            self.stack.pop()
            return
        if tag != ITEM:
            raise self._malformed(f"({tag:08X}) where an item of a sequence should be")
        end = None if length == UNDEFINED else self.window.at + length
        outer = place.end
        if end is not None and outer is not None and end > outer:
            raise self._malformed("an item is longer than its sequence")
        explicit = place.explicit
        if explicit and end != self.window.at:
            vr = self.window.peek(6)[4:6]
            # Some writers switch to implicit VR inside sequences; an item's first element shows.
            explicit = (vr.isalpha() and vr.isupper()) or self.window.peek(2) in _DELIMITERS
        record: Record = {}
        if place.items is not None and len(place.items) < self.items_limit:
            self._count(ITEM_COST)
            place.items.append(record)
        self.stack.append(
            _Elements(end, explicit, place.order, place.charset, place.wanted, record)
        )

    def _fragments(self, order: str) -> None:
        """Pass over encapsulated pixels (PS3.5 A.4)."""
        while True:
            group, element, length = _IMPLICIT[order].unpack(self.window.take(8))
            tag = group << 16 | element
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or length == UNDEFINED:
                raise self._malformed(f"({tag:08X}) where a fragment of pixels should be")
            self.window.skip(length)

    def _probe(self, length: int) -> None:
        """Look into a value of unknown kind that begins like a sequence, for its depth only.

        Whether it is one cannot be known (private implicit elements), so what does not parse is
        simply not a sequence.
        """
        if not 8 <= length <= PROBE_BYTES or self.window.peek(4) != _ITEM_BYTES:
            return
        self._check_depth()
        raw = self.window.peek(length)
        inner = Scanner(
            FileWindow(lambda offset, count: raw[offset : offset + count], len(raw)),
            self.default,
            depth=self.depth + len(self.stack) // 2,
            elements=self.elements,
        )
        try:
            inner.walk_items()
        except Refused as refusal:
            if refusal.reason is Reason.TOO_DEEP or inner.elements > SCANNED_ELEMENTS:
                raise
        finally:
            self.elements = inner.elements

    def walk_items(self) -> None:
        """Walk the window as the value of an implicit sequence, keeping nothing."""
        nothing = charset((), self.default)
        outside = _Elements(self.window.size, False, "<", nothing, {}, {})
        first = _Items(self.window.size, False, "<", nothing, {}, None)
        self.stack = [outside, first]
        while len(self.stack) > 1:
            place = self.stack[-1]
            if place.end is not None and self.window.at >= place.end:
                self.stack.pop()
            elif isinstance(place, _Items):
                self._item(place)
            else:
                self._element(place, top=False)

    def _malformed(self, what: str) -> Refused:
        return Refused(
            Reason.MALFORMED, f"The data set is malformed at byte {self.window.at}: {what}."
        )


def is_explicit(head: bytes, transfer_syntax: str) -> bool:
    """Whether elements carry their VR: what the first six bytes show beats what is declared.

    Letters where an implicit length would be mean at least 16,000 bytes in the first element,
    which no data set begins with.
    """
    vr = head[4:6]
    if transfer_syntax in {IMPLICIT_LITTLE, GE_PRIVATE_IMPLICIT}:
        return vr in LONG_VRS or vr in SHORT_VRS
    return len(vr) < 2 or (vr.isalpha() and vr.isupper())


_EXPLICIT = {order: struct.Struct(f"{order}HH2sH") for order in "<>"}
_IMPLICIT = {order: struct.Struct(f"{order}HHL") for order in "<>"}
_LENGTH = {order: struct.Struct(f"{order}L") for order in "<>"}
_ITEM_BYTES = b"\xfe\xff\x00\xe0"
_DELIMITERS = {b"\xfe\xff", b"\xff\xfe"}
