"""The configuration is taken whole or not at all, and whoever wrote it is told what is wrong."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpacs.model.errors import LocalFault
from meshpacs.node.config import CHARSETS, KEYS, Config, ConfigFile, load_config, parse_config
from meshpacs.node.template import default_toml

GOOD = 'name = "Nord"\n'


@pytest.mark.parametrize(
    ("text", "what", "mend"),
    [
        ("", "the key name is missing", "name ="),
        ("name = 3", "name: expected text in quotes, got a number", "Clinic"),
        ('name = ""', "name must be 1 to 64", "other clinics"),
        ('name = "\\u0007"', "printable", "other clinics"),
        (f'name = "{"x" * 65}"', "name must be 1 to 64", "other clinics"),
        ("name = ", "is not TOML", "Mend"),
        (GOOD + "mesh = 1", "mesh: expected a table, got a number", "[mesh]"),
        (GOOD + "[mesh]\nlisen = []", "the key mesh.lisen is not known", "mesh.listen?"),
        (GOOD + "zzz = 1", "the key zzz is not known", "Known keys: archive.default_charset"),
        (GOOD + '[mesh]\nlisten = "x:1"', "mesh.listen: expected a list in brackets", "[mesh]"),
        (GOOD + "[mesh]\nlisten = [7]", "mesh.listen[0]: expected text in quotes", "listen ="),
        (GOOD + "[mesh]\nlisten = []", "mesh.listen is empty", "listen ="),
        (GOOD + '[mesh]\nlisten = ["::1:7"]', "mesh.listen: '::1:7' needs brackets", "HOST:PORT"),
        (GOOD + f"[mesh]\nlisten = {['h:1'] * 9}", "mesh.listen has 9", "At most 8"),
        (GOOD + '[mesh]\nadvertise = ["h:0"]', "mesh.advertise: 'h:0' has a port", "HOST:PORT"),
        (GOOD + '[mesh]\nadvertise = ["0.0.0.0:1"]', "nobody can dial 0.0.0.0:1", "reach"),
        (GOOD + '[http]\nlisten = "x"', "http.listen: 'x' has no port", "HOST:PORT"),
        (GOOD + '[log]\nlevel = "loud"', "log.level: the value 'loud' is not one of debug", "log"),
        (GOOD + '[log]\nformat = "xml"', "log.format: the value 'xml' is not one of auto", "log"),
        (GOOD + '[archive]\ndefault_charset = "ISO_IR 101 "', "not known", "ISO_IR 101?"),
        (GOOD + '[archive]\ndefault_charset = "latin"', "'latin' is not known", "C.12.1.1.2"),
    ],
)
def test_what_is_wrong_is_refused_with_file_key_and_what_was_expected(
    text: str, what: str, mend: str
) -> None:
    with pytest.raises(LocalFault) as refused:
        parse_config(text, "a/config.toml")
    assert refused.value.what.startswith("a/config.toml")
    assert what in refused.value.what
    assert mend in refused.value.mend


@given(
    name=st.text(min_size=1, max_size=64).filter(lambda t: t.isprintable() and bool(t.strip())),
    charset=st.sampled_from(CHARSETS),
    level=st.sampled_from(["debug", "info", "warning", "error"]),
    listen=st.lists(st.sampled_from(["127.0.0.1:1", "[::]:2", "clinic:3"]), min_size=1, max_size=8),
)
def test_what_is_written_for_people_reads_back_the_same(
    name: str, charset: str, level: str, listen: list[str]
) -> None:
    config = Config(
        name=name,
        mesh_listen=tuple(listen),
        default_charset=charset,
        log_level=level,  # type: ignore[arg-type]
    )
    assert parse_config(default_toml(config), "file") == config


def test_every_key_stands_in_the_file_that_is_written() -> None:
    text = default_toml(Config("Nord"))
    for key in KEYS.values():
        assert f"\n{key.rpartition('.')[2]} = " in text, key


def test_flags_win_over_the_file_and_are_checked_too() -> None:
    config = parse_config(GOOD, "f", {"http_listen": "[::1]:9"})
    assert config.http_listen == "[::1]:9"
    with pytest.raises(LocalFault, match=r"the command line: http\.listen"):
        parse_config(GOOD, "f", {"http_listen": "nine"})


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    with pytest.raises(LocalFault, match=r"config\.toml does not exist"):
        load_config(file)
    file.write_bytes(b"\xff")
    with pytest.raises(LocalFault, match="cannot be read"):
        load_config(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(LocalFault, match="cannot be read"):
        load_config(file)


def rewrite(file: Path, text: str) -> None:
    """Write, and make the change visible even to a file system with coarse times."""
    before = file.stat().st_mtime_ns
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(before, before + 1_000_000_000))


def name_of(config: ConfigFile) -> str:
    return config.config.name


def touched(config: ConfigFile) -> bool:
    return config.touched


def test_a_change_is_swapped_in_whole_or_kept_out_and_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(GOOD, encoding="utf-8")
    config = ConfigFile(file)
    first = config.view
    assert not touched(config)
    assert (first.refused, first.waits_for_restart) == ("", ())

    rewrite(file, 'name = "Ost"\n[log]\nlevel = "shout"\n')
    assert touched(config)
    view = config.reload()
    assert "log.level" in view.refused
    assert view.mend
    assert name_of(config) == "Nord"
    assert view.in_force_since_us == first.in_force_since_us

    rewrite(file, 'name = "Ost"\n[http]\nlisten = "127.0.0.1:9"\n')
    view = config.reload()
    assert name_of(config) == "Ost"
    assert view.refused == ""
    assert view.waits_for_restart == ("http.listen",)
    assert view.in_force_since_us >= first.in_force_since_us

    file.unlink()
    assert touched(config)
    assert "does not exist" in config.reload().refused
    assert name_of(config) == "Ost"


@pytest.mark.parametrize(
    ("titles", "word"),
    [
        ("[]", "0 titles"),
        ('["A", "B", "C", "D", "E", "F", "G", "H", "I"]', "9 titles"),
        ('["TITLE_TOO_LONG_17"]', "no AE title"),
        ('["A "]', "no AE title"),
        ("['A\\\\B']", "no AE title"),
    ],
)
def test_ae_titles_are_what_dicom_allows(titles: str, word: str) -> None:
    with pytest.raises(LocalFault, match=word):
        parse_config(f'name = "Nord"\n[dicom]\nae_titles = {titles}\n', "f")


@pytest.mark.parametrize(
    ("classes", "word"),
    [('["private"]', "no UID"), ('["1"]', "no UID"), (str([f"1.{n}" for n in range(257)]), "257")],
)
def test_private_classes_are_uids(classes: str, word: str) -> None:
    with pytest.raises(LocalFault, match=word):
        parse_config(f'name = "Nord"\n[dicom]\nprivate_classes = {classes}\n', "f")


@pytest.mark.parametrize("issuer", ["A*", "B?", "C\\\\D", "E\\n", "F" * 65])
def test_an_issuer_is_a_name_without_wild_cards(issuer: str) -> None:
    with pytest.raises(LocalFault, match="no Issuer of Patient ID"):
        parse_config(f'name = "Nord"\n[dicom]\nissuer = "{issuer}"\n', "f")


def test_a_node_without_dicom_and_one_of_two_titles() -> None:
    text = 'name = "Nord"\n[dicom]\nlisten = []\nae_titles = ["NORD", "OLD PACS"]\n'
    text += 'private_classes = ["1.2.3"]\nissuer = "NORD"\n'
    config = parse_config(text, "f")
    assert (config.dicom_listen, config.ae_titles) == ((), ("NORD", "OLD PACS"))
    assert parse_config(default_toml(config), "f") == config


def test_a_file_that_is_the_same_again_is_in_force_since_before(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(GOOD, encoding="utf-8")
    config = ConfigFile(file, {"log_level": "error"})
    since = config.view.in_force_since_us
    rewrite(file, GOOD + "\n")
    assert config.reload().in_force_since_us == since
    assert config.config.log_level == "error"
