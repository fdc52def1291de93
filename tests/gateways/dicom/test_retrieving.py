"""C-GET and C-MOVE: sub-operations, their counts, whole studies to real programs (PS3.4 C.4)."""

import io
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trio
import trio.testing

from meshpacs.dimse.commands import (
    CancelRequest,
    Command,
    GetRequest,
    GetResponse,
    MoveRequest,
    MoveResponse,
    StoreRequest,
    StoreResponse,
    decode,
    encode,
)
from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.identifiers import FAILED_UIDS, write_query
from meshpacs.dimse.pdu import Role
from meshpacs.dimse.services import (
    PATIENT_ROOT_GET,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from meshpacs.gateways.dicom import retrieving as module
from meshpacs.gateways.dicom.comments import LATER
from meshpacs.gateways.dicom.requesting import Requestor
from meshpacs.model.attributes import Level, Value
from meshpacs.model.content import Entry, content_root
from meshpacs.model.errors import Unavailable
from meshpacs.node.book import Entry as Known
from meshpacs.node.views import NobodyHasIt
from tests.gateways.dicom.doors import CT, MR, PLAIN, Opened, Strangers, dcmtk, dcmtk_fails, opened
from tests.gateways.fake_mesh import STUDY, FakeArriving, FakeMesh
from tests.node.clinics import instance
from tests.node.houses import House, street

PATIENT_ID, STUDY_UID, SERIES_UID, SOP_UID = 0x0010_0020, 0x0020_000D, 0x0020_000E, 0x0008_0018
JPEG = "1.2.840.10008.1.2.4.50"
GET_PAIRS = (
    (STUDY_ROOT_GET, PLAIN),
    (PATIENT_ROOT_GET, PLAIN),
    (CT, (EXPLICIT_LITTLE,)),
    (MR, (EXPLICIT_LITTLE,)),
)
ROLES = (Role(CT, scu=False, scp=True),)
ONE: list[tuple[int, Value]] = [(STUDY_UID, (STUDY,))]


def entry(number: int, size: int, *, sop_class: str = CT, syntax: str = EXPLICIT_LITTLE) -> Entry:
    return Entry(f"{STUDY}.{number}", sop_class, STUDY, "CT", syntax, size, content_root(size, b""))


def mesh(*sizes: int) -> FakeMesh:
    return FakeMesh(held={entry(n, size): bytes([n]) * size for n, size in enumerate(sizes, 1)})


@dataclass
class Heard:
    """What a C-GET has brought."""

    instances: dict[str, bytes] = field(default_factory=dict)
    pending: list[GetResponse] = field(default_factory=list)
    end: GetResponse = field(default_factory=GetResponse)
    failed: tuple[str, ...] = ()


async def get(
    requestor: Requestor,
    keys: list[tuple[int, Value]],
    *,
    level: Level = Level.STUDY,
    root: str = STUDY_ROOT_GET,
    answer: int = 0,
    cancel_after: int | None = None,
    raw: bytes | None = None,
) -> Heard:
    """Ask, store what comes, and hear the end."""
    context = requestor.agreement.of(root)[0]
    request = GetRequest(has_data=True, message_id=9, sop_class=root)
    data = write_query(level, keys, explicit=True) if raw is None else raw
    await requestor.channel.send(context.id, request, data)
    heard = Heard()
    while True:
        if cancel_after is not None and len(heard.instances) == cancel_after:
            await requestor.channel.send(context.id, CancelRequest(responded_id=9))
            cancel_after = None
        number, command, body = await requestor.receive()
        match command:
            case StoreRequest():
                heard.instances[command.sop_uid] = body
                await requestor.channel.send(number, stored(command, answer))
            case GetResponse(status=0xFF00):
                heard.pending.append(command)
            case GetResponse():
                heard.end = command
                if command.has_data:
                    failed = read_data_set(body, explicit=True, default="ascii").record[FAILED_UIDS]
                    heard.failed = tuple(map(str, failed))
                return heard
            case _:
                raise AssertionError(command)


def stored(request: StoreRequest, status: int) -> Command:
    return StoreResponse(
        responded_id=request.message_id,
        status=status,
        sop_class=request.sop_class,
        sop_uid=request.sop_uid,
    )


def counts(end: GetResponse | MoveResponse) -> tuple[int | None, ...]:
    return end.remaining, end.completed, end.failed, end.warning


async def test_a_get_brings_every_byte_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.requesting.IDENTIFIER_BYTES", 10_000_000)
    held = mesh(0, 10, 3_000_001)
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, ONE)
    assert heard.end.status == 0
    assert counts(heard.end) == (None, 3, 0, 0)
    assert heard.instances == {e.sop_uid: data for e, data in held.held.items()}
    assert held.asked == [("retrieve", STUDY, frozenset(), frozenset())]


