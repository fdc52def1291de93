"""`meshpacs dicom tls`, as a technician uses it, with DCMTK's tools for the machines."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from meshpacs.node.certificates import as_pem, read_certificates
from tests.cli.living import ANYWHERE, Live, meshpacs, up
from tests.gateways.dicom.doors import tool
from tests.node.clinics import STUDY, instance

TLS = ("--dicom-tls-port", "0")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert meshpacs(tmp_path / "n", "init", "--name", "Nord", *ANYWHERE, *TLS).code == 0
    return tmp_path / "n"


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.node.certificates.KEY_BITS", 2048)


def tls(home: Path, *words: str) -> Any:
    done = meshpacs(home, "dicom", "tls", *words, "--json")
    assert done.code == 0, done.err
    return done.json


def port_of(node: Live, door: str = "dicom_tls") -> str:
    (address,) = node.ready[door]
    return str(address.rpartition(":")[2])


def ran(name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool(name), "-v", *words], capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def ward(folder: Path, pair: Path, trusted: Path) -> Iterator[int]:
    """DCMTK's receiver that wants TLS; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    words = [tool("storescp"), "-aet", "WARD", "-od", str(folder), str(port)]
    words += ["+tls", str(pair / "WARD.key"), str(pair / "WARD.pem"), "+cf", str(trusted)]
    with subprocess.Popen(words) as process:
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def test_keys_are_made_once_shown_renewed_and_nobody_elses(home: Path) -> None:
    missing = meshpacs(home, "dicom", "tls", "list")
    assert missing.code == 2
    assert "meshpacs dicom tls init" in missing.err
    said = meshpacs(home, "dicom", "tls", "init", "--host", "pacs.example.org")
    assert said.code == 0, said.err
    assert "made out for  pacs.example.org" in said.out
    assert str(home / "dicom-tls/authority.pem") in said.out
    for name in ("node.key", "authority.key"):
        assert (home / "dicom-tls" / name).stat().st_mode & 0o777 == 0o600
    assert "--renew" in meshpacs(home, "dicom", "tls", "init").err
    before = tls(home, "list")
    after = tls(home, "init", "--renew")
    assert before["own"]["sha256"] != after["own"]["sha256"]
    assert before["authority"] == after["authority"]
    assert after["own"]["hosts"] == ["pacs.example.org"]
    (home / "dicom-tls/node.pem").unlink()
    assert "--renew" in meshpacs(home, "dicom", "tls", "init").err, "a key is not overwritten"
    again = tls(home, "init", "--renew")
    assert {"localhost", "127.0.0.1", "::1"} <= set(again["own"]["hosts"])
    (home / "dicom-tls/authority.key").unlink()
    assert "no authority" in meshpacs(home, "dicom", "tls", "init", "--renew").err


def test_machines_are_trusted_listed_and_forgotten(home: Path, tmp_path: Path) -> None:
    tls(home, "init")
    tls(home, "issue", "CT 1", str(tmp_path / "ct"), "--host", "192.0.2.7")
    file = tmp_path / "ct" / "CT 1.pem"
    assert (tmp_path / "ct" / "CT 1.key").stat().st_mode & 0o777 == 0o600
    (leaf, authority) = read_certificates(file.read_bytes(), "")
    assert [one["name"] for one in tls(home, "list")["trusted"]] == ["CT 1"]
    # Of a chain its first alone: what else its signer signs is not that machine.
    assert [one["name"] for one in tls(home, "trust", "CT 1", str(file))["trusted"]] == ["CT 1"]
    der = tmp_path / "ct.der"
    der.write_bytes(leaf.public_bytes(Encoding.DER))
    tls(home, "trust", "MR/1", str(der))
    shown = meshpacs(home, "dicom", "tls", "list").out
    assert "MR/1: CN=CT 1, until" in shown
    assert "SHA-256" in shown
    clinic = tmp_path / "clinic.pem"
    clinic.write_bytes(as_pem([authority, leaf]))
    assert len(tls(home, "trust", "CLINIC", str(clinic))["trusted"]) == 2
    tls(home, "remove", "CLINIC")
    tls(home, "remove", "CT 1")
    assert [one["name"] for one in tls(home, "list")["trusted"]] == ["MR/1"]
    for words, why in (
        (("remove", "CT 1"), "Nothing is trusted as 'CT 1'"),
        (("trust", " ", str(file)), "is no name"),
        (("trust", "X", str(tmp_path / "none")), "cannot be read"),
        (("trust", "X", str(tmp_path / "ct" / "CT 1.key")), "holds no certificate"),
        (("issue", "X", str(file / "below"), "--host", "x"), "cannot be written"),
        (("issue", "Authority", str(tmp_path), "--host", "x"), "the authority's own file's"),
    ):
        done = meshpacs(home, "dicom", "tls", *words)
        assert (done.code, why in done.err) == (2, True), done.err


