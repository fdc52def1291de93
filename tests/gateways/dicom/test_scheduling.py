"""A modality asks what it is to do (PS3.4 annex K)."""

import json
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import trio

from clinics.clinic import free_ports
from meshpacs.dimse.commands import CancelRequest, FindRequest, FindResponse
from meshpacs.dimse.elements import read_data_set, write_data_set
from meshpacs.dimse.services import MODALITY_WORKLIST_FIND
from meshpacs.dimse.worklist import STEPS
from meshpacs.gateways.dicom import scheduling
from meshpacs.gateways.dicom.requesting import Requestor
from meshpacs.model.attributes import Record, Value
from meshpacs.model.limits import IDENTIFIER_BYTES
from meshpacs.node.dictionary import vr_of
from tests.gateways.dicom.doors import PLAIN, Opened, opened, tool
from tests.gateways.fake_mesh import FakeMesh

NAME, PATIENT, ACCESSION, STUDY = 0x0010_0010, 0x0010_0020, 0x0008_0050, 0x0020_000D
STATION, DATE, TIME, MODALITY = 0x0040_0001, 0x0040_0002, 0x0040_0003, 0x0008_0060
EXAMPLES = Path("/usr/share/doc/dcmtk/examples")

ANNA = {
    "PatientName": "Äpfel^Anna",
    "PatientID": "17",
    "PatientWeight": 71.5,
    "StudyInstanceUID": "1.2.3.17",
    "ScheduledProcedureStepSequence": [
        {"Modality": "CT", "ScheduledStationAETitle": "CT1",
         "ScheduledProcedureStepStartDate": "20240105", "ScheduledProcedureStepStartTime": "0930"},
        {"Modality": "MR", "ScheduledStationAETitle": "MR1",
         "ScheduledProcedureStepStartDate": "20240106", "ScheduledProcedureStepStartTime": "0700"},
    ],
}  # fmt: skip
BERT = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
    "00100020": {"vr": "LO", "Value": ["18"]},
    "00400100": {"vr": "SQ", "Value": [{
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00400001": {"vr": "AE", "Value": ["CT2", "CT1"]},
        "00400002": {"vr": "DA", "Value": ["20240106"]},
        "00400003": {"vr": "TM", "Value": ["093000"]},
    }]},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "worklist"
    (folder / "OTHER").mkdir(parents=True)
    (folder / "day.json").write_text(json.dumps([ANNA, BERT]), encoding="utf-8")
    other = {"PatientID": "19", "ScheduledProcedureStepSequence": [{"Modality": "US"}]}
    (folder / "OTHER" / "us.json").write_text(json.dumps(other), encoding="utf-8")
    return folder


@asynccontextmanager
async def asked(folder: Path, called: str = "MESHPACS") -> AsyncIterator[Requestor]:
    async with (
        opened(FakeMesh(), "MESHPACS", "OTHER", worklist=folder) as door,
        door.called(called=called, pairs=((MODALITY_WORKLIST_FIND, PLAIN),)) as requestor,
    ):
        yield requestor


async def find(
    requestor: Requestor, keys: Record, *, raw: bytes | None = None, cancel: bool = False
) -> tuple[list[Record], set[int], FindResponse]:
    context = requestor.agreement.of(MODALITY_WORKLIST_FIND)[0]
    request = FindRequest(
        has_data=True, message_id=requestor.next_id(), sop_class=MODALITY_WORKLIST_FIND
    )
    data = write_data_set(keys, explicit=True, terms=("ISO_IR 192",), known=vr_of)
    await requestor.channel.send(context.id, request, data if raw is None else raw)
    if cancel:
        await requestor.channel.send(context.id, CancelRequest(responded_id=request.message_id))
    rows: list[Record] = []
    statuses: set[int] = set()
    while True:
        _, answer, row = await requestor.receive()
        assert isinstance(answer, FindResponse)
        if not answer.has_data:
            return rows, statuses, answer
        statuses.add(answer.status)
        rows.append(read_data_set(row, explicit=True, default="ascii", known=vr_of).record)


def step(**keys: str) -> Record:
    """A key for the step: by station, date, time, modality."""
    tags = {"station": STATION, "date": DATE, "time": TIME, "modality": MODALITY}
    item: Record = {tag: (keys[name],) if name in keys else () for name, tag in tags.items()}
    return {STEPS: (item,), PATIENT: ()}


def found(rows: Sequence[Record]) -> list[str]:
    """Patient and modality."""
    shown = []
    for row in rows:
        (item,) = row[STEPS]
        assert not isinstance(item, str)
        shown.append(f"{row[PATIENT][0]} {item[MODALITY][0]}")
    return shown


