# ruff: noqa: ARG002 - a window hands every observer the same, wanted or not.
"""Safety where members lie, flood, and come back from old copies: what the honest are promised."""

from collections import deque
from typing import TYPE_CHECKING

from meshpacs.engine.budget import BURST, TOLERANCE
from meshpacs.engine.flood import RELAY_CREDIT_BYTES
from meshpacs.model.answer import MemberAnswer, Report, Row, Status
from meshpacs.model.ids import SECOND, Micros, NodeId, QueryId
from meshpacs.model.limits import PARTS_PER_ANSWER
from meshpacs.model.query import Ball
from meshpacs.wire.bodies import AskBody
from meshpacs.wire.messages import Ask, Message, Part, Recall
from meshpacs.wire.parts import SIZES
from meshpacs_sim.trials.checkers import Checker
from meshpacs_sim.world.hosts import Asking, Host
from meshpacs_sim.world.notary import EPHEMERAL_BYTES, TAG_BYTES
from meshpacs_sim.world.observers import UNLINKED

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World


class _Bodied(Checker):
    """A checker that knows the signed body of every query that has arrived anywhere."""

    def begin(self, world: "World") -> None:
        """No query is known."""
        super().begin(world)
        self._bodies = world.bodies
        self._known: dict[QueryId, AskBody] = {}

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Read it."""
        if isinstance(message, Ask | Recall):
            query_id, body = self._bodies.read(message.body)
            self._known[query_id] = body


class AskedByItsOrigin(_Bodied):
    """No archive is searched for a query that its origin did not ask. PROTOCOL 4.5."""

    def begin(self, world: "World") -> None:
        """Nobody has asked."""
        super().begin(world)
        self._asked: dict[QueryId, int] = {}

    def asked(self, now: Micros, asking: Asking) -> None:
        """By this origin."""
        self._asked[asking.query_id] = asking.origin

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """Whoever lies signs for itself alone."""
        body = self._known.get(query_id)
        if body is None:
            return  # its own, not sent yet
        origin = self.world.index[body.origin]
        if not self.world.hosts[origin].lied and self._asked.get(query_id) != origin:
            self.violated(f"{host} searches for what {origin} never asked")


class RecalledByItsOrigin(Checker):
    """A query's answer is given directly to nobody but its origin. PROTOCOL 5.3."""

    def begin(self, world: "World") -> None:
        """Nothing is recalled."""
        super().begin(world)
        self._bodies = world.bodies
        self._others: dict[tuple[int, int, int], None] = {}
        """(recaller, recalled, token) of recalls by another than the origin."""

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """A recall, or an answer to one."""
        if isinstance(message, Recall):
            _, body = self._bodies.read(message.body)
            if body.origin != self.world.hosts[src].node:
                self._others[src, dst, message.token] = None
        elif isinstance(message, Part) and (dst, src, message.token) in self._others:
            self._given(src, dst)

    def _given(self, src: int, dst: int) -> None:
        if not self.world.hosts[src].lied:
            self.violated(f"{src} gives {dst} an answer to another's query")


class BootsDoNotFall(_Bodied):
    """No archive is searched for an earlier life's query, once the next was heard. PROTOCOL 4.5.

    Except at a node that was rolled back or has lost its disk: it has forgotten what it had heard.
    """

    def begin(self, world: "World") -> None:
        """No boot is known."""
        super().begin(world)
        self._highest: dict[tuple[int, NodeId], int] = {}

    def troubled(self, now: Micros, what: str) -> None:
        """An old copy, or nothing, takes the place of what was known."""
        if what.startswith(("roll_back ", "lose_disk ")):
            index = int(what.split()[1])
            self._highest = {key: boot for key, boot in self._highest.items() if key[0] != index}

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """At least the highest boot so far, over all lives of this host."""
        body = self._known.get(query_id)
        if body is None:
            return
        highest = self._highest.get((host, body.origin), 0)
        if body.boot < highest:
            origin = self.world.index[body.origin]
            self.violated(f"{host} searches for boot {body.boot} of {origin}, after {highest}")
        self._highest[host, body.origin] = body.boot


class ExcusesAreTrue(Checker):
    """Who is said to have refused, failed or been too busy or skewed said so, and was. 5.4."""

    def begin(self, world: "World") -> None:
        """No archive has failed."""
        super().begin(world)
        self._failed: dict[tuple[int, QueryId], None] = {}
        self._asked: dict[QueryId, Asking] = {}

    def asked(self, now: Micros, asking: Asking) -> None:
        """A query is open."""
        self._asked[asking.query_id] = asking

    def found(
        self, now: Micros, host: int, query_id: QueryId, rows: tuple[Row, ...] | None
    ) -> None:
        """Note who failed."""
        if rows is None:
            self._failed[host, query_id] = None

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """Hold each excuse against what was so."""
        asking = self._asked[query_id]
        for member in report.members:
            holder = self.world.hosts[self.world.index[member.node]]
            if not holder.lied and not self._true(asking, member, holder):
                self.violated(f"{host} reports {holder.index} as {member.status.value}")

    def _true(self, asking: Asking, member: MemberAnswer, holder: Host) -> bool:
        origin = self.world.hosts[asking.origin]
        match member.status:
            case Status.REFUSED | Status.UNSUPPORTED:
                return False  # all are members, of one version
            case Status.BUSY:
                return origin.lied  # the honest keep to their budget
            case Status.FAILED:
                # One's own archive has failed, too, if it was silent until the end.
                return holder is origin or (holder.index, asking.query_id) in self._failed
            case Status.SKEWED:
                skewed = abs(member.skew_us) > self.world.settings.skew_us
                return skewed and any(
                    host.wall_offset_us or host.clock_wrong_us >= asking.asked_at
                    for host in (origin, holder)
                )
            case _:
                return True