def test_a_modality_and_a_ward_speak_tls_and_the_plain_port_is_off(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.dcm").write_bytes(instance(1, size=300_000))
    tls(home, "init")
    tls(home, "issue", "CT1", str(tmp_path / "ct1"), "--host", "127.0.0.1")
    tls(home, "issue", "WARD", str(tmp_path / "ward"), "--host", "127.0.0.1")
    authority = tmp_path / "ct1" / "authority.pem"
    ct1 = ["+tls", str(tmp_path / "ct1/CT1.key"), str(tmp_path / "ct1/CT1.pem"), "+cf"]
    with ward(tmp_path / "got", tmp_path / "ward", authority) as port:
        where = f"127.0.0.1:{port}"
        assert meshpacs(home, "dicom", "ae", "add", "WARD", where, "--tls").code == 0
        assert f"{where} over TLS" in meshpacs(home, "dicom", "ae", "list").out
        check = meshpacs(home, "dicom", "check", "WARD")
        assert "answers over TLS 1." in check.out, check.err
        plain = meshpacs(home, "dicom", "check", f"WARD@{where}")
        assert (plain.code, "WARD speaks TLS on that port" in plain.err) == (2, True), plain.err
        with up(home, "--no-plain-dicom") as node:  # config.toml says otherwise
            assert node.ready["dicom"] == []
            place = ("-aet", "CT1", "-aec", "MESHPACS", "127.0.0.1", port_of(node))
            sent = ran("storescu", *ct1, str(authority), *place, str(tmp_path / "a.dcm"))
            assert sent.returncode == 0, sent.stdout
            assert moved(tmp_path / "ct1", int(port_of(node))) == (0x0000, 1)
            own = f"MESHPACS@127.0.0.1:{port_of(node)}"
            found = meshpacs(home, "dicom", "find", own, "--tls")
            assert "1 found" in found.out, found.err
            status = meshpacs(home, "status", "--json").json
            assert [r["purpose"] for r in status["reach"]] == ["mesh", "http", "dicom_tls"]
    (got,) = (tmp_path / "got").iterdir()
    assert got.stat().st_size > 300_000


def moved(pair: Path, port: int) -> tuple[int, int]:
    """What a C-MOVE to WARD ends with, and how many instances were sent. DCMTK 3.6.7's movescu
    has no TLS.
    """
    from pydicom import Dataset
    from pynetdicom import AE

    from meshpacs.dimse.services import STUDY_ROOT_MOVE

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pair / "authority.pem")
    context.load_cert_chain(pair / "CT1.pem", pair / "CT1.key")
    ae = AE(ae_title="CT1")
    ae.add_requested_context(STUDY_ROOT_MOVE)
    line = ae.associate(
        "127.0.0.1", port, ae_title="MESHPACS", tls_args=(context, "127.0.0.1")
    )  # fmt: skip
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = STUDY
    *_, (last, _) = line.send_c_move(wanted, "WARD", STUDY_ROOT_MOVE)
    line.release()
    return int(last.Status), int(last.NumberOfCompletedSuboperations)


def test_flags_that_contradict_each_other_are_refused(home: Path) -> None:
    done = meshpacs(home, "up", "--no-plain-dicom", "--dicom-port", "0")
    assert done.code == 2
    assert "--no-plain-dicom cannot go with" in done.err


def test_status_says_that_a_key_is_missing(home: Path) -> None:
    with up(home):
        done = meshpacs(home, "status")
    assert done.code == 1
    assert "This node has no key for DICOM over TLS." in done.out
