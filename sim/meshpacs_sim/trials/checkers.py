# ruff: noqa: ARG002 - a window hands every observer the same, wanted or not.
"""Safety: what must never happen, in any weather. Each checker is one rule with a name.

A checker raises `Violation` at the moment at which its rule is broken, so that the trace ends
there. What must happen *eventually* is judged apart, after healing, in `liveness.py`. Rules bind
the honest: of what a member sent that lies, or has ever lied, nothing is held against it, and
everything against whoever was taken in. The rules that liars are there for are in `honesty.py`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from meshpacs.model.answer import Report, Row, Status
from meshpacs.model.ids import MILLISECOND, SECOND, Micros, NodeId, QueryId
from meshpacs.model.limits import MEMBERS
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Message, Part, Ping, Pong, Recall
from meshpacs_sim.world.hosts import Asking
from meshpacs_sim.world.observers import DIRECT, UNLINKED, Observer

if TYPE_CHECKING:
    from meshpacs_sim.world.world import World


class Violation(AssertionError):
    """A rule was broken; says which, where and when, and how to see it again."""

    def __init__(self, rule: str, world: "World", what: str) -> None:
        """`rule` is the checker's name."""
        where = f"seed {world.seed}, {world.graph.name}, at {world.now} us"
        super().__init__(f"{rule}: {what} ({where})")
        self.rule = rule


class Checker(Observer):
    """An observer that holds the world to one rule."""

    @property
    def name(self) -> str:
        """The rule."""
        return type(self).__name__

    def begin(self, world: "World") -> None:
        """Remember whom to accuse."""
        self.world = world

    def violated(self, what: str) -> NoReturn:
        """Stop the world."""
        raise Violation(self.name, self.world, what)


@dataclass(slots=True)
class _Copy:
    """One Ask on one link."""

    life: int = 0
    """Of the receiver, once the copy has arrived."""
    due: int = 0
    """How often it has arrived: once, unless a liar repeats itself."""
    got: bool = False
    closed: int = 0


class OneClosedForEachAsk(Checker):
    """Each copy that arrives is acknowledged, and closed exactly once. PROTOCOL 2.5, 4.4."""

    def begin(self, world: "World") -> None:
        """No copy is under way."""
        super().begin(world)
        self._bodies = world.bodies
        self._copies: dict[tuple[int, int, int, int], _Copy] = {}
        """(asker, asked, serial of the link, token)"""
        self._of_query: dict[tuple[int, int, QueryId], list[_Copy]] = {}
        """(asker, asked, query)"""
        self._recalls: dict[tuple[int, int, int], int] = {}
        """(asker, asked, token): recalls that came, less those that were closed."""

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """A copy, or what answers one."""
        if serial == UNLINKED:
            return
        if isinstance(message, Ask):
            self._ask(src, dst, message, serial)
        elif isinstance(message, Recall):
            recall = (src, dst, message.token)
            self._recalls[recall] = self._recalls.get(recall, 0) + 1
        elif isinstance(message, Got | Closed) and not self.world.hosts[src].lied:
            self._answer(src, dst, message, serial)

    def _ask(self, src: int, dst: int, ask: Ask, serial: int) -> None:
        key = (src, dst, serial, ask.token)
        if key not in self._copies:
            copy = self._copies[key] = _Copy()
            query = (src, dst, self._bodies.read(ask.body)[0])
            self._of_query.setdefault(query, []).append(copy)
        elif not self.world.hosts[src].lied:
            self.violated(f"{src} uses token {ask.token} twice on its link to {dst}")

    def _answer(self, src: int, dst: int, message: Got | Closed, serial: int) -> None:
        token = message.token
        copy = self._copies.get((dst, src, serial, token))
        if copy is None or not copy.life:
            left = self._recalls.get((dst, src, token), 0)
            if not left:
                kind = type(message).__name__
                self.violated(f"{src} sends {dst} a {kind} for token {token}, never asked")
            if isinstance(message, Closed):
                self._recalls[dst, src, token] = left - 1
        elif isinstance(message, Got):
            copy.got = True
        elif copy.closed == copy.due:
            self.violated(f"{src} closes token {token} of {dst} twice")
        else:
            copy.closed += 1

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """A copy is in the hands of its receiver; or it is called back."""
        if isinstance(message, Ask):
            copy = self._copies[src, dst, serial, message.token]
            copy.life, copy.due = self.world.hosts[dst].life, copy.due + 1
        elif isinstance(message, Cancel):
            for copy in self._of_query.get((src, dst, message.query_id), ()):
                # Copies that are still on the road were sent after the Cancel.
                copy.got, copy.closed = copy.got or copy.due > 0, copy.due

    def ended(self, now: Micros) -> None:
        """Whoever is still linked and alive has closed everything that it was asked."""
        for (asker, asked, serial, token), copy in self._copies.items():
            host = self.world.hosts[asked]
            alive = host.able and host.life == copy.life and host.links.get(asker) == serial
            if alive and not host.lied and not (copy.got and copy.closed == copy.due):
                missing = "closed" if copy.got else "acknowledged"
                self.violated(f"{asked} never {missing} token {token} of {asker}")


