"""Roads between hosts: FIFO, with integer latencies, and all the ways in which roads fail.

A channel is one direction between two hosts, and behaves as a byte stream does: what is sent
first arrives first, and after something was lost nothing of the same link ever arrives.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import MILLISECOND, Micros
from meshpacs.model.limits import OUTBOX_CONTROL_SLOTS, OUTBOX_SLOTS
from meshpacs.wire.messages import Part
from meshpacs_sim.world.acts import Act, Arrive, Call, Entry, Fin

TABLE = 8
"""Latencies in one channel's table; messages take them in turn. A guess: enough to jitter."""

Push = Callable[[Entry], None]


class Latencies(Protocol):
    """A model of latencies: `Latency`, or one of `world/latencies.py`."""

    def table(self, seed: int, src: int, dst: int) -> tuple[Micros, ...]:
        """`TABLE` one-way latencies of one direction, which messages take in turn."""
        ...


@dataclass(frozen=True, slots=True)
class Latency:
    """How long roads are: a base drawn for each direction, and a jitter for each message."""

    low_us: Micros = 2 * MILLISECOND
    high_us: Micros = 40 * MILLISECOND
    """Within a country 2 to 40 ms one way. A guess."""
    jitter_us: Micros = 5 * MILLISECOND

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.low_us <= self.high_us or self.jitter_us < 0:
            raise ValueError("low_us, high_us, jitter_us: 0 or more, and high_us not below low_us")

    def table(self, seed: int, src: int, dst: int) -> tuple[Micros, ...]:
        """The latencies of one direction."""
        place = (src << 32) + dst
        base = self.low_us + draw(seed, place, _BASE, 0) % (self.high_us - self.low_us + 1)
        return tuple(
            base + draw(seed, place, _JITTER, turn) % (self.jitter_us + 1) for turn in range(TABLE)
        )


UNIT = Latency(10 * MILLISECOND, 10 * MILLISECOND, 0)
"""Every hop takes equally long: nothing ever overtakes by a detour."""

_BASE = word(b"latency base")
_JITTER = word(b"latency jitter")


@dataclass(slots=True)
class Channel:
    """One direction, control or direct."""

    src: int
    dst: int
    table: tuple[Micros, ...]
    sequence: int = 0
    busy_until: Micros = 0
    """When the last message sent so far arrives: no later one may come before."""
    pace_us: Micros = 0
    """A slow road: messages arrive at least so far apart."""
    clogs: int = 0
    """Reasons why nothing moves just now; what is sent waits."""
    waiting: deque[Act] = field(default_factory=deque)
    vanished: int = 0
    """Links up to this serial have lost a packet for ever: nothing of them arrives any more."""
    dropped: int = 0
    """Messages that a full outbox has cost."""

    @property
    def latency_us(self) -> Micros:
        """The next message's."""
        return self.table[self.sequence % len(self.table)]

    def backlog(self, now: Micros) -> int:
        """Messages in the outbox: waiting behind a clog, or for a slow road."""
        if self.clogs:
            return len(self.waiting)
        if not self.pace_us:
            return 0
        return max(0, self.busy_until - self.latency_us - now) // self.pace_us


class Network:
    """All channels, made when first used, and who can reach whom."""

    def __init__(self, seed: int, size: int, latency: Latencies, push: Push) -> None:
        """Everybody can reach everybody."""
        self._seed = seed
        self._latency = latency
        self._push = push
        self._control: dict[tuple[int, int], Channel] = {}
        self._direct: dict[tuple[int, int], Channel] = {}
        self.sides = [0] * size
        """Hosts with different numbers cannot reach each other."""

    def control(self, src: int, dst: int) -> Channel:
        """The direction of their control links, whichever of these is up."""
        known = self._control.get((src, dst))  # looked up here, as nearly all are known
        return self._channel(self._control, src, dst) if known is None else known

    def direct(self, src: int, dst: int) -> Channel:
        """The direction of their direct links, and of the dials for all links."""
        return self._channel(self._direct, src, dst)

    def _channel(self, channels: dict[tuple[int, int], Channel], src: int, dst: int) -> Channel:
        channel = channels.get((src, dst))
        if channel is None:
            table = self._latency.table(self._seed, src, dst)
            channel = channels[(src, dst)] = Channel(src, dst, table)
            if channels is self._control and self.sides[src] != self.sides[dst]:
                channel.clogs = 1
        return channel

    def reachable(self, src: int, dst: int) -> bool:
        """Whether packets go from one to the other and back."""
        return self.sides[src] == self.sides[dst]

    def post(self, channel: Channel, act: Act, now: Micros) -> bool:
        """Send something on its way; False if the outbox was full and the message is dropped."""
        if (channel.clogs or channel.pace_us) and isinstance(act, Arrive | Call):
            # Rows may not use the slots that are kept for everything else (limits.py).
            slots = OUTBOX_SLOTS - OUTBOX_CONTROL_SLOTS * isinstance(act.message, Part)
            if channel.backlog(now) >= slots:
                channel.dropped += 1
                return False
        if channel.clogs:
            channel.waiting.append(act)
            return True
        if channel.vanished and isinstance(act, Arrive | Fin) and act.serial <= channel.vanished:
            return True
        self.launch(channel, act, now)
        return True

    def launch(self, channel: Channel, act: Act, now: Micros) -> None:
        """Put something on the road, behind what is there."""
        when = now + channel.latency_us
        earliest = channel.busy_until + channel.pace_us
        channel.busy_until = when = max(when, earliest)
        channel.sequence += 1
        self._push((when, channel.dst, channel.src, channel.sequence, act.KIND, act))

    def launch_in(self, channel: Channel, act: Act, now: Micros, delay_us: Micros) -> None:
        """The same after a while."""
        self.launch(channel, act, now + delay_us)

    def died(self, host: int) -> None:
        """A node is gone; here all that it has sent has left it long ago."""

    def closed(self, src: int, dst: int, serial: int, grace_us: Micros) -> None:
        """`src` takes this control link for ended; here nothing waits to be sent on it."""

    def clog(self, channel: Channel) -> None:
        """Nothing moves from now on; what is under way arrives."""
        channel.clogs += 1

    def unclog(self, channel: Channel, now: Micros) -> None:
        """One reason less; with the last one gone, everything that waits goes in order."""
        channel.clogs = max(0, channel.clogs - 1)
        if not channel.clogs:
            waiting, channel.waiting = channel.waiting, deque()
            for act in waiting:
                if not (isinstance(act, Arrive | Fin) and act.serial <= channel.vanished):
                    self.launch(channel, act, now)

    def divide(self, sides: list[int], now: Micros) -> None:
        """A partition: hosts with different numbers cannot reach each other; links clog."""
        before, self.sides = self.sides, sides
        for (src, dst), channel in self._control.items():
            was, now_apart = before[src] != before[dst], sides[src] != sides[dst]
            if now_apart and not was:
                self.clog(channel)
            elif was and not now_apart:
                self.unclog(channel, now)
