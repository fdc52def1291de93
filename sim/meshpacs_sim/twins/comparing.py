"""One scenario on both sides: equal to the last number, or where they part."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from meshpacs_sim.kernel.apart import Words
from meshpacs_sim.kernel.twin import rows
from meshpacs_sim.kernel.twin.memory import Told
from meshpacs_sim.twins.scenario import Scenario, scenario
from meshpacs_sim.twins.sides import engine_side, kernel_side

AROUND = 6
"""Rows shown before and after the first that differs."""


@dataclass(slots=True)
class Compared:
    """What one scenario has shown."""

    seed: int
    mesh: str
    nodes: int
    digest: str
    """Of all rows, the engine's."""
    calls: int
    """How often an engine was called: messages, answers of archives, alarms."""
    counts: Counter[str] = field(default_factory=Counter)
    """Rows by what they say."""
    crashes_amid: int = 0
    """Crashes while a query was open."""
    cut_short: int = 0
    """Of these, of a node that had asked itself."""


class Parted(Exception):
    """Engine and kernel have told different histories of one scenario."""


def compared(
    seed: int, *, twin: Callable[[Scenario], Told] = kernel_side, told: Scenario | None = None
) -> Compared:
    """Run one scenario on both sides.

    Raises:
        Parted: they differ; it says where first, and what each side told around that.
    """
    what = told or scenario(seed)
    engine, kernel = engine_side(what), twin(what)
    if not np.array_equal(engine.rows, kernel.rows):
        raise Parted(_parting(engine.rows, kernel.rows))
    if engine.calls != kernel.calls:
        raise Parted(f"engines were called {engine.calls} times, in the kernel {kernel.calls}")
    shown = Compared(seed, what.graph.name, what.graph.size, digest(engine.rows), engine.calls)
    kinds, counts = np.unique(engine.rows[:, 1], return_counts=True)
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        shown.counts[rows.NAMES[kind]] = count
    _crashes(engine.rows, shown)
    return shown


def digest(told: Words) -> str:
    """One number for a history: SHA-256 over its rows, 64 bits a number, little-endian."""
    return hashlib.sha256(told.astype("<i8").tobytes()).hexdigest()


def _crashes(told: Words, shown: Compared) -> None:
    asking: dict[int, int] = {}
    for _, kind, host, _, _, query, *_ in told[told[:, 1] >= rows.LINKED].tolist():
        if kind == rows.ASKED:
            asking[query] = host
        elif kind == rows.FINISHED:
            del asking[query]
        elif kind == rows.CRASHED and asking:
            shown.crashes_amid += 1
            shown.cut_short += host in asking.values()
            asking = {one: origin for one, origin in asking.items() if origin != host}


def _parting(engine: Words, kernel: Words) -> str:
    """The first row that differs, and those around it."""
    shared = min(len(engine), len(kernel))
    differ = np.flatnonzero((engine[:shared] != kernel[:shared]).any(axis=1))
    at = int(differ[0]) if len(differ) else shared
    lines = [f"row {at} of {len(engine)} and {len(kernel)} differs"]
    for name, told in (("engine", engine), ("kernel", kernel)):
        lines.append(f"  {name}: when, what, host, peer, link, query, numbers")
        for number in range(max(0, at - AROUND), min(len(told), at + AROUND + 1)):
            when, kind, *numbers = told[number].tolist()
            mark = ">" if number == at else " "
            lines.append(f"  {mark} {when} {rows.NAMES.get(kind, kind)} {numbers}")
    return "\n".join(lines)


def one_pair(seed: int) -> Compared | str:
    """What one scenario has shown, or where its two sides part."""
    try:
        return compared(seed)
    except Parted as parted:
        return str(parted)
    except Exception as error:  # noqa: BLE001 - a side that raises has lost its world
        return f"{type(error).__name__}: {error}"