class EvaluatedOnce(Checker):
    """No node searches its archive twice for one query. PROTOCOL 4.3."""

    def begin(self, world: "World") -> None:
        """Nobody has searched."""
        super().begin(world)
        self._searched: dict[tuple[int, int, QueryId], None] = {}

    def searching(self, now: Micros, host: int, query_id: QueryId) -> None:
        """Once in each life."""
        key = (host, self.world.hosts[host].life, query_id)
        if key in self._searched:
            self.violated(f"{host} evaluates a query again")
        self._searched[key] = None


class TtlAndTimeFall(Checker):
    """No copy goes further, or lasts longer, than the one that it came from. PROTOCOL 4.3, 4.4."""

    def begin(self, world: "World") -> None:
        """No copy has been seen."""
        super().begin(world)
        self._bodies = world.bodies
        self._best: dict[tuple[int, int, QueryId], tuple[int, int]] = {}
        """The most TTL and time that a host has been given, in this life."""

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Remember the best copy."""
        if isinstance(message, Ask):
            key = (dst, self.world.hosts[dst].life, self._bodies.read(message.body)[0])
            ttl, time = self._best.get(key, (-1, -1))
            # What a liar says beyond the signed budget was given by nobody.
            given = min(message.remaining_ms, self._bodies.read(message.body)[1].budget_ms)
            self._best[key] = (max(ttl, message.ttl), max(time, given))

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Compare with what the sender was given."""
        if not isinstance(message, Ask) or self.world.hosts[src].lied:
            return
        query_id, body = self._bodies.read(message.body)
        ttl, hops = message.ttl, message.hops
        if body.origin == self.world.hosts[src].node:
            best = (body.ttl0, body.budget_ms)
        else:
            key = (src, self.world.hosts[src].life, query_id)
            best = self._best.get(key, (-1, -1))
        if hops > MEMBERS + 1:
            self.violated(f"{src} says that a copy has crossed {hops} links")
        if body.ttl0 and ttl + hops > body.ttl0:
            self.violated(f"{src} promises {ttl} more hops after {hops}, of {body.ttl0}")
        if ttl < 0 or ttl > max(best[0] - 1, 0) or (body.ttl0 and best[0] < 1):
            self.violated(f"{src} was given TTL {best[0]} and sends {ttl} on")
        most = best[1] - self.world.settings.hop_us // MILLISECOND
        if not 0 < message.remaining_ms <= most:
            self.violated(f"{src} was given {best[1]} ms and sends {message.remaining_ms} on")


