"""`python -m meshpacs_sim nights|lines|identities|twins`: campaigns, with seeds and verdicts.

Stops at the first rule that was broken, names the seed, and says how to see it again. Exits 0 if
none was, 2 if one was.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from meshpacs_sim.trials.campaigns import Flooded
from meshpacs_sim.trials.nights import Night
from meshpacs_sim.trials.safety import SAFETY
from meshpacs_sim.trials.trouble import FAULTS
from meshpacs_sim.trials.worlds import each_of, one_flood, one_night, one_night_on_lines

if TYPE_CHECKING:
    from meshpacs_sim.twins.comparing import Compared

T = TypeVar("T")

PROGRESS_S = 15.0
"""Seconds between two lines that say how far it is."""

LIVENESS = ("EveryQueryEnds", "TheHonestAreFound", "EverybodyAnswers", "AWrongClockIsNamed")


def main(words: Sequence[str] | None = None) -> int:
    """Run one campaign and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m meshpacs_sim", description=__doc__)
    parser.add_argument(
        "campaign",
        choices=("nights", "lines", "identities", "twins"),
        help="nights: random faults; lines: the same on the lines that clinics have; "
        "identities: the counts of PROTOCOL 4.7 on random graphs; "
        "twins: random scenarios, the engine against the kernel (needs meshpacs[sim])",
    )
    parser.add_argument("--seeds", type=int, default=30, help="how many worlds (default: 30)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--verbose", action="store_true", help="one line for each world")
    parser.add_argument("--table", type=Path, help="a file for which fault each night met")
    asked = parser.parse_args(words)
    seeds = range(asked.first, asked.first + asked.seeds)
    began = time.monotonic()
    if asked.campaign == "twins":
        # Here alone, so that the others need no compiler.
        from meshpacs_sim.twins.comparing import one_pair

        held = _twins(each_of(one_pair, seeds, asked.jobs), seeds, verbose=asked.verbose)
    elif asked.campaign != "identities":
        lived = one_night if asked.campaign == "nights" else one_night_on_lines
        nights = each_of(lived, seeds, asked.jobs)
        held = _nights(asked.campaign, nights, seeds, asked.table, verbose=asked.verbose)
    else:
        floods = each_of(one_flood, seeds, asked.jobs)
        held = _identities(floods, seeds, verbose=asked.verbose)
    took = f"{time.monotonic() - began:.0f} s"
    _say(f"verdict: {'all held' if held else 'a rule was broken'} ({took})")
    return 0 if held else 2


# ---------------------------------------------------------------- all of them


def _nights(
    campaign: str,
    shown: Iterator[Night | str],
    seeds: range,
    table: Path | None,
    *,
    verbose: bool,
) -> bool:
    lived: list[Night] = []
    broken = _until_broken(campaign, shown, seeds, lived, _line if verbose else None)
    if table is not None:
        table.write_text("".join(_rows(lived)), encoding="utf-8")
    faults, met, statuses = Counter[str](), Counter[str](), Counter[str]()
    for each in lived:
        faults += each.faults
        met.update(each.faults.keys())
        statuses += each.statuses
    queries, events = sum(n.queries for n in lived), sum(n.events for n in lived)
    lying = [n for n in lived if n.lying]
    _say(f"nights: {len(lived)} from seed {seeds.start}, {queries} queries, {events} events")
    _say(f"faults: {_counts(faults)}")
    _say(f"nights that met each: {_counts(met)}")
    _say(f"members in finals: {_counts(statuses)}")
    _say(f"healed while {sum(n.lying for n in lying)} members lied: {len(lying)} nights")
    _say(f"links cut for a breach, all of liars: {sum(n.blamed for n in lived)}")
    _say(f"members that were not heard after a roll-back: {sum(n.outdated for n in lived)}")
    _say(f"safety: {', '.join(checker.__name__ for checker in SAFETY)}")
    _say(f"liveness: {', '.join(LIVENESS)}")
    return not broken


def _identities(shown: Iterator[Flooded | str], seeds: range, *, verbose: bool) -> bool:
    lived: list[Flooded] = []
    broken = _until_broken("identities", shown, seeds, lived, _cost if verbose else None)
    kinds = Counter(each.graph.name.split("(")[0] for each in lived)
    queries, asks = sum(each.queries for each in lived), sum(each.asks for each in lived)
    hosts, events = sum(each.graph.size for each in lived), sum(each.events for each in lived)
    _say(f"identities: {len(lived)} from seed {seeds.start}, {queries} queries, {asks} Asks")
    _say(f"graphs: {_counts(kinds)}; {hosts} hosts, {events} events")
    return not broken


def _twins(shown: "Iterator[Compared | str]", seeds: range, *, verbose: bool) -> bool:
    lived: list[Compared] = []
    broken = _until_broken("twins", shown, seeds, lived, _history if verbose else None)
    counts, kinds = Counter[str](), Counter(each.mesh.split("(")[0] for each in lived)
    for each in lived:
        counts += each.counts
    nodes, most = sum(each.nodes for each in lived), max((each.nodes for each in lived), default=0)
    _say(f"twins: {len(lived)} from seed {seeds.start}, {nodes} nodes, at most {most} in one")
    _say(f"graphs: {_counts(kinds)}")
    _say(f"engines called: {sum(each.calls for each in lived)}")
    _say(f"compared: {_counts(counts)}")
    _say(
        f"crashes while a query was open: {sum(each.crashes_amid for each in lived)}, "
        f"of its asker {sum(each.cut_short for each in lived)}"
    )
    _say(f"mismatches: {int(broken)}")
    return not broken


def _until_broken(
    campaign: str,
    shown: Iterator[T | str],
    seeds: range,
    lived: list[T],
    line: Callable[[T], str] | None,
) -> bool:
    """Take in worlds until one is broken; True if one was."""
    began = said = time.monotonic()
    for seed, each in zip(seeds, shown, strict=False):
        if isinstance(each, str):
            _say(f"seed {seed}: {each}")
            _say(f"again: python -m meshpacs_sim {campaign} --first {seed} --seeds 1")
            return True
        lived.append(each)
        if line is not None:
            _say(f"seed {seed}: {line(each)}")
        elif time.monotonic() - said > PROGRESS_S:
            said = time.monotonic()
            _say(f"{len(lived)} of {len(seeds)} held, {said - began:.0f} s")
    return False


def _rows(lived: Sequence[Night]) -> Iterator[str]:
    """Lines of tab-separated fields: which fault each seed met, and how often."""
    heads = ("seed", "mesh", "queries", "events", "lying", *FAULTS, "trace")
    yield "\t".join(heads) + "\n"
    for each in lived:
        counts = [each.queries, each.events, each.lying, *(each.faults[name] for name in FAULTS)]
        yield "\t".join(map(str, (each.seed, each.mesh, *counts, each.digest))) + "\n"


def _line(shown: Night) -> str:
    return (
        f"{shown.mesh}, {shown.queries} queries, {shown.events} events, "
        f"faults {_counts(shown.faults)}, trace {shown.digest[:16]}"
    )


def _cost(shown: Flooded) -> str:
    return f"{shown.graph.name}, {shown.asks} Asks, {shown.events} events"


def _history(shown: "Compared") -> str:
    return f"{shown.mesh}, {shown.calls} calls, trace {shown.digest[:16]}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {counter[name]}" for name in sorted(counter)) or "none"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
