"""One element's bytes as the texts that the index keeps (PS3.5 6.2)."""

import struct

from meshpacs.model.attributes import Value
from meshpacs.model.charsets import Charset
from meshpacs.model.limits import VALUE_CHARACTERS, VALUES_PER_KEY

NUMBERS: dict[str, str] = {
    "FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q",
}  # fmt: skip
"""Binary VRs and `struct`'s letter for one value."""

CHARACTER_SET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Text that Specific Character Set is for (PS3.5 6.1.2.2); other text is ASCII."""

UNDIVIDED = frozenset({"LT", "ST", "UR", "UT"})
"""Text in which a backslash is a character, not the end of a value (PS3.5 6.2)."""

DIVIDED = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"})

KNOWN = frozenset(NUMBERS) | DIVIDED | UNDIVIDED | {"AT"}
"""VRs that can be read as text at all; OB and its kind cannot."""

PADDING = " \0"


def texts(
    vr: str,
    raw: bytes,
    order: str,
    charset: Charset,
    *,
    most: int = VALUES_PER_KEY,
    longest: int = VALUE_CHARACTERS,
) -> Value:
    """Read one element; `order` is `<` or `>`, as `struct` has it.

    Padding is taken off, and what PS3.5 calls insignificant: spaces around a value, spaces
    behind a text of several lines. Nothing but padding is an empty value, `()`. Of more values
    than `most` the first are taken, longer ones than `longest` are cut: unless told otherwise, to
    what a row may carry.
    """
    if vr in NUMBERS:
        return _numbers(NUMBERS[vr], raw, order, most)
    if vr == "AT":
        pairs = struct.iter_unpack(f"{order}HH", raw[: len(raw) // 4 * 4])
        return tuple(f"{group:04X}{element:04X}" for group, element in pairs)[:most]
    if vr in CHARACTER_SET_VRS:
        text = charset.text(raw, name=vr == "PN")
    else:
        text = raw.decode("ascii") if raw.isascii() else charset.text(raw)
    if vr in UNDIVIDED:
        text = text.rstrip(PADDING)
        return (_cut(text, longest),) if text else ()
    text = text.strip(PADDING)
    if not text:
        return ()
    if "\\" not in text:
        return (_cut(text, longest),)
    values = text.split("\\", most)[:most]
    return tuple(_cut(value.strip(PADDING), longest) for value in values)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rstrip(PADDING)


def _numbers(letter: str, raw: bytes, order: str, most: int) -> Value:
    width = struct.calcsize(letter)
    count = min(len(raw) // width, most)
    found = struct.unpack(f"{order}{count}{letter}", raw[: count * width])
    if letter == "f":
        return tuple(f"{value:.9g}" for value in found)  # nine digits name every single float
    return tuple(str(value) for value in found)
