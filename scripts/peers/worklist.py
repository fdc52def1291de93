"""What is scheduled at the node, and the rows that a modality has to be answered."""

import json
from pathlib import Path

from pydicom.dataset import Dataset

from peers.content import Row, text

STEP_KEYS = (
    "Modality",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepID",
)
"""Those of a row that are in the Scheduled Procedure Step Sequence."""

KEYS = ("PatientName", "PatientID", "AccessionNumber", *STEP_KEYS)
"""What is asked for."""

STEPS = [
    dict(zip(KEYS, values, strict=True))
    for values in (
        ("Lührs^Björn", "W1", "AW1", "CT", "CT1", "20240131", "1.1"),
        ("Behn^Elke", "W2", "AW2", "CT", "CT1", "20240201", "2.1"),
        ("Stührk^Gesa", "W3", "AW3", "MR", "MR1", "20240131", "3.1"),
    )
]
"""Three patients, a step each."""

QUESTION = {"Modality": "CT"}
EXPECTED: list[Row] = STEPS[:2]
"""What a CT is to do."""


def write(folder: Path) -> None:
    """Put it where the node reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {key: value for key, value in step.items() if key not in STEP_KEYS}
        | {
            "SpecificCharacterSet": "ISO_IR 192",
            "ScheduledProcedureStepSequence": [{key: step[key] for key in STEP_KEYS}],
        }
        for step in STEPS
    ]
    (folder / "day.json").write_text(json.dumps(entries), encoding="utf-8")


def row_of(data: Dataset) -> Row:
    """One answer's."""
    (step,) = data.ScheduledProcedureStepSequence
    return {key: text(step if key in STEP_KEYS else data, key) for key in KEYS}


def identifier() -> Dataset:
    """What is asked, as a data set."""
    data, step = Dataset(), Dataset()
    for key in KEYS:
        setattr(step if key in STEP_KEYS else data, key, QUESTION.get(key, ""))
    data.ScheduledProcedureStepSequence = [step]
    return data
