"""Storage commitment by whole nodes: a kill loses no transaction, and Orthanc gets its report."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from clinics.clinic import free_ports
from meshpacs.dimse.commitment import Asked, action_request, write_asked
from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.dimse.services import STORAGE_COMMITMENT
from meshpacs.gateways.dicom.requesting import Wish, associated
from meshpacs.model.address import parse_address
from meshpacs.model.commitment import Reference
from tests.cli.living import ANYWHERE, Live, meshpacs, up
from tests.node.clinics import CT, STUDY, instance
from tests.peers.modality import Modality
from tests.peers.orthancs import an_orthanc

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

ONE, TWO, THREE = (Reference(CT, f"{STUDY}.1.{number}") for number in (1, 2, 3))
END_S = 30.0


def made(folder: Path) -> Path:
    """The home of a node with the first two instances."""
    home = folder / "nord"
    (folder / "in").mkdir()
    for number in (1, 2):
        (folder / "in" / f"{number}.dcm").write_bytes(instance(number))
    assert meshpacs(home, "init", "--name", "Nord", *ANYWHERE).code == 0
    assert meshpacs(home, "import", str(folder / "in")).code == 0
    return home


def asked_and_killed(node: Live, after_s: float) -> None:
    """Ask, have it answered, and kill the node so much later while the association is open."""
    host, port = parse_address(node.ready["dicom"][0])
    wish = Wish("MESHPACS", "PYNET", ((STORAGE_COMMITMENT, (EXPLICIT_LITTLE,)),))
    data = write_asked(Asked("1.2.1", (ONE, TWO, THREE)), explicit=True)

    async def work() -> None:
        async with associated(host, port, wish) as requestor:
            assert (await requestor.ask(1, action_request(1), data)).status == 0
            await trio.sleep(after_s)
            node.process.kill()

    trio.run(work)
    node.process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.05])
def test_a_kill_between_answer_and_report_loses_no_transaction(
    tmp_path: Path, after_s: float
) -> None:
    home = made(tmp_path)
    modality = Modality()
    with modality.listening():
        address = f"127.0.0.1:{modality.port}"
        assert meshpacs(home, "dicom", "ae", "add", "PYNET", address).code == 0
        with up(home) as node:
            asked_and_killed(node, after_s)
        assert modality.told == []
        with up(home) as node:
            (told,) = modality.wait_told(1)
            assert (told.uid, told.committed) == ("1.2.1", [ONE.sop_uid, TWO.sop_uid])
            assert told.failed == {THREE.sop_uid: 0x0112}
            until_none_is_open(home)
            assert "commitments_resumed" in node.log


def until_none_is_open(home: Path) -> dict[str, Any]:
    """The status once all is reported."""
    until_s = time.monotonic() + END_S
    while True:
        status: dict[str, Any] = meshpacs(home, "status", "--json").json
        if not status["commitments"]["open"]:
            return status
        assert time.monotonic() < until_s, status["commitments"]
        time.sleep(0.05)


def test_orthanc_asks_and_is_told_on_an_association_of_ours(tmp_path: Path) -> None:
    home = made(tmp_path)
    (tmp_path / "3.dcm").write_bytes(instance(3))
    with an_orthanc(tmp_path / "orthanc", title="OTTO") as otto, up(home) as node:
        host, port = parse_address(node.ready["dicom"][0])
        otto.know("us", "MESHPACS", host, port, AllowStorageCommitment=True)
        address = f"127.0.0.1:{otto.dicom_port}"
        assert meshpacs(home, "dicom", "ae", "add", "OTTO", address).code == 0
        held = otto.take_in(tmp_path / "in" / "1.dcm", tmp_path / "in" / "2.dcm")
        (lacking,) = otto.take_in(tmp_path / "3.dcm")
        assert committed(otto, held) == ("Success", {})
        status, failures = committed(otto, [*held, lacking])
        assert (status, failures) == ("Failure", {THREE.sop_uid: 0x0112})
        # Sent by Orthanc itself and then asked again, as a modality would.
        otto.ask("/modalities/us/store", {"Resources": [lacking], "Synchronous": True})
        assert committed(otto, [*held, lacking]) == ("Success", {})
        until_none_is_open(home)
        assert node.log.count("commitment_reported") == 3
        assert node.log.count("new association") == 3


def test_orthanc_is_asked_and_tells_the_node_on_an_association_of_its_own(tmp_path: Path) -> None:
    home = made(tmp_path)
    first, second = (tmp_path / "in" / f"{number}.dcm" for number in (1, 2))
    with an_orthanc(tmp_path / "orthanc", title="OTTO") as otto, up(home) as node:
        host, port = parse_address(node.ready["dicom"][0])
        address = f"OTTO@127.0.0.1:{otto.dicom_port}"
        refused = meshpacs(home, "dicom", "commit", address, "--study", STUDY)
        assert refused.code == 2  # it does not know us
        otto.know("us", "MESHPACS", host, port, AllowStorageCommitment=True)
        otto.take_in(first)
        done = meshpacs(home, "dicom", "commit", address, "--study", STUDY, "--json")
        assert done.code == 1
        assert (done.json["reported"], done.json["committed"]) == (True, 1)
        assert done.json["failed"] == [{"sop_uid": TWO.sop_uid, "reason": "0112"}]
        otto.take_in(second)
        done = meshpacs(home, "dicom", "commit", address, str(first), str(second))
        assert (done.code, done.out) == (0, "OTTO answers for 2 instances.\n")
        nothing = meshpacs(home, "dicom", "commit", address, "--study", "1.2.3")
        assert nothing.code == 2
        assert "0 instances to be asked of are here." in nothing.err
        bad = meshpacs(home, "dicom", "commit", address, str(home / "config.toml"))
        assert (bad.code, "is no readable DICOM file" in bad.err) == (2, True)
        otto.know("us", "MESHPACS", host, free_ports(1)[0])  # where nobody listens
        late = meshpacs(home, "dicom", "commit", address, str(first), "--wait", "1")
        assert late.code == 1
        assert "has taken the request in, and not reported within 1 s." in late.out
        assert node.log.count("commitment_told") == 2


def committed(otto: Any, resources: list[str]) -> tuple[str, dict[str, int]]:
    """What Orthanc says of its request once it is over: its word, and what failed."""
    asked = otto.ask("/modalities/us/storage-commitment", {"Resources": resources})
    until_s = time.monotonic() + END_S
    while True:
        report = otto.ask(f"/storage-commitment/{asked['ID']}")
        if report["Status"] != "Pending":
            failed = {one["SOPInstanceUID"]: one["FailureReason"] for one in report["Failures"]}
            return report["Status"], failed
        assert time.monotonic() < until_s, otto.log[-2000:]
        time.sleep(0.05)
