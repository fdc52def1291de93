"""Orthanc over TLS, both ways, with certificates that the node's own command has issued."""

from pathlib import Path

import pytest

from tests.cli.living import ANYWHERE, meshpacs, up
from tests.node.clinics import instance
from tests.peers.orthancs import an_orthanc

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def test_orthanc_stores_to_a_node_and_is_asked_by_it_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.certificates.KEY_BITS", 2048)
    home, pair = tmp_path / "n", tmp_path / "otto"
    (tmp_path / "a.dcm").write_bytes(instance(1, size=300_000))
    assert meshpacs(home, "init", "--name", "Nord", *ANYWHERE, "--dicom-tls-port", "0").code == 0
    assert meshpacs(home, "dicom", "tls", "init").code == 0
    issued = meshpacs(home, "dicom", "tls", "issue", "OTTO", str(pair), "--host", "127.0.0.1")
    assert issued.code == 0, issued.err
    options = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pair / "OTTO.pem"),
        "DicomTlsPrivateKey": str(pair / "OTTO.key"),
        "DicomTlsTrustedCertificates": str(pair / "authority.pem"),
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowFind": True,
    }
    with an_orthanc(tmp_path / "o", title="OTTO", **options) as otto, up(home) as node:
        (address,) = node.ready["dicom_tls"]
        port = int(address.rpartition(":")[2])
        otto.know("us", "MESHPACS", "127.0.0.1", port, UseDicomTls=True)
        otto.ask("/modalities/us/echo", {})
        (taken,) = otto.take_in(tmp_path / "a.dcm")
        assert otto.ask("/modalities/us/store", {"Resources": [taken]})["FailedInstancesCount"] == 0
        assert len(meshpacs(home, "find", "PatientName=*", "--json").json["matches"]) == 1
        whom = f"OTTO@127.0.0.1:{otto.dicom_port}"
        checked = meshpacs(home, "dicom", "check", whom, "--tls")
        assert "OTTO at 127.0.0.1" in checked.out, checked.err
        assert "over TLS 1." in checked.out
        found = meshpacs(home, "dicom", "find", whom, "--tls", "PatientName=*", "--json")
        assert len(found.json["rows"]) == 1, found.err
        plain = meshpacs(home, "dicom", "check", whom)
        assert "OTTO speaks TLS on that port" in plain.err
