"""Generated questions at the four levels, asked over the network, judged by pydicom's reading."""

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from meshpacs.dimse.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from meshpacs.model.attributes import UNIQUE_KEYS, Level, by_keyword
from tests.gateways.dicom.doors import Opened, dcmtk, opened
from tests.gateways.dicom.test_finding import Key, find
from tests.model.oracle import stored, verdict
from tests.node.houses import House, street

SEED = 4
QUESTIONS = 500
BY_FINDSCU = 60
ROOT = "1.2.826.0.1.55"
NAMES = (
    ("ISO_IR 100", "Müller^Änne"),
    ("ISO_IR 100", "Muller^Anton"),
    ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("ISO_IR 144", "Люкceмбypг^Иван"),
    ("ISO_IR 100", "Meier^Hans^^Dr."),
    ("ISO_IR 100", "meier^hanna"),
)
WORDS = ("Abdomen", "Abdomen mit KM", "Thorax", "Knie links", "Schädel")
MODALITIES = ("CT", "MR", "SR", "US")


def instances() -> Iterator[Dataset]:
    """Six patients, three studies each, with one to three series of one to three instances."""
    chance = random.Random(SEED)
    for p, (charset, name) in enumerate(NAMES):
        for t in range(3):
            study = f"{ROOT}.{p}.{t}"
            of_study = {
                "SpecificCharacterSet": charset,
                "PatientName": name,
                "PatientID": f"P{p % 4}",
                "IssuerOfPatientID": f"CLINIC{p // 4}",
                "PatientSex": "FMO"[p % 3],
                "PatientBirthDate": f"19{50 + p}0{p + 1}15",
                "StudyInstanceUID": study,
                "StudyDate": f"20{20 + t}0{p + 1}{10 + p + t}",
                "StudyTime": f"{8 + p:02}{t}500",
                "AccessionNumber": f"A{p}{t}",
                "StudyDescription": chance.choice(WORDS[: 4 if charset != "ISO_IR 100" else 5]),
            }
            for s in range(chance.randint(1, 3)):
                of_series = {
                    "SeriesInstanceUID": f"{study}.{s}",
                    "SeriesNumber": str(s + 1),
                    "Modality": chance.choice(MODALITIES),
                    "SeriesDescription": chance.choice(WORDS[:4]),
                }
                for i in range(chance.randint(1, 3)):
                    data = Dataset()
                    for keyword, value in (of_study | of_series).items():
                        setattr(data, keyword, value)
                    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
                    data.SOPInstanceUID = f"{study}.{s}.{i}"
                    data.InstanceNumber = str(i + 1)
                    yield data


