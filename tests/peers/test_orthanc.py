"""The Orthanc that other tests talk to is one."""

from pathlib import Path

import pytest

from clinics.clinic import Broken
from tests.node.clinics import instance
from tests.peers.orthancs import an_orthanc

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def test_an_orthanc_takes_in_files_knows_machines_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(instance(1))
    with an_orthanc(tmp_path / "o", title="OTTO", DicomAssociationCloseDelay=1) as found:
        assert found.ask("/system")["DicomAet"] == "OTTO"
        (taken,) = found.take_in(tmp_path / "a.dcm")
        assert found.ask("/instances") == [taken]
        found.know("us", "MESHPACS", "127.0.0.1", 104)
        assert found.ask("/modalities") == ["us"]
        with pytest.raises(Broken, match="404"):
            found.ask("/nothing")
    assert found.process.poll() is not None