async def test_series_and_instances_are_selected() -> None:
    held = mesh(1)
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        series: list[tuple[int, Value]] = [*ONE, (SERIES_UID, ("1.2", "1.3"))]
        await get(requestor, series, level=Level.SERIES)
        image: list[tuple[int, Value]] = [*ONE, (SERIES_UID, ("1.2",)), (SOP_UID, ("1.4",))]
        await get(requestor, image, level=Level.IMAGE)
    assert held.asked == [
        ("retrieve", STUDY, frozenset({"1.2", "1.3"}), frozenset()),
        ("retrieve", STUDY, frozenset({"1.2"}), frozenset({"1.4"})),
    ]


async def test_a_patients_studies_are_those_of_this_archive() -> None:
    held = mesh(1)
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        keys: list[tuple[int, Value]] = [(PATIENT_ID, ("12345678",))]
        heard = await get(requestor, keys, level=Level.PATIENT, root=PATIENT_ROOT_GET)
    assert counts(heard.end) == (None, 1, 0, 0)
    found, retrieved = held.asked
    assert isinstance(found, tuple)
    assert found[3] is True  # local only
    assert retrieved == ("retrieve", STUDY, frozenset(), frozenset())


async def test_what_cannot_be_sent_is_counted_and_listed() -> None:
    held = mesh(1)
    lost, other, packed = entry(7, 1), entry(8, 1, sop_class=MR), entry(9, 1, syntax=JPEG)
    damaged = entry(6, 5)
    held.held |= {lost: None, other: b"m", packed: b"j", damaged: b""}
    # MR is proposed without the role of its SCP, JPEG not at all.
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, ONE)
    assert heard.end.status == 0xB000
    assert counts(heard.end) == (None, 1, 4, 0)
    assert sorted(heard.failed) == sorted(e.sop_uid for e in (lost, other, packed, damaged))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
async def test_values_are_rewritten_where_the_receiver_wants_them_otherwise(syntax: str) -> None:
    held = FakeMesh(held={entry(1, 3, syntax=syntax): b"abc"})
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, ONE)
    assert counts(heard.end) == (None, 1, 0, 0)
    assert heard.instances == {f"{STUDY}.1": f"{STUDY}.1 in {EXPLICIT_LITTLE}".encode()}


async def test_a_move_asks_for_what_is_stored_first() -> None:
    implicit = "1.2.840.10008.1.2"
    receiver = FakeMesh()
    held = FakeMesh(held={entry(1, 3, syntax=implicit): b"abc"})
    async with opened(receiver, "WARD") as ward:
        book = Atlas(Known("WARD", ward.host, ward.port))
        async with opened(held, book=book) as door, door.called(pairs=MOVE_PAIRS) as requestor:
            assert (await move(requestor, "WARD")).status == 0
    assert receiver.asked == [("arrival", CT, f"{STUDY}.1", implicit, "MESHPACS")]
    assert receiver.arrived == [b"abc"]


@pytest.mark.parametrize(
    ("answer", "status", "counted"),
    [
        (0, 0x0000, (None, 2, 0, 0)),
        (0xB007, 0xB000, (None, 0, 0, 2)),
        (0xA700, 0xA702, (None, 0, 2, 0)),
        (0xFE00, 0xA702, (None, 0, 2, 0)),  # a C-STORE has no such status
    ],
)
async def test_the_receivers_statuses_make_the_end(
    answer: int, status: int, counted: tuple[int | None, ...]
) -> None:
    async with opened(mesh(1, 1)) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, ONE, answer=answer)
    assert heard.end.status == status
    assert counts(heard.end) == counted
    assert len(heard.failed) == counted[2]


@pytest.mark.parametrize(
    ("fault", "status", "comment"),
    [
        (NobodyHasIt("Nobody.", "", silent=0), 0x0000, ""),
        (NobodyHasIt("Nobody.", "", silent=2), 0xA702, "NOT FOUND, AND 2 MEMBERS ARE SILENT"),
        (Unavailable("Asked too often."), 0xA701, LATER),
    ],
)
async def test_nothing_found_says_whether_somebody_is_silent(
    fault: Exception, status: int, comment: str
) -> None:
    async with (
        opened(FakeMesh(late_fault=fault)) as door,
        door.called(pairs=GET_PAIRS, roles=ROLES) as requestor,
    ):
        heard = await get(requestor, ONE)
    assert (heard.end.status, heard.end.comment) == (status, comment)
    assert counts(heard.end) == (None, 0, 0, 0)


