"""What is read of a home for DICOM over TLS, and what `status` says of it."""

import datetime as dt
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.model.errors import LocalFault
from meshpacs.node import certificates, credentials
from meshpacs.node.book import Entry
from meshpacs.node.certificates import (
    NODE_DAYS,
    Made,
    fingerprint_of,
    hosts_of,
    make_certificate,
    read_certificates,
    subject_of,
    until_us,
    vouched_for,
)
from meshpacs.node.credentials import (
    Keeper,
    credential_troubles,
    read_credentials,
    tls_for,
    trusted_file,
)
from meshpacs.node.home import Home
from tests.gateways.dicom.secured import Kit, held, make_kit

DAY_S = 86_400


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return make_kit(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def home(kit: Kit, tmp_path: Path) -> Home:
    """A copy that a test may spoil."""
    made = Home(tmp_path / "home")
    shutil.copytree(kit.home.dicom_tls, made.dicom_tls)
    return made


def test_a_home_without_keys_has_no_credentials_and_says_so_only_to_who_wants_them(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    assert read_credentials(home) is None
    assert list(credential_troubles(home, listening=False)) == []
    (trouble,) = credential_troubles(home, listening=True)
    assert "meshpacs dicom tls init" in trouble.mend
    assert tls_for(Entry("A", "h", 1), None) is None
    with pytest.raises(LocalFault, match="no key"):
        tls_for(Entry("A", "h", 1, tls=True), None)


def test_a_certificate_says_for_whom_it_is_and_who_has_signed_it(kit: Kit) -> None:
    own, authority = read_certificates((kit.home.dicom_tls / "node.pem").read_bytes(), "node")
    assert subject_of(own) == "CN=Nord"
    assert hosts_of(own) == ("pacs.example", "127.0.0.1") or hosts_of(own) == (
        "127.0.0.1",
        "pacs.example",
    )
    assert hosts_of(authority) == ()
    assert len(fingerprint_of(own)) == 95
    left = dt.datetime.fromtimestamp(until_us(own) / 1e6, dt.UTC) - dt.datetime.now(dt.UTC)
    assert left.days in (NODE_DAYS, NODE_DAYS - 1)
    assert vouched_for(own, [authority])
    assert vouched_for(own, [own])
    (stranger, _) = read_certificates(kit.stranger.chain.read_bytes(), "s")
    assert not vouched_for(own, [stranger])
    assert not vouched_for(stranger, [authority])


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("node.pem", b"not a certificate", "node.pem holds no certificate"),
        ("node.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "node.pem"),
        ("node.pem", b"x" * (credentials.FILE_BYTES + 1), "too large"),
        ("node.key", b"not a key", "cannot be used together"),
        ("authority.pem", b"", "authority.pem holds no certificate"),
        ("trusted/X.pem", b"\x30\x82", "X.pem holds no certificate"),
    ],
)
def test_what_cannot_be_used_is_named_and_shown(
    home: Home, file: str, content: bytes, words: str
) -> None:
    (home.dicom_tls / file).write_bytes(content)
    with pytest.raises(LocalFault, match=words):
        read_credentials(home)
    (trouble,) = credential_troubles(home, listening=True)
    assert "is kept out" in trouble.what
    assert trouble.mend


def test_a_key_that_others_can_read_is_refused(home: Home) -> None:
    (home.dicom_tls / "node.key").chmod(0o640)
    with pytest.raises(LocalFault, match="by others"):
        read_credentials(home)


def test_a_key_that_is_not_the_certificates_or_is_encrypted_is_refused_without_asking(
    kit: Kit, home: Home
) -> None:
    from cryptography.hazmat.primitives import serialization

    key = home.dicom_tls / "node.key"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(LocalFault, match="cannot be used together") as caught:
        read_credentials(home)
    assert "encrypted" in caught.value.mend
    shutil.copy(kit.ward.key, key)
    with pytest.raises(LocalFault, match="cannot be used together"):
        read_credentials(home)


def test_more_that_is_trusted_than_is_read_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "TRUSTED", 1)
    with pytest.raises(LocalFault, match="2 files"):
        read_credentials(home)


