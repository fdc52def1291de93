"""Compressed pixels decoded without a further loss (PS3.5 8.2 and annex A.4, PS3.3 C.7.6.3.1).

Nothing but the pixels and what describes their encoding changes: Photometric Interpretation, Planar
Configuration, the offset tables. UIDs stay. (0028,2110) Lossy Image Compression stays, and where it
lacks although the codec has lost something it is set, as nothing else would tell any more.

Colour: what reversible codecs give is kept to the last bit, so YBR_FULL stays YBR_FULL. JPEG 2000's
own transforms (YBR_RCT, YBR_ICT) are undone as part of the codec. The YCbCr of the lossy JPEGs is
turned into RGB: there it is a step of the codec, too, its chroma was halved, and most IODs allow
uncompressed colour as RGB alone.

One decoder for each codec, never whichever of several succeeds, so that one file is one image.
"""

import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from meshpacs.archive.codestreams import LOSSY_JPEG, has_lost
from meshpacs.archive.faults import Reason, Refused
from meshpacs.archive.header import EXPLICIT_LITTLE
from meshpacs.archive.rewriting import PLAIN, read, written
from meshpacs.dimse.syntaxes import DECODED, JPEGS, name_syntax
from meshpacs.model.limits import REWRITTEN_BYTES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MODULES = ("numpy", "gdcm", "pylibjpeg", "openjpeg", "rle")
"""What the extra `meshpacs[pixel]` installs."""

GDCM = "meshpacs"
"""Our name of our own plugin for pydicom, `gdcm_frames`."""

PLUGINS = {syntax: GDCM if syntax in JPEGS else "pylibjpeg" for syntax in sorted(DECODED)}
"""The decoder of each transfer syntax. Those of pylibjpeg are without its GPL plugin."""

PIXEL_DATA = 0x7FE00010
OFFSET_TABLES = (0x7FE00001, 0x7FE00002, 0x7FE00003)
"""Extended Offset Table, its lengths, and the total length of encapsulated pixels."""

ENCAPSULATED = re.compile(rb"\xe0\x7f\x10\x00O[BW]\x00\x00\xff\xff\xff\xff")
"""How compressed pixels begin."""

Admit = Callable[[int], None]
"""Told how many bytes the pixels will have before they are decoded; raises `Refused`."""


def installed() -> bool:
    """Whether the extra is there; nothing of it is imported."""
    return all(importlib.util.find_spec(name) is not None for name in MODULES)


def admit_all(size_bytes: int) -> None:
    """Admit whatever one value of a data set can hold here."""
    if size_bytes > REWRITTEN_BYTES:
        raise Refused(Reason.TOO_LARGE, f"Its pixels have {size_bytes} bytes when decoded.")


def decode(data: bytes, source: str, target: str, admit: Admit = admit_all) -> bytes:
    """The same data set in a transfer syntax without compressed pixels.

    Raises:
        Refused: it cannot be read or decoded; the sentence says why and names no patient.
        MemoryError: there is not enough.
    """
    if source not in DECODED or target not in PLAIN:
        raise Refused(Reason.MALFORMED, f"{source} is not decoded as {target}.")
    try:
        found = read(data, EXPLICIT_LITTLE)
        images = [item for item in _walk(found) if _is_compressed(item)]
        _check_whole(found, data)
        lost = _is_compressed(found) and has_lost(_first_frame(found), source)
        for item in images:
            _decode_pixels(item, source, admit)
        if lost:
            found.LossyImageCompression = "01"
        return written(found, EXPLICIT_LITTLE, target)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        # The words of such an error may hold a value of the data set.
        what = f"Its {name_syntax(source)} pixels cannot be decoded: {type(error).__name__}."
        raise Refused(Reason.MALFORMED, what) from error


def _check_whole(found: "Dataset", data: bytes) -> None:
    """Pydicom leaves out an element that ends too early, and says nothing."""
    if PIXEL_DATA not in found and ENCAPSULATED.search(data):
        raise Refused(Reason.TRUNCATED, "Its pixels do not end.")