async def test_identifiers_that_do_not_fit_select_nothing() -> None:
    async with opened(mesh(1)) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, [], level=Level.STUDY)
        assert (heard.end.status, heard.end.offending) == (0xA900, (STUDY_UID,))
        assert (await get(requestor, [], raw=b"\1\2\3")).end.status == 0xC001
        assert (await get(requestor, [], raw=bytes(4_000_000))).end.status == 0xC001
        assert counts((await get(requestor, ONE)).end) == (None, 1, 0, 0)


async def test_a_cancel_ends_it_between_two_instances_and_tells_what_remains() -> None:
    held = mesh(1, 1, 1)
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, ONE, cancel_after=1)
    assert heard.end.status == 0xFE00
    remaining, completed, *_ = counts(heard.end)
    assert (remaining or 0) + (completed or 0) == 3
    assert remaining
    assert held.left.is_set()


async def test_a_cancel_while_the_mesh_is_asked_ends_it_too() -> None:
    async with (
        opened(FakeMesh(silent=True)) as door,
        door.called(pairs=GET_PAIRS, roles=ROLES) as requestor,
    ):
        heard = await get(requestor, ONE, cancel_after=0)
    assert heard.end.status == 0xFE00


async def test_while_an_instance_is_awaited_pending_goes_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PENDING_S", 0.01)
    held = mesh(1)
    held.held[entry(2, 1)] = None
    held.hang = trio.Event()
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        context = requestor.agreement.of(STUDY_ROOT_GET)[0]
        request = GetRequest(has_data=True, message_id=9, sop_class=STUDY_ROOT_GET)
        data = write_query(Level.STUDY, ONE, explicit=True)
        await requestor.channel.send(context.id, request, data)
        pending: list[Command] = []
        while len(pending) < 3:
            number, command, _ = await requestor.receive()
            if isinstance(command, StoreRequest):
                await requestor.channel.send(number, stored(command, 0))
            elif held.hang.is_set():
                pending.append(command)
        last = pending[-1]
        assert isinstance(last, GetResponse)
        assert counts(last) == (1, 1, 0, 0)


async def test_a_receiver_that_answers_what_was_not_sent_is_aborted() -> None:
    async with opened(mesh(1)) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        context = requestor.agreement.of(STUDY_ROOT_GET)[0]
        request = GetRequest(has_data=True, message_id=9, sop_class=STUDY_ROOT_GET)
        data = write_query(Level.STUDY, ONE, explicit=True)
        await requestor.channel.send(context.id, request, data)
        number, command, _ = await requestor.receive()
        assert isinstance(command, StoreRequest)
        wrong = StoreResponse(responded_id=command.message_id + 1, status=0)
        await requestor.channel.send(number, wrong)
        with pytest.raises(Unavailable):
            await requestor.receive()


async def test_a_receiver_that_does_not_answer_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.delivery.SUB_OPERATION_S", 0.05)
    async with opened(mesh(1)) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        context = requestor.agreement.of(STUDY_ROOT_GET)[0]
        request = GetRequest(has_data=True, message_id=9, sop_class=STUDY_ROOT_GET)
        data = write_query(Level.STUDY, ONE, explicit=True)
        await requestor.channel.send(context.id, request, data)
        await requestor.receive()
        with trio.fail_after(5), pytest.raises(Unavailable):
            await requestor.receive()


async def test_what_is_more_than_a_count_can_say_is_told_as_the_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = decode(encode(GetResponse(failed=module.COUNT_MOST)))
    assert isinstance(read, GetResponse)
    assert read.failed == 65_535, "it is a US (PS3.7 E.1)"
    # With a smaller number, because 65,540 instances would take 24 s.
    monkeypatch.setattr(module, "COUNT_MOST", 4)
    held = FakeMesh(held={entry(n, 1): None for n in range(1, 7)})
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        heard = await get(requestor, ONE)
    assert heard.end.status == 0xA702
    assert counts(heard.end) == (None, 0, 4, 0)
    assert len(heard.failed) == 6, "the list says more than the count can"