def test_names_of_what_is_trusted_never_become_paths(home: Home) -> None:
    for name in ("../../X", "A/B", "a b", "ß", "..", "%2F"):
        file = trusted_file(home, name)
        assert file.parent == home.dicom_tls / "trusted"
        shutil.copy(home.dicom_tls / "trusted/CT1.pem", file)
        assert name in held(home).trusted


def test_status_warns_a_month_before_a_certificate_expires(home: Home) -> None:
    (home.dicom_tls / "trusted/OLD.pem").unlink()
    now_s = dt.datetime.now(dt.UTC).timestamp()
    assert list(credential_troubles(home, listening=True, wall_s=now_s)) == []
    soon = list(credential_troubles(home, listening=True, wall_s=now_s + (NODE_DAYS - 20) * DAY_S))
    assert [trouble.what.partition(" for ")[0] for trouble in soon] == [
        "This node's certificate",
        "What is trusted as CT1",
    ]
    assert all("expires on" in trouble.what for trouble in soon)
    assert "--renew" in soon[0].mend
    late = list(credential_troubles(home, listening=True, wall_s=now_s + 3_649 * DAY_S))
    assert ["expired on" in trouble.what for trouble in late] == [True, False, True]


def test_an_authority_signs_for_no_longer_than_it_lasts_itself(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kit.home.dicom_tls
    authority = Made(
        (folder / "authority.key").read_bytes(), (folder / "authority.pem").read_bytes()
    )
    signer = read_certificates(authority.certificate, "authority")[0]
    later = signer.not_valid_after_utc - dt.timedelta(days=100)
    monkeypatch.setattr(certificates, "_now", lambda: later)
    monkeypatch.setattr(certificates, "KEY_BITS", 2048)
    made = read_certificates(make_certificate(authority, "X", ["x.example"]).certificate, "x")[0]
    assert made.not_valid_after_utc <= signer.not_valid_after_utc
    monkeypatch.setattr(certificates, "_now", lambda: later + dt.timedelta(days=101))
    with pytest.raises(LocalFault, match="authority has expired"):
        make_certificate(authority, "X", ["x.example"])


def test_what_can_be_no_host_is_refused(kit: Kit) -> None:
    folder = kit.home.dicom_tls
    authority = Made(
        (folder / "authority.key").read_bytes(), (folder / "authority.pem").read_bytes()
    )
    with pytest.raises(LocalFault, match="no host"):
        make_certificate(authority, "X", ["a" * 64 + ".example"])


def test_a_folder_that_may_not_be_searched_is_named_and_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(LocalFault, match="dicom-tls cannot be read: Permission denied"):
        read_credentials(home)
    (trouble,) = credential_troubles(home, listening=True)
    assert "Permission denied" in trouble.what


async def test_whatever_is_wrong_with_the_files_the_node_goes_on_with_what_it_has(
    home: Home, monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate = 20
    keeper = Keeper(home)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.watch)
        before = keeper.current
        assert before is not None

        def surprised(_: Home) -> NoReturn:
            raise RuntimeError("nobody has thought of that")

        with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
            patch.setattr(credentials, "read_credentials", surprised)
            trusted_file(home, "NEW").write_bytes(b"")
            await until(lambda: "dicom_tls_failed" in [line["event"] for line in logs])
        assert keeper.current is before

        def fails(*_words: object) -> NoReturn:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
            patch.setattr(Path, "glob", fails)
            await until(lambda: "dicom_tls_kept_out" in [line["event"] for line in logs])
        assert keeper.current is before
        trusted_file(home, "NEW").unlink()
        await until(lambda: keeper.current is not before)
        nursery.cancel_scope.cancel()


async def test_a_running_node_dials_with_what_is_in_force_and_reads_no_file_for_it(
    home: Home,
) -> None:
    keeper = Keeper(home)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.watch)
        nursery.cancel_scope.cancel()
    assert keeper.current is not None
    shutil.rmtree(home.dicom_tls)
    named, known = (keeper.current.dialling(title) for title in ("ELSE", "CT1"))
    assert named.check_hostname
    assert not known.check_hostname
    assert keeper.current.dialling("ANOTHER") is named


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(1000):
        while not holds():
            await trio.sleep(0.5)
