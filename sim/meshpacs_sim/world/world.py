"""The world: the real engine many times over, one heap of events, and a seed.

It does for its engines what the live driver does for one: hands them messages, links, wake-ups and
the archive's answers, and carries out every effect. A run is a function of its arguments alone.
"""

import hashlib
import heapq
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from meshpacs.engine.draws import draw, word
from meshpacs.engine.effects import (
    Blame,
    DeliverFinal,
    DeliverRows,
    Dial,
    Effect,
    Hangup,
    KeepBoot,
    KeepRoster,
    SearchLocal,
    Send,
    Visit,
)
from meshpacs.engine.engine import Engine
from meshpacs.engine.notary import Notary
from meshpacs.engine.settings import Settings
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import SECOND, Digest, Micros, NodeId, QueryId
from meshpacs.model.limits import OUTBOX_CONTROL_SLOTS, OUTBOX_SLOTS
from meshpacs.model.member import Member, Role
from meshpacs.model.query import Everyone, Query, Scope
from meshpacs.wire.messages import Message, Part
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.world.acts import (
    Accepted,
    Act,
    Arrive,
    Call,
    Entry,
    Fin,
    Found,
    Heard,
    Knock,
    Refused,
    Script,
    TimeOut,
    Wake,
)
from meshpacs_sim.world.bodies import Bodies
from meshpacs_sim.world.cellar import Canned, Cellar, every_study
from meshpacs_sim.world.conditions import Conditions
from meshpacs_sim.world.hosts import Asking, Host, mesh_of, name_of
from meshpacs_sim.world.lines import Lines
from meshpacs_sim.world.network import Latencies, Latency, Network
from meshpacs_sim.world.notary import FakeNotary
from meshpacs_sim.world.observers import DIRECT, HOOKS, Observer
from meshpacs_sim.world.switchboard import Switchboard

EPOCH_US: Micros = 1_700_000_000 * SECOND
"""The true wall clock when the world begins: some day in November 2023."""

LIMIT_US: Micros = 120 * SECOND
"""How long `finish` waits by default: four times the longest budget a query may have."""

MakeNotary = Callable[[int, NodeId, dict[NodeId, Member]], Notary]