async def test_each_scheduled_step_is_a_row_in_the_order_of_the_day(folder: Path) -> None:
    async with asked(folder) as requestor:
        rows, statuses, end = await find(requestor, step() | {NAME: (), 0x0010_1030: ()})
    assert found(rows) == ["17 CT", "17 MR", "18 CT"]
    assert [row[NAME] for row in rows] == [
        ("Äpfel^Anna",), ("Äpfel^Anna",), ("Yamada^Tarou=山田^太郎",)
    ]  # fmt: skip
    assert [row[0x0010_1030] for row in rows] == [("71.5",), ("71.5",), ()]
    assert (statuses, end.status) == ({0xFF00}, 0)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (step(station="CT1"), ["17 CT", "18 CT"]),
        (step(station="CT2"), ["18 CT"]),
        (step(modality="CT", date="20240106"), ["18 CT"]),
        (step(date="20240105-20240106", time="0900-0800"), ["17 CT", "17 MR"]),
        (step(date="20240106-"), ["17 MR", "18 CT"]),
        (step() | {NAME: ("äpfel*",)}, ["17 CT", "17 MR"]),
        (step() | {NAME: ("*=山田*",)}, ["18 CT"]),
        (step() | {STUDY: ("1.2.3.17\\1.2.3.18",)}, ["17 CT", "17 MR"]),
        (step(modality="US"), []),
    ],
)
async def test_keys_match_inside_the_step_and_beside_it(
    folder: Path, keys: Record, wanted: list[str]
) -> None:
    async with asked(folder) as requestor:
        rows, _, _ = await find(requestor, keys)
    assert found(rows) == wanted


async def test_a_key_without_an_item_asks_for_the_whole_step(folder: Path) -> None:
    async with asked(folder) as requestor:
        both: tuple[Value, ...] = ((), ({},))
        for whole in both:
            rows, _, _ = await find(requestor, {STEPS: whole, PATIENT: ("18",)})
            ((item,),) = [row[STEPS] for row in rows]
            assert not isinstance(item, str)
            assert item == {
                MODALITY: ("CT",), STATION: ("CT2", "CT1"), DATE: ("20240106",), TIME: ("093000",)
            }  # fmt: skip


async def test_who_calls_us_by_another_title_is_told_what_is_for_that_title_too(
    folder: Path,
) -> None:
    async with asked(folder, called="OTHER") as requestor:
        rows, _, _ = await find(requestor, step(modality="US"))
    assert found(rows) == ["19 US"]


async def test_a_file_is_served_as_it_is_at_each_question(folder: Path) -> None:
    async with asked(folder) as requestor:
        (folder / "day.json").write_text(json.dumps(ANNA), encoding="utf-8")
        assert found((await find(requestor, step()))[0]) == ["17 CT", "17 MR"]
        (folder / "day.json").unlink()
        assert found((await find(requestor, step()))[0]) == []
        (folder / "new.json").write_text(json.dumps(BERT), encoding="utf-8")
        assert found((await find(requestor, step()))[0]) == ["18 CT"]


async def test_what_no_dictionary_knows_is_not_matched_and_said(folder: Path) -> None:
    private = b"\x09\x00\x01\x10LO\x02\x00ab"
    async with asked(folder) as requestor:
        keys = write_data_set(step(), explicit=True, known=vr_of)
        rows, statuses, end = await find(requestor, {}, raw=private + keys)
    assert (len(rows), statuses, end.status) == (3, {0xFF01}, 0)


async def test_a_question_that_is_none_is_refused_by_the_tag(folder: Path) -> None:
    async with asked(folder) as requestor:
        _, _, end = await find(requestor, step(date="yesterday"))
        assert (end.status, end.offending) == (0xA900, (DATE,))
        _, _, end = await find(requestor, {PATIENT: tuple("ab" * 300)})
        assert end.status == 0xA900
        _, _, end = await find(requestor, {}, raw=b"\x10\x00\x20\x00LO\xff\x00x")
        assert end.status == 0xC001
        _, _, end = await find(requestor, {}, raw=bytes(IDENTIFIER_BYTES + 2))
        assert end.status == 0xC001


async def test_too_many_steps_are_a_failure_not_a_part_of_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.worklist.WORKLIST_STEPS", 2)
    async with asked(folder) as requestor:
        rows, _, end = await find(requestor, step())
    assert (rows, end.status) == ([], 0xA700)
    assert str(folder) not in end.comment