async def test_many_studies_are_looked_for_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.carrying.STUDIES_AT_ONCE", 2)
    held = mesh(1)
    held.hang = trio.Event()
    wanted: list[tuple[int, Value]] = [(STUDY_UID, tuple(f"1.2.{n}" for n in range(5)))]
    held.silent = True
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        context = requestor.agreement.of(STUDY_ROOT_GET)[0]
        request = GetRequest(has_data=True, message_id=9, sop_class=STUDY_ROOT_GET)
        data = write_query(Level.STUDY, wanted, explicit=True)
        await requestor.channel.send(context.id, request, data)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(held.asked) == 2
    held.silent, held.hang = False, None
    async with opened(held) as door, door.called(pairs=GET_PAIRS, roles=ROLES) as requestor:
        await get(requestor, wanted)
    assert len(held.asked) == 2 + 5


# ---------------------------------------------------------------- C-MOVE


class Atlas(Strangers):
    """Knows where machines are."""

    def __init__(self, *known: Known) -> None:
        self.known = known

    def destination(self, title: str) -> tuple[Known, ...]:
        return tuple(known for known in self.known if known.title == title)


async def move(
    requestor: Requestor, destination: str, keys: list[tuple[int, Value]] | None = None
) -> MoveResponse:
    """Ask for the study to be sent there; the last response."""
    context = requestor.agreement.of(STUDY_ROOT_MOVE)[0]
    request = MoveRequest(
        has_data=True, message_id=3, sop_class=STUDY_ROOT_MOVE, destination=destination
    )
    data = write_query(Level.STUDY, keys or ONE, explicit=True)
    await requestor.channel.send(context.id, request, data)
    while True:
        _, command, _ = await requestor.receive()
        assert isinstance(command, MoveResponse)
        if command.status != 0xFF00:
            return command


MOVE_PAIRS = ((STUDY_ROOT_MOVE, PLAIN),)


async def test_a_move_sends_to_the_machine_of_that_title() -> None:
    held, receiver = mesh(5, 2_000_000), FakeMesh()
    held.held[entry(9, 1, syntax=JPEG)] = b"j"
    async with opened(receiver, "WARD") as ward:
        book = Atlas(Known("WARD", ward.host, ward.port))
        async with opened(held, book=book) as door, door.called(pairs=MOVE_PAIRS) as requestor:
            end = await move(requestor, "WARD")
    assert end.status == 0
    assert counts(end) == (None, 3, 0, 0)
    assert sorted(receiver.arrived) == sorted(data for data in held.held.values() if data)
    assert receiver.asked[0] == ("arrival", CT, f"{STUDY}.1", EXPLICIT_LITTLE, "MESHPACS")


async def test_a_destination_that_is_unknown_or_ambiguous_is_a801() -> None:
    twice = Atlas(Known("TWO", "127.0.0.1", 1), Known("TWO", "127.0.0.1", 2))
    held = mesh(1)
    async with opened(held, book=twice) as door, door.called(pairs=MOVE_PAIRS) as requestor:
        for title in ("NONE", "TWO"):
            assert (await move(requestor, title)).status == 0xA801
    assert not held.asked  # nobody in the mesh is asked for what cannot be delivered


async def test_a_destination_that_refuses_or_is_off_is_a702_and_named() -> None:
    async with opened(FakeMesh(), "OTHER") as ward:
        book = Atlas(Known("WARD", ward.host, ward.port), Known("OFF", "127.0.0.1", 1))
        async with (
            opened(mesh(1, 2), book=book) as door,
            door.called(pairs=MOVE_PAIRS) as requestor,
        ):
            refused = await move(requestor, "WARD")
            off = await move(requestor, "OFF")
    assert refused.status == 0xA702
    assert "WARD rejects the association" in refused.comment
    assert off.status == 0xA702
    assert "OFF cannot be reached" in off.comment


class Cutting(FakeMesh):
    """Its door aborts the association of these arrivals."""

    def __init__(self, *cut: int) -> None:
        super().__init__()
        self.cut = cut

    def arrival(
        self, sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str
    ) -> FakeArriving:
        arriving = super().arrival(sop_class, sop_uid, transfer_syntax, calling_ae)
        if len(self.asked) in self.cut:
            raise Unavailable("The association is gone.")
        return arriving


