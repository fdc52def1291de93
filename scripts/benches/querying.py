"""How long a question to the whole mesh takes."""

import random
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benches.figure import Figure, Goal, percentile, under
from benches.ground import Ground, Stopwatch, Unmeasurable
from clinics.clinic import Clinic, Json
from clinics.mesh import mesh
from clinics.scanner import ELSEWHERE, FAMILIES, Study
from clinics.shelf import stock_all

SIZES = (5, 20)
STUDIES = 10_000

Keys = Callable[[random.Random, int, int], tuple[str, int]]
"""A key to ask for, and how many rows there must be at least; given the nodes and studies."""


def bench(ground: Ground) -> list[Figure]:
    """For each mesh: rounds of exact keys, then rounds of names with a wild card."""
    sizes = (2, 3) if ground.quick else SIZES
    studies = ground.size(STUDIES, 200)
    figures = []
    with ground.memory_room("query") as room:
        shelves = [room / f"shelf-{number}" for number in range(max(sizes))]
        ground.say(f"filling {len(shelves)} archives with {studies} studies each")
        firsts = [number * ELSEWHERE for number in range(len(shelves))]
        stock_all(shelves, firsts, studies, 1)
        for size in sizes:
            ground.say(f"a mesh of {size}")
            folder = room / f"mesh-{size}"
            folder.mkdir()
            with mesh(folder, size, partial(_lend, shelves)) as clinics:
                figures += _ask_all(ground, clinics, studies)
            for shelf, clinic in zip(shelves, clinics, strict=False):
                shutil.move(clinic.archive, shelf)
    return figures


def _lend(shelves: Sequence[Path], clinics: Sequence[Clinic]) -> None:
    for shelf, clinic in zip(shelves, clinics, strict=False):
        shutil.rmtree(clinic.archive, ignore_errors=True)
        shutil.move(shelf, clinic.archive)


def _exact(draw: random.Random, nodes: int, studies: int) -> tuple[str, int]:
    study = Study(draw.randrange(nodes) * ELSEWHERE + draw.randrange(studies))
    key = draw.choice(
        (
            f"PatientID={study.patient_id}",
            f"AccessionNumber={study.accession}",
            f"StudyInstanceUID={study.uid}",
        )
    )
    return key, 1


def _wild(draw: random.Random, nodes: int, studies: int) -> tuple[str, int]:
    del nodes, studies
    return f"PatientName={draw.choice(FAMILIES)}{draw.randrange(10)}*", 0


def _ask_all(ground: Ground, clinics: Sequence[Clinic], studies: int) -> list[Figure]:
    at = f"{len(clinics)} nodes"
    exact = _rounds(ground, clinics, studies, _exact, ground.size(200, 10))
    wild = _rounds(ground, clinics, studies, _wild, ground.size(40, 5))
    each = f"{studies} studies each, all on this machine, each question from a node by lot"
    by_key = f"{each}; PatientID, AccessionNumber or StudyInstanceUID by lot; POST /v1/find"
    rows = round(sum(wild.rows) / len(wild.rows))
    by_name = f"{each}; a family name's beginning and *: {rows} rows on average"
    goal = under(10) if len(clinics) == 5 else None
    return [
        _figure(f"exact key, {at}, p50", exact.rounds, 0.5, by_key, goal),
        _figure(f"exact key, {at}, p95", exact.rounds, 0.95, "the same"),
        _figure(f"exact key, {at}, p50 within the mesh", exact.within, 0.5,
                "the same, as the origin reports it: without HTTP and JSON"),
        _figure(f"name with *, {at}, p50", wild.rounds, 0.5, by_name),
        _figure(f"name with *, {at}, p95", wild.rounds, 0.95, "the same"),
    ]  # fmt: skip


class _Told:
    """What came of some rounds of questions."""

    def __init__(self) -> None:
        self.rounds: list[list[float]] = []
        """Milliseconds at the client."""
        self.within: list[list[float]] = []
        self.rows: list[int] = []


def _rounds(
    ground: Ground, clinics: Sequence[Clinic], studies: int, keys: Keys, count: int
) -> _Told:
    draw = random.Random(ground.seed)
    clients = [clinic.client() for clinic in clinics]
    told = _Told()
    for number in range(ground.rounds + 1):
        took, within = [], []
        for _ in range(count):
            key, least = keys(draw, len(clinics), studies)
            body = {"keys": [key], "scope": "mesh", "limit": 2000}
            client = draw.choice(clients)
            with Stopwatch() as watch:
                *_, found = client.lines("/v1/find", body)
            _judge(found, key, least, len(clinics))
            took.append(watch.s * 1000)
            within.append(found["report"]["took_us"] / 1000)
            told.rows.append(len(found["matches"]))
        if number:  # the first warms up
            told.rounds.append(took)
            told.within.append(within)
    return told


def _judge(found: Json, key: str, least: int, nodes: int) -> None:
    if not found["complete"] or len(found["report"]["members"]) != nodes:
        raise Unmeasurable(f"The answer to {key} is not complete.")
    if len(found["matches"]) < least:
        raise Unmeasurable(f"{key} was not found.")


def _figure(
    name: str, rounds: Sequence[Sequence[float]], share: float, how: str, goal: Goal | None = None
) -> Figure:
    values = tuple(percentile(took, share) for took in rounds)
    return Figure(name, "ms", values, f"{how}; {len(rounds[0])} questions a round", goal)