def _walk(found: "Dataset") -> Iterator["Dataset"]:
    """The data set and all items in it: an icon may be compressed, too (PS3.5 A.4)."""
    yield found
    for element in found:
        if element.VR == "SQ":
            for item in element.value:
                yield from _walk(item)


def _is_compressed(item: "Dataset") -> bool:
    """Pixels of a known length are not encapsulated, and stay."""
    return PIXEL_DATA in item and bool(item[PIXEL_DATA].is_undefined_length)


def _first_frame(item: "Dataset") -> bytes:
    from pydicom.encaps import get_frame

    table, lengths = item.get("ExtendedOffsetTable"), item.get("ExtendedOffsetTableLengths")
    return get_frame(
        item[PIXEL_DATA].value,
        0,
        number_of_frames=_frame_count(item),
        extended_offsets=(table, lengths) if table and lengths else None,
    )


def _frame_count(item: "Dataset") -> int:
    return int(item.get("NumberOfFrames") or 1)


def _decode_pixels(item: "Dataset", source: str, admit: Admit) -> None:
    """Put native pixels in the place of encapsulated ones, and say of them what is true now."""
    bits, samples = item.BitsAllocated, item.get("SamplesPerPixel", 1)
    count = _frame_count(item)
    if bits not in (8, 16, 32):
        raise Refused(Reason.MALFORMED, f"Bits Allocated of {bits} are not decoded.")
    size = item.Rows * item.Columns * samples * (bits // 8)
    admit(size * count)
    pixels = bytearray(size * count + size * count % 2)
    number = 0
    for number, frame in enumerate(_frames(item, source), 1):
        if number > count:
            raise Refused(Reason.MALFORMED, f"It has more than its {count} frames.")
        if frame.dtype.itemsize * 8 > bits:
            found = frame.dtype.itemsize * 8
            what = f"Frame {number} has {found} bits a sample where Bits Allocated is {bits}."
            raise Refused(Reason.MALFORMED, what)
        wide = frame.astype(f"<{frame.dtype.kind}{bits // 8}", copy=False).tobytes()
        if len(wide) != size:
            raise Refused(Reason.MALFORMED, f"Frame {number} has {len(wide)} bytes, not {size}.")
        pixels[size * (number - 1) : size * number] = wide
    if number != count:
        raise Refused(Reason.TRUNCATED, f"It has {number} of its {count} frames.")
    for tag in (*OFFSET_TABLES, PIXEL_DATA):
        item.pop(tag, None)
    item.add_new(PIXEL_DATA, "OB" if bits == 8 else "OW", bytes(pixels))
    if samples > 1:
        item.PlanarConfiguration = 0


def _frames(item: "Dataset", source: str) -> Iterator[Any]:
    """Each frame as an array, colours by pixel; then Photometric Interpretation is as they are."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    decoder = get_decoder(UID(source))
    if PLUGINS[source] == GDCM and GDCM not in decoder.available_plugins:
        decoder.add_plugin(GDCM, ("meshpacs.archive.gdcm_frames", "decode_frame"))
    lossy = source in LOSSY_JPEG
    # Bits above Bits Stored stay as the codec has them: some files keep overlays there.
    found = ""
    for frame, facts in decoder.iter_array(
        item,
        raw=not lossy,
        as_rgb=lossy,
        correct_unused_bits=False,
        decoding_plugin=PLUGINS[source],
    ):
        if found not in ("", facts["photometric_interpretation"]):
            raise Refused(Reason.MALFORMED, "Its frames are of different kinds of colour.")
        found = str(facts["photometric_interpretation"])
        yield frame
    # No codec gives halved chroma: its decoder has doubled it.
    item.PhotometricInterpretation = "YBR_FULL" if found == "YBR_FULL_422" else found