@pytest.mark.parametrize(
    ("cut", "counted", "tried"),
    [((2, 4), (None, 5, 0, 0), 7), ((1, 2), (None, 4, 1, 0), 6), (range(9), (None, 0, 5, 0), 4)],
)
async def test_a_destination_that_ends_an_association_is_called_again(
    cut: Iterable[int], counted: tuple[int | None, ...], tried: int
) -> None:
    receiver = Cutting(*cut)
    async with opened(receiver, "WARD") as ward:
        book = Atlas(Known("WARD", ward.host, ward.port))
        async with (
            opened(mesh(1, 2, 3, 4, 5), book=book) as door,
            door.called(pairs=MOVE_PAIRS) as requestor,
        ):
            assert counts(await move(requestor, "WARD")) == counted
        assert len(receiver.asked) == tried


async def test_more_syntaxes_than_fit_open_further_associations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.delivery.PRESENTATION_CONTEXTS", 1)
    held, receiver = mesh(1), FakeMesh()
    held.held |= {entry(8, 1, sop_class=MR): b"m", entry(9, 1, syntax=JPEG): b"j"}
    async with opened(receiver, "WARD") as ward:
        book = Atlas(Known("WARD", ward.host, ward.port))
        async with opened(held, book=book) as door, door.called(pairs=MOVE_PAIRS) as requestor:
            assert counts(await move(requestor, "WARD")) == (None, 3, 0, 0)
    assert sorted(receiver.arrived) == [b"\1", b"j", b"m"]


# ---------------------------------------------------------------- real nodes and programs


def study_of(count: int) -> dict[str, bytes]:
    return {f"{n}.dcm": instance(n, size=200_000) for n in range(count)}


def pixels(data: Any) -> bytes:
    return bytes(pydicom.dcmread(data)[0x7FE0_0010].value)


WANTED = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.826.0.1.7")


@pytest.mark.timeout(180)
async def test_getscu_of_a_study_that_another_clinic_holds(tmp_path: Path) -> None:
    files = study_of(12)
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await sued.take_in(tmp_path / "s", files)
        (tmp_path / "got").mkdir()
        async with opened(nord.up.mesh) as door:
            await dcmtk("getscu", door, *WANTED, "-od", str(tmp_path / "got"))
    got = sorted(pixels(path) for path in (tmp_path / "got").iterdir())
    assert got == sorted(pixels(io.BytesIO(data)) for data in files.values())


SYNTAXES = (
    ("MR_small_implicit.dcm", ()),
    ("MR_small.dcm", ()),
    ("MR_small_bigendian.dcm", ()),
    ("image_dfl.dcm", ()),
    ("image_dfl.dcm", ("+xi",)),
    ("JPEG2000.dcm", ("+xw",)),
    ("SC_rgb_jpeg_gdcm.dcm", ("+xs",)),
    ("MR_small_jp2klossless.dcm", ("+xv",)),
    ("MR_small_jpeg_ls_lossless.dcm", ("+xt",)),
    ("SC_rgb_jpeg_dcmtk.dcm", ("+xy",)),
    ("MR_small_RLE.dcm", ("+xr",)),
)
"""Files of many transfer syntaxes, and what getscu proposes: by default what is not compressed."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("name", "options"), SYNTAXES)
async def test_getscu_is_given_what_it_can_take(
    tmp_path: Path, name: str, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.decoders.installed", lambda: False)
    source = Path(pydicom.__file__).parent / "data" / "test_files" / name
    before = pydicom.dcmread(source)
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "n", {name: source.read_bytes()})
        (tmp_path / "got").mkdir()
        study = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k")
        uid = f"StudyInstanceUID={before.StudyInstanceUID}"
        async with opened(nord.up.mesh) as door:
            await dcmtk("getscu", door, *options, *study, uid, "-od", str(tmp_path / "got"))
    (path,) = (tmp_path / "got").iterdir()
    after = pydicom.dcmread(path)
    assert after.SOPInstanceUID == before.SOPInstanceUID
    if name == "MR_small_bigendian.dcm":
        before = pydicom.dcmread(source.with_name("MR_small.dcm"))
    assert after.PixelData.rstrip(b"\0") == before.PixelData.rstrip(b"\0")
    compressed = options not in ((), ("+xi",))
    assert after.file_meta.TransferSyntaxUID.is_encapsulated is compressed


@asynccontextmanager
async def storescp(folder: Path, port: int, *options: str) -> AsyncIterator[None]:
    """DCMTK's receiver, listening."""
    from tests.gateways.dicom.doors import tool

    folder.mkdir()
    async with trio.open_nursery() as nursery:
        words = [tool("storescp"), "-aet", "WARD", *options, "-od", str(folder), str(port)]
        await nursery.start(
            lambda task_status: trio.run_process(
                words, task_status=task_status, check=False, deliver_cancel=end
            )
        )
        with trio.fail_after(10):
            while True:
                try:
                    stream = await trio.open_tcp_stream("127.0.0.1", port)
                except OSError:
                    await trio.sleep(0.05)
                else:
                    await stream.aclose()
                    break
        yield
        nursery.cancel_scope.cancel()


