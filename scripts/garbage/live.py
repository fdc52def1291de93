"""A member whose node went bad: its keys, and any bytes, over sockets to a real node's process."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, sleep

import trio

from clinics.clinic import Clinic
from clinics.mesh import ending, found_and_join
from garbage.doors import behind
from garbage.linked import recorded
from garbage.mesh import company
from garbage.messages import payloads
from garbage.mutations import scramble, warp
from meshpacs.links.dialer import Dialer
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.model.address import parse_address
from meshpacs.model.errors import MeshError
from meshpacs.model.member import Member
from meshpacs.node.founding import read_belongings
from meshpacs.node.home import Home
from meshpacs.wire.greeting import MEMBER_OPENING, prologue
from meshpacs.wire.messages import Purpose
from meshpacs.wire.noise import Handshake, KeyPair

GROWTH_MB = 64
"""By how much a node may grow between a tenth of the frames and all of them. A guess: what is kept
of each is bounded, and Python's allocator keeps some of what it once had."""

FILES = 8
"""By how many its open files may differ: a connection or two may just be ending."""

CALM_S = 20.0
"""Seconds for the last connections to end."""

PATIENCE_S = 15.0
"""Seconds for one connection. A guess for a busy machine."""

FRAMES = 20
"""Over one link, at most: most end it much sooner."""


@dataclass(frozen=True, slots=True)
class State:
    """What the system says of a process."""

    resident_mb: float
    files: int
    threads: int


def state_of(pid: int) -> State:
    """As of now; Linux alone tells."""
    proc = Path(f"/proc/{pid}")
    pages = int((proc / "statm").read_text("ascii").split()[1])
    return State(
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        len(list((proc / "fd").iterdir())),
        len(list((proc / "task").iterdir())),
    )


@dataclass
class Siege:
    """One attack on one node."""

    folder: Path
    seed: int
    thrown: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    """What the attacker heard, by how it came in."""

    def lay(self, frames: int) -> tuple[State, State, list[str]]:
        """The node after a tenth of the frames and after all; what is not as it should be."""
        target, bad = (Clinic(name, self.folder / name.casefold()) for name in ("Alster", "Bille"))
        wrong: list[str] = []
        with ending((target, bad)):
            found_and_join([target, bad])
            attacker = Attacker(Home(bad.home), Random(f"{self.seed} siege"), self.seen)
            attacker.throw(frames // 10)
            before = _calm(target.pid)
            attacker.throw(frames - frames // 10)
            self.thrown = attacker.thrown
            if not attacker.links:
                wrong.append("the node was thrown nothing over a link: none was ever up")
            after = _calm(target.pid)
            target.run("status", codes=(0, 1))
            wrong += [f"the node's log: {line}" for line in _errors(target.log)]
            target.down()
        if after.resident_mb > before.resident_mb + GROWTH_MB:
            wrong.append(f"the node grew from {before} to {after}")
        if after.files > before.files + FILES:
            wrong.append(f"the node keeps files open: from {before} to {after}")
        return before, after, wrong


class Attacker:
    """A member's keys in bad hands."""

    def __init__(self, home: Home, draw: Random, seen: Counter[str]) -> None:
        """The home of a member that is not up; the other member is the target."""
        owned = read_belongings(home)
        self._gate = Gatekeeper(
            owned.identity, owned.roster, owned.secret, boot=home.next_boot(), version="1.0",
            wall_s=lambda: 0,
        )  # fmt: skip
        members = owned.roster.members().values()
        self._target: Member = next(one for one in members if one.node != owned.identity.node)
        self._draw = draw
        self._seen = seen
        self._payloads = payloads(company())
        self.thrown = 0
        self.links = 0
        """Those that were up."""

    def throw(self, frames: int) -> None:
        """So many frames, over as many connections as they take."""
        trio.run(self._throw, self.thrown + frames)

    async def _throw(self, until: int) -> None:
        ways = (self._opening, self._claim, self._records, self._messages, self._messages)
        while self.thrown < until:
            way = self._draw.choice(ways)
            with trio.move_on_after(PATIENCE_S) as scope:
                try:
                    await way()
                    outcome = "sent"
                except (OSError, trio.BrokenResourceError, MeshError) as error:
                    outcome = type(error).__name__
            if scope.cancelled_caught:
                outcome = "no answer"
            self._seen[f"{way.__name__.strip('_')}: {outcome}"] += 1

    async def _connect(self) -> trio.SocketStream:
        host, port = parse_address(self._target.addresses[0])
        return await trio.open_tcp_stream(host, port)

    async def _pour(self, data: bytes) -> None:
        """Bytes over a connection of their own; what comes back is not read."""
        self.thrown += 1
        stream = await self._connect()
        async with stream:
            await stream.send_all(data)
            if self._draw.random() < 0.5:
                await stream.send_eof()
                await stream.receive_some(1000)

    def _shake(self) -> Handshake:
        return Handshake(
            initiator=True, static=self._gate.identity.link, psk=self._gate.psk,
            ephemeral=KeyPair.of(self._draw.randbytes(32)),
            prologue=prologue(self._gate.mesh, MEMBER_OPENING),
        )  # fmt: skip

    async def _opening(self) -> None:
        first = self._shake().write(self._gate.claim(self._target.node))
        await self._pour(scramble(MEMBER_OPENING + behind(first), self._draw))

    async def _claim(self) -> None:
        claim = warp(self._gate.claim(self._target.node), self._draw)[:60_000]
        await self._pour(MEMBER_OPENING + behind(self._shake().write(claim)))

    async def _records(self) -> None:
        """A link that is up, and then bytes that are no record."""
        link = await Dialer(self._gate)(self._target, self._purpose())
        self.links += 1
        channel = link._channel  # noqa: SLF001  nobody else sends what is no message
        some = b"".join(recorded(channel._seal, self._payload()))  # noqa: SLF001
        self.thrown += 1
        try:
            await channel._stream.send_all(scramble(some, self._draw))  # noqa: SLF001
        finally:
            await trio.aclose_forcefully(channel._stream)  # noqa: SLF001

    async def _messages(self) -> None:
        """A link that is up, and frames until the node has had enough."""
        link = await Dialer(self._gate)(self._target, self._purpose())
        self.links += 1
        channel = link._channel  # noqa: SLF001
        try:
            for _ in range(FRAMES):
                self.thrown += 1
                await channel.send([(self._payload(),)])
        finally:
            await channel.aclose()

    def _purpose(self) -> Purpose:
        return self._draw.choice((Purpose.CONTROL, Purpose.BULK, Purpose.DIRECT))

    def _payload(self) -> bytes:
        payload = self._draw.choice(self._payloads)
        return payload[:1] + warp(payload[1:], self._draw)


def _calm(pid: int) -> State:
    """Once the last connections have ended, or after a while."""
    until = monotonic() + CALM_S
    state = state_of(pid)
    while monotonic() < until:
        sleep(1)
        now = state_of(pid)
        if now.files == state.files:
            return now
        state = now
    return state


def _errors(log: Path) -> Iterator[str]:
    """Lines of a log that should not be there: what nobody has foreseen."""
    with contextlib.suppress(FileNotFoundError):
        for line in log.read_text("utf-8").splitlines():
            if any(word in line for word in ("Traceback", "link_failed", '"error"', "[error")):
                yield line[:300]
