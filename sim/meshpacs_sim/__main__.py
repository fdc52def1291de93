"""`python -m meshpacs_sim nights|identities`: campaigns for people, with seeds, counts, verdicts.

Exits 0 if no rule was broken, 2 if one was; the line that says so names the seed.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from meshpacs_sim import campaigns
from meshpacs_sim.checkers import SAFETY, Violation
from meshpacs_sim.nights import Night, night


def main(words: Sequence[str] | None = None) -> int:
    """Run one campaign and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m meshpacs_sim", description=__doc__)
    parser.add_argument(
        "campaign",
        choices=("nights", "identities"),
        help="nights: random faults; identities: the counts of PROTOCOL 4.7 on random graphs",
    )
    parser.add_argument("--seeds", type=int, default=30, help="how many worlds (default: 30)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--verbose", action="store_true", help="one line for each world")
    asked = parser.parse_args(words)
    seeds = range(asked.first, asked.first + asked.seeds)
    run = _nights if asked.campaign == "nights" else _identities
    broken = run(seeds, verbose=asked.verbose)
    _say(f"verdict: {f'{broken} of {len(seeds)} seeds broke a rule' if broken else 'all held'}")
    return 2 if broken else 0


def _nights(seeds: range, *, verbose: bool) -> int:
    faults: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    queries = events = broken = 0
    for seed in seeds:
        try:
            shown = night(seed)
        except Violation as violation:
            broken += 1
            _say(f"seed {seed}: {violation}")
            continue
        except Exception as error:  # noqa: BLE001 - an engine that raises has lost its world
            broken += 1
            _say(f"seed {seed}: {type(error).__name__}: {error}")
            continue
        if verbose:
            _say(_line(shown))
        faults += shown.faults
        statuses += shown.statuses
        queries += shown.queries
        events += shown.events
    _say(f"nights: seeds {seeds.start} to {seeds.stop - 1}, {queries} queries, {events} events")
    _say(f"faults: {_counts(faults)}")
    _say(f"members in finals: {_counts(statuses)}")
    _say(f"safety: {', '.join(checker.__name__ for checker in SAFETY)}")
    _say("liveness: EveryQueryEnds, EverybodyAnswers")
    return broken


def _identities(seeds: range, *, verbose: bool) -> int:
    asks = queries = events = hosts = broken = 0
    kinds: Counter[str] = Counter()
    for seed in seeds:
        try:
            shown = campaigns.identities_hold(seed)
            campaigns.unit_latency_is_exact(seed)
        except Violation as violation:
            broken += 1
            _say(f"seed {seed}: {violation}")
            continue
        except Exception as error:  # noqa: BLE001 - an engine that raises has lost its world
            broken += 1
            _say(f"seed {seed}: {type(error).__name__}: {error}")
            continue
        if verbose:
            _say(f"seed {seed}: {shown.graph.name}, {shown.asks} Asks, {shown.events} events")
        kinds[shown.graph.name.split("(")[0]] += 1
        hosts += shown.graph.size
        asks += shown.asks
        queries += shown.queries
        events += shown.events
    _say(f"identities: seeds {seeds.start} to {seeds.stop - 1}, {queries} queries, {asks} Asks")
    _say(f"graphs: {_counts(kinds)}; {hosts} hosts, {events} events")
    return broken


def _line(shown: Night) -> str:
    return (
        f"seed {shown.seed}: {shown.mesh}, {shown.queries} queries, {shown.events} events, "
        f"faults {_counts(shown.faults)}, trace {shown.digest[:16]}"
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {counter[name]}" for name in sorted(counter)) or "none"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
