"""What came of a group of runs: every measure with its interval.

docs/SIMULATOR.md, *Measures*, tells what each of them means.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from meshpacs_sim.lab.groups import Group
from meshpacs_sim.lab.observations import Bools, Observations
from meshpacs_sim.statistics.batches import Batched
from meshpacs_sim.statistics.inequality import gini_of
from meshpacs_sim.statistics.intervals import Estimate, Floats
from meshpacs_sim.statistics.replications import mean_over, quantile_over, share_over, whole_over

MILLISECOND_US = 1_000

P99 = 0.99


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure."""

    key: str
    """As a sweep's curve is asked for by it."""
    label: str
    """With the unit in it."""
    estimate: Estimate | None
    """None where there was nothing to observe, or where the fidelity does not tell."""
    share: bool = False
    alike: bool = False
    """The interval is too narrow: even long batches of queries resembled each other."""


@dataclass(frozen=True, slots=True)
class ByCopies:
    """Success for content with so many copies."""

    copies: int
    queries: int
    discovered: Estimate
    retrievable: Estimate
    messages: Estimate | None
    """Per query; None if none was sent."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Messages of one type."""

    purpose: str
    type: str
    messages: Estimate
    """Of a search: per query; of upkeep: per node and hour."""
    bytes: Estimate | None


