"""The attributes that the index knows: keyword, tag, VR and level (PS3.6, PS3.4 C.6)."""

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


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that can be asked for."""

    keyword: str
    tag: int
    vr: str
    level: Level
    counted: bool = False
    """Not in any data set: computed from what is stored, such as ModalitiesInStudy."""
