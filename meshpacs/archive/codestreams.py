"""Whether a compressed frame has lost something, as far as its own head tells.

Source: ITU-T T.800 A.6.1 (JPEG 2000: which wavelet), T.87 C.2.3 (JPEG-LS: NEAR of a scan). A
reversible wavelet may have been cut short, too; that cannot be seen.
"""

import struct

from meshpacs.dimse.syntaxes import KEYWORDS

LOSSY_JPEG = frozenset({KEYWORDS["JPEGBaseline8Bit"], KEYWORDS["JPEGExtended12Bit"]})
"""Codecs that are never without loss."""

EITHER_WAVELET = frozenset(KEYWORDS[keyword] for keyword in ("JPEG2000", "HTJ2K"))
"""With either wavelet; the others of their kind have the reversible one alone."""

NEAR_LOSSLESS = KEYWORDS["JPEGLSNearLossless"]

CODING_STYLE, SCAN = 0x52, 0xDA
"""Marker segments: COD of JPEG 2000, SOS of JPEG-LS."""

SEGMENTS = 256
"""Marker segments that are walked. A guess: heads have ten."""


def has_lost(frame: bytes, syntax: str) -> bool:
    """Whether its codec has certainly not kept every value."""
    if syntax in LOSSY_JPEG:
        return True
    if syntax in EITHER_WAVELET:
        style = _segment(frame, CODING_STYLE)
        # Scod, then four bytes of SGcod, then four of SPcod before the wavelet; 0 is 9-7.
        return len(style) > 9 and style[9] == 0
    if syntax == NEAR_LOSSLESS:
        scan = _segment(frame, SCAN)
        at = 1 + 2 * scan[0] if scan else 0
        return len(scan) > at > 0 and scan[at] > 0
    return False


def _segment(frame: bytes, wanted: int) -> bytes:
    """The first marker segment of this kind, without marker and length; nothing if it has none."""
    at = 2  # behind the marker that begins the frame
    for _ in range(SEGMENTS):
        head = frame[at : at + 4]
        if len(head) < 4 or head[0] != 0xFF:
            return b""
        kind, size = struct.unpack(">xBH", head)
        if kind == wanted:
            return frame[at + 4 : at + 2 + size]
        at += 2 + size
    return b""
