"""One order over a delivery link: placed by one member, carried out by another (PROTOCOL 12).

The link is the order: where it ends before the end was said, nobody waits any more, and what had
not been sent stays unsent.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from meshpacs.links.transfer import Pipe
from meshpacs.model.delivery import Ending, Order, Tally, is_uid
from meshpacs.model.errors import PeerFault, Unavailable, fault_within
from meshpacs.model.limits import DELIVERY_FAILED, DELIVERY_INSTANCES
from meshpacs.wire.messages import (
    Deliver,
    Delivered,
    Delivering,
    Message,
    StopDelivering,
    Unsupported,
)

BEAT_S = 2.0
"""Seconds between two words of how far it is, at most: a sign of life. A guess."""

NEWS_S = 0.25
"""Seconds after which what has changed is told. A guess: so much of what was done is not known
to have been where who did it is lost."""

SILENT_S = 20.0
"""Seconds without a word after which who carries out an order counts as lost: ten beats. As long
as a bulk link is given. A guess."""

ORDER_S = 20.0
"""Seconds that who has dialled has to say its order. A guess."""

GOODBYE_S = 5.0
"""Seconds that the other side has to hear the end before the link is closed: closed at once, a
word of its that had not been read would take the end with it. A guess."""

COMMENT_CHARACTERS = 256
"""Of an ending's comment; DICOM shows 64. A guess."""

STATUS_MOST = 0xFFFF

CarryOut = Callable[[Order, Tally, trio.Event], Awaitable[Ending]]
"""Sends what was ordered and keeps the tally; stops between two instances once the event is set.
Raises nothing but for its own mistakes."""


# ---------------------------------------------------------------- placing


async def place(pipe: Pipe, order: Order, tally: Tally, stop: trio.Event) -> Ending:
    """Have an order carried out at the other end; the tally follows. `stop` ends it early.

    Raises:
        Unavailable: the link is lost, nothing comes any more, or that version takes no orders.
        PeerFault: what came breaks the protocol.
    """
    with _plainly():
        async with trio.open_nursery() as nursery:
            await _send(pipe, Deliver(order), f"It has not read the order for {SILENT_S:.0f} s.")
            nursery.start_soon(_pass_on, pipe, stop)
            ending = await _follow(pipe, tally)
            nursery.cancel_scope.cancel()
    return ending


@contextmanager
def _plainly() -> Iterator[None]:
    """Raise the fault that a nursery's group stands for."""
    try:
        yield
    except BaseExceptionGroup as group:
        fault = fault_within(group)
        if fault is None:
            raise
        raise fault from group


async def _send(pipe: Pipe, message: Message, else_lost: str) -> None:
    with trio.move_on_after(SILENT_S):
        await pipe.send(message)
        return
    raise Unavailable(else_lost, "Is it frozen?")


async def _pass_on(pipe: Pipe, stop: trio.Event) -> None:
    await stop.wait()
    await pipe.send(StopDelivering())


async def _follow(pipe: Pipe, tally: Tally) -> Ending:
    while True:
        message = None
        with trio.move_on_after(SILENT_S):
            message = await pipe.receive()
        match message:
            case None:
                raise Unavailable(f"It has said nothing for {SILENT_S:.0f} s.", "Is it frozen?")
            case Delivering():
                _take(tally, message)
            case Delivered(ending):
                if ending.status > STATUS_MOST or len(ending.comment) > COMMENT_CHARACTERS:
                    raise PeerFault("A delivery ends in what is no status, or in too many words.")
                return ending
            case Unsupported():
                raise Unavailable("Its version takes no orders.", "Update meshpacs there.")
            case _:
                raise PeerFault(f"A {type(message).__name__} came on a link for a delivery.")