async def test_a_text_that_no_short_element_can_hold_costs_no_step(folder: Path) -> None:
    history = {"AdditionalPatientHistory": "x" * 70_000, "PregnancyStatus": ["4"] * 40_000}
    (folder / "day.json").write_text(json.dumps(ANNA | history), encoding="utf-8")
    async with asked(folder) as requestor:
        rows, _, end = await find(requestor, step() | {0x0010_21B0: (), 0x0010_21C0: ()})
    assert (found(rows), end.status) == (["17 CT", "17 MR"], 0)
    assert rows[0][0x0010_21B0] == rows[0][0x0010_21C0] == ()


async def test_a_share_that_hangs_costs_a_question_and_neither_the_stop_nor_others_their_threads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()

    def hang(_: Path) -> Iterator[Path]:
        hangs.wait(60)
        return iter(())

    monkeypatch.setattr(scheduling, "LISTING_S", 0.1)
    monkeypatch.setattr(scheduling, "LISTINGS", trio.CapacityLimiter(1))
    before = trio.to_thread.current_default_thread_limiter().borrowed_tokens
    try:
        with trio.fail_after(20):
            async with asked(folder) as requestor:
                with monkeypatch.context() as patch:
                    patch.setattr(Path, "iterdir", hang)
                    for _ in range(3):  # the second waits for the first's place, which is kept
                        rows, _, end = await find(requestor, step())
                        assert (rows, end.status) == ([], 0xA700)
                        assert str(folder) not in end.comment
                now = trio.to_thread.current_default_thread_limiter().borrowed_tokens
                assert now == before
    finally:
        hangs.set()


async def test_a_cancelled_question_ends_as_cancelled(folder: Path) -> None:
    many = [replace_id(ANNA, n) for n in range(500)]
    (folder / "day.json").write_text(json.dumps(many), encoding="utf-8")
    async with asked(folder) as requestor:
        rows, _, end = await find(requestor, step(), cancel=True)
        assert end.status == 0xFE00
        assert len(rows) < 1000


def replace_id(tree: dict[str, object], number: int) -> dict[str, object]:
    return tree | {"PatientID": str(number)}


def made(dump: Path, file: Path) -> Path:
    """A data set of one of DCMTK's dumps."""
    subprocess.run([tool("dump2dcm"), "-q", dump, file], check=True)
    return file


async def listening(port: int) -> None:
    with trio.fail_after(20):
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                await trio.sleep(0.02)
            else:
                return


async def rows_of(door: Opened, question: Path, folder: Path) -> list[str]:
    """What findscu is answered: values, not how they are written."""
    for old in folder.glob("rsp*.dcm"):
        old.unlink()
    with trio.fail_after(60):
        await trio.run_process(
            [tool("findscu"), "-W", "-X", "-aec", "OFFIS", "127.0.0.1", str(door.port), question],
            cwd=folder,
        )
    rows = []
    for file in folder.glob("rsp*.dcm"):
        row = pydicom.dcmread(file)
        if "SpecificCharacterSet" in row:
            del row.SpecificCharacterSet
        # An attribute that an entry lacks: we answer it empty, wlmscpfs leaves sequences out.
        rows.append("\n".join(str(element) for element in row if element.value))
    return sorted(rows)


async def test_what_wlmscpfs_reads_is_answered_as_wlmscpfs_answers_it(tmp_path: Path) -> None:
    """DCMTK's own example entries and questions, put to both."""
    dumps = sorted((EXAMPLES / "wlistdb" / "OFFIS").glob("*.dump"))
    questions = sorted((EXAMPLES / "wlistqry").glob("*.dump"))
    if not dumps or not questions:
        pytest.skip("DCMTK's examples are not installed")
    folder = tmp_path / "lists"
    (folder / "OFFIS").mkdir(parents=True)
    (folder / "OFFIS" / "lockfile").touch()
    for dump in dumps:
        made(dump, folder / "OFFIS" / f"{dump.stem}.wl")
    (port,) = free_ports(1)
    server = await trio.lowlevel.open_process(
        [tool("wlmscpfs"), "-dfp", str(folder), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await listening(port)
        async with opened(FakeMesh(), "OFFIS", worklist=folder) as door:
            theirs = replace(door, port=port)
            for number, question in enumerate(questions):
                asked = made(question, tmp_path / f"{number}.dcm")
                answers = [await rows_of(d, asked, tmp_path) for d in (door, theirs)]
                assert answers[0] == answers[1], question.name
    finally:
        server.kill()
        with trio.move_on_after(10, shield=True):
            await server.wait()
