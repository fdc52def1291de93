"""A network whose lines have a width: messages wait behind each other, and full outboxes drop.

A message crosses up to three ways one after the other, its sender's line up, the link's own
direction, its receiver's line down, each first in, first out. Its bytes flow through: a way that is
free begins with the first byte and ends no earlier than the way before. Until it begins to leave,
and while it waits before the receiver's line (which TCP tells its sender), it lies in the sender's
outbox for that link, as `meshpacs.links.link` has one, with the same limits; and like that one's,
it is lost with its link. Sockets' own buffers, acknowledgements and packets' headers are left out.

Only worlds with `Conditions` have such a network; each message costs an event more, two if it had
to wait for its sender's line, and is encoded.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import SECOND, Micros
from meshpacs.model.limits import OUTBOX_BYTES, OUTBOX_CONTROL_SLOTS, OUTBOX_SLOTS, RECORD_BYTES
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import Message, Part
from meshpacs_sim.world.acts import Act, Arrive, Call, Fin, Script
from meshpacs_sim.world.conditions import Conditions
from meshpacs_sim.world.measures import FRAME_BYTES
from meshpacs_sim.world.network import Channel, Latencies, Network, Push

RECORD_HEAD_BYTES = 18
"""What encryption adds to each record: its length and a tag. PROTOCOL 2.2. Messages that are sent
at the same moment share records, so a busy link carries a little less than is counted here."""

SIGNAL_BYTES = 256
"""What else goes over a line for a dial, its answer or a farewell: handshakes, FINs. A guess."""

SEGMENT_BYTES = 1_448
"""Of a stream, in one packet: Ethernet's 1,500 less IPv4's and TCP's heads with time stamps."""

QUICK = 3
"""Segments that must follow a lost one for it to be missed at once (RFC 5681: three duplicates)."""

RETRIES = 6
"""Losses in a row that are drawn for one message. A guess: more is a link that is lost."""

_REACH = Script.KIND + 1
"""Kinds from here on: that of a message, while it stands before its receiver's line."""

_MILLION = 1_000_000


