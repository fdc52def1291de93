"""The ways that queries went through a live mesh, put together from what every node tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from clinics.clinic import Clinic
from meshpacs.model.ids import NodeId
from meshpacs.wire.codec import encode
from meshpacs.wire.messages import Closed
from meshpacs_sim.world.retold import Step, order_of


@dataclass(frozen=True)
class Way:
    """One query's; nodes are numbers."""

    steps: dict[int, tuple[Step, ...]]
    """For each node that it came to, the copies that were accepted there."""
    sent_on: dict[int, tuple[tuple[int, ...], ...]]
    """For each accepted copy, the origin's own too, whom it was sent on to, in that order."""
    named: tuple[int, ...] = ()
    """For each Closed of an accepted copy that names members as not reached in time, how many."""

    @property
    def named_bytes(self) -> int:
        """What these names take in all Closeds together; without a fault there are none."""
        names = [(NodeId(bytes(32)),) * many for many in self.named]
        return sum(len(encode(Closed(0, named))) - len(encode(Closed(0))) for named in names)


def read_way(clinics: Sequence[Clinic], numbers: dict[str, int], query_id: str) -> Way:
    """Ask every node for its trail of a query; `numbers` by node ids in hexadecimal."""
    steps: dict[int, tuple[Step, ...]] = {}
    sent_on: dict[int, tuple[tuple[int, ...], ...]] = {}
    named: list[int] = []
    for number, clinic in enumerate(clinics):
        for trail in clinic.client().get(f"/v1/trails?query={query_id}")["trails"]:
            steps[number] = tuple(
                Step(numbers[step["parent"]["node"]], step["hops"], step["ttl"])
                for step in trail["passes"]
                if step["parent"]
            )
            sent_on[number] = tuple(
                tuple(numbers[child["node"]] for child in step["children"])
                for step in trail["passes"]
            )
            closeds = [step["unreached"] for step in trail["passes"] if step["parent"]]
            named += [len(members) for members in closeds if members]
    return Way(steps, sent_on, tuple(named))


def orders_of_links(ways: Sequence[Way], size: int) -> list[list[int]]:
    """For each node its neighbours in the order in which it sends copies on to them.

    Raises:
        ValueError: a link has come anew meanwhile.
    """
    return [
        order_of(children for way in ways for children in way.sent_on.get(node, ()))
        for node in range(size)
    ]
