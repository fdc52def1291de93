"""GDCM as a decoder of JPEG and JPEG-LS frames, a plugin for pydicom's (`Decoder.add_plugin`).

pydicom has one of its own, which leaves out two things that GDCM can do: lossy JPEG of 12 bits,
because older releases of GDCM could not (3.2.6 gives DCMTK's values, bit for bit), and signed
JPEG-LS of fewer bits than its container, because it gives bytes where pydicom then corrects signs
in place. What GDCM gets wrong is refused here as there: JPEG-LS of 6 and 7 bits.
"""

from typing import TYPE_CHECKING, Any

from meshpacs.dimse.syntaxes import JPEGS, KEYWORDS

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

JPEG_LS = frozenset({KEYWORDS["JPEGLSLossless"], KEYWORDS["JPEGLSNearLossless"]})
DECODER_DEPENDENCIES = dict.fromkeys(sorted(JPEGS), ("gdcm>=3.2",))
"""What pydicom asks a plugin for."""


def is_available(uid: str) -> bool:
    """What pydicom asks a plugin first; whoever adds this one has looked."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: "DecodeRunner") -> bytearray:
    """One frame's pixels in a buffer that can be written.

    Raises:
        ValueError: GDCM cannot decode it.
    """
    import gdcm

    syntax, bits = runner.transfer_syntax, runner.bits_stored
    if syntax in JPEG_LS:
        bits = runner.get_option("jls_precision", bits)
        if bits in (6, 7):
            raise ValueError(f"JPEG-LS of {bits} bits.")
        runner.set_option("planar_configuration", 0)
        runner.set_option("bits_allocated", 8 if bits <= 8 else 16)
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(_encapsulated(gdcm, source))
    interpretation = gdcm.PhotometricInterpretation
    image.SetPhotometricInterpretation(
        interpretation(interpretation.GetPIType(str(runner.photometric_interpretation)))
    )
    if runner.samples_per_pixel > 1:
        image.SetPlanarConfiguration(runner.planar_configuration)
    transfer = gdcm.TransferSyntax
    image.SetTransferSyntax(transfer(transfer.GetTSType(str(syntax))))
    image.SetPixelFormat(
        gdcm.PixelFormat(
            runner.samples_per_pixel,
            runner.bits_allocated,
            bits,
            bits - 1,
            runner.pixel_representation,
        )
    )
    found = image.GetBuffer()
    if found is None:
        raise ValueError("GDCM gives nothing.")
    # It has bytes as text.
    return bytearray(found.encode("utf-8", "surrogateescape"))


def _encapsulated(gdcm: Any, source: bytes) -> Any:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(source)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element
