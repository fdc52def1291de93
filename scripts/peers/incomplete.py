"""What each peer shows of an answer that lacks a clinic: two clinics, of which one was killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clinics.mesh import mesh
from peers.content import PLAIN, Differs, Study, hold_rows, make
from peers.ground import dicom_port
from peers.peer import Address, Peer

COMMENT = "INCOMPLETE 1/2"
"""What the last response says."""

NUMBERS = 901, 902
"""Of the studies: what is here, and what was at the other clinic."""


@contextmanager
def half_a_mesh(folder: Path) -> Iterator[tuple[Address, Study]]:
    """A node that is up, what it has itself, and nobody who answers beside it."""
    studies = [make(folder / str(number), number, PLAIN) for number in NUMBERS]
    with mesh(folder / "mesh", len(NUMBERS)) as clinics:
        for clinic, study in zip(clinics, studies, strict=True):
            clinic.take_in(*study.files.values())
        clinics[1].kill()
        yield Address("MESHPACS", dicom_port(clinics[0])), studies[0]


def shown(peer: Peer, at: Address, study: Study) -> dict[str, str]:
    """What it shows of the comment, and whether it keeps the rows.

    Raises:
        Lacks: it cannot ask.
        Failed: it takes the answer for a failure.
    """
    found = peer.asked({"PatientName": "L*", "StudyDate": "20240131"}, at)
    if found.rows is None:
        rows = "shows none of any answer"
    else:
        try:
            hold_rows(study.rows("STUDY"), found.rows)
        except Differs as fault:
            rows = f"changed: {fault}"
        else:
            rows = "kept"
    return {"incomplete shown": found.shown or "nothing", "incomplete rows": rows}