class World:
    """Hosts, roads, time. Hosts are called by their number in the graph."""

    def __init__(
        self,
        seed: int,
        graph: Graph,
        *,
        latency: Latencies | None = None,
        conditions: Conditions | None = None,
        settings: Settings | None = None,
        cellars: Sequence[Cellar] | None = None,
        names: Sequence[NodeId] | None = None,
        notary: MakeNotary | None = None,
        roles: Sequence[Role] | None = None,
        observers: Sequence[Observer] = (),
        relink_us: Micros | None = None,
        order: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Make every host and, if the overlay is frozen, every link of the graph.

        Args:
            seed: all chance comes from it.
            graph: the links of a frozen overlay; otherwise only its size counts.
            latency: how long roads are.
            conditions: what roads can carry, and what they lose; by default any amount, nothing.
            settings: the engines'; by default the overlay is frozen.
            cellars: an archive for each host; by default empty ones.
            names: node ids, by default digests of seed and number.
            notary: makes each host's notary; by default a counted fake.
            roles: by default everybody is a member.
            observers: who is told what happens.
            relink_us: how often the world dials links of a frozen overlay that are gone; None
                for never.
            order: of a frozen overlay, for each host its neighbours in the order in which their
                links come up there; by default all links come up in the order of the graph's edges.
        """
        self.seed = seed
        self.graph = graph
        self.now: Micros = 0
        self.events = 0
        """Events that an engine was called for."""
        self.settings = settings or Settings(frozen_overlay=True)
        self.mesh = mesh_of(seed)
        self.head = Digest(hashlib.sha256(b"meshpacs/sim/roster").digest())
        given = names or [name_of(seed, index) for index in range(graph.size)]
        self.hosts = [
            Host(index, given[index], cellars[index] if cellars else Canned())
            for index in range(graph.size)
        ]
        self.index = {host.node: host.index for host in self.hosts}
        self.members = {
            host.node: Member(
                host.node, f"clinic {host.index}", roles[host.index] if roles else Role.MEMBER
            )
            for host in self.hosts
        }
        self.notaries = [
            notary(host.index, host.node, self.members)
            if notary
            else FakeNotary(host.node, self.members, seed)
            for host in self.hosts
        ]
        self._heap: list[Entry] = []
        self.network = self._laid(latency or Latency(), conditions)
        self.askings: list[Asking] = []
        self.bodies = Bodies()
        """What was asked, for whoever looks on."""
        self._scripts = 0
        self.switchboard = Switchboard(self)
        self._observe(observers)
        for host in self.hosts:
            self.start(host)
        if self.settings.frozen_overlay:
            if order is not None:
                self.switchboard.link_all(order)
            else:
                for a, b in graph.edges:
                    self.switchboard.link(a, b)
        if relink_us is not None:
            self.switchboard.tend(relink_us)

    def _laid(self, latency: Latencies, conditions: Conditions | None) -> Network:
        push = partial(heapq.heappush, self._heap)
        if conditions is None:
            return Network(self.seed, self.graph.size, latency, push)
        return Lines(self.seed, self.graph.size, latency, push, conditions, lambda: self.now)

    def _observe(self, observers: Sequence[Observer]) -> None:
        told: dict[str, list[Callable[..., None]]] = {name: [] for name in HOOKS}
        for observer in observers:
            for name in HOOKS:
                if getattr(type(observer), name) is not getattr(Observer, name):
                    told[name].append(getattr(observer, name))
        self.told = told
        # The two that every message passes are looked up once.
        self.on_sent = told["sent"]
        self._on_arrived = told["arrived"]
        for begin in told["begin"]:
            begin(self)

    def tell(self, window: str, *what: object) -> None:
        """Say something at one of the observers' windows, with the time in front."""
        for hear in self.told[window]:
            hear(self.now, *what)

    # ------------------------------------------------------------ time

    def wall(self, host: Host) -> Micros:
        """What this host's wall clock says, Unix microseconds."""
        return EPOCH_US + self.now + host.wall_offset_us

    def at(self, when: Micros, act: Callable[[], None]) -> None:
        """Let the scenario do something at a moment to come."""
        self._scripts += 1
        heapq.heappush(self._heap, (when, -1, -1, self._scripts, Script.KIND, Script(act)))

    def run(self, until: Micros) -> None:
        """Let everything happen up to and including this moment."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self._step(heapq.heappop(heap))
        self.now = max(self.now, until)

    def finish(self, *askings: Asking, limit_us: Micros = LIMIT_US) -> None:
        """Let things happen until these queries have their finals, or so much time has passed."""
        heap, until = self._heap, self.now + limit_us
        for asking in askings:
            while asking.report is None and heap and heap[0][0] <= until:
                self._step(heapq.heappop(heap))

    def end(self) -> None:
        """Tell the observers that nothing more will happen."""
        self.tell("ended")

    def _step(self, entry: Entry) -> None:
        self.now = entry[0]
        act = entry[5]
        if type(act) is Script:
            act.act()
            return
        host = self.hosts[entry[1]]
        if host.frozen and not isinstance(act, Knock):
            self._hold(host, entry[2], entry, act)
        else:
            self.happen(host, entry[2], act)

    def _hold(self, host: Host, src: int, entry: Entry, act: Act) -> None:
        if isinstance(act, Arrive | Call):
            # A call that is the first on its link finds a kernel that accepts and nobody who
            # shakes hands; its caller runs into the time-out.
            if isinstance(act, Call) and act.attempt:
                return
            slots = OUTBOX_SLOTS - OUTBOX_CONTROL_SLOTS * isinstance(act.message, Part)
            if host.too_full(src, slots):
                return
        host.inbox.append(entry)

    # ------------------------------------------------------------ what happens to a host

    def happen(self, host: Host, src: int, act: Act) -> None:
        """One event at one host that is not frozen."""
        match act:
            case Arrive(serial, message):
                if host.links.get(src) == serial:
                    self._receive(host, src, message, serial)
                elif not host.dark:
                    # The kernel of a machine that is up answers for links that it does not know.
                    self.network.post(self.network.control(host.index, src), Fin(serial), self.now)
            case Wake(number):
                self._woken(host, number)
            case Found():
                self._found(host, act)
            case Fin(serial):
                if host.links.get(src) == serial:
                    self.switchboard.lose(host, src)
            case Knock(attempt):
                self.switchboard.knocked(host, src, attempt)
            case Accepted(attempt, serial):
                self.switchboard.accepted(host, src, attempt, serial)
            case Refused(attempt) | TimeOut(attempt):
                self.switchboard.in_vain(host, src, attempt)
            case Call(attempt, message):
                if self.switchboard.called(host, src, attempt):
                    self._receive(host, src, message, DIRECT)
            case Heard(attempt):
                host.calls.pop(attempt, None)
            case Script():
                act.act()
            case _:
                assert_never(act)

    def _receive(self, host: Host, src: int, message: Message, serial: int) -> None:
        engine = host.engine
        if engine is None:
            return
        self.events += 1
        for hear in self._on_arrived:
            hear(self.now, src, host.index, message, serial)
        if host.liar is not None:
            host.liar.hear(src, message)
        try:
            effects = engine.receive(
                self.hosts[src].node, message, self.now, direct=serial == DIRECT
            )
        except PeerFault as fault:
            self.tell("blamed", host.index, src, fault.what)
            if serial != DIRECT and host.links.get(src) == serial:
                self.switchboard.hang_up(host, src)
                effects = engine.unlinked(self.hosts[src].node, self.now)
            else:
                effects = []
        self.carry_out(host, effects)

    def _woken(self, host: Host, number: int) -> None:
        if host.engine is None or host.alarm != number:
            return
        host.wake_at = None
        due = host.engine.next_deadline()
        if due is not None and due <= self.now:
            self.events += 1
            self.carry_out(host, host.engine.wake(self.now))
        else:
            self._set_alarm(host)

    def _found(self, host: Host, found: Found) -> None:
        if host.engine is None or host.life != found.life:
            return
        if host.disk.stuck:
            host.disk.held.append(found)
            return
        self.events += 1
        self.tell("found", host.index, found.query_id, None if found.failed else found.rows)
        if found.failed:
            effects = host.engine.local_failed(found.query_id, self.now)
        else:
            effects = host.engine.local_found(
                found.query_id, found.rows, self.now, truncated=found.truncated
            )
        self.carry_out(host, effects)

    # ------------------------------------------------------------ effects

    def carry_out(self, host: Host, effects: list[Effect]) -> None:
        """Do what an engine wants done, then set its alarm."""
        now, here = self.now, host.index
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self.switchboard.send(host, self.index[peer], message)
                case Visit(peer, message):
                    self.switchboard.visit(host, self.index[peer], message)
                case SearchLocal(query_id, query):
                    self._search(host, query_id, query)
                case DeliverRows(query_id, holder, rows):
                    host.asked[query_id].rows[holder] = rows
                    self.tell("delivered", here, query_id, holder, rows)
                case DeliverFinal(query_id, report):
                    asking = host.asked[query_id]
                    asking.report, asking.finished_at = report, now
                    self.tell("finished", here, query_id, report)
                case Dial(peer):
                    self.switchboard.dial(host, self.index[peer])
                case Hangup(peer, _, everything):
                    self.switchboard.hang_up(host, self.index[peer])
                    if everything:
                        self.switchboard.close_direct(here, self.index[peer])
                case KeepBoot(node, boot):
                    host.kept_boots[node] = boot
                case KeepRoster(entries, admissions, records):
                    host.kept_roster += (entries, admissions, records)
                case Blame(peer, what):
                    self.tell("suspected", here, self.index[peer], what)
                case _:
                    assert_never(effect)
        self._set_alarm(host)

    def _set_alarm(self, host: Host) -> None:
        assert host.engine is not None
        due = host.engine.next_deadline()
        if due is not None and (host.wake_at is None or due < host.wake_at):
            host.wake_at = due
            host.alarm += 1
            self.push_own(host, max(due, self.now), Wake(host.alarm))

    def push_own(self, host: Host, when: Micros, act: Act, src: int | None = None) -> None:
        """Put one of a host's own events on the heap; `src` names the peer that it is about."""
        host.sequence += 1
        about = host.index if src is None else src
        heapq.heappush(self._heap, (when, host.index, about, host.sequence, act.KIND, act))

    def _search(self, host: Host, query_id: QueryId, query: Query) -> None:
        self.tell("searching", host.index, query_id)
        rows, truncated = host.cellar.search(query)
        found = Found(host.life, query_id, rows, truncated, failed=host.disk.broken)
        self.push_own(host, self.now + host.disk.delay_us, found)

    # ------------------------------------------------------------ lives and questions

    def start(self, host: Host) -> None:
        """Begin a life of this host's node, with what it kept and nothing else."""
        wall_us = self.wall(host)
        host.life += 1
        host.dark = host.frozen = False
        # PROTOCOL 4.5: boot = max(stored + 1, Unix seconds), stored before use.
        host.stored_boot = boot = max(host.stored_boot + 1, wall_us // SECOND)
        host.engine = Engine(
            node=host.node,
            mesh=self.mesh,
            boot=boot,
            seed=draw(self.seed, host.index, _ENGINE, host.life),
            notary=self.notaries[host.index],
            members=self.members,
            roster_head=self.head,
            boots=dict(host.kept_boots),
            settings=self.settings,
        )
        host.engine.clock(wall_us - self.now)
        host.heard_boots = dict(host.kept_boots)
        host.wake_at = None
        host.alarm += 1
        self.tell("started", host.index)
        self.carry_out(host, host.engine.start(self.now))

    def ask(
        self,
        origin: int,
        query: Query | None = None,
        scope: Scope | None = None,
        *,
        budget_us: Micros | None = None,
    ) -> Asking:
        """Put a question to a node that is up: by default for every study, to everyone.

        Raises:
            Unavailable: the node asks too often, or has too much open.
        """
        host = self.hosts[origin]
        assert host.engine is not None
        query, scope = query or every_study(), scope or Everyone()
        query_id, effects = host.engine.ask(query, scope, self.now, budget_us=budget_us)
        deadline = self.now + (budget_us or self.settings.budget_us)
        asking = Asking(origin, query_id, query, scope, self.now, deadline, host.life)
        host.asked[query_id] = asking
        self.askings.append(asking)
        self.tell("asked", asking)
        self.carry_out(host, effects)
        return asking

    def cancel(self, asking: Asking) -> None:
        """The asker has lost interest."""
        host = self.hosts[asking.origin]
        assert host.engine is not None
        self.carry_out(host, host.engine.cancel(asking.query_id, self.now))


_ENGINE = word(b"engine")