def _take(tally: Tally, news: Delivering) -> None:
    """What it says must go on from what it has said, and be possible (PROTOCOL 12.4)."""
    done = news.completed + news.warning + len(tally.failed) + len(news.failed)
    if news.total > DELIVERY_INSTANCES or done > news.total:
        raise PeerFault(f"A delivery counts {done} of {news.total} instances.")
    if tally.total not in (0, news.total):
        raise PeerFault(f"A delivery's total was {tally.total} and is now {news.total}.")
    if news.completed < tally.completed or news.warning < tally.warning:
        raise PeerFault("A delivery counts backwards.")
    if len(news.failed) > DELIVERY_FAILED or not all(map(is_uid, news.failed)):
        raise PeerFault("A delivery names too many failed instances at once, or what is no UID.")
    tally.total, tally.completed, tally.warning = news.total, news.completed, news.warning
    for sop_uid in news.failed:
        tally.fail(sop_uid, "The member that sends has failed; its log says why.")


# ---------------------------------------------------------------- carrying out


async def take_order(pipe: Pipe) -> Order:
    """What the other end wants.

    Raises:
        Unavailable: the link is lost, or nothing comes.
        PeerFault: something else came, or an order that nobody can carry out.
    """
    with trio.move_on_after(ORDER_S):
        message = await pipe.receive()
        if not isinstance(message, Deliver):
            raise PeerFault(f"A {type(message).__name__} came where an order was due.")
        fault = message.order.fault()
        if fault:
            raise PeerFault(fault)
        return message.order
    raise Unavailable(f"No order came within {ORDER_S:.0f} s.")


async def carry_out(pipe: Pipe, order: Order, work: CarryOut) -> Ending:
    """Do what was ordered, and say how far it is; given up at once where the link ends.

    Raises:
        Unavailable: the link was lost before the end.
        PeerFault: what came breaks the protocol.
    """
    errand = _Errand(pipe)
    with _plainly():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(errand.hear)
            nursery.start_soon(errand.beat)
            ending = await work(order, errand.tally, errand.stop)
            await errand.end(ending)
            nursery.cancel_scope.cancel()
    return ending


class _Errand:
    """The link while an order is carried out. Nothing is cancelled in the middle of a message."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._named = 0
        """How many of the failed instances were named."""
        self._told = (0, 0, 0)
        self._over = trio.Event()
        self._quiet = trio.Event()
        self._gone = trio.Event()
        self.tally = Tally(0)
        self.stop = trio.Event()

    async def hear(self) -> None:
        """Listen until the other end has gone, which is a loss before the end was said."""
        while True:
            try:
                message = await self._pipe.receive()
            except Unavailable:
                self._gone.set()
                if self._over.is_set():
                    return
                raise
            if not isinstance(message, StopDelivering):
                raise PeerFault(f"A {type(message).__name__} came while an order is carried out.")
            self.stop.set()

    async def beat(self) -> None:
        """Say how far it is, now and then."""
        told_s = -math.inf
        while not self._over.is_set():
            if self._fresh() or trio.current_time() >= told_s + BEAT_S:
                await self._tell()
                told_s = trio.current_time()
            with trio.move_on_after(NEWS_S):
                await self._over.wait()
        self._quiet.set()

    async def end(self, ending: Ending) -> None:
        """Say the last counts and the end, and let it be heard."""
        self._over.set()
        await self._quiet.wait()
        await self._tell()
        await self._send(Delivered(ending))
        with trio.move_on_after(GOODBYE_S):
            await self._gone.wait()

    def _fresh(self) -> bool:
        tally = self.tally
        counts = (tally.total, tally.completed, tally.warning)
        return counts != self._told or len(tally.failed) > self._named

    async def _tell(self) -> None:
        """All that is new, in as many messages as it takes."""
        tally = self.tally
        while True:
            new = tuple(tally.failed[self._named : self._named + DELIVERY_FAILED])
            self._named += len(new)
            self._told = (tally.total, tally.completed, tally.warning)
            # Not more failed ones than were named: the rest of this says the others.
            await self._send(Delivering(tally.total, tally.completed, tally.warning, new))
            if self._named >= len(tally.failed):
                return

    async def _send(self, message: Message) -> None:
        await _send(self._pipe, message, f"Whoever ordered has not read for {SILENT_S:.0f} s.")
