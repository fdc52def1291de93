"""SOP classes that are spoken here, by service (PS3.4, PS3.6 annex A)."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum

from meshpacs.model.attributes import LEVELS, Level

VERIFICATION = "1.2.840.10008.1.1"

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 J.3)."""


class Service(StrEnum):
    """What a caller may be allowed."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    MOVE = "move"
    GET = "get"
    WORKLIST = "worklist"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One SOP class of the Query/Retrieve service (PS3.4 C.6)."""

    service: Service
    levels: tuple[Level, ...]
    """Of its information model, from the root down."""


PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND (PS3.4 K.6.1.4)."""

QUERY_RETRIEVE: Mapping[str, Retrieval] = {
    PATIENT_ROOT_FIND: Retrieval(Service.FIND, LEVELS),
    PATIENT_ROOT_MOVE: Retrieval(Service.MOVE, LEVELS),
    PATIENT_ROOT_GET: Retrieval(Service.GET, LEVELS),
    STUDY_ROOT_FIND: Retrieval(Service.FIND, LEVELS[1:]),
    STUDY_ROOT_MOVE: Retrieval(Service.MOVE, LEVELS[1:]),
    STUDY_ROOT_GET: Retrieval(Service.GET, LEVELS[1:]),
}
"""Patient Root and Study Root (PS3.4 C.6.1 and C.6.2); Patient/Study Only is retired."""

STORAGE_PREFIXES = (
    "1.2.840.10008.5.1.4.1.1.",
    "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction
    "1.2.840.10008.5.1.4.34.10",  # RT Brachy Application Setup Delivery Instruction
    "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
    "1.2.840.10008.5.1.4.39.1",  # Color Palette
    "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
    "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
    "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
)
"""Below the first one PS3.4 annex B registers storage classes, and nothing else; so what the
standard adds there later is stored too. The others are those of annex GG (non-patient objects)
and of RT, which have places of their own."""


def is_storage(sop_class: str) -> bool:
    """Whether instances of this class of the standard can be stored."""
    return sop_class.startswith(STORAGE_PREFIXES[0]) or sop_class in STORAGE_PREFIXES


def takes_extensions(abstract_syntax: str) -> bool:
    """Whether it has the extended negotiation of PS3.4 C.5.1.1.

    Of C-MOVE and C-GET the second byte means a conversion of images (C.5.2.1, C.5.3.1), which does
    not exist here, and neither does their relational retrieval: unanswered is refused.
    """
    return service_of(abstract_syntax) is Service.FIND


def service_of(abstract_syntax: str, private: Container[str] = ()) -> Service | None:
    """Which service an abstract syntax belongs to, of those offered here.

    `private`: SOP classes that are stored beside those of the standard.
    """
    if abstract_syntax == VERIFICATION:
        return Service.ECHO
    if abstract_syntax == STORAGE_COMMITMENT:
        return Service.COMMIT
    if abstract_syntax in QUERY_RETRIEVE:
        return QUERY_RETRIEVE[abstract_syntax].service
    if abstract_syntax == MODALITY_WORKLIST_FIND:
        return Service.WORKLIST
    stored = is_storage(abstract_syntax) or abstract_syntax in private
    return Service.STORE if stored else None
