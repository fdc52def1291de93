"""From a data set's bytes to Unicode and back, by Specific Character Set (0008,0005).

Source: PS3.3 C.12.1.1.2 and PS3.5 6.1.2. Deviation: nothing is refused for its characters. What
the declared sets cannot decode is read by the default set, and shown with replacement
characters where even that fails, because a study must be found even under a mangled name.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

ESCAPE = 0x1B

SINGLE: dict[str, str] = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "tis_620",
    "ISO_IR 192": "utf_8",
    "ISO_IR 203": "iso8859_15",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
"""Defined terms and the codec that reads bytes without any escape sequence. JIS X 0201 is read
as Shift JIS, whose single bytes are the same."""

EXTENDED: dict[str, str] = {
    "58": "gb2312",
    "87": "ascii",  # G0 only, after an escape sequence: before it, the default repertoire
    "149": "euc_kr",
    "159": "ascii",
    "GBK": "gbk",
}
"""What `ISO 2022 IR n` adds to the single-byte sets, as long as no escape sequence came."""

ESCAPES: dict[bytes, tuple[str, bytes]] = {
    b"(B": ("ascii", b""),
    b"(J": ("shift_jis", b""),
    b")I": ("shift_jis", b""),
    b"-A": ("latin_1", b""),
    b"-B": ("iso8859_2", b""),
    b"-C": ("iso8859_3", b""),
    b"-D": ("iso8859_4", b""),
    b"-F": ("iso8859_7", b""),
    b"-G": ("iso8859_6", b""),
    b"-H": ("iso8859_8", b""),
    b"-L": ("iso8859_5", b""),
    b"-M": ("iso8859_9", b""),
    b"-T": ("tis_620", b""),
    b"-b": ("iso8859_15", b""),
    b"$B": ("iso2022_jp", b"\x1b$B"),
    b"$(D": ("iso2022_jp_2", b"\x1b$(D"),
    b"$)A": ("gb2312", b""),
    b"$)C": ("euc_kr", b""),
}
"""Escape sequences (PS3.3 tables C.12-3 and C.12-4): codec, and what that codec wants in front."""

RESETS_TEXT = frozenset(b"\r\n\t\f\\")
RESETS_NAME = frozenset(b"\r\n\t\f\\^=")
"""Where a value falls back to its first character set (PS3.5 6.1.2.5.3)."""

TRAILS_BELOW_0X80 = frozenset({"gbk", "gb18030"})
"""Where the second byte of a character may look like a delimiter."""


def codec_of(term: str) -> str | None:
    """The codec of one defined term, or None for a term that is unknown here.

    Misspelt terms that real files carry are read as what they mean: `ISO-IR 100`, `ISO IR 100`,
    `ISO_IR_100`, `ISO 2022-IR 87`.
    """
    plain = term.strip().upper().replace("-", " ").replace("_", " ")
    for known, codec in SINGLE.items():
        if plain == known.replace("_", " "):
            return codec
    if plain.startswith("ISO 2022 "):
        number = plain.removeprefix("ISO 2022 ").removeprefix("IR ").strip()
        return EXTENDED.get(number) or SINGLE.get(f"ISO_IR {number}")
    return None


@dataclass(frozen=True, slots=True)
class Charset:
    """How one data set's text is read."""

    first: str
    """The codec until an escape sequence says otherwise."""
    default: str
    """The codec for bytes beyond ASCII that nothing has declared; the operator's choice."""

    def text(self, raw: bytes, *, name: bool = False) -> str:
        """Read one element's bytes; `name` for PN, whose `^` and `=` end a character set too."""
        if raw.isascii() and ESCAPE not in raw:
            return raw.decode("ascii")
        if ESCAPE in raw:
            return self._extended(raw, RESETS_NAME if name else RESETS_TEXT)
        return self._plain(raw, self.first)

    def _plain(self, raw: bytes, codec: str) -> str:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            pass
        try:
            return raw.decode(self.default)
        except UnicodeDecodeError:
            # Half a multi-byte character at the end of a value cut to its length, mostly.
            return raw.decode(self.default if codec == "ascii" else codec, errors="replace")

    def _extended(self, raw: bytes, resets: frozenset[int]) -> str:
        pieces: list[str] = []
        codec, lead = self.first, b""
        start = at = 0

        def flush(end: int) -> None:
            if end > start:
                pieces.append(self._plain(lead + raw[start:end], codec))

        while at < len(raw):
            byte = raw[at]
            if byte == ESCAPE:
                flush(at)
                escape = next((e for e in ESCAPES if raw.startswith(e, at + 1)), b"")
                codec, lead = ESCAPES.get(escape, (self.first, b""))
                at += 1 + len(escape)
                start = at
            elif lead and byte >= 0x21:
                # Two bytes a character in G0: a second byte is never a delimiter, though it may
                # look like one.
                at += 2
            elif byte >= 0x81 and codec in TRAILS_BELOW_0X80 and raw[at + 1 : at + 2] != b"\x1b":
                at += 2
            elif byte in resets:
                flush(at)
                codec, lead = self.first, b""
                start = at
                at += 1
                flush(at)
                start = at
            else:
                at += 1
        flush(len(raw))
        return "".join(pieces)


