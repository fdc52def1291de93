"""An order over a delivery link: progress, end, cancel, silence, and nothing that cannot be."""

import contextlib
import random

import pytest
import trio
import trio.testing

from meshpacs.links.delivery import (
    GOODBYE_S,
    ORDER_S,
    SILENT_S,
    carry_out,
    place,
    take_order,
)
from meshpacs.model.delivery import Ending, Order, Tally
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.limits import DELIVERY_FAILED, DELIVERY_INSTANCES
from meshpacs.wire.messages import (
    Deliver,
    Delivered,
    Delivering,
    Message,
    Ping,
    StopDelivering,
    Unsupported,
)
from tests.links.pipes import End, pipe

ORDER = Order("CT1", ("1.2",), originator="VIEWER", originator_id=7)
DONE = Ending(0)
Clock = trio.testing.MockClock


async def serve(end: End, work: object) -> None:
    try:
        await carry_out(end, await take_order(end), work)  # type: ignore[arg-type]
    except Unavailable:
        return


async def test_the_tally_follows_and_the_end_is_told(autojump_clock: Clock) -> None:
    mine, theirs = pipe()
    tally = Tally(0)

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        assert order == ORDER
        counts.total = 3
        counts.completed = 1
        await trio.sleep(0.3)
        assert (tally.total, tally.completed) == (3, 1), "it was told meanwhile"
        said = len(theirs.sent)
        await trio.sleep(9.9)
        assert len(theirs.sent) - said in (4, 5), "where nothing is new it is told every 2 s"
        counts.warning += 1
        counts.failed.append("1.2.3")
        return Ending(0xA702, "gone")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs, work)
        assert await place(mine, ORDER, tally, trio.Event()) == Ending(0xA702, "gone")
        mine.cut()
    assert tally == Tally(3, 1, 1, ["1.2.3"])
    assert (tally.remaining, tally.failures) == (0, 1)


async def test_more_failures_than_fit_a_message_are_all_told(autojump_clock: Clock) -> None:
    mine, theirs = pipe()
    tally = Tally(0)
    uids = [f"1.2.{number}" for number in range(2 * DELIVERY_FAILED + 1)]

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        counts.total = len(uids)
        counts.failed.extend(uids)
        await trio.lowlevel.checkpoint()
        return DONE

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs, work)
        assert await place(mine, ORDER, tally, trio.Event()) == DONE
        mine.cut()
    assert tally.failed == uids


async def test_a_cancel_is_passed_on_and_the_end_still_comes(autojump_clock: Clock) -> None:
    mine, theirs = pipe()
    tally, stop = Tally(0), trio.Event()

    async def work(order: Order, counts: Tally, stopped: trio.Event) -> Ending:
        counts.total, counts.completed = 9, 4
        stop.set()
        await stopped.wait()
        return Ending(0xFE00)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs, work)
        assert await place(mine, ORDER, tally, stop) == Ending(0xFE00)
        mine.cut()
    assert (tally.completed, tally.remaining) == (4, 5)


async def test_who_is_killed_or_silent_midway_is_lost_and_the_counts_stay(
    autojump_clock: Clock,
) -> None:
    for killed in (True, False):
        mine, theirs = pipe()
        tally = Tally(0)

        async def half(end: End = theirs, kill: bool = killed) -> None:
            await end.receive()
            await end.send(Delivering(5, 2, 0))
            await trio.sleep(1)
            if kill:
                end.cut()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(half)
            began_s = trio.current_time()
            with pytest.raises(Unavailable, match="ended" if killed else "said nothing for 20 s"):
                await place(mine, ORDER, tally, trio.Event())
            assert trio.current_time() - began_s == pytest.approx(1 if killed else SILENT_S)
        assert tally == Tally(5, 2)


async def test_where_the_orderer_goes_the_work_is_given_up(autojump_clock: Clock) -> None:
    mine, theirs = pipe()
    given_up = trio.Event()

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        try:
            await trio.sleep(3600)
        finally:
            given_up.set()
        return DONE

    async with trio.open_nursery() as nursery:
        await mine.send(Deliver(ORDER))
        nursery.start_soon(serve, theirs, work)
        await trio.sleep(3)
        mine.cut()
        with trio.fail_after(1):
            await given_up.wait()


async def test_who_does_not_read_is_given_up_too(autojump_clock: Clock) -> None:
    mine, theirs = pipe(1)

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        await trio.sleep(3600)
        return DONE

    await mine.send(Deliver(ORDER))
    order = await take_order(theirs)
    with pytest.raises(Unavailable, match="has not read"):
        await carry_out(theirs, order, work)


async def test_who_does_not_even_read_the_order_is_lost(autojump_clock: Clock) -> None:
    mine, _theirs = pipe(0)
    with pytest.raises(Unavailable, match="has not read the order"):
        await place(mine, ORDER, Tally(0), trio.Event())


async def test_once_the_end_is_said_a_link_that_nobody_closes_is_closed(
    autojump_clock: Clock,
) -> None:
    mine, theirs = pipe()

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        await trio.lowlevel.checkpoint()
        return Ending(0xA702, "NO")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs, work)
        tally = Tally(0)
        assert await place(mine, ORDER, tally, trio.Event()) == Ending(0xA702, "NO")
        began_s = trio.current_time()
    assert trio.current_time() - began_s == pytest.approx(GOODBYE_S)
    assert tally == Tally(0)


