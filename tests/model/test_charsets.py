"""Text in the character sets of PS3.3 C.12.1.1.2, read as what was meant."""

from time import process_time
from warnings import catch_warnings, simplefilter

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpacs.model.charsets import SINGLE, Charset, charset, codec_of, default_codec, express
from meshpacs.model.limits import ATTRIBUTE_BYTES
from tests.archive.instances import corpus

JAPANESE = ("", "ISO 2022 IR 87")


def text(raw: bytes, *terms: str, default: str = "latin_1", name: bool = True) -> str:
    return charset(terms, default).text(raw, name=name)


@pytest.mark.parametrize(
    ("raw", "terms", "meant"),
    [
        # PS3.5 H.3.1, H.3.2, I.2, J.1, J.2, K.2 and their kin
        (
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            JAPANESE,
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J="
            b"\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"),
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        (
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            ("", "ISO 2022 IR 149"),
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        ("Wang^XiaoDong=王^小東".encode(), ("ISO_IR 192",), "Wang^XiaoDong=王^小東"),
        ("Wang^XiaoDong=王^小东".encode("gb18030"), ("GB18030",), "Wang^XiaoDong=王^小东"),
        (b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", ("", "ISO 2022 IR 58"),
         "Zhang^XiaoDong=张^小东="),
        (b"Buc^J\xe9r\xf4me", ("ISO_IR 100",), "Buc^Jérôme"),
        (b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", ("ISO_IR 144",), "Люкceмбypг"),
        (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", ("ISO_IR 126",), "Διονυσιος"),
        (b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", ("ISO_IR 127",), "قباني^لنزار"),
        (b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", ("ISO_IR 138",), "שרון^דבורה"),
        (b"Dionysios \x1b-F\xc4\xe9\xef\xed\xfd\xf3\xe9\xef\xf2",
         ("ISO 2022 IR 100", "ISO 2022 IR 126"),
         "Dionysios Διονύσιος"),
        (b"\x1b$(D\x30\x21\x1b(B", ("", "ISO 2022 IR 159"), "丂"),
    ],
)  # fmt: skip
def test_names_of_the_standard_are_read(raw: bytes, terms: tuple[str, ...], meant: str) -> None:
    assert text(raw, *terms) == meant


def test_every_term_has_a_codec_that_reads_its_own_letters() -> None:
    for term, codec in SINGLE.items():
        letter = {"ascii": "A", "tis_620": "ก"}.get(codec)
        if letter is None:
            letter = next(
                c for c in map(chr, range(0xA1, 0x30FF)) if _encodes(c, codec) and c.isalpha()
            )
        assert text(letter.encode(codec), term) == letter, term


def _encodes(letter: str, codec: str) -> bool:
    try:
        return bool(letter.encode(codec))
    except UnicodeEncodeError:
        return False


@pytest.mark.parametrize("term", ["ISO-IR 100", "iso_ir_100", "ISO IR 100", " ISO_IR 100"])
def test_misspelt_terms_mean_what_they_mean(term: str) -> None:
    assert codec_of(term) == "latin_1"
    assert codec_of("ISO 2022-IR 87") == "ascii"
    assert codec_of("ISO 2022 IR 144") == "iso8859_5"
    assert codec_of("KLINGON") is None
    assert codec_of("ISO 2022 IR 999") is None


def test_undeclared_bytes_are_read_by_the_default() -> None:
    assert text(b"M\xfcller") == "Müller"
    assert text("Müller".encode(), default="utf_8") == "Müller"
    assert text(b"\xbb\xee", default="iso8859_5") == "Лю"
    assert text(b"M\xfcller", "KLINGON") == "Müller"


def test_what_the_declared_set_cannot_read_is_read_by_the_default() -> None:
    assert text(b"M\xfcller", "ISO_IR 192") == "Müller"
    assert text(b"Ab" + b"\xe5", "ISO_IR 192", default="utf_8") == "Ab\ufffd"
    assert text(b"\xfc", default="utf_8") == "\ufffd"


def test_a_delimiter_ends_a_character_set() -> None:
    raw = b"\x1b-F\xc4^\xe4"
    terms = ("ISO 2022 IR 100", "ISO 2022 IR 126")
    assert text(raw, *terms) == "Δ^ä"
    assert text(raw, *terms, name=False) == "Δ^δ"
    assert text(b"\x1b-F\xc4\\\xe4", *terms, name=False) == "Δ\\ä"


def test_a_second_byte_that_looks_like_a_delimiter_is_none() -> None:
    assert "丂\\".encode("gbk") == b"\x81\x40\\"
    tricky = "乗".encode("gbk")
    assert tricky[1:] == b"\\"
    assert text(tricky + b"^\x1b(BA", "GBK") == "乗^A"
    assert text(b"A" + tricky + b"^\x1b(B", "GB18030") == "A乗^"
    # In JIS X 0208 a character's second byte may be ^ or =, as in 3D3D.
    assert text(b"\x1b$B==\x1b(B^A", *JAPANESE) == "十^A"


def test_an_unknown_escape_is_dropped() -> None:
    assert text(b"A\x1b%GB", "ISO 2022 IR 100", "ISO 2022 IR 87") == "A%GB"


@given(raw=st.binary(max_size=40), terms=st.lists(st.sampled_from([*SINGLE, *JAPANESE, "x"])))
def test_any_bytes_are_some_text(raw: bytes, terms: list[str]) -> None:
    found = charset(terms, "latin_1").text(raw, name=True)
    found.encode()  # no lone surrogates: it can be stored and sent


def test_default_sets_are_checked() -> None:
    assert default_codec("ISO_IR 100") == "iso8859-1"
    assert default_codec("ISO_IR 192") == "utf-8"
    assert default_codec("ISO_IR 6") == "latin_1"
    with pytest.raises(LookupError):
        default_codec("EBCDIC")


def test_the_files_for_character_sets_are_read_as_pydicom_reads_them() -> None:
    compared = 0
    for path in corpus():
        if path.parent.name != "charset_files" or path.suffix != ".dcm":
            continue
        with catch_warnings():
            simplefilter("ignore")
            data = pydicom.dcmread(path)
            terms = data.get("SpecificCharacterSet") or ()
            if "PatientName" not in data:
                continue
            raw = data.PatientName.original_string
            meant = str(data.PatientName)
        first = terms if isinstance(terms, str) else next(iter(terms), "")
        own = Charset(codec_of(first) or "ascii", "latin_1")
        assert own.text(raw, name=True).rstrip("= ") == meant.rstrip("= "), path.name
        compared += 1
    assert compared >= 15


@pytest.mark.timeout(30)
@pytest.mark.parametrize("term", ["GBK", "GB18030", "ISO 2022 IR 58", "ISO_IR 192"])
@pytest.mark.parametrize("piece", [b"\x81\\", b"\x81^", b"\\", b"\x1b", b"\x1b$B!\\", b"\x81\x1b"])
def test_the_longest_text_is_read_in_time_that_grows_no_faster_than_it(
    term: str, piece: bytes
) -> None:
    # Second bytes that look like a delimiter were counted from the start, each time: 64 KiB of
    # GBK with an escape sequence took three quarters of a minute of the processor.
    raw = b"\x1b" + piece * (ATTRIBUTE_BYTES // len(piece) - 1)
    began = process_time()
    text(raw, term)
    assert process_time() - began < 5


# ---------------------------------------------------------------- from Unicode to bytes


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ((), "Meier"),
        (("ISO_IR 100",), "Müller^Änne"),
        (("ISO_IR 192",), "山田^太郎"),
        (("GBK",), "王^小东"),
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
        (("ISO 2022 IR 6", "ISO 2022-IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
        (("", "ISO 2022 IR 58"), "Zhang=张^小东"),
        (("ISO 2022 IR 100", "ISO 2022 IR 144"), "Müller=Люкceмбypг"),
    ],
)
def test_what_is_expressed_is_read_again(terms: tuple[str, ...], text: str) -> None:
    raw = express(text, terms, name=True)
    assert raw is not None
    assert charset(terms, "ascii").text(raw, name=True) == text


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ((), "Müller"),
        (("EBCDIC",), "Müller"),
        (("ISO_IR 100",), "山田"),
        (("", "ISO 2022 IR 87"), "Müller"),
        (("", "ISO 2022 IR 6", "ISO 2022 IR 100"), "山"),
        (("ISO_IR 13",), "山"),  # Shift JIS could, but JIS X 0201 has no such letter
        (("ISO_IR 192",), "\ud800"),
        (("ISO_IR 100",), "a\x1bb"),
    ],
)
def test_what_cannot_be_expressed_is_said(terms: tuple[str, ...], text: str) -> None:
    assert express(text, terms, name=True) is None