def charset(terms: Sequence[str], default: str) -> Charset:
    """How to read a data set that declares these terms; none, or an empty first, is ASCII.

    `default` is a codec's name, for bytes beyond ASCII that no declared set covers.
    """
    first = codec_of(terms[0]) if terms else "ascii"
    return Charset(first or "ascii", default)


def default_codec(term: str) -> str:
    """The codec of a configured default character set, such as `ISO_IR 100`.

    Raises:
        LookupError: the term is not one of PS3.3 C.12.1.1.2.
    """
    codec = codec_of(term)
    if codec is None:
        raise LookupError(term)
    return codecs.lookup(codec).name if codec != "ascii" else "latin_1"


# ---------------------------------------------------------------- from Unicode to bytes

DESIGNATIONS: dict[str, tuple[str, bytes]] = {
    "58": ("gb2312", b"\x1b$)A"),
    "87": ("iso2022_jp", b""),  # this codec and the next write their own escape sequences
    "159": ("iso2022_jp_2", b""),
    "149": ("euc_kr", b"\x1b$)C"),
    "100": ("latin_1", b"\x1b-A"),
    "101": ("iso8859_2", b"\x1b-B"),
    "109": ("iso8859_3", b"\x1b-C"),
    "110": ("iso8859_4", b"\x1b-D"),
    "144": ("iso8859_5", b"\x1b-L"),
    "127": ("iso8859_6", b"\x1b-G"),
    "126": ("iso8859_7", b"\x1b-F"),
    "138": ("iso8859_8", b"\x1b-H"),
    "148": ("iso8859_9", b"\x1b-M"),
    "166": ("tis_620", b"\x1b-T"),
    "203": ("iso8859_15", b"\x1b-b"),
}
"""`ISO 2022 IR n`: codec, and the escape sequence that goes before what it writes."""

UNEXTENDED = frozenset({"utf_8", "gb18030", "gbk"})
"""Sets that stand alone: no code extensions beside them (PS3.3 C.12.1.1.2)."""

_DELIMITED = {False: "[\r\n\t\f]", True: "[\r\n\t\f^=]"}


def express(text: str, terms: Sequence[str], *, name: bool = False) -> bytes | None:
    """One value in the character sets of these terms; None where they cannot express it.

    Each component between delimiters begins in the first set anew (PS3.5 6.1.2.5.3), so each
    declares the set that it needs. `name` for PN.
    """
    if text.isascii():
        return text.encode("ascii") if "\x1b" not in text else None
    first = codec_of(terms[0]) if terms else "ascii"
    if first is None:
        return None
    if first in UNEXTENDED:
        return _exactly(text, first)
    parts: list[bytes] = []
    for component in re.split(f"({_DELIMITED[name]})", text):
        raw = _component(component, first, terms)
        if raw is None:
            return None
        parts.append(raw)
    return b"".join(parts)


def _component(text: str, first: str, terms: Sequence[str]) -> bytes | None:
    # JIS X 0201 is what Shift JIS writes in single bytes; its double bytes are not allowed.
    plain = _exactly(text, first)
    if plain is not None and (first != "shift_jis" or len(plain) == len(text)):
        return plain
    for term in terms[1:]:
        number = term.strip().upper().replace("-", " ").replace("_", " ").rpartition(" ")[2]
        if number not in DESIGNATIONS:
            continue
        codec, escape = DESIGNATIONS[number]
        raw = _exactly(text, codec)
        if raw is not None:
            return escape + raw
    return None


def _exactly(text: str, codec: str) -> bytes | None:
    try:
        raw = text.encode(codec)
        return raw if raw.decode(codec) == text else None
    except UnicodeError:
        return None
