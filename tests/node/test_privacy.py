"""What a node logs names nodes, counts and reasons; never a patient."""

import io
from pathlib import Path

import pydicom
import structlog.testing

from meshpacs.model.attributes import PATIENT_ID, PATIENT_NAME, Level
from meshpacs.model.query import Query
from tests.node.houses import street, study

NAME, NUMBER, BORN = "Zyxwvutsky^Quirin", "PID-938171", "19410203"


def of_a_patient(number: int, variant: int = 0) -> bytes:
    """An instance of a patient whose facts are easy to find in a log."""
    data = pydicom.dcmread(io.BytesIO(study(number, variant=variant)))
    data.PatientName = NAME
    data.PatientID = NUMBER
    data.PatientBirthDate = BORN
    data.AccessionNumber = f"ACC-{NUMBER}"
    out = io.BytesIO()
    data.save_as(out)
    return out.getvalue()


async def test_no_patient_is_in_any_log_line(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with street(tmp_path) as houses:
            nord = await houses.founder()
            sued = await houses.member("Sued", nord)
            # Folders and files are named after the patient, as they are in practice.
            folder = tmp_path / f"{NAME} {BORN}"
            await sued.take_in(folder, {f"{NAME}.dcm": of_a_patient(1), "x": b"DICM" * 100})
            await nord.take_in(
                tmp_path / NUMBER,
                {"a": of_a_patient(1, variant=1), "torn.dcm": of_a_patient(2)[:700]},
            )
            by_name = ((PATIENT_NAME, (NAME,)), (PATIENT_ID, (NUMBER,)))
            found = await nord.find(Query(Level.PATIENT, keys=by_name))
            assert NAME in str(found.matches), "this test looks for what was there"
            async with nord.up.mesh.fetch("1.2.826.0.1.1", to=tmp_path / "out") as fetching:
                assert [event async for event in fetching]
            assert await nord.up.mesh.conflicts()
            await sued.stop()
            await nord.find(Query(Level.STUDY, keys=by_name))
    assert len(logs) > 10
    told = " ".join(repr(line) for line in logs).lower()
    for fact in (NAME, *NAME.split("^"), NUMBER, BORN):
        assert fact.lower() not in told
