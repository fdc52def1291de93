"""The standard's transfer syntaxes for instances by their keywords (PS3.6 table A-1)."""

from meshpacs.dimse.contexts import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

KEYWORDS = {
    "ImplicitVRLittleEndian": IMPLICIT_LITTLE,
    "ExplicitVRLittleEndian": EXPLICIT_LITTLE,
    "EncapsulatedUncompressedExplicitVRLittleEndian": "1.2.840.10008.1.2.1.98",
    "DeflatedExplicitVRLittleEndian": DEFLATED,
    "ExplicitVRBigEndian": EXPLICIT_BIG,
    "JPEGBaseline8Bit": "1.2.840.10008.1.2.4.50",
    "JPEGExtended12Bit": "1.2.840.10008.1.2.4.51",
    "JPEGLossless": "1.2.840.10008.1.2.4.57",
    "JPEGLosslessSV1": "1.2.840.10008.1.2.4.70",
    "JPEGLSLossless": "1.2.840.10008.1.2.4.80",
    "JPEGLSNearLossless": "1.2.840.10008.1.2.4.81",
    "JPEG2000Lossless": "1.2.840.10008.1.2.4.90",
    "JPEG2000": "1.2.840.10008.1.2.4.91",
    "JPEG2000MCLossless": "1.2.840.10008.1.2.4.92",
    "JPEG2000MC": "1.2.840.10008.1.2.4.93",
    "MPEG2MPML": "1.2.840.10008.1.2.4.100",
    "MPEG2MPMLF": "1.2.840.10008.1.2.4.100.1",
    "MPEG2MPHL": "1.2.840.10008.1.2.4.101",
    "MPEG2MPHLF": "1.2.840.10008.1.2.4.101.1",
    "MPEG4HP41": "1.2.840.10008.1.2.4.102",
    "MPEG4HP41F": "1.2.840.10008.1.2.4.102.1",
    "MPEG4HP41BD": "1.2.840.10008.1.2.4.103",
    "MPEG4HP41BDF": "1.2.840.10008.1.2.4.103.1",
    "MPEG4HP422D": "1.2.840.10008.1.2.4.104",
    "MPEG4HP422DF": "1.2.840.10008.1.2.4.104.1",
    "MPEG4HP423D": "1.2.840.10008.1.2.4.105",
    "MPEG4HP423DF": "1.2.840.10008.1.2.4.105.1",
    "MPEG4HP42STEREO": "1.2.840.10008.1.2.4.106",
    "MPEG4HP42STEREOF": "1.2.840.10008.1.2.4.106.1",
    "HEVCMP51": "1.2.840.10008.1.2.4.107",
    "HEVCM10P51": "1.2.840.10008.1.2.4.108",
    "JPEGXLLossless": "1.2.840.10008.1.2.4.110",
    "JPEGXLJPEGRecompression": "1.2.840.10008.1.2.4.111",
    "JPEGXL": "1.2.840.10008.1.2.4.112",
    "HTJ2KLossless": "1.2.840.10008.1.2.4.201",
    "HTJ2KLosslessRPCL": "1.2.840.10008.1.2.4.202",
    "HTJ2K": "1.2.840.10008.1.2.4.203",
    "RLELossless": "1.2.840.10008.1.2.5",
}

_NAMES = {uid: keyword for keyword, uid in KEYWORDS.items()}

LITTLE = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""What everybody can read, and what small data sets are written in."""

PLAIN = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
"""Those without compressed pixels, in the order in which they are best sent: explicit needs no
dictionary to be read, and the last two are work for both sides."""

JPEGS = frozenset(
    KEYWORDS[keyword]
    for keyword in (
        "JPEGBaseline8Bit",
        "JPEGExtended12Bit",
        "JPEGLossless",
        "JPEGLosslessSV1",
        "JPEGLSLossless",
        "JPEGLSNearLossless",
    )
)
"""JPEG and JPEG-LS."""

WAVELETS = frozenset(
    KEYWORDS[keyword]
    for keyword in ("JPEG2000Lossless", "JPEG2000", "HTJ2KLossless", "HTJ2KLosslessRPCL", "HTJ2K")
)
"""JPEG 2000 and its high-throughput kind."""

RLE = KEYWORDS["RLELossless"]

DECODED = JPEGS | WAVELETS | {RLE}
"""Those of compressed still images, which the extra `meshpacs[pixel]` decodes."""


def find_syntax(text: str) -> str | None:
    """The UID of a transfer syntax that somebody has written as its keyword or UID."""
    return text if text in _NAMES else KEYWORDS.get(text)


def name_syntax(uid: str) -> str:
    """Its keyword, or the UID of one that is not known."""
    return _NAMES.get(uid, uid)
