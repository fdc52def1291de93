"""A data set in another byte order, with other VRs or deflated, its values unchanged (PS3.5 A).

For receivers that do not take an instance as it is stored. Only what holds no compressed pixels:
nothing is decoded here and nothing is lost. pydicom reads and writes; the words of values that
consist of words are swapped here, as pydicom leaves them as they are.

A value of unknown kind (VR UN) keeps its bytes: nobody knows what in it would have to be swapped.
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

PLAIN = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})
"""Transfer syntaxes without compressed pixels: each can be written as each."""

WORDS = {"OW": "H", "OF": "I", "OL": "I", "OD": "Q", "OV": "Q"}
"""VRs that hold words, and `array`'s letter for a word of that many bytes."""


def rewrite(data: bytes, source: str, target: str) -> bytes:
    """The same data set in another transfer syntax.

    Raises:
        Refused: it cannot be read, is too large, or is of a syntax that is not rewritten.
    """
    if source not in PLAIN or target not in PLAIN:
        raise Refused(Reason.MALFORMED, f"{source} is not rewritten as {target}.")
    try:
        return written(read(data, source), source, target)
    except Refused:
        raise
    except Exception as error:
        what = f"The data set cannot be rewritten: {type(error).__name__}."
        raise Refused(Reason.MALFORMED, what) from error


def read(data: bytes, source: str) -> "Dataset":
    """A data set as pydicom has it, which puts off reading most of it.

    Raises:
        Refused: it is too large or cannot be inflated.
        Exception: whatever pydicom makes of damaged data.
    """
    from pydicom.filereader import read_dataset

    if source == DEFLATED:
        data = _inflated(data)
    if len(data) > REWRITTEN_BYTES:
        raise Refused(Reason.TOO_LARGE, f"More than {REWRITTEN_BYTES} bytes are not rewritten.")
    return read_dataset(
        io.BytesIO(data),
        is_implicit_VR=source == IMPLICIT_LITTLE,
        is_little_endian=source != EXPLICIT_BIG,
        bytelength=len(data),
    )


def written(found: "Dataset", source: str, target: str) -> bytes:
    """The bytes of a data set that was read as `source`, and is changed by this.

    Raises:
        Exception: whatever pydicom makes of damaged data.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import correct_ambiguous_vr, write_dataset

    out = DicomBytesIO()
    out.is_little_endian = target != EXPLICIT_BIG
    out.is_implicit_VR = target == IMPLICIT_LITTLE
    # Implicit VR leaves some elements to be one of several kinds, as `US or OW`; which one decides
    # what is swapped, and in which order its numbers were.
    correct_ambiguous_vr(found, source != EXPLICIT_BIG)
    _settle(found, swapped=(source == EXPLICIT_BIG) != (target == EXPLICIT_BIG))
    write_dataset(out, found)
    data = out.getvalue()
    return _deflated(data) if target == DEFLATED else data


def _inflated(data: bytes) -> bytes:
    """Without its compression (PS3.5 A.5), as far as it may be large."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflating.decompress(data, REWRITTEN_BYTES + 1)
    except zlib.error as error:
        raise Refused(Reason.MALFORMED, "The data set cannot be inflated.") from error


def _deflated(data: bytes) -> bytes:
    """A bare deflated stream of even length (PS3.5 A.5)."""
    deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflating.compress(data) + deflating.flush()
    return packed + b"\0" * (len(packed) % 2)


def _settle(found: "Dataset", *, swapped: bool) -> None:
    """Read every element, which pydicom puts off, and turn the words of those that hold words."""
    for element in found.iterall():
        if swapped and element.VR in WORDS and isinstance(element.value, bytes):
            words = array(WORDS[element.VR])
            words.frombytes(element.value)
            words.byteswap()
            element.value = words.tobytes()