class OutsideIsOutside(Checker):
    """Who is said to be outside a ball, without a doubt, was not within it. PROTOCOL 4.3, 5.4.

    Within is whoever could be reached in so many hops over links that were whole, and hosts that
    were up, from the question to the final. While somebody lies this is not promised: an answer
    goes back by the copy that came first, and may be swallowed there (docs/SECURITY.md).
    """

    def begin(self, world: "World") -> None:
        """No ball is open."""
        super().begin(world)
        self._open: dict[QueryId, tuple[int, int, dict[tuple[int, int], int], list[int]]] = {}
        """Origin, TTL, links and lives as they were."""
        self._lie_us: Micros = -1
        """When somebody last began to lie, or ended."""

    def troubled(self, now: Micros, what: str) -> None:
        """Note the times of lies."""
        if what.startswith(("lie ", "repent ")):
            self._lie_us = now

    def asked(self, now: Micros, asking: Asking) -> None:
        """Remember the links."""
        if isinstance(asking.scope, Ball):
            lives = [host.life if host.engine else -1 for host in self.world.hosts]
            self._open[asking.query_id] = (asking.origin, asking.scope.ttl, self._links(), lives)

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """Walk as far as the ball goes."""
        ball = self._open.pop(query_id, None)
        lies = self._lie_us >= now - report.took_us or any(h.liar for h in self.world.hosts)
        if ball is None or report.doubtful or report.cancelled or lies:
            return
        within = self._within(*ball)
        for member in report.members:
            index = self.world.index[member.node]
            if member.status is Status.OUTSIDE and index in within:
                hops = within[index]
                self.violated(f"{host} says that {index} is outside; it is {hops} hops away")

    def _links(self) -> dict[tuple[int, int], int]:
        hosts = self.world.hosts
        return {
            (host.index, peer): serial
            for host in hosts
            for peer, serial in host.links.items()
            if hosts[peer].links.get(host.index) == serial
        }

    def _within(
        self, origin: int, ttl: int, before: dict[tuple[int, int], int], lives: list[int]
    ) -> dict[int, int]:
        hosts = self.world.hosts
        links = [pair for pair, serial in self._links().items() if before.get(pair) == serial]
        neighbours: dict[int, list[int]] = {}
        for here, there in links:
            if lives[there] == hosts[there].life and hosts[there].engine is not None:
                neighbours.setdefault(here, []).append(there)
        hops, line = {origin: 0}, deque([origin])
        while line:
            here = line.popleft()
            for there in neighbours.get(here, ()) if hops[here] < ttl else ():
                if there not in hops:
                    hops[there] = hops[here] + 1
                    line.append(there)
        return hops


class _Bucket:
    """How many queries of one origin may still be acted upon, now."""

    def __init__(self, now: Micros, neighbours: int) -> None:
        self.left: float = BURST * TOLERANCE
        self.since = now
        self.neighbours = neighbours
        self.seen: dict[QueryId, None] = {}


class FloodsAreHeld(_Bodied):
    """Of each origin's queries no node searches or sends on more than four times 4.6 allows."""

    def begin(self, world: "World") -> None:
        """Nobody has asked anything."""
        super().begin(world)
        self._buckets: dict[tuple[int, int, NodeId], _Bucket] = {}
        """(host, its life, origin)"""

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """A query is sent on."""
        if isinstance(message, Ask) and not self.world.hosts[src].lied:
            query_id, body = self._bodies.read(message.body)
            self._count(now, src, query_id, body)

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """A query is evaluated."""
        body = self._known.get(query_id)
        if body is not None:
            self._count(now, host, query_id, body)

    def _count(self, now: Micros, host: int, query_id: QueryId, body: AskBody) -> None:
        here = self.world.hosts[host]
        if here.node == body.origin:
            return
        key, neighbours = (host, here.life, body.origin), len(here.links)
        bucket = self._buckets.get(key)
        if bucket is None or bucket.neighbours != neighbours:
            # With other neighbours other limits: this bucket begins full again.
            seen = bucket.seen if bucket else {}
            bucket = self._buckets[key] = _Bucket(now, neighbours)
            bucket.seen = seen
        if query_id in bucket.seen:
            return
        bucket.seen[query_id] = None
        each = max(len(self.world.members) * (neighbours - 1) + 1, 1)
        rate = TOLERANCE * max(0.1, 5_000 / each)
        earned = rate * (now - bucket.since) / SECOND
        bucket.left, bucket.since = min(BURST * TOLERANCE, bucket.left + earned) - 1, now
        if bucket.left < -1:
            origin = self.world.index[body.origin]
            self.violated(f"{host} acts upon more queries of {origin} than anybody may ask")


class RelaysCarrySoMuch(Checker):
    """A wave carries at most 16 MiB of others' answers back, and one of its own. PROTOCOL 5.2."""

    MOST = RELAY_CREDIT_BYTES + PARTS_PER_ANSWER * (SIZES[-1] + EPHEMERAL_BYTES + TAG_BYTES)

    def begin(self, world: "World") -> None:
        """Nothing is carried."""
        super().begin(world)
        self._carried: dict[tuple[int, int, int, int], int] = {}
        """(carrier, parent, serial of the link, token): bytes."""

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Count the bytes of one wave; a liar may use its name for another."""
        if isinstance(message, Ask):
            self._carried.pop((dst, src, serial, message.token), None)
        elif isinstance(message, Part) and serial != UNLINKED and not self.world.hosts[src].lied:
            key = (src, dst, serial, message.token)
            carried = self._carried[key] = self._carried.get(key, 0) + len(message.sealed)
            if carried > self.MOST and not self.world.hosts[dst].lied:
                self.violated(f"{src} carries {carried} bytes back to {dst} by one wave")
