"""What a reader must know before believing a summary: found in the results, not in good faith."""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np

from meshpacs_sim.lab.groups import Gathered, Group
from meshpacs_sim.lab.summaries import Summary
from meshpacs_sim.pictures.numerals import percent
from meshpacs_sim.statistics.batches import run_mean
from meshpacs_sim.statistics.intervals import Floats
from meshpacs_sim.statistics.replications import REPLICATIONS
from meshpacs_sim.statistics.warmup import warm_up_of

FEW_QUERIES = 100
"""Below, a share is known to a tenth at best (Wilson's interval of 50 of 100: 40 % to 60 %)."""

SERIES = {"messages": "the costs of queries", "retrievable": "their successes"}
"""Columns in which a warm-up is looked for."""

CHIEF = ("retrievable", "discovered", "messages", "bytes", "latency_ms", "reached")
"""Measures whose intervals are judged: of thirty some look wrong by chance."""

APART = 3.0
"""Standard errors by which a beginning differs from the rest. A guess: the rule has looked for
where it differs most, so two would often be exceeded by chance."""


def cautions_of(gathered: Gathered, summaries: Sequence[Summary]) -> list[str]:
    """Sentences, the gravest first; none if there is nothing to say."""
    said = [*_whole(gathered)]
    told: dict[str, list[str]] = {}
    for summary in summaries:
        for sentence in _of_one(summary):
            told.setdefault(sentence, []).append(summary.group.name)
    for sentence, names in told.items():
        everywhere = len(names) == len(summaries)
        said.append(sentence if everywhere else f"{_some(names)}: {sentence}")
    return said


def _whole(gathered: Gathered) -> Iterator[str]:
    manifests = gathered.manifests
    if gathered.missing:
        yield f"{gathered.missing} runs of the sweep have not been done; this is without them."
    if cut := sum(bool(each.get("interrupted")) for each in manifests):
        yield f"{cut} of {len(manifests)} runs were interrupted, with fewer queries than wanted."
    if len({repr(each.get("code")) for each in manifests}) > 1:
        yield "The runs were made by different versions of the program."
    if any("+" in str(each.get("code", {}).get("git", "")) for each in manifests):
        yield "The program had changes that no commit holds."
    seeds = min(len(group.runs) for group in gathered.groups)
    if seeds < REPLICATIONS:
        these = "this very mesh" if seeds == 1 else "these very meshes"
        yield (
            f"{seeds} {'seed' if seeds == 1 else 'seeds'}: the intervals say how sure the numbers"
            f" are for {these}, not for others like it; from {REPLICATIONS} seeds on they would."
        )


def _of_one(summary: Summary) -> Iterator[str]:
    group = summary.group
    queries = sum(int(run.counted.sum()) for run in group.runs)
    if not queries:
        yield "No query counts: all were warm-up, or none was asked."
        return
    if queries < FEW_QUERIES:
        yield f"Only {queries} queries count; shares are known to a tenth at best."
    for column, label in SERIES.items():
        cut = _longer_warm_up(group, column)
        if cut:
            yield (
                f"The warm-up was longer than what was cut: {label} differ until about query {cut}"
                " (MSER-5). Set measure.warm_up_queries to it."
            )
    if not _settled(group):
        yield (
            "The number of copies online was still changing in the second half of the run (MSER-5):"
            " what is measured is not a steady state."
        )
    measure = group.scenario.measure
    wanted = summary.estimate("latency_ms" if measure.of == "latency_us" else measure.of)
    if measure.half_width and (wanted is None or wanted.relative > measure.half_width):
        yield (
            f"The interval around {measure.of} is not as narrow as measure.half_width wants it: the"
            " queries were used up first."
        )
    alike = [summary.findings[key].label for key in CHIEF if summary.findings[key].alike]
    if alike:
        yield (
            "Queries that follow each other resemble each other even in the longest batches"
            f" ({'; '.join(alike)}): these intervals are too narrow. Ask more queries, or use"
            f" {REPLICATIONS} seeds."
        )
    refused = summary.estimate("not_asked")
    if refused is not None and refused.value > 0:
        yield (
            f"{percent(refused.value)} of the queries were never sent (nobody was online, or the"
            " asker was too busy). They count as not found, and not among the costs."
        )
    tail = summary.estimate("latency_p99_ms")
    if tail is not None and not tail.bounded:
        yield "The 99th percentile of latency has no upper bound: that takes 368 finds."


def _longer_warm_up(group: Group, column: str) -> int:
    """Up to which query the runs still show how they began, beyond what was cut; 0 if they do not.

    By the mean over the group's runs, query by query. What MSER-5 would cut must also differ from
    the rest: the rule cuts chance, too.
    """
    lengths = [len(run.counted) for run in group.runs]
    length = min(lengths)
    flagged = max(int((~run.counted).sum()) for run in group.runs)
    if length < flagged + FEW_QUERIES:
        return 0
    series: Floats = np.mean([run.all_of(column)[:length] for run in group.runs], axis=0)
    if np.isnan(series).any():
        return 0
    kept = series[flagged:]
    cut = warm_up_of(kept).cut
    return flagged + cut if _differs(kept[:cut], kept[cut:]) else 0


def _settled(group: Group) -> bool:
    """Whether the share of contents with a copy online had become steady, as far as can be told."""
    for run in group.runs:
        course = run.course("contents_available")
        found = warm_up_of(course) if len(course) else None
        if found is None or len(course) < FEW_QUERIES or found.settled:
            continue
        if _differs(course[: found.cut], course[found.cut :]):
            return False
    return True


def _differs(head: Floats, rest: Floats) -> bool:
    """Whether the mean of a beginning lies farther from the rest's than chance carries it, by how
    much the rest varies: a short beginning knows nothing of its own variance.
    """
    if not len(head):
        return False
    told = run_mean(rest)
    error = sqrt(float(rest.var(ddof=1)) * told.inflation * (1 / len(head) + 1 / len(rest)))
    return abs(float(head.mean()) - told.estimate.value) > APART * error


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
