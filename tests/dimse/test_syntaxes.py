"""Transfer syntaxes by their keywords (PS3.6 table A-1)."""

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID, AllTransferSyntaxes

from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.dimse.syntaxes import KEYWORDS, find_syntax, name_syntax

NO_INSTANCES = {
    UID("1.2.840.10008.1.2.7.1"),  # SMPTE ST 2110: real-time video and audio
    UID("1.2.840.10008.1.2.7.2"),
    UID("1.2.840.10008.1.2.7.3"),
    UID("1.2.840.10008.1.2.4.204"),  # JPIP: where pixels are, not what they are
    UID("1.2.840.10008.1.2.4.205"),
}


def test_keywords_and_uids_are_those_of_the_standard() -> None:
    for keyword, uid in KEYWORDS.items():
        if uid in UID_dictionary:  # JPEG XL is newer than pydicom 3.0
            assert (UID(uid).is_transfer_syntax, UID(uid).keyword) == (True, keyword)
    assert set(KEYWORDS.values()) > set(AllTransferSyntaxes) - NO_INSTANCES


def test_a_syntax_is_found_by_keyword_and_by_uid() -> None:
    assert find_syntax("ExplicitVRLittleEndian") == EXPLICIT_LITTLE
    assert find_syntax(EXPLICIT_LITTLE) == EXPLICIT_LITTLE
    assert find_syntax("1.2.3") is None
    assert find_syntax("explicit") is None
    assert name_syntax("1.2.840.10008.1.2.4.70") == "JPEGLosslessSV1"
    assert name_syntax("1.2.3") == "1.2.3"
