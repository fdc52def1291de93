"""Whose studies a retrieval may bring, and what it tells meanwhile (PS3.4 C.4.2.2)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import structlog.testing
import trio

from meshpacs.dimse.commands import GetRequest, GetResponse
from meshpacs.dimse.identifiers import write_query
from meshpacs.dimse.services import PATIENT_ROOT_GET, STUDY_ROOT_GET
from meshpacs.gateways.dicom import retrieving as module
from meshpacs.model.answer import Report, Status
from meshpacs.model.attributes import Level, Value
from meshpacs.model.errors import Damaged, LocalFault, MeshError, Unavailable
from meshpacs.model.merge import Match
from meshpacs.node.views import Found
from tests.gateways.dicom.doors import MR, opened
from tests.gateways.dicom.test_finding import find
from tests.gateways.dicom.test_retrieving import (
    GET_PAIRS,
    ONE,
    PATIENT_ID,
    ROLES,
    SERIES_UID,
    STUDY_UID,
    Heard,
    counts,
    entry,
    get,
    mesh,
)
from tests.gateways.fake_mesh import FOUND, NORD, STUDY, SUED, FakeMesh

ISSUER = 0x0010_0021


def found(*matches: Match, silent: int = 0) -> Found:
    report = FOUND.report
    assert isinstance(report, Report)
    members = tuple(
        replace(report.members[0], status=Status.UNREACHABLE if n < silent else Status.ANSWERED)
        for n in range(2)
    )
    return replace(FOUND, matches=matches, report=replace(report, members=members))


def person(number: str, *, issuer: str = "", holder: bytes = NORD, study: str = STUDY) -> Match:
    row = {PATIENT_ID: (number,), STUDY_UID: (study,)}
    return Match(row | ({ISSUER: (issuer,)} if issuer else {}), (holder,))  # type: ignore[arg-type]


async def got(
    known: Found, *keys: tuple[int, Value], issuer: str = "", level: Level = Level.STUDY
) -> tuple[Heard, FakeMesh]:
    """A Patient Root C-GET where the mesh knows of these."""
    held = mesh(1)
    held.found = known
    async with (
        opened(held, issuer=issuer) as door,
        door.called(pairs=GET_PAIRS, roles=ROLES) as requestor,
    ):
        heard = await get(requestor, list(keys), level=level, root=PATIENT_ROOT_GET)
    return heard, held


NUMBER, THE_STUDY = (PATIENT_ID, ("4711",)), (STUDY_UID, (STUDY,))


@pytest.mark.parametrize(
    ("known", "issuer", "sent"),
    [
        (person("4711"), (), 1),
        (person("4712"), (), 0),
        (person("4711", issuer="Ost", holder=SUED), (), 1),
        (person("4711", issuer="Ost", holder=SUED), ("Ost",), 1),
        (person("4711", issuer="Ost", holder=SUED), ("West",), 0),
        (person("4711", holder=SUED), ("Süd",), 1),
        (person("4711", holder=SUED), ("Nord",), 0),
    ],
)
async def test_a_study_of_another_patient_is_not_sent(
    known: Match, issuer: Value, sent: int
) -> None:
    keys = (NUMBER, THE_STUDY, *([(ISSUER, issuer)] if issuer else []))
    heard, held = await got(found(known), *keys)
    assert (heard.end.status, counts(heard.end)) == (0, (None, sent, 0, 0))
    retrieved = [asked for asked in held.asked if isinstance(asked, tuple) and asked[0] != "find"]
    assert len(retrieved) == sent


async def test_below_the_study_the_patient_must_be_right_too() -> None:
    series = (SERIES_UID, ("1.2",))
    for number, sent in (("4711", 1), ("4712", 0)):
        heard, _ = await got(found(person(number)), NUMBER, THE_STUDY, series, level=Level.SERIES)
        assert counts(heard.end) == (None, sent, 0, 0)


async def test_a_study_that_is_two_patients_is_refused_for_either() -> None:
    heard, held = await got(found(person("4711"), person("9")), NUMBER, THE_STUDY)
    assert (heard.end.status, heard.end.offending) == (0xC001, (STUDY_UID,))
    assert heard.instances == {}
    assert all(isinstance(asked, tuple) and asked[0] == "find" for asked in held.asked)


async def test_a_study_that_a_silent_member_may_have_is_not_said_to_be_nowhere() -> None:
    heard, _ = await got(found(silent=1), NUMBER, THE_STUDY)
    assert (heard.end.status, heard.end.comment) == (0xA702, "NOT FOUND, AND 1 MEMBERS ARE SILENT")


async def test_a_number_of_two_issuers_is_refused_until_the_issuer_is_said() -> None:
    both = found(person("4711", issuer="A"), person("4711", issuer="B", study="1.9"))
    heard, _ = await got(both, NUMBER, level=Level.PATIENT)
    assert (heard.end.status, heard.end.offending) == (0xC001, (PATIENT_ID,))
    heard, held = await got(both, NUMBER, (ISSUER, ("B",)), level=Level.PATIENT)
    assert heard.end.status == 0
    assert held.asked[1:] == [("retrieve", "1.9", frozenset(), frozenset())]


async def test_a_number_alone_is_the_local_issuers_wherever_its_studies_are() -> None:
    known = found(
        person("4711", issuer="HERE", holder=SUED),
        person("4711", issuer="OST", holder=SUED, study="1.9"),
    )
    for issuer, local_only in (("HERE", False), ("", True)):
        _, held = await got(known, NUMBER, level=Level.PATIENT, issuer=issuer)
        asked, *retrieved = held.asked
        assert isinstance(asked, tuple)
        assert asked[3] is local_only
        only: object = ("retrieve", STUDY, frozenset(), frozenset())
        assert retrieved == ([only] if issuer else [])


# ---------------------------------------------------------------- while it looks, and afterwards


async def test_pending_goes_out_while_nobody_has_said_yet_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PENDING_S", 0.01)
    async with (
        opened(FakeMesh(silent=True)) as door,
        door.called(pairs=GET_PAIRS, roles=ROLES) as requestor,
    ):
        context = requestor.agreement.of(STUDY_ROOT_GET)[0]
        request = GetRequest(has_data=True, message_id=9, sop_class=STUDY_ROOT_GET)
        data = write_query(Level.STUDY, ONE, explicit=True)
        await requestor.channel.send(context.id, request, data)
        for _ in range(3):
            with trio.fail_after(5):
                _, command, _ = await requestor.receive()
            assert isinstance(command, GetResponse)
            assert command.status == 0xFF00
            # PS3.4 C.4.2.1.6: Remaining is always there; nobody knows it yet, and 0 were the end.
            assert counts(command) == (1, 0, 0, 0)


async def test_a_thousand_failures_are_one_line_with_counts() -> None:
    held = mesh(1)
    held.held = {entry(n, 1): None for n in range(1, 1001)}
    held.held |= {entry(n, 1, sop_class=MR): b"m" for n in range(2000, 2010)}
    held.held |= {entry(3000, 1): b"c"}
    with structlog.testing.capture_logs() as lines:
        async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
            assert (await get(requestor, ONE, answer=0xA700)).end.status == 0xA702
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert line["event"] == "dicom_instances_not_sent"
    assert line["failed"] == 1011
    reasons = line["reasons"]
    assert reasons.pop("Nobody could give it.") == 1000
    assert reasons.pop("The receiver answered A700.") == 1
    ((words, count),) = reasons.items()
    assert words.endswith(f"for its SOP class {MR} nothing was accepted.")
    assert count == 10


SECRET = "/srv/archive/Muster^Anna"


@pytest.mark.parametrize("kind", [Unavailable, Damaged, LocalFault])
async def test_no_words_that_were_made_for_people_here_reach_a_peer(
    kind: type[MeshError],
) -> None:
    fault = kind(f"{SECRET} could not be read.", "Look there.")
    with structlog.testing.capture_logs() as lines:
        async with (
            opened(FakeMesh(fault=fault)) as door,
            door.called(pairs=(*door.pairs, *GET_PAIRS), roles=ROLES) as requestor,
        ):
            comments: Sequence[str] = [
                (await find(requestor, Level.STUDY, [*ONE]))[2].comment,
                (await get(requestor, ONE)).end.comment,
                (
                    await get(requestor, [NUMBER], level=Level.PATIENT, root=PATIENT_ROOT_GET)
                ).end.comment,
                (await get(requestor, [NUMBER, THE_STUDY], root=PATIENT_ROOT_GET)).end.comment,
            ]
    assert all(comments)
    assert not any("/" in comment or "Muster" in comment for comment in comments)
    assert all(len(comment) <= 64 for comment in comments)
    told = [line for line in lines if line["event"] == "dicom_request_failed"]
    assert len(told) == 4
    assert all(SECRET in line["what"] for line in told)
