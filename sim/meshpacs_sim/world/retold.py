"""A world that is told what was chance elsewhere: which copy of a query was accepted first by whom.

How many links an answer crosses hangs on which copy of its ask came first, and that on whose turn
a processor had. Roads know no processors. So what a live mesh has done is told here from its trails
(`meshpacs.engine.trails`), and happens again: messages wait at their receiver until the copies that
were accepted before them have come. Nothing else is altered; what it costs must then be the same.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from meshpacs.model.ids import NodeId, QueryId
from meshpacs.wire.messages import Ask, Message
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.world.acts import Act, Arrive
from meshpacs_sim.world.cellar import Cellar
from meshpacs_sim.world.hosts import Asking, Host
from meshpacs_sim.world.network import Latencies
from meshpacs_sim.world.observers import Observer
from meshpacs_sim.world.world import World


@dataclass(frozen=True, slots=True)
class Step:
    """One copy that a host accepted: from whom, and the numbers that it bore."""

    src: int
    hops: int
    ttl: int


class Retold(World):
    """A frozen overlay without faults, in which copies are accepted as they are told to be."""

    def __init__(
        self,
        seed: int,
        graph: Graph,
        order: Sequence[Sequence[int]],
        *,
        latency: Latencies | None = None,
        cellars: Sequence[Cellar] | None = None,
        names: Sequence[NodeId] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Begin like any world, with links that come up in each host's own order.

        In that order copies are sent on and numbered, and a number takes one to five bytes.
        """
        self._due: dict[QueryId, dict[int, deque[Step]]] = {}
        """For each query what each host has yet to accept."""
        self._waiting: dict[tuple[int, int], deque[Arrive]] = {}
        """By receiver and sender, what has come too early and all that came behind it: links are
        FIFO."""
        super().__init__(
            seed,
            graph,
            latency=latency,
            cellars=cellars,
            names=names,
            observers=observers,
            order=order,
        )

    def retell(self, asking: Asking, steps: Mapping[int, Sequence[Step]]) -> None:
        """Say how a query went that has just been asked, for each host that accepted copies."""
        self._due[asking.query_id] = {host: deque(each) for host, each in steps.items()}

    def missing(self, asking: Asking) -> dict[int, Step]:
        """For each host the next copy that it should have accepted and has not, if there is any."""
        due = self._due[asking.query_id]
        return {host: steps[0] for host, steps in due.items() if steps}

    def happen(self, host: Host, src: int, act: Act) -> None:
        """One event at one host, unless it comes too early."""
        if not isinstance(act, Arrive):
            super().happen(host, src, act)
            return
        place = (host.index, src)
        steps = self._steps(host, act.message)
        if place in self._waiting or (steps and steps[0].src != src):
            self._waiting.setdefault(place, deque()).append(act)
            return
        super().happen(host, src, act)
        # Others that come from the same neighbour are repeats, as they were.
        if steps and _bears(act.message, src, steps[0]):
            steps.popleft()
            self._let_in(host)

    def _steps(self, host: Host, message: Message) -> deque[Step] | None:
        if not isinstance(message, Ask):
            return None
        query_id, _ = self.bodies.read(message.body)
        return self._due.get(query_id, {}).get(host.index)

    def _let_in(self, host: Host) -> None:
        """A copy was accepted: let in what has waited for it, as far as its turn has come."""
        for place in [place for place in self._waiting if place[0] == host.index]:
            acts = self._waiting.pop(place, None)
            while acts:
                self.happen(host, place[1], acts.popleft())


def _bears(message: Message, src: int, step: Step) -> bool:
    return isinstance(message, Ask) and step == Step(src, message.hops, message.ttl)


def order_of(listed: Iterable[Sequence[int]]) -> list[int]:
    """The one order in which lists of one host's neighbours stand, each of which lacks a few.

    Two neighbours that never stand in one list may come in any order: it has made no difference.

    Raises:
        ValueError: the lists contradict each other, so a link has come anew.
    """
    after: TopologicalSorter[int] = TopologicalSorter()
    for peers in listed:
        for peer in peers:
            after.add(peer)
        for earlier, later in pairwise(peers):
            after.add(later, earlier)
    try:
        return list(after.static_order())
    except CycleError as error:
        raise ValueError("The order of a host's links has changed.") from error
