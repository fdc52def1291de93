"""Several nodes of one mesh, as processes on loopback, that are gone when a block ends."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from clinics.clinic import Broken, Clinic, Json, anywhere

LINK_S = 120.0
"""How long to wait for links. A guess for a busy machine."""

AT_ONCE = 4
"""Processes that start side by side. A guess: two cores, and each waits for its disk, too."""


@contextmanager
def alone(folder: Path) -> Iterator[Clinic]:
    """A node that founded a mesh of its own; not up yet."""
    clinic = Clinic("Alster", folder / "alster")
    clinic.run("init", "--name", clinic.name, *anywhere())
    try:
        yield clinic
    finally:
        clinic.end()


@contextmanager
def mesh(
    folder: Path, count: int, fill: Callable[[Sequence[Clinic]], None] | None = None
) -> Iterator[list[Clinic]]:
    """So many nodes of one mesh, up and linked; `fill` is called before they start for good."""
    made = [Clinic(f"Clinic {number}", folder / f"clinic-{number}") for number in range(count)]
    with ending(made):
        found_and_join(made)
        made[0].end()
        if fill:
            fill(made)
        up_all(made)
        wait_complete(made)
        yield made


@contextmanager
def ending(made: Sequence[Clinic]) -> Iterator[None]:
    """Leave no process of these behind."""
    try:
        yield
    finally:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(Clinic.end, made))


def found_and_join(made: Sequence[Clinic], mesh_name: str = "Loopback") -> None:
    """The first founds and stays up; the others join it and are not up yet."""
    first, *others = made
    first.run("init", "--name", first.name, "--mesh-name", mesh_name, *anywhere())
    first.up()
    for other in others:
        join(first, other)


def join(host: Clinic, joiner: Clinic) -> None:
    """An invite of a founder that is up, redeemed."""
    invite = host.client().post("/v1/invite", {"local": True})["text"]
    joiner.run("join", invite, "--name", joiner.name, *anywhere())


def up_all(made: Sequence[Clinic]) -> None:
    """Start those that are not up, some side by side."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(Clinic.up, (clinic for clinic in made if clinic.process is None)))


def wait_complete(made: Sequence[Clinic]) -> None:
    """Until a question to any of them is answered by all.

    Raises:
        Broken: one does not hear all others.
    """
    until = monotonic() + LINK_S
    waiting = list(made)
    while waiting:
        body = {"keys": ["StudyInstanceUID=2.25.0"], "scope": "mesh"}
        found = waiting[0].ask("/v1/find", body)
        if found["complete"] and len(found["report"]["members"]) == len(made):
            waiting.pop(0)
        elif monotonic() > until:
            raise Broken(f"{waiting[0].name} does not hear all others.")
        else:
            sleep(0.5)


def wait_linked(one: Clinic, other: Clinic) -> None:
    """Until one has another as its neighbour.

    Raises:
        Broken: it takes too long.
    """
    _wait_peer(one, lambda peer: peer["name"] == other.name and peer["state"] == "linked")


def wait_known(one: Clinic, node: str) -> None:
    """Until one has heard of a member, by its whole id.

    Raises:
        Broken: it takes too long.
    """
    _wait_peer(one, lambda peer: peer["node"] == node)


def _wait_peer(one: Clinic, right: Callable[[Json], object]) -> None:
    until = monotonic() + LINK_S
    while monotonic() < until:
        if any(right(peer) for peer in one.client().get("/v1/peers")["peers"]):
            return
        sleep(0.05)
    raise Broken(f"{one.name} has not the peer that it should have.")
