"""A C-MOVE to a machine that only another member can reach (PROTOCOL 12)."""

import io
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import structlog.testing
import trio

from meshpacs.dimse.commands import CancelRequest, MoveRequest, MoveResponse
from meshpacs.dimse.elements import read_data_set
from meshpacs.dimse.identifiers import FAILED_UIDS, write_query
from meshpacs.dimse.services import PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE
from meshpacs.gateways.dicom import retrieving as module
from meshpacs.gateways.dicom.comments import LATER, NO_TLS, comment_on_machine
from meshpacs.gateways.dicom.courier import Courier
from meshpacs.gateways.dicom.requesting import Requestor
from meshpacs.model.attributes import Level, Value
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.errors import LocalFault, PeerFault, Unavailable
from meshpacs.model.ids import NodeId
from meshpacs.model.limits import DELIVERIES_OF_ONE
from meshpacs.model.member import Role
from meshpacs.node.book import Entry as Known
from meshpacs.node.views import OrderLost
from meshpacs.wire.messages import Ping
from tests.gateways.dicom.doors import PLAIN, dcmtk, dcmtk_fails, opened
from tests.gateways.dicom.test_retrieving import (
    INSTANCES,
    PATIENT_ID,
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    WANTED,
    Atlas,
    dies,
    entry,
    mesh,
    pixels,
    storescp,
    study_of,
)
from tests.gateways.fake_mesh import FOUND, NORD, STUDY, SUED, FakeMesh
from tests.node.clinics import instance
from tests.node.houses import House, street

PAIRS = ((STUDY_ROOT_MOVE, PLAIN), (PATIENT_ROOT_MOVE, PLAIN))
ONE: list[tuple[int, Value]] = [(STUDY_UID, (STUDY,))]


@dataclass
class Moved:
    """What a C-MOVE was told."""

    pending: list[MoveResponse] = field(default_factory=list)
    end: MoveResponse = field(default_factory=MoveResponse)
    failed: tuple[str, ...] = ()

    @property
    def counts(self) -> tuple[int | None, ...]:
        return self.end.remaining, self.end.completed, self.end.failed, self.end.warning


async def move(
    requestor: Requestor,
    destination: str = "FAR",
    keys: Sequence[tuple[int, Value]] = ONE,
    *,
    level: Level = Level.STUDY,
    root: str = STUDY_ROOT_MOVE,
    cancel: trio.Event | None = None,
) -> Moved:
    context = requestor.agreement.of(root)[0]
    request = MoveRequest(has_data=True, message_id=3, sop_class=root, destination=destination)
    data = write_query(level, keys, explicit=True)
    await requestor.channel.send(context.id, request, data)
    if cancel is not None:
        await cancel.wait()
        await requestor.channel.send(context.id, CancelRequest(responded_id=3))
    moved = Moved()
    while True:
        _, command, data = await requestor.receive()
        assert isinstance(command, MoveResponse)
        if command.status == 0xFF00:
            moved.pending.append(command)
            continue
        moved.end = command
        if data:
            failed = read_data_set(data, explicit=True, default="ascii").record[FAILED_UIDS]
            moved.failed = tuple(map(str, failed))
        return moved


def shared(courier: object, **changes: object) -> FakeMesh:
    """A mesh of which Süd shares FAR, and carries orders out like this."""
    return replace(FakeMesh(), sharing={"FAR": (SUED,)}, courier=courier, **changes)  # type: ignore[arg-type]


# ---------------------------------------------------------------- where the C-MOVE came in


