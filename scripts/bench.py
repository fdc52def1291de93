"""Figures of this machine, each beside what it is to be compared with.

    scripts/bench                   all of them: about a quarter of an hour
    scripts/bench import fetch      some
    scripts/bench --quick           a small try of everything, whose figures mean little
    scripts/bench --runs 9          the median of nine measurements each
    scripts/bench --json FILE       also writes every measured value
    scripts/bench sim --pictures docs/pictures      also draws the growth of the simulator
    scripts/bench --folder FOLDER   on that disk; default: the system's folder for temporary files

Real nodes as processes of their own on loopback, generated CT images. A figure is the median of at
least five measurements, made by turns with what it is compared with. Exits 1 if a goal is missed
or something could not be measured.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, time_ns

from rich.console import Console
from rich.table import Table

from benches import dimse, fetching, importing, memory, querying, sim, startup
from benches.figure import Figure, machine
from benches.ground import Ground, Unmeasurable
from clinics.clinic import Broken
from meshpacs import __version__
from meshpacs.model.errors import MeshError

BENCHES: dict[str, Callable[[Ground], list[Figure]]] = {
    "startup": startup.bench,
    "import": importing.bench,
    "fetch": fetching.bench,
    "query": querying.bench,
    "memory": memory.bench,
    "dimse": dimse.bench,
    "sim": sim.bench,
}

ROUNDS = 5

screen = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def show(name: str, figures: list[Figure], took_s: float) -> None:
    """One benchmark's table."""
    table = Table(title=f"{name}  ({took_s:.0f} s)", title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("Median", "Lowest", "Highest", "Goal"):
        table.add_column(column, justify="right")
    table.add_column("How", style="dim", ratio=1)
    for figure in figures:
        goal, colour = figure.goal, ""
        if goal is not None:
            colour = "green" if figure.met else "red"
        table.add_row(
            figure.name,
            f"[{colour}]{number(figure.median)} {figure.unit}" if colour else
            f"{number(figure.median)} {figure.unit}",
            number(min(figure.values)),
            number(max(figure.values)),
            "" if goal is None else f"{'≥' if goal.at_least else '<'} {goal.bound:g}",
            f"{figure.how} ({len(figure.values)})",
        )  # fmt: skip
    screen.print(table)


def number(value: float) -> str:
    """Three digits that say something."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def measure(names: list[str], ground: Ground) -> tuple[dict[str, list[Figure]], list[str]]:
    """Each benchmark's figures, and what went wrong."""
    figures: dict[str, list[Figure]] = {}
    wrong = []
    for name in names:
        began = perf_counter()
        try:
            figures[name] = BENCHES[name](ground)
        except (Unmeasurable, Broken, MeshError, OSError) as fault:
            wrong.append(f"{name}: {fault}")
            screen.print(f"[red]{name} could not be measured:[/red] {fault}")
            continue
        show(name, figures[name], perf_counter() - began)
    return figures, wrong


def verdict(figures: dict[str, list[Figure]], wrong: list[str]) -> int:
    """Say what was missed."""
    judged = [(name, one) for name, some in figures.items() for one in some if one.goal]
    missed = [f"{name}: {one.name}" for name, one in judged if not one.met]
    screen.print(f"{len(judged) - len(missed)} of {len(judged)} goals met.")
    for line in (*missed, *wrong):
        screen.print(f"  [red]✗[/red] {line}", markup=True)
    return 1 if missed or wrong else 0


def main() -> int:
    """Measure in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="a small try")
    parser.add_argument("--runs", type=int, metavar="N", help=f"measure so often; {ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw what grows there")
    parser.add_argument("--folder", type=Path, help="make homes and files there")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="meshpacs-bench-", dir=options.folder)).resolve()
    rounds = options.runs or (2 if options.quick else ROUNDS)
    ground = Ground(
        folder,
        options.quick,
        rounds,
        options.seed,
        lambda words: screen.print(f"[dim]{words}"),
        options.pictures,
    )
    here = machine()
    screen.print(
        f"meshpacs {__version__}, Python {here['python']}, {here['cores']} cores, "
        f"{here['system']}, seed {options.seed}"
    )
    try:
        figures, wrong = measure(options.names or list(BENCHES), ground)
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        document = {
            "version": __version__,
            "made_us": time_ns() // 1000,
            "machine": here,
            "quick": options.quick,
            "seed": options.seed,
            "figures": [one.shape(name) for name, some in figures.items() for one in some],
            "wrong": wrong,
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return verdict(figures, wrong)


if __name__ == "__main__":
    sys.exit(main())