WRONG: list[tuple[list[Message], type[Exception], str]] = [
    ([Delivering(2, 3, 0)], PeerFault, "counts 3 of 2"),
    ([Delivering(1, 1, 0, ("1.2",))], PeerFault, "counts 2 of 1"),
    ([Delivering(DELIVERY_INSTANCES + 1, 0, 0)], PeerFault, "counts 0 of"),
    ([Delivering(3, 0, 0), Delivering(4, 0, 0)], PeerFault, "was 3 and is now 4"),
    ([Delivering(3, 2, 0), Delivering(3, 1, 0)], PeerFault, "backwards"),
    ([Delivering(3, 2, 1), Delivering(3, 2, 0)], PeerFault, "backwards"),
    ([Delivering(3, 0, 0, ("1\\2",))], PeerFault, "no UID"),
    (
        [Delivering(DELIVERY_INSTANCES, 0, 0, ("1.2",) * (DELIVERY_FAILED + 1))],
        PeerFault,
        "too many failed",
    ),
    ([Delivered(Ending(0x10000))], PeerFault, "no status"),
    ([Delivered(Ending(0, "x" * 257))], PeerFault, "too many words"),
    ([Ping(1)], PeerFault, "Ping"),
    ([Unsupported(19)], Unavailable, "takes no orders"),
]


@pytest.mark.parametrize(("said", "fault", "words"), WRONG, ids=[w for _, _, w in WRONG])
async def test_what_cannot_be_is_a_breach(
    said: list[Message], fault: type[Exception], words: str
) -> None:
    mine, theirs = pipe()
    for message in said:
        await theirs.send(message)
    with pytest.raises(fault, match=words):
        await place(mine, ORDER, Tally(0), trio.Event())


async def test_something_else_than_an_order_or_one_that_cannot_be_carried_out_is_a_breach(
    autojump_clock: Clock,
) -> None:
    for message, words in ((Ping(1), "Ping"), (Deliver(Order("A\\B")), "no AE title")):
        mine, theirs = pipe()
        await mine.send(message)
        with pytest.raises(PeerFault, match=words):
            await take_order(theirs)
    _, theirs = pipe()
    with pytest.raises(Unavailable, match=f"within {ORDER_S:.0f} s"):
        await take_order(theirs)


async def test_something_else_than_a_stop_is_a_breach_and_ends_the_work() -> None:
    mine, theirs = pipe()

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        await trio.sleep(3600)
        return DONE

    await mine.send(StopDelivering())
    await mine.send(Ping(1))
    with pytest.raises(PeerFault, match="Ping"):
        await carry_out(theirs, ORDER, work)


async def test_a_mistake_of_our_own_is_not_taken_for_a_loss() -> None:
    _, theirs = pipe()

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        await trio.lowlevel.checkpoint()
        raise KeyError

    with pytest.raises(ExceptionGroup):
        await carry_out(theirs, ORDER, work)

    class Bad(End):
        async def receive(self) -> Message:
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await place(Bad(theirs._out, theirs._in), ORDER, Tally(0), trio.Event())


def said_at_random(draw: random.Random) -> Message:
    """A message of a delivery, with counts and names that may be wrong."""
    number = draw.choice((0, 0, 1, 2, 3, DELIVERY_INSTANCES, 2**62))
    uids = tuple(draw.choice(("1.2", "", "Süd", "9" * 65)) for _ in range(draw.randrange(3)))
    return draw.choice(
        (
            Deliver(Order("CT1", uids, originator_id=number)),
            Delivering(number, draw.choice((0, 1, number)), 0, uids),
            Delivering(3, draw.randrange(3), 0),
            Delivered(Ending(number % 70_000, "x" * draw.choice((0, 300)))),
            StopDelivering(),
            Ping(1),
        )
    )


@pytest.mark.parametrize("seed", range(200))
async def test_no_conversation_at_random_is_worse_than_a_breach_or_a_loss(
    seed: int, autojump_clock: Clock
) -> None:
    print("seed", seed)
    draw = random.Random(seed)
    mine, theirs = pipe()
    for _ in range(draw.randrange(8)):
        await theirs.send(said_at_random(draw))
    theirs.cut()
    tally = Tally(0)
    with contextlib.suppress(PeerFault, Unavailable):
        await place(mine, ORDER, tally, trio.Event())
    assert 0 <= tally.completed + tally.warning + tally.failures <= tally.total
    assert tally.total <= DELIVERY_INSTANCES
    assert set(tally.failed) <= {"1.2"}

    async def work(order: Order, counts: Tally, stop: trio.Event) -> Ending:
        assert not order.fault()
        with trio.move_on_after(draw.random()):
            await stop.wait()
        return DONE

    here, there = pipe()
    for _ in range(draw.randrange(4)):
        await there.send(said_at_random(draw))
    there.cut()
    with contextlib.suppress(PeerFault, Unavailable):
        await carry_out(here, await take_order(here), work)
