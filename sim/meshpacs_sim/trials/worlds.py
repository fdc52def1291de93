"""Many worlds, each from one seed: here, or in several processes, judged in the order of seeds."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

from meshpacs_sim.trials import campaigns
from meshpacs_sim.trials.campaigns import Flooded
from meshpacs_sim.trials.checkers import Violation
from meshpacs_sim.trials.nights import CLINICS_LINES, Night, night

T = TypeVar("T")

AHEAD = 4
"""Seeds that each process is given at once: few, so that a violation ends the campaign soon."""


def each_of(function: Callable[[int], T], seeds: range, jobs: int) -> Iterator[T]:
    """What a function of this module says of every seed; `jobs` processes, or this one."""
    if jobs == 1:
        yield from map(function, seeds)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context)
    try:
        left = iter(seeds)
        waiting = [pool.submit(function, seed) for seed in islice(left, jobs * AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(function, seed) for seed in islice(left, 1)]
    finally:
        pool.shutdown(cancel_futures=True)


def one_night(seed: int) -> Night | str:
    """What a night has shown, or what it has broken."""
    return _judged(lambda: night(seed))


def one_night_on_lines(seed: int) -> Night | str:
    """The same on lines that clinics have."""
    return _judged(lambda: night(seed, conditions=CLINICS_LINES))


def one_flood(seed: int) -> Flooded | str:
    """What a world of floods has cost, or what was wrong with it."""

    def both() -> Flooded:
        shown = campaigns.identities_hold(seed)
        campaigns.unit_latency_is_exact(seed)
        return shown

    return _judged(both)


def _judged(campaign: Callable[[], T]) -> T | str:
    try:
        return campaign()
    except Violation as violation:
        return str(violation)
    except Exception as error:  # noqa: BLE001 - an engine that raises has lost its world
        return f"{type(error).__name__}: {error}"
