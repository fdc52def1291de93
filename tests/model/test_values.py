"""One element's bytes as texts (PS3.5 6.2)."""

import pytest

from meshpacs.model.attributes import Value
from meshpacs.model.charsets import charset
from meshpacs.model.limits import VALUE_CHARACTERS
from meshpacs.model.values import texts

LATIN = charset(("ISO_IR 100",), "latin_1")


@pytest.mark.parametrize(
    ("vr", "raw", "value"),
    [
        ("AT", b"\x10\0\x20\0\x28\0\x10\0\x01", ("00100020", "00280010")),
        ("US", b"\x01\0\x02\0\x03", ("1", "2")),
        ("FL", b"\xcd\xcc\xcc\x3d", ("0.100000001",)),
        ("FD", b"\x9a\x99\x99\x99\x99\x99\xb9\x3f", ("0.1",)),
        ("CS", b"CT\\MR ", ("CT", "MR")),
        ("LT", b" two\\words \0", (" two\\words",)),
        ("ST", b"  ", ()),
        ("UI", b"1.2\0", ("1.2",)),
        ("SH", b"M\xfcller", ("Müller",)),
        ("CS", b"M\xfc", ("Mü",)),
    ],
)
def test_a_value_is_read_by_its_vr(vr: str, raw: bytes, value: Value) -> None:
    assert texts(vr, raw, "<", LATIN) == value


def test_a_row_takes_so_much_and_no_more_unless_told() -> None:
    raw = b"a" * (VALUE_CHARACTERS + 1)
    assert texts("UT", raw, "<", LATIN) == ("a" * VALUE_CHARACTERS,)
    assert texts("UT", raw, "<", LATIN, longest=len(raw)) == (raw.decode(),)
    assert texts("US", b"\1\0\2\0", "<", LATIN, most=1) == ("1",)