@dataclass(slots=True)
class Way:
    """A width in bits a second, first in, first out; 0 for none."""

    bps: int
    free: Micros = 0
    """When what was taken so far is through."""
    bytes: int = 0
    """Taken so far."""

    def carry(self, first: Micros, last: Micros, size: int) -> tuple[Micros, Micros]:
        """When it begins and is through with bytes of which the first and last come then."""
        self.bytes += size
        if not self.bps:
            return first, last
        begin = max(first, self.free)
        self.free = through = max(last, begin - (-size * 8 * SECOND // self.bps))
        return begin, through


@dataclass(slots=True)
class Parcel:
    """One message on its way."""

    channel: Channel
    act: Act
    size: int
    sequence: int = 0
    start: Micros | None = None
    """When it leaves the outbox; None while it waits for its sender's line."""
    first: Micros = 0
    last: Micros = 0
    """When its first and last byte stand before the receiver's line."""
    withdrawn: bool = False
    """It never left: its sender has died, or its link, or the road has clogged first."""


@dataclass(slots=True)
class Uplink(Way):
    """A host's line from it, and what waits for it."""

    queue: deque[Parcel] = field(default_factory=deque)
    armed: bool = False
    """Whether it will be looked after when it is free."""


@dataclass(slots=True)
class Pipe:
    """What one direction of one link has beside its latencies."""

    way: Way
    loss_ppm: int
    salt: int
    """Tells the draws of control links from those of direct ones."""
    outbox: deque[Parcel] = field(default_factory=deque)
    """What was sent and may not have left yet."""
    ahead: deque[tuple[Micros, int]] = field(default_factory=deque)
    """What waits before the receiver's line: until when, and bytes."""
    bytes: int = 0
    """Of both, and of what waits for a clogged road."""
    leaves: Micros = 0
    """When the last that was sent leaves the outbox: no later one may before."""
    settled: Micros = 0
    """When the last that has left arrives."""

    def tidy(self, now: Micros) -> None:
        """Forget what has left."""
        outbox = self.outbox
        while outbox and outbox[0].start is not None and outbox[0].start <= now:
            parcel = outbox.popleft()
            self.bytes -= parcel.size
            self.settled = parcel.last
        while self.ahead and self.ahead[0][0] <= now:
            self.bytes -= self.ahead.popleft()[1]


class Lines(Network):
    """The network of a world with `Conditions`."""

    def __init__(
        self,
        seed: int,
        size: int,
        latency: Latencies,
        push: Push,
        conditions: Conditions,
        clock: Callable[[], Micros],
    ) -> None:
        """Nothing has been sent."""
        super().__init__(seed, size, latency, push)
        self._conditions = conditions
        self._clock = clock
        access = conditions.access(seed, size)
        self.up = [Uplink(line.up_bps) for line in access]
        """Each host's line, from it."""
        self.down = [Way(line.down_bps) for line in access]
        """Each host's line, to it."""
        self._unlike = {(road.src, road.dst): road for road in conditions.roads}
        self._pipes: dict[int, Pipe] = {}
        """By the identity of their channels, which are kept as long."""
        self._later = 0
        self._weighed: tuple[Message | None, int] = (None, 0)

    # ------------------------------------------------------------ sending

    def post(self, channel: Channel, act: Act, now: Micros) -> bool:
        """As any network's, but an outbox fills also where a line is slow."""
        if isinstance(act, Arrive | Call) and self._full(channel, act.message, now):
            channel.dropped += 1
            return False
        if channel.clogs:
            channel.waiting.append(act)
            self._pipe(channel).bytes += self._size(act)
        elif not (isinstance(act, Arrive | Fin) and act.serial <= channel.vanished):
            self.launch(channel, act, now)
        return True

    def _full(self, channel: Channel, message: Message, now: Micros) -> bool:
        """Whether a road's outbox has no room for this message."""
        pipe = self._pipe(channel)
        pipe.tidy(now)
        waiting = len(channel.waiting) + len(pipe.outbox) + len(pipe.ahead)
        # Rows may not use the slots that are kept for everything else (limits.py).
        slots = OUTBOX_SLOTS - OUTBOX_CONTROL_SLOTS * isinstance(message, Part)
        return waiting >= slots or pipe.bytes + self._weight(message) > OUTBOX_BYTES

    def launch(self, channel: Channel, act: Act, now: Micros) -> None:
        """Put something on the sender's line, behind what is there."""
        pipe, up = self._pipe(channel), self.up[channel.src]
        parcel = Parcel(channel, act, self._size(act))
        pipe.outbox.append(parcel)
        pipe.bytes += parcel.size
        if up.queue or up.free > now:
            up.queue.append(parcel)
            self._arm(channel.src)
        else:
            self._depart(parcel, now)

    def _arm(self, host: int) -> None:
        """Look after a host's line when it is free, if anything waits for it."""
        up = self.up[host]
        while up.queue and up.queue[0].withdrawn:
            up.queue.popleft()
        if up.queue and not up.armed:
            up.armed = True
            self._at(up.free, partial(self._freed, host))

    def _freed(self, host: int) -> None:
        up = self.up[host]
        up.armed = False
        while up.queue and up.queue[0].withdrawn:
            up.queue.popleft()
        if up.queue:
            self._depart(up.queue.popleft(), self._clock())
            self._arm(host)

    def _depart(self, parcel: Parcel, now: Micros) -> None:
        """A message begins to go over its sender's line; when it arrives is known from here on."""
        channel, size = parcel.channel, parcel.size
        pipe = self._pipe(channel)
        _, sent = self.up[channel.src].carry(now, now, size)
        start, sent = pipe.way.carry(now, sent, size)
        latency_us = channel.latency_us
        last = sent + latency_us + self._stall(channel, pipe, size)
        last = max(last, channel.busy_until + channel.pace_us)
        through_us = sent - start
        # Whatever holds it up on the road, a stall or a slow reader, keeps it in the outbox.
        pipe.leaves = max(pipe.leaves, last - latency_us - through_us)
        channel.busy_until = last
        channel.sequence += 1
        parcel.sequence, parcel.start = channel.sequence, pipe.leaves
        parcel.first, parcel.last = last - through_us, last
        reach = Script(partial(self._reach, parcel))
        kind = _REACH + parcel.act.KIND
        self._push((last, channel.dst, channel.src, channel.sequence, kind, reach))

    def launch_in(self, channel: Channel, act: Act, now: Micros, delay_us: Micros) -> None:
        """The same after a while, so that nobody waits behind it until then."""
        self._at(now + delay_us, lambda: self.launch(channel, act, now + delay_us))

    def _at(self, when: Micros, act: Callable[[], None]) -> None:
        self._later += 1
        self._push((when, -1, -2, self._later, Script.KIND, Script(act)))

    def _reach(self, parcel: Parcel) -> None:
        """A message stands before its receiver's line."""
        if parcel.withdrawn:
            return
        channel = parcel.channel
        now, pipe = parcel.last, self._pipe(channel)
        begin, through = self.down[channel.dst].carry(parcel.first, now, parcel.size)
        if begin > now:
            pipe.ahead.append((begin, parcel.size))
            pipe.bytes += parcel.size
        act = parcel.act
        self._push((through, channel.dst, channel.src, parcel.sequence, act.KIND, act))

    def _size(self, act: Act) -> int:
        return self._weight(act.message) if isinstance(act, Arrive | Call) else SIGNAL_BYTES

    def _weight(self, message: Message) -> int:
        """Bytes on the line; a flood's copies are weighed one by one, a message but once."""
        known, size = self._weighed
        if known is not message:
            size = FRAME_BYTES + len(encode(message))
            size += RECORD_HEAD_BYTES * -(-size // (RECORD_BYTES - RECORD_HEAD_BYTES + 2))
            self._weighed = (message, size)
        return size

    def _pipe(self, channel: Channel) -> Pipe:
        pipe = self._pipes.get(id(channel))
        if pipe is None:
            pair = (channel.src, channel.dst)
            road, usual = self._unlike.get(pair), self._conditions
            widths = (usual.link_bps if road is None else road.bps, self.down[channel.dst].bps)
            # TCP's acknowledgements come no faster than the receiver's line takes in, so that a
            # sender alone never gets ahead of it.
            pipe = self._pipes[id(channel)] = Pipe(
                Way(min((bps for bps in widths if bps), default=0)),
                usual.loss_ppm if road is None else road.loss_ppm,
                _CONTROL if self._control.get(pair) is channel else _DIRECT,
            )
        return pipe

    # ------------------------------------------------------------ losses

    def _stall(self, channel: Channel, pipe: Pipe, size: int) -> Micros:
        """How long a message waits for a segment that was lost; mostly not at all.

        One segment of a message is lost at most, which is a little too seldom where losses are
        many. It is missed after a round trip if enough follow it, else after the time-out, which
        doubles with every further loss (RFC 6298).
        """
        if not pipe.loss_ppm:
            return 0
        segments = -(-size // SEGMENT_BYTES)
        place = (channel.src << 32) + channel.dst
        turn = channel.sequence * (RETRIES + 2)

        def chance(number: int, bound: int) -> int:
            return draw(self._seed, place, pipe.salt, turn + number) * bound >> 64

        if chance(0, _MILLION) >= segments * pipe.loss_ppm:
            return 0
        round_trip = 2 * channel.latency_us
        time_out = max(self._conditions.rto_us, 2 * round_trip)
        stall = round_trip if chance(1, segments) + QUICK < segments else time_out
        for retry in range(RETRIES):
            if chance(2 + retry, _MILLION) >= pipe.loss_ppm:
                break
            time_out *= 2
            stall += time_out
        return stall

    # ------------------------------------------------------------ what has not left yet

    def clog(self, channel: Channel) -> None:
        """Nothing moves from now on; what has left arrives, what has not waits."""
        if not channel.clogs:
            withdrawn = self._withdraw(channel)
            channel.waiting.extend(parcel.act for parcel in withdrawn)
            self._pipe(channel).bytes += sum(parcel.size for parcel in withdrawn)
        super().clog(channel)

    def unclog(self, channel: Channel, now: Micros) -> None:
        """One reason less; with the last one gone, everything that waits goes in order."""
        if channel.clogs == 1:
            self._forget_waiting(channel)
        super().unclog(channel, now)

    def _forget_waiting(self, channel: Channel) -> None:
        self._pipe(channel).bytes -= sum(map(self._size, channel.waiting))

    def died(self, host: int) -> None:
        """A node is gone: what had not left its outboxes is lost."""
        for channels in (self._control, self._direct):
            for channel in channels.values():
                if channel.src == host:
                    self._forget_waiting(channel)
                    channel.waiting.clear()
                    self._withdraw(channel)

    def closed(self, src: int, dst: int, serial: int, grace_us: Micros) -> None:
        """One side of a link has ended: what still waits for its line after so long is lost."""
        self._at(self._clock() + grace_us, lambda: self._drop(self.control(src, dst), serial))

    def _drop(self, channel: Channel, serial: int) -> None:
        def lost(act: Act) -> bool:
            return isinstance(act, Arrive) and act.serial <= serial

        pipe = self._pipe(channel)
        kept = deque[Parcel]()
        for parcel in pipe.outbox:
            if parcel.start is None and lost(parcel.act):
                parcel.withdrawn = True
                pipe.bytes -= parcel.size
            else:
                kept.append(parcel)
        pipe.outbox = kept
        pipe.bytes -= sum(self._size(act) for act in channel.waiting if lost(act))
        channel.waiting = deque(act for act in channel.waiting if not lost(act))

    def _withdraw(self, channel: Channel) -> list[Parcel]:
        """Take back all that has not left."""
        now, pipe = self._clock(), self._pipe(channel)
        pipe.tidy(now)
        withdrawn = list(pipe.outbox)
        pipe.outbox.clear()
        for parcel in withdrawn:
            parcel.withdrawn = True
            pipe.bytes -= parcel.size
            if parcel.start is not None:
                self.up[channel.src].bytes -= parcel.size
        if withdrawn and withdrawn[0].start is not None:
            # What had only been held up on the road gives its time there back.
            pipe.leaves, channel.busy_until = now, pipe.settled
            pipe.way.free = min(pipe.way.free, withdrawn[0].start)
        return withdrawn


_CONTROL = word(b"loss control")
_DIRECT = word(b"loss direct")