class NotBeyondTheBall(Checker):
    """On a frozen overlay nobody further than the ball's hops is asked. PROTOCOL 4.3."""

    def begin(self, world: "World") -> None:
        """No query is known."""
        super().begin(world)
        self._bodies = world.bodies
        self._hops: dict[int, tuple[int | None, ...]] = {}
        """From each origin."""

    def arrived(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Measure how far the copy has come, unless a liar has brought it there itself."""
        frozen = self.world.settings.frozen_overlay
        if isinstance(message, Ask) and frozen and not self.world.hosts[src].lied:
            _, body = self._bodies.read(message.body)
            origin, hosts = self.world.index[body.origin], self.world.hosts
            # A liar next to the honest can say that it is next to the origin.
            begun = [origin, *(host.index for host in hosts if host.lied)]
            distance = min(self._distance(one, dst) for one in begun)
            if body.ttl0 and distance > body.ttl0:
                self.violated(f"{dst} is {distance} hops from {origin}, beyond {body.ttl0}")

    def _distance(self, one: int, other: int) -> int:
        if one not in self._hops:
            self._hops[one] = self.world.graph.distances(one)
        distance = self._hops[one][other]
        return self.world.graph.size if distance is None else distance


class OneFinal(Checker):
    """Rows come before the final, and one final comes for each query. PROTOCOL 5.4."""

    def begin(self, world: "World") -> None:
        """Nothing is asked."""
        super().begin(world)
        self._open: dict[tuple[int, QueryId], bool] = {}

    def asked(self, now: Micros, asking: Asking) -> None:
        """A query is open."""
        self._open[asking.origin, asking.query_id] = True

    def delivered(
        self, now: Micros, host: int, query_id: QueryId, holder: NodeId, rows: tuple[Row, ...]
    ) -> None:
        """Only while it is open."""
        if not self._open.get((host, query_id)):
            self.violated(f"{host} is given rows of a query that is not open")

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """Only once."""
        if not self._open.get((host, query_id)):
            self.violated(f"{host} is given a final for a query that is not open")
        self._open[host, query_id] = False


class AnsweredMeansAnswered(Checker):
    """Who is reported as answered searched and found just these rows. PROTOCOL 5.1, 5.4."""

    def begin(self, world: "World") -> None:
        """Nobody has found or been given anything."""
        super().begin(world)
        self._found: dict[tuple[int, QueryId], list[tuple[Row, ...] | None]] = {}
        self._given: dict[tuple[QueryId, NodeId], tuple[Row, ...]] = {}

    def found(
        self, now: Micros, host: int, query_id: QueryId, rows: tuple[Row, ...] | None
    ) -> None:
        """What this archive really said (a node that crashed in between may be asked twice)."""
        self._found.setdefault((host, query_id), []).append(rows)

    def delivered(
        self, now: Micros, host: int, query_id: QueryId, holder: NodeId, rows: tuple[Row, ...]
    ) -> None:
        """One holder's rows, once."""
        if (query_id, holder) in self._given:
            self.violated(f"{host} is given the rows of {self.world.index[holder]} twice")
        self._given[query_id, holder] = rows

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """Hold the report against what was found and given."""
        for member in report.members:
            index = self.world.index[member.node]
            rows = self._given.pop((query_id, member.node), None)
            if self.world.hosts[index].lied:
                continue  # about its own archive a member may say what it likes
            found = self._found.get((index, query_id), [])
            true = True
            if member.status is Status.ANSWERED:
                true = rows is not None and rows in found
            elif member.status is Status.TRUNCATED:
                true = rows is not None and any(
                    each is not None and rows == each[: len(rows)] for each in found
                )
            elif rows is not None:
                true = False
            if not true or member.rows != len(rows or ()):
                self.violated(
                    f"{host} reports {index} as {member.status.value} with {member.rows} rows"
                )


class EverybodyNamed(Checker):
    """A report names every member that has an archive, once, in order. PROTOCOL 5.4."""

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """Compare with the roster."""
        roster = sorted(node for node, member in self.world.members.items() if member.answers)
        if [member.node for member in report.members] != roster:
            self.violated(f"{host} reports {len(report.members)} of {len(roster)} members")


class HonestAreNotBlamed(Checker):
    """Who keeps to the protocol is not accused of breaking it, whatever liars hand on to it.

    Who carries what it cannot read may be suspected; that costs it nothing.
    """

    def blamed(self, now: Micros, host: int, peer: int, what: str) -> None:
        """An accusation."""
        if not (self.world.hosts[host].lied or self.world.hosts[peer].lied):
            self.violated(f"{host} accuses {peer}: {what}")

    def suspected(self, now: Micros, host: int, peer: int, what: str) -> None:
        """Where nobody lies there is nothing to suspect."""
        if not any(each.lied for each in self.world.hosts):
            self.violated(f"{host} suspects {peer}: {what}")


class VisitsAreForRecalls(Checker):
    """Direct links carry recalls and their answers, never the flood. PROTOCOL 5.3."""

    def sent(self, now: Micros, src: int, dst: int, message: Message, serial: int) -> None:
        """Look at what goes there."""
        fit = isinstance(message, Recall | Got | Part | Closed | Ping | Pong)
        if serial == DIRECT and not fit and not self.world.hosts[src].lied:
            self.violated(f"{src} sends {dst} a {type(message).__name__} directly")


class NothingStale(Checker):
    """Once the deadline of every query has passed, nothing of them is left but deduplication."""

    def ended(self, now: Micros) -> None:
        """Ask every engine that does anything."""
        last = max((asking.deadline for asking in self.world.askings), default=now)
        if now <= last + SECOND:
            return
        for host in self.world.hosts:
            if host.engine is not None and not host.frozen:
                left = {name: count for name, count in host.engine.open_work().items() if count}
                if left:
                    self.violated(f"{host.index} still has {left}")


class CalmIsComplete(Checker):
    """Where nothing has gone wrong, everybody answers, before the deadline."""

    def begin(self, world: "World") -> None:
        """Fair weather."""
        super().begin(world)
        self._calm = True

    def troubled(self, now: Micros, what: str) -> None:
        """From here on this rule says nothing."""
        self._calm = False

    def finished(self, now: Micros, host: int, query_id: QueryId, report: Report) -> None:
        """Everybody, in time."""
        if not self._calm or report.cancelled:
            return
        asking = self.world.hosts[host].asked[query_id]
        if now >= asking.deadline:
            self.violated(f"{host} had to wait for its deadline")
        for member in report.asked:
            if member.status not in (Status.ANSWERED, Status.TRUNCATED):
                index = self.world.index[member.node]
                self.violated(f"{host} reports {index} as {member.status.value}")
