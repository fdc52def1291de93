"""The whole data dictionary of the standard (PS3.6), where the index's own table is not enough."""

from functools import lru_cache
from string import hexdigits

from meshpacs.model.attributes import Element
from meshpacs.model.values import KNOWN

REMEMBERED = 4_096
"""Tags whose meaning is kept at hand. A guess: a worklist's entries use a hundred."""


@lru_cache(maxsize=REMEMBERED)
def lexicon(tag: int) -> Element | None:
    """What PS3.6 knows of a tag; of several VRs the first. Text, numbers and sequences only."""
    from pydicom.datadict import get_entry  # 20 MB and 0.1 s, which a node without worklist saves

    try:
        vr, multiplicity, _, _, keyword = get_entry(tag)
    except KeyError:
        return None
    vr = vr.split(" or ")[0]
    if vr != "SQ" and vr not in KNOWN:
        return None
    return Element(keyword, tag, vr, many=multiplicity != "1")


def vr_of(tag: int) -> str:
    """The VR of a tag, empty where `lexicon` does not know it."""
    known = lexicon(tag)
    return known.vr if known else ""


def tag_of(word: str) -> int | None:
    """The tag of a keyword of PS3.6 or of eight hexadecimal digits."""
    from pydicom.datadict import tag_for_keyword

    # Not by int's own judgement, which takes signs and underscores for digits.
    if len(word) == 8 and set(word) <= set(hexdigits):
        return int(word, 16)
    return tag_for_keyword(word)
