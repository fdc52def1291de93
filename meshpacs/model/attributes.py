"""The attributes that the index knows: keyword, tag, VR and level (PS3.6, PS3.4 C.6).

What DCMTK, OHIF, Weasis, Horos and Orthanc ask for in a C-FIND or QIDO request: the keys of PS3.4
C.6.1.1 and C.6.2.1, those of PS3.18 tables 10.6.1-5 and 10.6.3-3 to -5, and what worklists of
radiologists show beside them. An attribute that can differ between the instances of a study or a
series has the level at which PS3.3 holds it constant.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Record = dict[int, "Value"]
"""What is known of a patient, study, series or instance: tag to value. Not changed once made."""

Value = tuple[str | Record, ...]
"""One attribute's values as text (numbers and dates too), or, for SQ, one record per item.

An attribute that is present and empty has the value `()`.
"""


class Level(StrEnum):
    """The four levels of the Patient Root information model (PS3.4 C.6.1.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


LEVELS = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
"""From the top down."""


def levels_to(level: Level) -> tuple[Level, ...]:
    """This level and those above it, from the top down."""
    return LEVELS[: LEVELS.index(level) + 1]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that can be asked for."""

    keyword: str
    tag: int
    vr: str
    level: Level
    counted: bool = False
    """Not in any data set: computed from what is stored, such as ModalitiesInStudy."""
    many: bool = False
    """PS3.6 lets it have more than one value."""
    items: tuple[int, ...] = ()
    """SQ: the tags that the index keeps of each item."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element that is known inside the items of sequences only."""

    keyword: str
    tag: int
    vr: str
    many: bool = False
    items: tuple[int, ...] = ()


_P, _ST, _SE, _I = LEVELS

CODE = (0x0008_0100, 0x0008_0102, 0x0008_0103, 0x0008_0104)
"""What a code sequence's items hold (PS3.3 table 8.8-1)."""

ENTITY = (0x0040_0031, 0x0040_0032, 0x0040_0033)
"""Who issued an identifier (PS3.3 table 10-17)."""

ATTRIBUTES: tuple[Attribute, ...] = (
    # Patient
    Attribute("PatientName", 0x0010_0010, "PN", _P),
    Attribute("PatientID", 0x0010_0020, "LO", _P),
    Attribute("IssuerOfPatientID", 0x0010_0021, "LO", _P),
    Attribute("PatientBirthDate", 0x0010_0030, "DA", _P),
    Attribute("PatientBirthTime", 0x0010_0032, "TM", _P),
    Attribute("PatientSex", 0x0010_0040, "CS", _P),
    Attribute("OtherPatientIDs", 0x0010_1000, "LO", _P, many=True),
    Attribute("OtherPatientNames", 0x0010_1001, "PN", _P, many=True),
    Attribute(
        "OtherPatientIDsSequence",
        0x0010_1002,
        "SQ",
        _P,
        items=(0x0010_0020, 0x0010_0021, 0x0010_0022),
    ),
    Attribute("EthnicGroup", 0x0010_2160, "SH", _P),
    Attribute("PatientSpeciesDescription", 0x0010_2201, "LO", _P),
    Attribute("PatientComments", 0x0010_4000, "LT", _P),
    Attribute("NumberOfPatientRelatedStudies", 0x0020_1200, "IS", _P, counted=True),
    Attribute("NumberOfPatientRelatedSeries", 0x0020_1202, "IS", _P, counted=True),
    Attribute("NumberOfPatientRelatedInstances", 0x0020_1204, "IS", _P, counted=True),
    # Study
    Attribute("StudyInstanceUID", 0x0020_000D, "UI", _ST),
    Attribute("StudyID", 0x0020_0010, "SH", _ST),
    Attribute("StudyDate", 0x0008_0020, "DA", _ST),
    Attribute("StudyTime", 0x0008_0030, "TM", _ST),
    Attribute("AccessionNumber", 0x0008_0050, "SH", _ST),
    Attribute("IssuerOfAccessionNumberSequence", 0x0008_0051, "SQ", _ST, items=ENTITY),
    Attribute("ModalitiesInStudy", 0x0008_0061, "CS", _ST, counted=True, many=True),
    Attribute("SOPClassesInStudy", 0x0008_0062, "UI", _ST, counted=True, many=True),
    Attribute("ReferringPhysicianName", 0x0008_0090, "PN", _ST),
    Attribute("StudyDescription", 0x0008_1030, "LO", _ST),
    Attribute("ProcedureCodeSequence", 0x0008_1032, "SQ", _ST, items=CODE),
    Attribute("PhysiciansOfRecord", 0x0008_1048, "PN", _ST, many=True),
    Attribute("NameOfPhysiciansReadingStudy", 0x0008_1060, "PN", _ST, many=True),
    Attribute("AdmittingDiagnosesDescription", 0x0008_1080, "LO", _ST, many=True),
    Attribute("PatientAge", 0x0010_1010, "AS", _ST),
    Attribute("PatientSize", 0x0010_1020, "DS", _ST),
    Attribute("PatientWeight", 0x0010_1030, "DS", _ST),
    Attribute("Occupation", 0x0010_2180, "SH", _ST),
    Attribute("AdditionalPatientHistory", 0x0010_21B0, "LT", _ST),
    Attribute("RequestingPhysician", 0x0032_1032, "PN", _ST),
    Attribute("RequestingService", 0x0032_1033, "LO", _ST),
    Attribute("RequestedProcedureDescription", 0x0032_1060, "LO", _ST),
    Attribute("StudyComments", 0x0032_4000, "LT", _ST),
    Attribute("NumberOfStudyRelatedSeries", 0x0020_1206, "IS", _ST, counted=True),
    Attribute("NumberOfStudyRelatedInstances", 0x0020_1208, "IS", _ST, counted=True),
    # Series
    Attribute("SeriesInstanceUID", 0x0020_000E, "UI", _SE),
    Attribute("SeriesNumber", 0x0020_0011, "IS", _SE),
    Attribute("Modality", 0x0008_0060, "CS", _SE),
    Attribute("SeriesDate", 0x0008_0021, "DA", _SE),
    Attribute("SeriesTime", 0x0008_0031, "TM", _SE),
    Attribute("SeriesDescription", 0x0008_103E, "LO", _SE),
    Attribute("SeriesDescriptionCodeSequence", 0x0008_103F, "SQ", _SE, items=CODE),
    Attribute("Manufacturer", 0x0008_0070, "LO", _SE),
    Attribute("ManufacturerModelName", 0x0008_1090, "LO", _SE),
    Attribute("DeviceSerialNumber", 0x0018_1000, "LO", _SE),
    Attribute("SoftwareVersions", 0x0018_1020, "LO", _SE, many=True),
    Attribute("InstitutionName", 0x0008_0080, "LO", _SE),
    Attribute("InstitutionalDepartmentName", 0x0008_1040, "LO", _SE),
    Attribute("StationName", 0x0008_1010, "SH", _SE),
    Attribute("PerformingPhysicianName", 0x0008_1050, "PN", _SE, many=True),
    Attribute("OperatorsName", 0x0008_1070, "PN", _SE, many=True),
    Attribute("BodyPartExamined", 0x0018_0015, "CS", _SE),
    Attribute("ProtocolName", 0x0018_1030, "LO", _SE),
    Attribute("PatientPosition", 0x0018_5100, "CS", _SE),
    Attribute("Laterality", 0x0020_0060, "CS", _SE),
    Attribute("FrameOfReferenceUID", 0x0020_0052, "UI", _SE),
    Attribute("PerformedProcedureStepStartDate", 0x0040_0244, "DA", _SE),
    Attribute("PerformedProcedureStepStartTime", 0x0040_0245, "TM", _SE),
    Attribute("PerformedProcedureStepEndDate", 0x0040_0250, "DA", _SE),
    Attribute("PerformedProcedureStepEndTime", 0x0040_0251, "TM", _SE),
    Attribute("PerformedProcedureStepID", 0x0040_0253, "SH", _SE),
    Attribute("PerformedProcedureStepDescription", 0x0040_0254, "LO", _SE),
    Attribute("PerformedProtocolCodeSequence", 0x0040_0260, "SQ", _SE, items=CODE),
    Attribute(
        "RequestAttributesSequence",
        0x0040_0275,
        "SQ",
        _SE,
        items=(
            0x0008_0050,
            0x0008_0051,
            0x0020_000D,
            0x0032_1060,
            0x0032_1064,
            0x0040_0007,
            0x0040_0008,
            0x0040_0009,
            0x0040_1001,
            0x0040_1002,
        ),
    ),
    Attribute("NumberOfSeriesRelatedInstances", 0x0020_1209, "IS", _SE, counted=True),
    # Image: any instance, whatever it holds
    Attribute("SOPInstanceUID", 0x0008_0018, "UI", _I),
    Attribute("SOPClassUID", 0x0008_0016, "UI", _I),
    Attribute("InstanceNumber", 0x0020_0013, "IS", _I),
    Attribute("ImageType", 0x0008_0008, "CS", _I, many=True),
    Attribute("InstanceCreationDate", 0x0008_0012, "DA", _I),
    Attribute("InstanceCreationTime", 0x0008_0013, "TM", _I),
    Attribute("TimezoneOffsetFromUTC", 0x0008_0201, "SH", _I),
    Attribute("AcquisitionDate", 0x0008_0022, "DA", _I),
    Attribute("AcquisitionTime", 0x0008_0032, "TM", _I),
    Attribute("AcquisitionDateTime", 0x0008_002A, "DT", _I),
    Attribute("AcquisitionNumber", 0x0020_0012, "IS", _I),
    Attribute("ContentDate", 0x0008_0023, "DA", _I),
    Attribute("ContentTime", 0x0008_0033, "TM", _I),
    Attribute("ViewPosition", 0x0018_5101, "CS", _I),
    Attribute("ImageLaterality", 0x0020_0062, "CS", _I),
    Attribute("PatientOrientation", 0x0020_0020, "CS", _I, many=True),
    Attribute("ImagePositionPatient", 0x0020_0032, "DS", _I, many=True),
    Attribute("ImageOrientationPatient", 0x0020_0037, "DS", _I, many=True),
    Attribute("SliceLocation", 0x0020_1041, "DS", _I),
    Attribute("ImageComments", 0x0020_4000, "LT", _I),
    Attribute("NumberOfFrames", 0x0028_0008, "IS", _I),
    Attribute("Rows", 0x0028_0010, "US", _I),
    Attribute("Columns", 0x0028_0011, "US", _I),
    Attribute("BitsAllocated", 0x0028_0100, "US", _I),
    Attribute("PhotometricInterpretation", 0x0028_0004, "CS", _I),
    Attribute("LossyImageCompression", 0x0028_2110, "CS", _I),
    Attribute("ConceptNameCodeSequence", 0x0040_A043, "SQ", _I, items=CODE),
    Attribute("CompletionFlag", 0x0040_A491, "CS", _I),
    Attribute("VerificationFlag", 0x0040_A493, "CS", _I),
    Attribute("DocumentTitle", 0x0042_0010, "ST", _I),
    Attribute("ContentLabel", 0x0070_0080, "CS", _I),
    Attribute("ContentDescription", 0x0070_0081, "LO", _I),
    Attribute("ContentCreatorName", 0x0070_0084, "PN", _I),
)

ITEM_ELEMENTS: tuple[Element, ...] = (
    Element("CodeValue", 0x0008_0100, "SH"),
    Element("CodingSchemeDesignator", 0x0008_0102, "SH"),
    Element("CodingSchemeVersion", 0x0008_0103, "SH"),
    Element("CodeMeaning", 0x0008_0104, "LO"),
    Element("TypeOfPatientID", 0x0010_0022, "CS"),
    Element("RequestedProcedureCodeSequence", 0x0032_1064, "SQ", items=CODE),
    Element("ScheduledProcedureStepDescription", 0x0040_0007, "LO"),
    Element("ScheduledProtocolCodeSequence", 0x0040_0008, "SQ", items=CODE),
    Element("ScheduledProcedureStepID", 0x0040_0009, "SH"),
    Element("LocalNamespaceEntityID", 0x0040_0031, "UT"),
    Element("UniversalEntityID", 0x0040_0032, "UT"),
    Element("UniversalEntityIDType", 0x0040_0033, "CS"),
    Element("RequestedProcedureID", 0x0040_1001, "SH"),
    Element("ReasonForTheRequestedProcedure", 0x0040_1002, "LO"),
)

UNIQUE_KEYS: Mapping[Level, int] = {
    Level.PATIENT: 0x0010_0020,
    Level.STUDY: 0x0020_000D,
    Level.SERIES: 0x0020_000E,
    Level.IMAGE: 0x0008_0018,
}
"""PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID (PS3.4 C.6.1.1)."""

PATIENT_ID = UNIQUE_KEYS[Level.PATIENT]
ISSUER_OF_PATIENT_ID = 0x0010_0021
PATIENT_NAME = 0x0010_0010
STUDY_INSTANCE_UID = UNIQUE_KEYS[Level.STUDY]
SERIES_INSTANCE_UID = UNIQUE_KEYS[Level.SERIES]
SOP_INSTANCE_UID = UNIQUE_KEYS[Level.IMAGE]
TIMEZONE_OFFSET = 0x0008_0201

UNMATCHED = frozenset({0x0008_0005, TIMEZONE_OFFSET})
"""Say how other attributes are to be read and are never matched themselves: Specific Character
Set (PS3.4 C.2.2.2) and Timezone Offset From UTC."""

Lexicon = Callable[[int], Attribute | Element | None]
"""What is known of a tag."""

TIME_OF_DATE: Mapping[int, int] = {
    0x0008_0012: 0x0008_0013,
    0x0008_0020: 0x0008_0030,
    0x0008_0021: 0x0008_0031,
    0x0008_0022: 0x0008_0032,
    0x0008_0023: 0x0008_0033,
    0x0010_0030: 0x0010_0032,
    0x0040_0002: 0x0040_0003,
    0x0040_0004: 0x0040_0005,
    0x0040_0244: 0x0040_0245,
    0x0040_0250: 0x0040_0251,
}
"""The pairs of DA and TM that one moment is split into (PS3.4 C.2.2.2.5.4)."""

_BY_TAG: Mapping[int, Attribute] = {a.tag: a for a in ATTRIBUTES}
_BY_KEYWORD: Mapping[str, Attribute] = {a.keyword: a for a in ATTRIBUTES}
_ALL: tuple[Attribute | Element, ...] = (*ITEM_ELEMENTS, *ATTRIBUTES)
_ELEMENTS: Mapping[int, Attribute | Element] = {e.tag: e for e in _ALL}
_ELEMENTS_BY_KEYWORD: Mapping[str, Attribute | Element] = {e.keyword: e for e in _ALL}


def by_tag(tag: int) -> Attribute | None:
    """The attribute that can be asked for under this tag, if the index knows it."""
    return _BY_TAG.get(tag)


def by_keyword(keyword: str) -> Attribute | None:
    """The attribute that can be asked for by this keyword (PS3.6), if the index knows it."""
    return _BY_KEYWORD.get(keyword)


def element(tag: int) -> Attribute | Element | None:
    """What is known of this tag, inside the items of sequences too."""
    return _ELEMENTS.get(tag)


def element_by_keyword(keyword: str) -> Attribute | Element | None:
    """What is known under this keyword, inside the items of sequences too."""
    return _ELEMENTS_BY_KEYWORD.get(keyword)


def attributes_to(level: Level) -> tuple[Attribute, ...]:
    """The attributes that a row of this level can have: its own and those of the levels above."""
    return _TO_LEVEL[level]


_TO_LEVEL: Mapping[Level, tuple[Attribute, ...]] = {
    level: tuple(a for a in ATTRIBUTES if a.level in levels_to(level)) for level in LEVELS
}