async def test_what_the_other_member_counts_is_what_the_caller_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PENDING_S", 0.01)
    steps = trio.Event()

    async def work(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        await trio.sleep(0.05)  # until it is known how many there are, 1 remains
        tally.total, tally.completed = 5, 1
        await steps.wait()
        tally.completed, tally.warning = 2, 1
        tally.fail("1.2.3", "Refused.")
        tally.fail("1.2.4", "Refused.")
        return Ending(0)

    held = shared(work)
    async with (
        opened(held) as door,
        door.called(pairs=PAIRS, calling="VIEWER") as requestor,
        trio.open_nursery() as nursery,
    ):

        async def later() -> None:
            await trio.sleep(0.15)
            steps.set()

        nursery.start_soon(later)
        keys: list[tuple[int, Value]] = [*ONE, (SERIES_UID, ("1.5",)), (SOP_UID, ("1.6",))]
        moved = await move(requestor, keys=keys, level=Level.IMAGE)
    assert held.asked == [
        ("deliver", SUED, Order("FAR", (STUDY,), ("1.5",), ("1.6",), "VIEWER", 3, 0))
    ]
    assert {(p.remaining, p.completed, p.failed, p.warning) for p in moved.pending} == {
        (1, 0, 0, 0),
        (4, 1, 0, 0),
    }
    assert moved.end.status == 0xB000
    assert moved.counts == (None, 2, 2, 1)
    assert moved.failed == ("1.2.3", "1.2.4")


async def test_a_member_that_is_lost_midway_is_named_and_what_it_did_not_tell_has_failed() -> None:
    async def midway(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        await trio.lowlevel.checkpoint()
        tally.total, tally.completed = 5, 2
        tally.failed.append("1.2.3")
        raise OrderLost("The link has ended.")

    async def never(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        await trio.lowlevel.checkpoint()
        raise Unavailable("It cannot be dialled.")

    async with opened(shared(midway)) as door, door.called(pairs=PAIRS) as requestor:
        moved = await move(requestor)
    assert (moved.end.status, moved.end.comment) == (0xA702, "Sud WAS LOST MIDWAY")
    assert moved.counts == (None, 2, 3, 0)
    assert moved.failed == ("1.2.3",)

    async def foul(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        await trio.lowlevel.checkpoint()
        raise PeerFault("A Ping came.")

    async with opened(shared(foul)) as door, door.called(pairs=PAIRS) as requestor:
        moved = await move(requestor)
    assert (moved.end.status, moved.end.comment) == (0xA702, "Sud WAS LOST MIDWAY")
    async with opened(shared(never)) as door, door.called(pairs=PAIRS) as requestor:
        moved = await move(requestor)
    assert (moved.end.status, moved.end.comment) == (0xA702, "Sud CANNOT BE REACHED")
    assert moved.counts == (None, 0, 0, 0)


async def test_a_cancel_is_passed_on_and_the_rest_is_told_to_remain() -> None:
    under_way = trio.Event()

    async def work(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        tally.total, tally.completed = 9, 4
        under_way.set()
        await stop.wait()
        return Ending(0xFE00)

    async with opened(shared(work)) as door, door.called(pairs=PAIRS) as requestor:
        moved = await move(requestor, cancel=under_way)
    assert moved.end.status == 0xFE00
    assert moved.counts == (5, 4, 0, 0)


@pytest.mark.parametrize(
    ("ending", "total", "done", "status", "comment"),
    [
        (Ending(0), 0, 0, 0x0000, ""),
        (Ending(0), 3, 3, 0x0000, ""),
        (Ending(0), 3, 2, 0xA702, "Sud: IT HAS STOPPED MIDWAY"),
        (Ending(0xFE00), 3, 2, 0xA702, "Sud: IT HAS STOPPED MIDWAY"),
        (Ending(0xA702, "FAR is off"), 0, 0, 0xA702, "Sud: FAR is off"),
        (Ending(0xA801, "NOT SHARED ANY MORE"), 0, 0, 0xA801, "Sud: NOT SHARED ANY MORE"),
        (Ending(0xFF00, "a\x1bb"), 0, 0, 0xA702, "Sud: IT HAS STOPPED MIDWAY"),
    ],
)
async def test_only_a_c_moves_own_endings_are_taken_over_and_only_if_the_counts_agree(
    ending: Ending, total: int, done: int, status: int, comment: str
) -> None:
    async def work(order: Order, tally: Tally, stop: trio.Event) -> Ending:
        await trio.lowlevel.checkpoint()
        tally.total, tally.completed = total, done
        return ending

    async with opened(shared(work)) as door, door.called(pairs=PAIRS) as requestor:
        moved = await move(requestor)
    assert (moved.end.status, moved.end.comment) == (status, comment)
    assert moved.counts == (None, done, total - done, 0)


async def test_of_none_and_of_several_candidates_none_is_asked_and_the_log_names_them() -> None:
    held = mesh(1)
    held.sharing = {"TWO": (SUED, NORD)}
    with structlog.testing.capture_logs() as logs:
        async with opened(held) as door, door.called(pairs=PAIRS) as requestor:
            for title in ("TWO", "NONE"):
                assert (await move(requestor, title)).end.status == 0xA801
    unknown = [line for line in logs if line["event"] == "dicom_move_destination_unknown"]
    assert [line["candidates"] for line in unknown] == [["through Süd", "through Nord"], []]
    assert not held.asked


async def test_our_own_book_wins() -> None:
    held, receiver = mesh(5), FakeMesh()
    held.sharing = {"WARD": (SUED,)}
    async with opened(receiver, "WARD") as ward:
        book = Atlas(Known("WARD", ward.host, ward.port))
        async with opened(held, book=book) as door, door.called(pairs=PAIRS) as requestor:
            moved = await move(requestor, "WARD")
    assert moved.end.status == 0
    assert len(receiver.arrived) == 1
    assert "deliver" not in [what[0] for what in held.asked]  # type: ignore[index]


async def test_a_patients_studies_are_those_of_this_archive_and_none_is_no_order() -> None:
    nobody = shared(Courier, found=replace(FOUND, matches=(), report=None))
    async with opened(nobody) as door, door.called(pairs=PAIRS) as requestor:
        keys: list[tuple[int, Value]] = [(PATIENT_ID, ("12345678",))]
        moved = await move(requestor, keys=keys, level=Level.PATIENT, root=PATIENT_ROOT_MOVE)
    assert moved.end.status == 0
    assert [what[0] for what in nobody.asked] == ["find"]  # type: ignore[index]


async def test_more_uids_than_an_order_holds_are_a701() -> None:
    held = shared(Courier)
    keys: list[tuple[int, Value]] = [(STUDY_UID, tuple(f"1.2.{n}" for n in range(4097)))]
    async with opened(held) as door, door.called(pairs=PAIRS) as requestor:
        moved = await move(requestor, keys=keys)
    assert moved.end.status == 0xA701
    assert "4097 UIDs" in moved.end.comment
    assert not held.asked


# ---------------------------------------------------------------- where the machine is


def courier(held: FakeMesh, *known: Known) -> Courier:
    return Courier(held, Atlas(*known), lambda: ("SUED", "OTHER"), lambda: None)


ORDER = Order("WARD", (STUDY,), originator="VIEWER", originator_id=7)


async def test_an_order_is_carried_out_in_the_name_of_who_gave_it() -> None:
    held, receiver, tally = mesh(5, 70), FakeMesh(), Tally(0)
    held.held[entry(9, 1)] = None  # never comes
    async with opened(receiver, "WARD") as ward:
        send = courier(held, Known("WARD", ward.host, ward.port, shared=True))
        order = replace(ORDER, series=("1.2",), instances=("1.3",))
        assert await send(order, tally, trio.Event()) == Ending(0)
    assert tally == Tally(3, 2, 0, [f"{STUDY}.9"])
    assert held.asked == [("retrieve", STUDY, frozenset({"1.2"}), frozenset({"1.3"}))]
    assert receiver.asked[0][4] == "SUED"  # type: ignore[index]


async def test_without_studies_the_machine_is_only_asked_whether_it_is_there() -> None:
    held, tally = mesh(5), Tally(0)
    async with opened(FakeMesh(), "WARD") as ward:
        send = courier(
            held,
            Known("WARD", ward.host, ward.port, shared=True),
            Known("GONE", "127.0.0.1", 1, shared=True),
            Known("OURS", ward.host, ward.port),
            Known("SAFE", ward.host, ward.port, shared=True, tls=True),
            Known("TWO", ward.host, ward.port, shared=True),
            Known("TWO", ward.host, 1, shared=True),
        )
        assert await send(Order("WARD"), tally, trio.Event()) == Ending(0)
        gone = await send(Order("GONE"), tally, trio.Event())
        assert gone.status == 0xA702
        assert gone.comment == "GONE cannot be reached", "where it is concerns nobody else"
        safe = await send(Order("SAFE"), tally, trio.Event())
        assert safe == Ending(0xA702, NO_TLS)
        assert await send(replace(ORDER, destination="SAFE"), Tally(0), trio.Event()) == safe
        for title in ("OURS", "TWO", "NOBODY"):  # not shared, or not one
            assert (await send(Order(title), tally, trio.Event())).status == 0xA801
    assert not held.asked
    assert tally == Tally(0)


async def test_no_word_that_holds_the_machines_address_leaves_the_clinic() -> None:
    held = mesh(5)
    held.late_fault = Unavailable("What is at ward.clinic.example has said so.")
    send = courier(held, Known("WARD", "ward.clinic.example", 104, shared=True))
    ending = await send(ORDER, Tally(0), trio.Event())
    assert ending == Ending(0xA701, LATER)
    for what, told in (
        ("WARD cannot be reached at ward.clinic.example:104: refused.", "WARD cannot be reached"),
        ("WARD, which is ward.clinic.example, has hung up.", LATER),
        ("WARD has hung up.", "WARD has hung up."),
    ):
        fault = Unavailable(what)
        assert comment_on_machine(fault, "WARD", "ward.clinic.example", 104) == told


async def test_a_stop_ends_it_between_two_instances() -> None:
    held, receiver, tally, stop = mesh(5, 70), FakeMesh(), Tally(0), trio.Event()
    held.held[entry(9, 1)] = None
    held.hang = trio.Event()
    async with opened(receiver, "WARD") as ward, trio.open_nursery() as nursery:

        async def later() -> None:
            assert held.hang is not None
            await held.hang.wait()
            stop.set()

        nursery.start_soon(later)
        send = courier(held, Known("WARD", ward.host, ward.port, shared=True))
        assert await send(ORDER, tally, stop) == Ending(0xFE00)
    assert tally == Tally(3, 2)
    assert tally.remaining == 1


async def test_a_fault_of_our_own_ends_one_order_and_nothing_else() -> None:
    class Broken(FakeMesh):
        def retrieve(self, *args: object, **options: object) -> None:  # type: ignore[override]
            raise KeyError(args)

    send = courier(Broken(), Known("WARD", "127.0.0.1", 1, shared=True))
    with structlog.testing.capture_logs() as logs:
        ending = await send(ORDER, Tally(0), trio.Event())
    assert ending == Ending(0xA702, "IT HAS MET A FAULT OF ITS OWN")
    assert [line["event"] for line in logs] == ["delivery_failed"]


async def test_an_order_that_comes_to_too_many_instances_is_a701(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshpacs.gateways.dicom.courier.DELIVERY_INSTANCES", 1)
    send = courier(mesh(5, 70), Known("WARD", "127.0.0.1", 1, shared=True))
    assert (await send(ORDER, Tally(0), trio.Event())).status == 0xA701


# ---------------------------------------------------------------- real nodes and programs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def shares(house: House, title: str, host: str, port: int) -> None:
    """The house has this machine in its book, shared."""
    book = Atlas(Known(title, host, port, shared=True))
    send = Courier(house.up.mesh, book, lambda: ("SUED",), lambda: None)
    await house.up.mesh.share((title,), send)


async def seen(house: House, title: str, *sharers: House) -> None:
    """Until the house knows exactly these to share it."""
    nodes: tuple[NodeId, ...] = tuple(sorted(sharer.up.node_id for sharer in sharers))
    with trio.fail_after(10):
        while house.up.mesh.sharers(title) != nodes:
            await trio.sleep(0.01)


@pytest.mark.timeout(180)
async def test_movescu_to_a_machine_of_another_clinic_of_a_study_that_a_third_one_holds(
    tmp_path: Path,
) -> None:
    port = free_port()
    files = study_of(7)
    async with street(tmp_path) as houses, storescp(tmp_path / "got", port):
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        ost = await houses.member("Ost", nord)
        await ost.take_in(tmp_path / "o", files)
        await shares(sued, "WARD", "127.0.0.1", port)
        for house in (nord, ost):
            await seen(house, "WARD", sued)
        async with opened(nord.up.mesh) as door:
            said = await dcmtk("movescu", door, "-aem", "WARD", *WANTED)
            assert "Received Final Move Response (Success)" in said
            nobody = await dcmtk_fails("movescu", door, "-aem", "NOBODY", *WANTED)
            assert "MoveDestinationUnknown" in nobody.stdout
            # Another one says that it shares a machine of that title: which is meant?
            await shares(ost, "WARD", "127.0.0.1", port)
            await seen(nord, "WARD", sued, ost)
            several = await dcmtk_fails("movescu", door, "-aem", "WARD", *WANTED)
            assert "MoveDestinationUnknown" in several.stdout
            # Withdrawn by a record of a higher number.
            await ost.up.mesh.share(
                (), Courier(ost.up.mesh, Atlas(), lambda: ("OST",), lambda: None)
            )
            await seen(nord, "WARD", sued)
        # What is shared survives a stop, before the book is read again.
        await sued.stop()
        await sued.start()
        await seen(nord, "WARD", sued)
        record = sued.up.rooms.roster.record(sued.up.node_id)
        assert record is not None
        assert record.record.destinations == ("WARD",)
        async with opened(nord.up.mesh) as door:
            early = await dcmtk_fails("movescu", door, "-d", "-aem", "WARD", *WANTED)
            assert "IT HAS NOT STARTED YET" in early.stdout
    got = sorted(pixels(path) for path in (tmp_path / "got").iterdir())
    assert got == sorted(pixels(io.BytesIO(data)) for data in files.values())


@pytest.mark.timeout(180)
async def test_a_declaring_member_that_dies_midway_is_named(tmp_path: Path) -> None:
    files = {f"{n}.dcm": instance(n, size=1_200_000) for n in range(INSTANCES)}
    receiver = FakeMesh()
    async with street(tmp_path) as houses, opened(receiver, "WARD") as ward:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await nord.take_in(tmp_path / "n", files)
        await shares(sued, "WARD", ward.host, ward.port)
        await seen(nord, "WARD", sued)
        async with (
            opened(nord.up.mesh) as door,
            door.called(pairs=PAIRS) as requestor,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(dies, sued, sued)
            keys: list[tuple[int, Value]] = [(STUDY_UID, ("1.2.826.0.1.7",))]
            moved = await move(requestor, "WARD", keys)
        assert moved.end.status == 0xA702
        assert moved.end.comment == "Sud WAS LOST MIDWAY"
        completed = moved.end.completed or 0
        assert completed < INSTANCES
        assert completed <= len(receiver.arrived)
        # And the next one is told at once.
        async with opened(nord.up.mesh) as door, door.called(pairs=PAIRS) as requestor:
            moved = await move(requestor, "WARD", keys)
        assert (moved.end.status, moved.end.comment) == (0xA702, "Sud CANNOT BE REACHED")


@pytest.mark.timeout(180)
async def test_a_cancelled_move_stops_the_other_member(tmp_path: Path) -> None:
    files = {f"{n}.dcm": instance(n, size=1_200_000) for n in range(INSTANCES)}
    receiver = FakeMesh()
    async with street(tmp_path) as houses, opened(receiver, "WARD") as ward:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await nord.take_in(tmp_path / "n", files)
        await shares(sued, "WARD", ward.host, ward.port)
        await seen(nord, "WARD", sued)
        under_way = trio.Event()

        async def watch() -> None:
            while not receiver.arrived:
                await trio.sleep(0.001)
            under_way.set()

        async with (
            opened(nord.up.mesh) as door,
            door.called(pairs=PAIRS) as requestor,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(watch)
            keys: list[tuple[int, Value]] = [(STUDY_UID, ("1.2.826.0.1.7",))]
            moved = await move(requestor, "WARD", keys, cancel=under_way)
    assert moved.end.status == 0xFE00
    remaining, completed = moved.end.remaining or 0, moved.end.completed or 0
    assert remaining > 0
    assert remaining + completed == INSTANCES
    assert len(receiver.arrived) == completed


@pytest.mark.timeout(180)
async def test_who_may_use_shared_machines_is_said_by_the_one_who_shares(tmp_path: Path) -> None:
    port = free_port()
    async with street(tmp_path) as houses, storescp(tmp_path / "got", port):
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        ost = await houses.member("Ost", nord)
        await nord.take_in(tmp_path / "n", study_of(1))
        await shares(sued, "WARD", "127.0.0.1", port)
        for house in (nord, ost):
            await seen(house, "WARD", sued)

        async def asked(house: House) -> Ending:
            order = Order("WARD")
            node = sued.up.node_id
            return await house.up.mesh.deliver(node, order, Tally(0), trio.Event())

        config = sued.up.config
        refused = Ending(0xA702, "THIS MEMBER MAY NOT USE ITS DESTINATIONS")
        hexadecimal = ost.up.node_id.hex()
        for allowed, of_nord, of_ost in (
            (("*",), Ending(0), Ending(0)),
            ((), refused, refused),
            ((" ost",), refused, Ending(0)),
            ((hexadecimal.upper(),), refused, Ending(0)),
            ((hexadecimal[:8], "Nord"), Ending(0), refused),
        ):
            config.config = replace(config.config, shared_for=allowed)
            assert (await asked(nord), await asked(ost)) == (of_nord, of_ost), allowed
        # A second Ost is neither the one that was meant.
        twin = houses.house("OST")
        await twin.join(await nord.invite())
        await twin.start()
        await seen(twin, "WARD", sued)
        config.config = replace(config.config, shared_for=("Ost",))
        with trio.fail_after(10):
            while sued.up.rooms.twins() == {}:
                await trio.sleep(0.01)
        assert (await asked(twin), await asked(ost)) == (refused, refused)
        config.config = replace(config.config, shared_for=("*",))
        # A relay carries queries; it neither asks for deliveries nor makes any.
        relay = houses.house("Relais")
        await relay.join((await nord.up.mesh.invite(Role.RELAY, local=True)).text)
        await relay.start()
        await seen(relay, "WARD", sued)
        with trio.fail_after(10):
            while relay.up.node_id not in sued.up.rooms.roster.members():
                await trio.sleep(0.01)
        assert await asked(relay) == Ending(0xA702, "NOT OF ROLE MEMBER")
        await shares(relay, "RELAYED", "127.0.0.1", port)
        with trio.fail_after(10):
            while not nord.up.rooms.roster.members()[relay.up.node_id].destinations:
                await trio.sleep(0.01)
        assert nord.up.mesh.sharers("RELAYED") == ()
        assert [view.title for view in await nord.up.mesh.shared()] == ["WARD"]
        with pytest.raises(LocalFault, match="No member shares RELAYED"):
            await nord.up.mesh.check_shared("RELAYED")
        # So many at once, and no more.
        async with trio.open_nursery() as nursery:
            enough, begun = trio.Event(), []

            async def slow(order: Order, tally: Tally, stop: trio.Event) -> Ending:
                begun.append(order)
                await stop.wait()
                return Ending(0xFE00)

            await sued.up.mesh.share(("WARD",), slow)

            async def one() -> None:
                ending = await ost.up.mesh.deliver(sued.up.node_id, Order("WARD"), Tally(0), enough)
                assert ending == Ending(0xFE00)

            for _ in range(DELIVERIES_OF_ONE):
                nursery.start_soon(one)
            with trio.fail_after(10):
                while len(begun) < DELIVERIES_OF_ONE:
                    await trio.sleep(0.01)
            assert await asked(ost) == Ending(0xA702, "TOO MANY ORDERS AT ONCE")
            enough.set()


@pytest.mark.timeout(180)
async def test_a_check_says_whether_the_machine_or_the_member_is_at_fault_and_a_breach_is_blamed(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses, opened(FakeMesh(), "WARD") as ward:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await shares(sued, "WARD", ward.host, ward.port)
        await seen(nord, "WARD", sued)
        assert (await nord.up.mesh.check_shared("WARD")).name == "Süd"
        await shares(sued, "WARD", ward.host, free_port())
        with pytest.raises(Unavailable, match=r"Süd, which says: WARD cannot be reached\. "):
            await nord.up.mesh.check_shared("WARD")
        blamed = sued.up.rooms.meters.of(nord.up.node_id)
        async with nord.up.rooms.switchboard.delivery(sued.up.node_id) as link:
            await link.send(Ping(1))
            with trio.fail_after(10):
                while not blamed.blamed:
                    await trio.sleep(0.01)

        async def lying(order: Order, tally: Tally, stop: trio.Event) -> Ending:
            await trio.lowlevel.checkpoint()
            tally.total, tally.completed = 1, 2
            return Ending(0)

        await sued.up.mesh.share(("WARD",), lying)
        with pytest.raises(Unavailable, match="and that node not: A delivery counts 2 of 1"):
            await nord.up.mesh.check_shared("WARD")
        assert nord.up.rooms.meters.of(sued.up.node_id).blamed == 1
        await sued.stop()
        with pytest.raises(Unavailable, match="is reached through Süd, and that node not"):
            await nord.up.mesh.check_shared("WARD")
