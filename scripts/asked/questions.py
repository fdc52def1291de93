"""C-FIND identifiers that follow from a seed, and their answers as pydicom reads the files."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from asked.oracle import stored, verdict
from asked.patients import Known, issuer_of
from meshpacs.model.attributes import Level, Value, by_keyword

MATCHED = {
    Level.PATIENT: ("PatientName", "PatientSex", "PatientBirthDate", "PatientID"),
    Level.STUDY: (
        "PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber",
        "StudyDescription", "StudyInstanceUID", "ModalitiesInStudy", "IssuerOfPatientID",
    ),
    Level.SERIES: (
        "Modality", "SeriesNumber", "SeriesDescription", "SeriesInstanceUID",
        "RequestAttributesSequence",
    ),
    Level.IMAGE: ("InstanceNumber", "SOPInstanceUID", "SOPClassUID"),
}  # fmt: skip

UNIQUE_NAMES = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}

COUNTS: Mapping[Level, Mapping[str, str]] = {
    Level.PATIENT: {
        "NumberOfPatientRelatedStudies": "StudyInstanceUID",
        "NumberOfPatientRelatedInstances": "SOPInstanceUID",
    },
    Level.STUDY: {
        "NumberOfStudyRelatedSeries": "SeriesInstanceUID",
        "NumberOfStudyRelatedInstances": "SOPInstanceUID",
    },
    Level.SERIES: {"NumberOfSeriesRelatedInstances": "SOPInstanceUID"},
    Level.IMAGE: {},
}
"""What is counted at each level, and of what."""

STEP = "ScheduledProcedureStepID"
"""What is asked for in an item of Request Attributes Sequence."""

Answer = dict[str, tuple[int, ...]]
"""Each entity's unique key, a patient's with its issuer, and its counts."""


@dataclass(frozen=True, slots=True)
class Question:
    """One identifier, and what is right."""

    level: Level
    asker: int
    """The clinic whose node is asked."""
    keys: Mapping[str, str]
    right: Answer

    def __str__(self) -> str:
        keys = ", ".join(f"{keyword}={key}" for keyword, key in self.keys.items())
        return f"{self.level} at clinic {self.asker}: {keys}"


class Questions:
    """All questions that one seed makes of some instances."""

    def __init__(self, seed: int, known: Sequence[Known], clinics: int) -> None:
        """What is counted is counted once."""
        self._seed = seed
        self._clinics = clinics
        self._files = [one.truth for one in known]
        self._modalities: dict[str, set[str]] = {}
        self._inside: dict[tuple[Level, str], dict[str, set[str]]] = {}
        for data in self._files:
            study = str(data.StudyInstanceUID)
            self._modalities.setdefault(study, set()).add(str(data.Modality))
            for level in Level:
                counted = self._inside.setdefault((level, _name(level, data)), {})
                for keyword in COUNTS[level].values():
                    counted.setdefault(keyword, set()).add(str(getattr(data, keyword)))
        self._read: dict[tuple[int, str], list[str]] = {}

    def question(self, number: int) -> Question:
        """The question of this number."""
        chance = random.Random(f"{self._seed} {number}")
        level = list(Level)[number % 4]
        asker = chance.randrange(self._clinics)
        target = chance.choice(self._files)
        keys: dict[str, str] = {}
        if level in (Level.SERIES, Level.IMAGE):
            keys["StudyInstanceUID"] = str(target.StudyInstanceUID)
        if level is Level.IMAGE:
            keys["SeriesInstanceUID"] = str(target.SeriesInstanceUID)
        for keyword in chance.sample(MATCHED[level], chance.randint(1, 2)):
            source = target if chance.random() < 0.8 else chance.choice(self._files)
            keys[keyword] = self._key(chance, keyword, chance.choice(self._values(source, keyword)))
        if level is Level.PATIENT and chance.random() < 0.7:
            issuer = str(target.IssuerOfPatientID)
            keys["IssuerOfPatientID"] = chance.choice([issuer, issuer, "CLINIC*", f"?{issuer[1:]}"])
        asked = dict(keys)
        if level is Level.PATIENT and "IssuerOfPatientID" not in keys:
            asked["IssuerOfPatientID"] = issuer_of(asker)  # a number alone is this clinic's
        found = {
            _name(level, data): None
            for data in self._files
            if all(self._judged(data, *key) for key in asked.items())
        }
        right = {name: self._counts(level, name) for name in found}
        return Question(level, asker, keys, right)

    def _counts(self, level: Level, name: str) -> tuple[int, ...]:
        inside = self._inside[level, name]
        return tuple(len(inside[keyword]) for keyword in COUNTS[level].values())

    def _values(self, data: Dataset, keyword: str) -> list[str]:
        """An entity's values, counted ones and those in items too."""
        if keyword == "ModalitiesInStudy":
            return sorted(self._modalities[str(data.StudyInstanceUID)])
        if keyword == "RequestAttributesSequence":
            return [str(step.ScheduledProcedureStepID) for step in data.RequestAttributesSequence]
        key = (id(data), keyword)
        if key not in self._read:
            known = by_keyword(keyword)
            assert known is not None
            self._read[key] = stored(data, known.tag)
        return self._read[key]

    def _key(self, chance: random.Random, keyword: str, value: str) -> str:
        """A key that an entity of this value may match: as it is, with wild cards, or a range."""
        known = by_keyword(keyword)
        assert known is not None
        if known.vr in {"DA", "TM"}:
            return chance.choice([value, f"{value}-", f"-{value}", f"{value}-{value}"])
        if known.vr == "UI":
            other = self._values(chance.choice(self._files), keyword)[0]
            return chance.choice([value, f"{value}\\{other}"])
        if known.vr == "IS":
            return value
        part = value.split("=", maxsplit=1)[0] if known.vr == "PN" else value
        at = chance.randint(0, len(part) - 1)
        forms = [part, f"{part[:at]}*", f"*{part[at:]}", f"{part[:at]}?{part[at + 1 :]}", "*", ""]
        if known.vr == "PN":
            forms += [part.upper(), f"{part.lower()[:4]}*", *value.split("=")]
        return chance.choice(forms)

    def _judged(self, data: Dataset, keyword: str, key: str) -> bool:
        known = by_keyword(keyword)
        assert known is not None
        if not key.strip("*"):
            return True
        vr = "SH" if known.vr == "SQ" else known.vr
        return verdict(vr, key.split("\\"), self._values(data, keyword))