@dataclass(frozen=True, eq=False)
class Summary:
    """Everything that is told of one group."""

    group: Group
    findings: dict[str, Finding]
    by_copies: tuple[ByCopies, ...]
    kinds: tuple[Kind, ...]

    def estimate(self, key: str) -> Estimate | None:
        """One measure's value and interval."""
        return self.findings[key].estimate


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of a group, and how sure intervals are to be."""

    each: Sequence[Observations]
    confidence: float

    def __iter__(self) -> Iterator[Observations]:
        return iter(self.each)

    def mean(self, values: Sequence[Floats]) -> Batched | None:
        return mean_over(values, self.confidence)

    def share(self, hits: Sequence[Floats | Bools]) -> Batched | None:
        return share_over(hits, self.confidence)

    def quantile(self, values: Sequence[Floats], q: float) -> Estimate | None:
        return quantile_over(values, q, self.confidence)

    def whole(self, values: Sequence[float]) -> Estimate | None:
        return whole_over(values, self.confidence)


def summary_of(group: Group) -> Summary:
    """Every measure of one group."""
    runs = _Runs(group.runs, group.scenario.measure.confidence)
    found = [
        *_success(runs),
        *_cost(runs),
        *_speed(runs),
        *_disclosure(runs),
        *_loads(runs),
        *_upkeep(runs),
        *_availability(runs),
    ]
    findings = {each.key: replace(each, estimate=_from_0(each.estimate)) for each in found}
    return Summary(group, findings, tuple(_by_copies(runs)), tuple(_kinds(runs)))


# ---------------------------------------------------------------- queries


def _success(runs: _Runs) -> list[Finding]:
    up = [run.all_of("copies_up") > 0 for run in runs]
    return [
        _share("discovered", "queries that discovered a holder", runs, "discovered"),
        _share("retrievable", "queries after which a copy could be had", runs, "retrievable"),
        _share(
            "retrievable_if_up",
            "the same, of those for content that had a copy online",
            runs,
            "retrievable",
            up,
        ),
        _share("complete", "queries whose asker heard that all had answered", runs, "complete"),
        _told(
            "not_asked",
            "queries that were never sent, because nobody was online or the asker was too busy",
            runs.share([~run.asked[run.counted] for run in runs]),
            share=True,
        ),
    ]


def _cost(runs: _Runs) -> list[Finding]:
    return [
        _mean("messages", "messages per query", runs),
        _p99("messages_p99", "messages per query: 99th percentile", runs, "messages"),
        _mean("bytes", "bytes per query", runs),
        _mean("duplicates", "questions per query that reached a node which had them", runs),
        _mean("copies_found", "holders found per query", runs),
    ]


def _speed(runs: _Runs) -> list[Finding]:
    def milliseconds(name: str) -> list[Floats]:
        return [run.found(name) / MILLISECOND_US for run in runs]

    label = "milliseconds to the first copy"
    hops, latency = [run.found("hops") for run in runs], milliseconds("latency_us")
    return [
        _told("hops", "hops from the asker to the first copy", runs.mean(hops)),
        _told("latency_ms", f"{label}: mean", runs.mean(latency)),
        Finding("latency_p50_ms", f"{label}: median", runs.quantile(latency, 0.5)),
        Finding(
            "latency_p99_ms",
            f"{label}: 99th percentile",
            runs.quantile(latency, P99),
        ),
        _told(
            "took_ms",
            "milliseconds until the asker knew that it was over",
            runs.mean(milliseconds("took_us")),
        ),
    ]


def _disclosure(runs: _Runs) -> list[Finding]:
    tell = [run.totals["could_tell"] for run in runs if "could_tell" in run.totals]
    return [
        _mean("reached", "nodes per query that learnt that somebody asks for this", runs),
        _mean("coverage", "share of the nodes online that learnt it", runs, share=True),
        Finding(
            "could_tell",
            "nodes that could tell who holds a content without holding it",
            runs.whole(tell),
        ),
    ]


# ---------------------------------------------------------------- nodes and the whole


def _loads(runs: _Runs) -> list[Finding]:
    received, sent = (
        f"messages {verb} by a node, for 1,000 queries of the mesh" for verb in ("received", "sent")
    )
    sizes = received.replace("messages", "bytes")
    measures: list[tuple[str, str, str, Callable[[Floats], float]]] = [
        ("received_mean", f"{received}: mean", "received", _mean_of),
        ("received_p99", f"{received}: 99th percentile of the nodes", "received", _p99_of),
        ("received_max", f"{received}: busiest node", "received", _max_of),
        ("received_gini", "Gini's coefficient of messages received", "received", gini_of),
        ("received_bytes_mean", f"{sizes}: mean", "received_bytes", _mean_of),
        ("received_bytes_max", f"{sizes}: busiest node", "received_bytes", _max_of),
        ("sent_mean", f"{sent}: mean", "sent", _mean_of),
        ("sent_max", f"{sent}: busiest node", "sent", _max_of),
    ]
    found = []
    for key, label, name, measure in measures:
        loads = [run.load(name) for run in runs]
        values = [measure(load) for load in loads if load is not None]
        found.append(Finding(key, label, runs.whole(values)))
    return found


def _mean_of(load: Floats) -> float:
    return float(load.mean())


def _max_of(load: Floats) -> float:
    return float(load.max())


def _p99_of(load: Floats) -> float:
    return float(np.sort(load)[max(0, int(np.ceil(len(load) * P99)) - 1)])


def _upkeep(runs: _Runs) -> list[Finding]:
    def hourly(column: int) -> list[float]:
        rates = []
        for run in runs:
            counts = [kind[column] for kind in run.kinds if kind[0] == "upkeep"]
            if run.hours and None not in counts:
                whole = sum(int(count or 0) for count in counts)
                rates.append(whole / run.hours / run.size)
        return rates

    return [
        Finding("upkeep", "messages of upkeep per node and hour", runs.whole(hourly(2))),
        Finding("upkeep_bytes", "bytes of upkeep per node and hour", runs.whole(hourly(3))),
    ]


def _availability(runs: _Runs) -> list[Finding]:
    seen = [run for run in runs if len(run.moments)]

    def share(part: str, whole: Callable[[Observations], Floats | int]) -> Estimate | None:
        shares = (run.course(part) / np.maximum(1, whole(run)) for run in seen)
        return runs.whole([float(each.mean()) for each in shares])

    held = [run.course("copies") / run.contents for run in seen]
    return [
        Finding(
            "available",
            "contents with a copy online, over time",
            share("contents_available", lambda run: run.contents),
            share=True,
        ),
        Finding(
            "copies_online",
            "copies online, over time",
            share("copies_up", lambda run: run.course("copies")),
            share=True,
        ),
        Finding(
            "nodes_online",
            "nodes online, over time",
            share("nodes_up", lambda run: run.size),
            share=True,
        ),
        Finding(
            "copies_held",
            "copies of a content, online or not, over time",
            runs.whole([float(each.mean()) for each in held]),
        ),
    ]


# ---------------------------------------------------------------- broken down


def _by_copies(runs: _Runs) -> list[ByCopies]:
    counts = sorted({int(n) for run in runs for n in run.all_of("copies")[run.counted]})
    rows = []
    for copies in counts:
        among = [run.all_of("copies") == copies for run in runs]
        tried = [run.share("discovered", these) for run, these in zip(runs, among, strict=True)]
        had = [run.share("retrievable", these) for run, these in zip(runs, among, strict=True)]
        discovered, retrievable = runs.share(tried), runs.share(had)
        assert discovered is not None
        assert retrievable is not None
        cost = runs.mean(
            [run.cost("messages", these) for run, these in zip(runs, among, strict=True)]
        )
        rows.append(
            ByCopies(
                copies,
                sum(map(len, tried)),
                discovered.estimate,
                retrievable.estimate,
                _from_0(cost.estimate) if cost else None,
            )
        )
    return rows


def _kinds(runs: _Runs) -> list[Kind]:
    """By purpose, then type, the most frequent first within a purpose."""
    names = dict.fromkeys((kind[0], kind[1]) for run in runs for kind in run.kinds)
    kinds = []
    for purpose, name in names:
        rates = [_rate(run, purpose, name) for run in runs]
        messages = runs.whole([rate[0] for rate in rates if rate])
        sizes = [rate[1] for rate in rates if rate]
        if messages is not None:
            told = [size for size in sizes if size is not None]
            size = runs.whole(told) if len(told) == len(sizes) else None
            kinds.append(Kind(purpose, name, _from_0(messages) or messages, _from_0(size)))
    return sorted(kinds, key=lambda kind: (kind.purpose, -kind.messages.value, kind.type))


def _rate(run: Observations, purpose: str, name: str) -> tuple[float, float | None] | None:
    """Messages and bytes of one type in one run: per query, or per node and hour."""
    per = run.sent if purpose == "search" else (run.hours or 0.0) * run.size
    if not per:
        return None
    for each_purpose, each_name, messages, size in run.kinds:
        if (each_purpose, each_name) == (purpose, name):
            return messages / per, None if size is None else size / per
    return 0.0, 0.0


# ---------------------------------------------------------------- one of each


def _from_0(estimate: Estimate | None) -> Estimate | None:
    """Nothing that is measured here is below 0; Student's interval does not know that."""
    if estimate is None or not -inf < estimate.low < 0:
        return estimate
    return replace(estimate, low=0.0)


def _share(key: str, label: str, runs: _Runs, column: str, among: Sequence[Bools] = ()) -> Finding:
    hits = [run.share(column, *here) for run, here in zip(runs, _each(among, runs), strict=True)]
    return _told(key, label, runs.share(hits), share=True)


def _each(among: Sequence[Bools], runs: _Runs) -> list[tuple[Bools, ...]]:
    return [(each,) for each in among] or [() for _ in runs]


def _mean(key: str, label: str, runs: _Runs, *, share: bool = False) -> Finding:
    return _told(key, label, runs.mean([run.cost(key) for run in runs]), share=share)


def _p99(key: str, label: str, runs: _Runs, column: str) -> Finding:
    return Finding(key, label, runs.quantile([run.cost(column) for run in runs], P99))


def _told(key: str, label: str, told: Batched | None, *, share: bool = False) -> Finding:
    if told is None:
        return Finding(key, label, None, share)
    return Finding(key, label, told.estimate, share, told.alike)