def file_of(data: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(data.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(data.SOPInstanceUID)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    FileDataset("", data, file_meta=meta, preamble=b"\0" * 128).save_as(
        out, enforce_file_format=True
    )
    return out.getvalue()


ALL = tuple(instances())
MATCHED = {
    Level.PATIENT: ("PatientName", "PatientSex", "PatientBirthDate"),
    Level.STUDY: (
        "PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber",
        "StudyDescription", "StudyInstanceUID", "ModalitiesInStudy",
    ),
    Level.SERIES: ("Modality", "SeriesNumber", "SeriesDescription", "SeriesInstanceUID"),
    Level.IMAGE: ("InstanceNumber", "SOPInstanceUID", "SOPClassUID"),
}  # fmt: skip


def values(data: Dataset, keyword: str) -> list[str]:
    """An entity's values, counted ones too."""
    if keyword == "ModalitiesInStudy":
        study = data.StudyInstanceUID
        return sorted({str(d.Modality) for d in ALL if d.StudyInstanceUID == study})
    known = by_keyword(keyword)
    assert known is not None
    return stored(data, known.tag)


def key_for(chance: random.Random, keyword: str, value: str) -> str:
    """A key that an entity of this value may match: as it is, with wild cards, or as a range."""
    known = by_keyword(keyword)
    assert known is not None
    if known.vr in {"DA", "TM"}:
        return chance.choice([value, f"{value}-", f"-{value}", f"{value}-{value}"])
    if known.vr == "UI":
        other = str(values(chance.choice(ALL), keyword)[0])
        return chance.choice([value, f"{value}\\{other}"])
    if known.vr == "IS":
        return value
    part = value.split("=", maxsplit=1)[0] if known.vr == "PN" else value
    at = chance.randint(0, len(part) - 1)
    forms = [part, f"{part[:at]}*", f"*{part[at:]}", f"{part[:at]}?{part[at + 1 :]}", "*"]
    if known.vr == "PN":
        forms += [part.upper(), f"{part.lower()[:4]}*", *value.split("=")]
    return chance.choice(forms)


def question(number: int) -> tuple[Level, dict[str, str], set[str]]:
    """A level, keys, and the unique keys of the entities that pydicom says match."""
    chance = random.Random(f"{SEED} {number}")
    level = chance.choice(list(Level))
    target = chance.choice(ALL)
    keys: dict[str, str] = {}
    if level in (Level.SERIES, Level.IMAGE):
        keys["StudyInstanceUID"] = str(target.StudyInstanceUID)
    if level is Level.IMAGE:
        keys["SeriesInstanceUID"] = str(target.SeriesInstanceUID)
    for keyword in chance.sample(MATCHED[level], chance.randint(1, 2)):
        source = target if chance.random() < 0.8 else chance.choice(ALL)
        keys[keyword] = key_for(chance, keyword, chance.choice(values(source, keyword)))
    found = {
        name_of(level, data)
        for data in ALL
        if all(judged(data, keyword, key) for keyword, key in keys.items())
    }
    return level, keys, found


def name_of(level: Level, data: Dataset) -> str:
    unique = stored(data, UNIQUE_KEYS[level])[0]
    return f"{unique} {data.IssuerOfPatientID}" if level is Level.PATIENT else unique


def judged(data: Dataset, keyword: str, key: str) -> bool:
    known = by_keyword(keyword)
    assert known is not None
    if not key.strip("*"):
        return True
    return verdict(known.vr, key.split("\\"), values(data, keyword))


async def filled(tmp_path: Path, nord: House, sued: House | None) -> None:
    """Every study at one of the houses, or at both."""
    here = {data.SOPInstanceUID: file_of(data) for data in ALL}
    if sued is None:
        await nord.take_in(tmp_path / "n", here)
        return
    chance = random.Random(SEED)
    places = {data.StudyInstanceUID: chance.choice("nsb") for data in ALL}
    for house, letters in ((nord, "nb"), (sued, "sb")):
        some = [d.SOPInstanceUID for d in ALL if places[d.StudyInstanceUID] in letters]
        await house.take_in(tmp_path / house.name, {uid: here[uid] for uid in some})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("clinics", [1, 2])
async def test_every_question_is_answered_as_pydicom_reads_the_files(
    tmp_path: Path, clinics: int
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord) if clinics == 2 else None
        await filled(tmp_path, nord, sued)
        async with opened(nord.up.mesh) as door, door.called() as requestor:
            for number in range(QUESTIONS if clinics == 1 else QUESTIONS // 4):
                level, keys, found = question(number)
                if level is Level.PATIENT and clinics == 2:
                    continue  # asked of this archive alone, by number and issuer
                root = PATIENT_ROOT_FIND if level is Level.PATIENT else STUDY_ROOT_FIND
                asked: list[Key] = []
                for keyword, key in keys.items():
                    known = by_keyword(keyword)
                    assert known is not None
                    asked.append((known.tag, tuple(key.split("\\"))))
                unique = UNIQUE_KEYS[level]
                if unique not in dict(asked):
                    asked.append((unique, ()))
                rows, _, end = await find(requestor, level, asked, root=root)
                got = [str(row[unique][0]) for row in rows]
                if level is Level.PATIENT:
                    got = [f"{row[unique][0]} {row[0x0010_0021][0]}" for row in rows]
                assert end.status == 0, f"question {number}: {end.comment}"
                assert len(set(got)) == len(got), f"question {number}"
                assert set(got) == found, f"question {number}: {level} {keys}"


@pytest.mark.timeout(300)
async def test_findscu_is_answered_as_pydicom_reads_the_files(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await filled(tmp_path, nord, None)
        async with opened(nord.up.mesh) as door:
            for number in range(1000, 1000 + BY_FINDSCU):
                level, keys, found = question(number)
                assert await by_findscu(door, level, keys) == found, f"question {number}: {keys}"


UNIQUE_NAMES = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


async def by_findscu(door: Opened, level: Level, keys: dict[str, str]) -> set[str]:
    unique = UNIQUE_NAMES[level]
    words = ["-P" if level is Level.PATIENT else "-S"]
    all_keys = {
        "SpecificCharacterSet": "ISO_IR 192",
        "QueryRetrieveLevel": level.value,
        unique: "",
        "IssuerOfPatientID": "",
    } | keys
    for keyword, key in all_keys.items():
        words += ["-k", f"{keyword}={key}"]
    said = await dcmtk("findscu", door, *words)
    rows = re.split(r"Find Response: \d+ \(Pending\)", said)[1:]

    def value(row: str, keyword: str) -> str:
        found = re.search(rf"\[(.*?)\].*{keyword}\b", row)
        return found[1].strip(" \0") if found else ""

    if level is Level.PATIENT:
        return {f"{value(row, unique)} {value(row, 'IssuerOfPatientID')}" for row in rows}
    return {value(row, unique) for row in rows}


def test_the_questions_ask_for_something() -> None:
    answers = [len(question(number)[2]) for number in range(QUESTIONS)]
    assert sum(1 for count in answers if count == 0) < QUESTIONS // 3
    assert sum(1 for count in answers if count > 1) > QUESTIONS // 5
    assert pydicom.dcmread(io.BytesIO(file_of(ALL[0]))).PatientName == ALL[0].PatientName
