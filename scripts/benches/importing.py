"""Import of CT instances into a node, beside a program that only writes the same files."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benches.figure import Figure, at_least
from benches.floor import BARE, bare
from benches.ground import Ground, Stopwatch, Unmeasurable, settle
from clinics.mesh import alone
from clinics.scanner import Study, write_slices

COUNT = 1000


def bench(ground: Ground) -> list[Figure]:
    """Rounds of: the bare disk with one thread, with four, then the node."""
    count = ground.size(COUNT, 40)
    one: list[float] = []
    four: list[float] = []
    node: list[float] = []
    with ground.room("import") as room:
        size = write_slices(Study(1), count, room / "media", seed=ground.seed)
        files = sorted((room / "media").iterdir())
        for number in range(ground.rounds):
            ground.say(f"round {number + 1}")
            one.append(bare(files, room / "bare", threads=1))
            four.append(bare(files, room / "bare", threads=4))
            node.append(_through_node(room / "media", room / "node", count))
    mb = size / 1e6
    files_of = f"{count} CT instances of 0.5 MB, warm in the page cache"
    return [
        Figure("node", "MB/s", _rates(mb, node), f"{files_of}; POST /v1/import to a fresh node"),
        Figure("bare disk, 1 thread", "MB/s", _rates(mb, one), f"{BARE}, one after another"),
        Figure("bare disk, 4 threads", "MB/s", _rates(mb, four), f"{BARE}, 4 threads"),
        Figure(
            "node : bare, 1 thread", "x", _ratios(one, node), "round by round", at_least(0.7)
        ),
        Figure(
            "node : bare, 4 threads", "x", _ratios(four, node), "round by round", at_least(0.7)
        ),
    ]  # fmt: skip


def _rates(mb: float, seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(mb / s for s in seconds)


def _ratios(bare: Sequence[float], node: Sequence[float]) -> tuple[float, ...]:
    return tuple(b / n for b, n in zip(bare, node, strict=True))


def _through_node(media: Path, folder: Path, count: int) -> float:
    folder.mkdir()
    with alone(folder) as clinic:
        clinic.up()
        settle()
        with Stopwatch() as watch:
            done = clinic.take_in(media)
        if done["stored"] != count:
            raise Unmeasurable(f"The node stored {done['stored']} of {count}.")
    shutil.rmtree(folder)
    return watch.s