def _name(level: Level, data: Dataset) -> str:
    unique = str(getattr(data, UNIQUE_NAMES[level]))
    return f"{unique} {data.IssuerOfPatientID}" if level is Level.PATIENT else unique


# ---------------------------------------------------------------- as our own SCU asks it


def tags(asked: Question) -> list[tuple[int, Value]]:
    """Its keys, with what is to be shown."""
    found: dict[int, Value] = {}
    for keyword, key in (_shown(asked.level) | dict(asked.keys)).items():
        known = by_keyword(keyword)
        assert known is not None
        values: Value = tuple(key.split("\\")) if key else ()
        found[known.tag] = ({0x0040_0009: values},) if known.vr == "SQ" else values
    return sorted(found.items())


def _shown(level: Level) -> dict[str, str]:
    return dict.fromkeys((UNIQUE_NAMES[level], "IssuerOfPatientID", *COUNTS[level]), "")


# ---------------------------------------------------------------- as DCMTK's findscu asks it


def words(asked: Question) -> list[str]:
    """The options of findscu."""
    root = "-P" if asked.level is Level.PATIENT else "-S"
    keys = {"SpecificCharacterSet": "ISO_IR 192", "QueryRetrieveLevel": asked.level.value}
    found = [root]
    for keyword, key in (keys | _shown(asked.level) | dict(asked.keys)).items():
        name = f"{keyword}[0].{STEP}" if keyword == "RequestAttributesSequence" else keyword
        found += ["-k", f"{name}={key}"]
    return found


def read_answer(level: Level, said: str) -> list[tuple[str, tuple[int, ...]]]:
    """The rows that `findscu -v` or `-d` shows."""
    rows = re.split(r"Find Response:? \d+", said)[1:]

    def value(row: str, keyword: str) -> str:
        found = re.search(rf"\[(.*?)\].*{keyword}\b", row)
        return found[1].strip(" \0") if found else ""

    def name(row: str) -> str:
        unique = value(row, UNIQUE_NAMES[level])
        return f"{unique} {value(row, 'IssuerOfPatientID')}" if level is Level.PATIENT else unique

    return [
        (name(row), tuple(int(value(row, keyword) or -1) for keyword in COUNTS[level]))
        for row in rows
    ]


def difference(asked: Question, rows: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    """What is wrong with these rows; empty: nothing."""
    got = dict(rows)
    if len(got) != len(rows):
        return f"{asked}: an entity stands twice in {rows}"
    return "" if got == asked.right else f"{asked}: {got} instead of {asked.right}"
