"""Which studies a retrieval is about: those of the patient whom it names, and nobody else's.

Source: PS3.4 C.4.2.2.1 and C.4.3.2.1: the unique keys of the levels above must match, too. A number
alone is one of this archive's, or of the local issuer's where that is known: elsewhere it may be
another's. Below the patient a study's UID says which study is meant, so its patient's number may be
of any issuer, as C-FIND shows it.
"""

from collections.abc import Sequence

from meshpacs.dimse.identifiers import Selected
from meshpacs.dimse.statuses import (
    CANNOT_COUNT_MATCHES,
    CANNOT_PERFORM_SUB_OPERATIONS,
    UNABLE_TO_PROCESS,
)
from meshpacs.gateways.dicom.caller import Caller
from meshpacs.gateways.dicom.comments import comment_on
from meshpacs.gateways.dicom.delivery import NoRetrieval
from meshpacs.gateways.dicom.finding import FIND_WAIT_S, with_issuer
from meshpacs.model.answer import Status
from meshpacs.model.attributes import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
    Level,
    Record,
    Value,
)
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import SECOND
from meshpacs.model.query import Query
from meshpacs.node.views import Found

STUDIES_ASKED = 64
"""Studies in one question. A guess, well below the values that a key may have."""

SHOWN = (PATIENT_ID, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID)


async def studies_of(caller: Caller, selected: Selected) -> tuple[str, ...]:
    """The studies that are wanted, each once.

    Raises:
        NoRetrieval: nobody can say, or it would be another patient's.
    """
    numbers = selected.keys.get(Level.PATIENT)
    if numbers is None:
        return tuple(dict.fromkeys(selected.keys[Level.STUDY]))
    (number,) = numbers
    if selected.level is Level.PATIENT:
        return await _all_of(caller, number, selected.issuer or caller.issuer)
    wanted = tuple(dict.fromkeys(selected.keys[Level.STUDY]))
    confirmed: list[str] = []
    for at in range(0, len(wanted), STUDIES_ASKED):
        few = wanted[at : at + STUDIES_ASKED]
        confirmed += await _those_of(caller, number, selected.issuer, few)
    return tuple(confirmed)


async def _all_of(caller: Caller, number: str, issuer: str) -> tuple[str, ...]:
    """All studies of one patient."""
    found = await _ask(caller, (PATIENT_ID, (number,)), local_only=not issuer)
    rows = [row for row in _rows(caller, found) if issuer in ("", _issuer(row))]
    if len({_issuer(row) for row in rows}) > 1:
        raise NoRetrieval(
            UNABLE_TO_PROCESS, "PatientID is of several issuers: add Issuer of Patient ID.",
            (PATIENT_ID,),
        )  # fmt: skip
    if not rows:
        _check_heard(found)
    return tuple(dict.fromkeys(_text(row, STUDY_INSTANCE_UID) for row in rows))


async def _those_of(
    caller: Caller, number: str, issuer: str, studies: Sequence[str]
) -> tuple[str, ...]:
    """Those of the studies that are this patient's."""
    found = await _ask(caller, (STUDY_INSTANCE_UID, tuple(studies)), local_only=False)
    fits: dict[str, list[bool]] = {}
    for row in _rows(caller, found):
        fit = _text(row, PATIENT_ID) == number and issuer in ("", _issuer(row))
        fits.setdefault(_text(row, STUDY_INSTANCE_UID), []).append(fit)
    if any(len(set(fit)) > 1 for fit in fits.values()):
        # It can be had as a whole only.
        raise NoRetrieval(
            UNABLE_TO_PROCESS, "A study has instances of two patients.", (STUDY_INSTANCE_UID,)
        )
    if any(study not in fits for study in studies):
        _check_heard(found)
    return tuple(study for study in studies if all(fits.get(study, [False])))


def _check_heard(found: Found) -> None:
    """Nobody has said "no such study" as long as somebody is silent."""
    members = found.report.asked if found.report is not None else ()
    silent = sum(m.status not in (Status.ANSWERED, Status.TRUNCATED) for m in members)
    if silent:
        comment = f"NOT FOUND, AND {silent} MEMBERS ARE SILENT"
        raise NoRetrieval(CANNOT_PERFORM_SUB_OPERATIONS, comment)


async def _ask(caller: Caller, key: tuple[int, Value], *, local_only: bool) -> Found:
    query = Query(Level.STUDY, (key,), returns=SHOWN)
    budget_us = FIND_WAIT_S * SECOND
    try:
        async with caller.mesh.find(
            query, None, local_only=local_only, budget_us=budget_us
        ) as finding:
            return await finding.result()
    except MeshError as fault:
        raise NoRetrieval(CANNOT_COUNT_MATCHES, comment_on(fault, caller.title)) from fault


def _rows(caller: Caller, found: Found) -> list[Record]:
    return [
        with_issuer(match, found, here=caller.mesh.node in match.holders) for match in found.matches
    ]


def _issuer(row: Record) -> str:
    return _text(row, ISSUER_OF_PATIENT_ID)


def _text(row: Record, tag: int) -> str:
    value = row.get(tag, ())
    return value[0].strip(" \0") if value and isinstance(value[0], str) else ""
