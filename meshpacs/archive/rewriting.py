"""A data set in another byte order or with other VRs, its values unchanged (PS3.5 annex A).

For receivers that do not take an instance as it is stored. Only what holds no compressed pixels:
nothing is decoded here and nothing is lost. pydicom reads and writes; the words of pixel data are
swapped here, as pydicom leaves them as they are.
"""

import io
import zlib
from array import array
from typing import TYPE_CHECKING

from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.model.limits import REWRITTEN_BYTES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

READABLE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})
"""Transfer syntaxes without compressed pixels."""

WRITABLE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE})

WORDS = {"OW": "H", "OF": "I", "OL": "I", "OD": "Q", "OV": "Q"}
"""VRs that hold words, and `array`'s letter for a word of that many bytes."""


def rewrite(data: bytes, source: str, target: str) -> bytes:
    """The same data set in another transfer syntax.

    Raises:
        Refused: it cannot be read, is too large, or is of a syntax that is not rewritten.
    """
    if source not in READABLE or target not in WRITABLE:
        raise Refused(Reason.MALFORMED, f"{source} is not rewritten as {target}.")
    if source == DEFLATED:
        data = _inflated(data)
    if len(data) > REWRITTEN_BYTES:
        raise Refused(Reason.TOO_LARGE, f"More than {REWRITTEN_BYTES} bytes are not rewritten.")
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_dataset

    big = source == EXPLICIT_BIG
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, target == IMPLICIT_LITTLE
    try:
        found = read_dataset(
            io.BytesIO(data),
            is_implicit_VR=source == IMPLICIT_LITTLE,
            is_little_endian=not big,
            bytelength=len(data),
        )
        _settle(found, swapped=big)
        write_dataset(out, found)
    except Exception as error:
        what = f"The data set cannot be rewritten: {type(error).__name__}."
        raise Refused(Reason.MALFORMED, what) from error
    return out.getvalue()


def _inflated(data: bytes) -> bytes:
    """Without its compression (PS3.5 A.5), as far as it may be large."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflating.decompress(data, REWRITTEN_BYTES + 1)
    except zlib.error as error:
        raise Refused(Reason.MALFORMED, "The data set cannot be inflated.") from error


def _settle(found: "Dataset", *, swapped: bool) -> None:
    """Read every element, which pydicom puts off, and turn the words of those that hold words."""
    for element in found.iterall():
        if swapped and element.VR in WORDS and isinstance(element.value, bytes):
            words = array(WORDS[element.VR])
            words.frombytes(element.value)
            words.byteswap()
            element.value = words.tobytes()
