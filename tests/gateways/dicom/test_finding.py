"""One C-FIND asks the mesh (PS3.4 C.4.1)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from meshpacs.dimse.commands import CancelRequest, FindRequest, FindResponse
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.identifiers import write_query
from meshpacs.dimse.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from meshpacs.gateways.dicom.comments import LATER
from meshpacs.gateways.dicom.prompt import Prompt
from meshpacs.gateways.dicom.requesting import Requestor
from meshpacs.model.attributes import Level, Record, Value
from meshpacs.model.errors import Unavailable
from meshpacs.model.limits import IDENTIFIER_BYTES
from meshpacs.model.merge import Match
from meshpacs.node.book import Entry
from meshpacs.node.views import Found
from tests.gateways.dicom.doors import Opened, Strangers, dcmtk, opened
from tests.gateways.fake_mesh import FOUND, RECORD, STUDY, SUED, FakeMesh
from tests.node.houses import street, study

NAME, PATIENT_ID, ISSUER, STUDY_UID = 0x0010_0010, 0x0010_0020, 0x0010_0021, 0x0020_000D
Key = tuple[int, Value]
Rows = list[Record]


async def find(
    requestor: Requestor,
    level: Level,
    keys: Sequence[Key],
    *,
    root: str = STUDY_ROOT_FIND,
    raw: bytes | None = None,
) -> tuple[Rows, list[int], FindResponse]:
    """Rows, their statuses and the last response."""
    context = requestor.agreement.of(root)[0]
    request = FindRequest(has_data=True, message_id=requestor.next_id(), sop_class=root)
    data = write_query(level, keys, explicit=True) if raw is None else raw
    await requestor.channel.send(context.id, request, data)
    rows: Rows = []
    statuses: list[int] = []
    while True:
        _, answer, row = await requestor.receive()
        assert isinstance(answer, FindResponse)
        if not answer.has_data:
            return rows, statuses, answer
        statuses.append(answer.status)
        rows.append(read_data_set(row, explicit=True, default="ascii").record)


ALL: list[Key] = [(NAME, ()), (PATIENT_ID, ()), (STUDY_UID, ()), (0x0020_1208, ())]


async def test_rows_say_where_a_study_is_and_the_end_says_who_is_missing() -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        rows, statuses, end = await find(requestor, Level.STUDY, ALL)
    assert (end.status, end.comment) == (0, "INCOMPLETE 1/2")
    assert statuses == [0xFF00]
    assert rows == [
        {
            NAME: RECORD[NAME],
            PATIENT_ID: ("12345678",),
            STUDY_UID: (STUDY,),
            0x0020_1208: ("30",),
            0x0008_0052: ("STUDY",),
            0x0008_0054: ("MESHPACS",),
            0x0008_0056: ("ONLINE",),
        }
    ]


async def test_the_last_rows_and_the_end_go_out_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.finding.SENT_AT_ONCE_BYTES", 800)
    wrote: list[int] = []

    class Counted(Prompt):
        def send_now(self, data: memoryview, /) -> int:
            wrote.append(len(data))
            return super().send_now(data)

    mesh = FakeMesh(found=replace(FOUND, matches=FOUND.matches * 7))
    monkeypatch.setattr("meshpacs.gateways.dicom.door.Prompt", Counted)
    async with opened(mesh) as door, door.called() as requestor:
        wrote.clear()
        rows, _, _ = await find(requestor, Level.STUDY, ALL)
        assert len(rows) == 7
        assert len(wrote) == 2, "as much as is sent at once, then what is left and the end"


async def test_a_row_from_elsewhere_is_nearline_and_says_whose_number_it_has() -> None:
    elsewhere = replace(FOUND, matches=(Match(RECORD, (SUED,)),))
    anonymous = replace(FOUND, matches=(Match({**RECORD, PATIENT_ID: ()}, (SUED,)),))
    issued = replace(FOUND, matches=(Match({**RECORD, ISSUER: ("Stadt",)}, (SUED,)),))
    for found, issuer in ((elsewhere, ("Süd",)), (anonymous, None), (issued, ("Stadt",))):
        async with opened(FakeMesh(found)) as door, door.called() as requestor:
            (row,), _, _ = await find(requestor, Level.STUDY, ALL)
            assert row[0x0008_0056] == ("NEARLINE",)
            assert row.get(ISSUER) == issuer


async def test_the_title_in_a_row_is_the_one_that_was_called() -> None:
    async with opened(FakeMesh(), "EAST", "WEST") as door, door.called(called="WEST") as requestor:
        (row,), _, _ = await find(requestor, Level.STUDY, ALL)
        assert row[0x0008_0054] == ("WEST",)


async def test_keys_that_are_not_matched_show_in_the_status() -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        keys: list[Key] = [*ALL, (0x0008_103E, ("Head",))]
        _, statuses, end = await find(requestor, Level.STUDY, keys)
        assert statuses == [0xFF01]
        assert end.status == 0


@pytest.mark.parametrize(
    ("level", "keys", "root", "offending"),
    [
        (Level.PATIENT, ALL, STUDY_ROOT_FIND, 0x0008_0052),
        (Level.SERIES, ALL, STUDY_ROOT_FIND, STUDY_UID),
        (Level.STUDY, ALL, PATIENT_ROOT_FIND, PATIENT_ID),
        (Level.STUDY, [(STUDY_UID, ("1.*",))], STUDY_ROOT_FIND, STUDY_UID),
    ],
)
async def test_an_identifier_that_does_not_fit_is_a900(
    level: Level, keys: list[Key], root: str, offending: int
) -> None:
    mesh = FakeMesh()
    async with opened(mesh) as door, door.called() as requestor:
        rows, _, end = await find(requestor, level, keys, root=root)
        assert (rows, end.status, end.offending) == ([], 0xA900, (offending,))
        assert mesh.asked == []
        assert (await find(requestor, Level.STUDY, ALL))[2].status == 0


@pytest.mark.parametrize("raw", [b"\x08\0\x05", b"\0" * (IDENTIFIER_BYTES + 3_000_000)])
async def test_an_identifier_that_cannot_be_read_is_c001(raw: bytes) -> None:
    async with opened(FakeMesh()) as door, door.called() as requestor:
        assert (await find(requestor, Level.STUDY, [], raw=raw))[2].status == 0xC001
        assert (await find(requestor, Level.STUDY, ALL))[2].status == 0


async def test_a_cap_on_rows_is_a700_and_so_is_too_much_to_do() -> None:
    async with opened(FakeMesh(replace(FOUND, truncated=True))) as door, door.called() as requestor:
        rows, _, end = await find(requestor, Level.STUDY, ALL)
        assert (len(rows), end.status) == (1, 0xA700)
    async with (
        opened(FakeMesh(fault=Unavailable("Asked too often."))) as door,
        door.called() as requestor,
    ):
        _, _, end = await find(requestor, Level.STUDY, ALL)
        assert (end.status, end.comment) == (0xA700, LATER)


async def test_counts_that_could_not_be_resolved_are_told() -> None:
    report = FOUND.report
    assert report is not None
    whole = replace(report, members=report.members[:1])
    async with (
        opened(FakeMesh(replace(FOUND, report=whole, unresolved=1))) as door,
        door.called() as requestor,
    ):
        assert (await find(requestor, Level.STUDY, ALL))[2].comment == "COUNTS MAY BE TOO LOW"
    async with opened(FakeMesh(replace(FOUND, report=whole))) as door, door.called() as requestor:
        assert (await find(requestor, Level.STUDY, ALL))[2].comment == ""


async def test_patients_without_an_issuer_are_looked_for_here_alone() -> None:
    mesh = FakeMesh()
    async with opened(mesh) as door, door.called() as requestor:
        for issuer in ((), ("Stadt",)):
            keys: list[Key] = [(PATIENT_ID, ("4711",)), (ISSUER, issuer)]
            await find(requestor, Level.PATIENT, keys, root=PATIENT_ROOT_FIND)
    local = [asked[3] for asked in mesh.asked if isinstance(asked, tuple)]
    assert local == [True, False]
    assert all(asked[4] == 3_000_000 for asked in mesh.asked if isinstance(asked, tuple))


async def test_a_cancel_ends_the_question_and_the_association_goes_on() -> None:
    mesh = FakeMesh(silent=True)
    async with opened(mesh) as door, door.called() as requestor:
        context = requestor.agreement.of(STUDY_ROOT_FIND)[0]
        request = FindRequest(has_data=True, message_id=7, sop_class=STUDY_ROOT_FIND)
        data = write_query(Level.STUDY, ALL, explicit=True)
        await requestor.channel.send(context.id, request, data)
        await requestor.channel.send(context.id, CancelRequest(responded_id=8))
        await requestor.channel.send(context.id, CancelRequest(responded_id=7))
        with trio.fail_after(10):
            answer = await requestor.answer(request)
        assert answer.status == 0xFE00
        assert mesh.left.is_set()
        await requestor.channel.send(context.id, request, data)
        await requestor.channel.send(context.id, CancelRequest(responded_id=7))
        assert (await requestor.answer(request)).status == 0xFE00


async def test_two_questions_at_once_are_more_than_was_negotiated() -> None:
    async with opened(FakeMesh(silent=True)) as door, door.called() as requestor:
        context = requestor.agreement.of(STUDY_ROOT_FIND)[0]
        data = write_query(Level.STUDY, ALL, explicit=True)
        for number in (1, 2):
            request = FindRequest(has_data=True, message_id=number, sop_class=STUDY_ROOT_FIND)
            await requestor.channel.send(context.id, request, data)
        with trio.fail_after(10), pytest.raises(Unavailable):
            await requestor.receive()


async def test_who_hangs_up_is_not_searched_for_any_more() -> None:
    mesh = FakeMesh(silent=True)
    async with opened(mesh) as door, door.called() as requestor:
        context = requestor.agreement.of(STUDY_ROOT_FIND)[0]
        request = FindRequest(has_data=True, message_id=1, sop_class=STUDY_ROOT_FIND)
        data = write_query(Level.STUDY, ALL, explicit=True)
        await requestor.channel.send(context.id, request, data)
        while not mesh.asked:
            await trio.sleep(0.001)
        await requestor.channel.abort()
        with trio.fail_after(10):
            await mesh.left.wait()


# ---------------------------------------------------------------- real nodes, DCMTK asking


def shown(said: str, keyword: str) -> list[str]:
    """The values that findscu shows of one attribute, responses only."""
    answers = said.partition("Find Response")[2]
    return [v.strip(" \0") for v in re.findall(rf"\[(.*?)\s*\].*{keyword}\b", answers)]


QUESTION = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")


async def ask(door: Opened, *keys: str) -> str:
    return await dcmtk("findscu", door, *QUESTION, *(w for key in keys for w in ("-k", key)))


@pytest.mark.timeout(180)
async def test_findscu_hears_of_studies_of_the_whole_mesh(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await nord.take_in(tmp_path / "n", {"1": study(1), "2": study(2)})
        await sued.take_in(tmp_path / "s", {"2": study(2), "3": study(3)})
        async with opened(nord.up.mesh) as door:
            said = await ask(door, "PatientName=mus*", "NumberOfStudyRelatedInstances")
            uids = shown(said, "StudyInstanceUID")
            assert sorted(uids) == [f"1.2.826.0.1.{n}" for n in (1, 2, 3)]
            where = dict(zip(uids, shown(said, "InstanceAvailability"), strict=True))
            assert [where[f"1.2.826.0.1.{n}"] for n in (1, 2, 3)] == ["ONLINE"] * 2 + ["NEARLINE"]
            assert shown(said, "RetrieveAETitle") == ["MESHPACS"] * 3
            assert shown(said, "NumberOfStudyRelatedInstances") == ["1"] * 3
            assert shown(await ask(door, "PatientName=nobody"), "StudyInstanceUID") == []
            # Only the row from elsewhere has to say whose number 7 is: they may be two people.
            assert len(shown(said, "IssuerOfPatientID")) == 1


@pytest.mark.timeout(180)
async def test_a_member_that_is_off_is_missing_in_the_answer_which_comes_in_time(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await nord.take_in(tmp_path / "n", {"1": study(1)})
        await sued.take_in(tmp_path / "s", {"2": study(2)})
        await sued.stop()
        async with opened(nord.up.mesh) as door, door.called() as requestor:
            with trio.fail_after(10):
                rows, _, end = await find(requestor, Level.STUDY, ALL)
            assert [row[STUDY_UID] for row in rows] == [("1.2.826.0.1.1",)]
            assert (end.status, end.comment) == (0, "INCOMPLETE 1/2")
            said = await ask(door, "PatientName")
            assert shown(said, "StudyInstanceUID") == ["1.2.826.0.1.1"]


class Noted(Strangers):
    """A book that has switches for the viewer SHY, from this machine."""

    def entries_of(self, title: str, host: str) -> tuple[Entry, ...]:
        if (title, host) != ("SHY", "127.0.0.1"):
            return ()
        return (Entry(title, host, online=True, incomplete_fails=True),)


async def test_a_viewer_that_hides_nearline_and_wants_failures_is_told_so_and_no_other_is() -> None:
    elsewhere = replace(FOUND, matches=(Match(RECORD, (SUED,)),))
    whole = replace(elsewhere, report=None)
    cases: list[tuple[Found, str, str, tuple[int, str]]] = [
        (elsewhere, "SHY", "ONLINE", (0xC001, "INCOMPLETE 1/2")),
        (elsewhere, "OPEN", "NEARLINE", (0x0000, "INCOMPLETE 1/2")),
        (whole, "SHY", "ONLINE", (0x0000, "")),
    ]
    for found, calling, availability, ending in cases:
        async with opened(FakeMesh(found), book=Noted()) as door, door.called(calling=calling) as r:
            (row,), _, end = await find(r, Level.STUDY, ALL)
        assert row[0x0008_0056] == (availability,)
        assert (end.status, end.comment) == ending
