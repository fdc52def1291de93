"""Patients, each at home in one of some clinics: what its files are, and who has which.

One number is several people's, as each clinic counts from one. Files say whose a number is for some
patients only; of the others it is known by the clinic that they came to first. Studies lie whole at
another clinic, too, or in parts: imported there where the file says its issuer, else fetched.
"""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.55"
STUDIES = 3
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


@dataclass(frozen=True, slots=True)
class Known:
    """One instance."""

    truth: Dataset
    """With the issuer that its number has wherever it is asked for."""
    file: bytes
    home: int
    """The clinic that it came to first."""
    imported: tuple[int, ...]
    """Others that it came to by their own doors."""
    fetched: tuple[int, ...]
    """Others that have fetched its study."""


def issuer_of(clinic: int) -> str:
    """What a clinic's configuration says."""
    return f"CLINIC{clinic}"


def made(seed: int, patients: int, clinics: int) -> Iterator[Known]:
    """So many patients, three studies each, of one to three series of one to three instances."""
    chance = random.Random(f"{seed} patients")
    for p in range(patients):
        charset, name = NAMES[p % len(NAMES)]
        home, says = p % clinics, p % 3 == 0
        for t in range(STUDIES):
            study = f"{ROOT}.{p}.{t}"
            of_study = {
                "SpecificCharacterSet": charset,
                "PatientName": name,
                "PatientID": f"P{p // clinics}",
                "PatientSex": "FMO"[p % 3],
                "PatientBirthDate": f"19{50 + p % 50}0{p % 9 + 1}15",
                "StudyInstanceUID": study,
                "StudyDate": f"20{20 + t}0{p % 9 + 1}{10 + p % 15 + t}",
                "StudyTime": f"{8 + p % 12:02}{t}500",
                "AccessionNumber": f"A{p}{t}",
                "StudyDescription": chance.choice(WORDS[: 4 if charset != "ISO_IR 100" else 5]),
            }
            series = chance.randint(1, 3)
            other = (home + 1 + t) % clinics
            for s in range(series):
                of_series = {
                    "SeriesInstanceUID": f"{study}.{s}",
                    "SeriesNumber": str(s + 1),
                    "Modality": chance.choice(MODALITIES),
                    "SeriesDescription": chance.choice(WORDS[:4]),
                }
                step = Dataset()
                step.ScheduledProcedureStepID = f"S{chance.randint(1, 4)}"
                shared = other != home and says and (t == 0 or s == series - 1)
                copied = other != home and not says and t == 0
                for i in range(chance.randint(1, 3)):
                    data = Dataset()
                    for keyword, value in (of_study | of_series).items():
                        setattr(data, keyword, value)
                    data.RequestAttributesSequence = [step]
                    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
                    data.SOPInstanceUID = f"{study}.{s}.{i}"
                    data.InstanceNumber = str(i + 1)
                    if says:
                        data.IssuerOfPatientID = issuer_of(home)
                    file = file_of(data)
                    data.IssuerOfPatientID = issuer_of(home)
                    yield Known(
                        data, file, home, (other,) if shared else (), (other,) if copied else ()
                    )


def file_of(data: Dataset) -> bytes:
    """As a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(data.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(data.SOPInstanceUID)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    FileDataset("", data, file_meta=meta, preamble=b"\0" * 128).save_as(
        out, enforce_file_format=True
    )
    return out.getvalue()