async def end(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()


@pytest.mark.timeout(180)
async def test_movescu_of_a_study_that_another_clinic_holds(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = study_of(7)
    async with street(tmp_path) as houses, storescp(tmp_path / "got", port):
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await sued.take_in(tmp_path / "s", files)
        book = Atlas(Known("WARD", "127.0.0.1", port))
        async with opened(nord.up.mesh, book=book) as door:
            said = await dcmtk("movescu", door, "-aem", "WARD", *WANTED)
            assert "Received Final Move Response (Success)" in said
            unknown = await dcmtk_fails("movescu", door, "-aem", "NOBODY", *WANTED)
            assert "MoveDestinationUnknown" in unknown.stdout
    got = sorted(pixels(path) for path in (tmp_path / "got").iterdir())
    assert got == sorted(pixels(io.BytesIO(data)) for data in files.values())


INSTANCES = 24


@pytest.mark.timeout(180)
@pytest.mark.parametrize("who", ["get", "move"])
async def test_a_holder_that_dies_midway_is_replaced_by_the_next(
    tmp_path: Path, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.requesting.IDENTIFIER_BYTES", 10_000_000)
    files = {f"{n}.dcm": instance(n, size=1_200_000) for n in range(INSTANCES)}
    receiver = FakeMesh()
    async with street(tmp_path) as houses, opened(receiver, "WARD") as ward:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        ost = await houses.member("Ost", nord)
        await sued.take_in(tmp_path / "s", files)
        await ost.take_in(tmp_path / "o", files)
        book = Atlas(Known("WARD", ward.host, ward.port))
        async with opened(nord.up.mesh, book=book) as door:
            pairs = (*GET_PAIRS, *MOVE_PAIRS)
            async with (
                door.called(pairs=pairs, roles=ROLES) as requestor,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(dies, sued, nord)
                study: list[tuple[int, Value]] = [(STUDY_UID, ("1.2.826.0.1.7",))]
                if who == "get":
                    end: GetResponse | MoveResponse = (await get(requestor, study)).end
                else:
                    end = await move(requestor, "WARD", study)
    assert end.status == 0
    assert counts(end) == (None, INSTANCES, 0, 0)


async def dies(holder: House, asker: House) -> None:
    """Stop a holder as soon as the first instance of a fetch has come, from whomever."""
    under_way = asker.up.mesh._fetcher._fetches
    with trio.fail_after(30):
        while not any(fetch.landed for fetch in under_way.values()):
            await trio.sleep(0.001)
    assert any(len(fetch.landed) < INSTANCES for fetch in under_way.values())
    await holder.stop()


@pytest.mark.timeout(180)
async def test_pynetdicom_gets_a_series(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "n", study_of(3) | {"o": instance(9, series="2")})
        async with opened(nord.up.mesh) as door:
            got, statuses = await trio.to_thread.run_sync(get_by_pynetdicom, door)
    assert got == [f"1.2.826.0.1.7.1.{n}" for n in range(3)]
    assert statuses[-1] == 0


def get_by_pynetdicom(door: Opened) -> tuple[list[str], list[int]]:
    from pydicom.dataset import Dataset
    from pynetdicom import AE, build_role, evt

    got: list[str] = []

    def keep(event: Any) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    ae = AE(ae_title="PYNET")
    ae.add_requested_context(STUDY_ROOT_GET)
    ae.add_requested_context(CT, EXPLICIT_LITTLE)
    association = ae.associate(
        door.host,
        door.port,
        ae_title="MESHPACS",
        ext_neg=[build_role(CT, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES"
    wanted.StudyInstanceUID = "1.2.826.0.1.7"
    wanted.SeriesInstanceUID = "1.2.826.0.1.7.1"
    statuses = [int(s.Status) for s, _ in association.send_c_get(wanted, STUDY_ROOT_GET)]
    association.release()
    return sorted(got), statuses
