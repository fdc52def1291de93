"""One element's bytes as the texts that the index keeps (PS3.5 6.2)."""

import struct

from meshpacs.archive.charsets import Charset
from meshpacs.model.attributes import Value
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


def texts(vr: str, raw: bytes, order: str, charset: Charset) -> Value:
    """Read one element; `order` is `<` or `>`, as `struct` has it.

    Padding is taken off, and what PS3.5 calls insignificant: spaces around a value, spaces
    behind a text of several lines. Nothing but padding is an empty value, `()`. More values and
    longer ones than a row may carry are cut (model.limits).
    """
    if vr in NUMBERS:
        return _numbers(NUMBERS[vr], raw, order)
    if vr == "AT":
        pairs = struct.iter_unpack(f"{order}HH", raw[: len(raw) // 4 * 4])
        return tuple(f"{group:04X}{element:04X}" for group, element in pairs)[:VALUES_PER_KEY]
    if vr in CHARACTER_SET_VRS:
        text = charset.text(raw, name=vr == "PN")
    else:
        text = raw.decode("ascii") if raw.isascii() else charset.text(raw)
    if vr in UNDIVIDED:
        text = text.rstrip(PADDING)
        return (_cut(text),) if text else ()
    text = text.strip(PADDING)
    if not text:
        return ()
    if "\\" not in text:
        return (_cut(text),)
    values = text.split("\\", VALUES_PER_KEY)[:VALUES_PER_KEY]
    return tuple(_cut(value.strip(PADDING)) for value in values)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS].rstrip(PADDING)


def _numbers(letter: str, raw: bytes, order: str) -> Value:
    width = struct.calcsize(letter)
    count = min(len(raw) // width, VALUES_PER_KEY)
    found = struct.unpack(f"{order}{count}{letter}", raw[: count * width])
    if letter == "f":
        return tuple(f"{value:.9g}" for value in found)  # nine digits name every single float
    return tuple(str(value) for value in found)
