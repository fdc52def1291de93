"""A summary says what happened: what counts, what does not, and how surely."""

from typing import Any

import pytest

from meshpacs_sim.lab.comparisons import comparisons_of
from meshpacs_sim.lab.groups import Gathered
from meshpacs_sim.lab.searching import AskBall
from meshpacs_sim.lab.summaries import Summary, summary_of
from meshpacs_sim.statistics.intervals import mean_of, proportion_of
from tests.sim.lab.invented import group, queries, run, scenario, tables


def told(**columns: Any) -> Summary:
    count = len(next(iter(columns.values()), [0] * 8))
    return summary_of(group(tables(queries(count, **columns))))


def value(summary: Summary, key: str) -> float:
    estimate = summary.estimate(key)
    assert estimate is not None
    return estimate.value


# ---------------------------------------------------------------- success


def test_what_was_discovered_is_told_apart_from_what_could_be_had() -> None:
    summary = told(discovered=[True] * 6 + [False] * 2, retrievable=[True] * 3 + [False] * 5)
    assert value(summary, "discovered") == 6 / 8
    assert value(summary, "retrievable") == 3 / 8
    assert summary.findings["retrievable"].share


def test_a_search_is_not_blamed_for_holders_that_were_all_away() -> None:
    summary = told(retrievable=[True, False, False, False], copies_up=[1, 1, 0, 0])
    assert value(summary, "retrievable") == 1 / 4
    assert value(summary, "retrievable_if_up") == 1 / 2


def test_warm_up_does_not_count() -> None:
    summary = told(warm_up=[True] * 4 + [False] * 4, messages=[900] * 4 + [10, 20, 30, 40])
    assert value(summary, "messages") == 25
    assert value(summary, "discovered") == 1


def test_a_query_that_was_never_sent_is_a_miss_without_a_cost() -> None:
    summary = told(
        ended=["answered", "lost", "refused", "nobody"],
        discovered=[True, False, False, False],
        messages=[30, 10, 0, 0],
        latency_us=[5_000, -1, -1, -1],
    )
    assert value(summary, "not_asked") == 1 / 2
    assert value(summary, "discovered") == 1 / 4
    assert value(summary, "messages") == 20
    assert value(summary, "latency_ms") == 5


def test_where_nothing_was_found_there_is_no_latency_and_a_share_with_a_width() -> None:
    summary = told(discovered=[False] * 30, latency_us=[-1] * 30, hops=[-1] * 30)
    assert summary.estimate("latency_ms") is summary.estimate("hops") is None
    assert summary.estimate("latency_p99_ms") is None
    assert summary.estimate("discovered") == proportion_of(0, 30)


def test_success_is_told_for_each_number_of_copies() -> None:
    summary = told(copies=[1, 3, 1, 3], discovered=[False, True, True, True])
    rows = [(row.copies, row.queries, row.discovered.value) for row in summary.by_copies]
    assert rows == [(1, 2, 0.5), (3, 2, 1.0)]


# ---------------------------------------------------------------- several seeds


def test_from_five_seeds_on_each_is_one_observation() -> None:
    costs = [10, 20, 30, 40, 50]
    summary = summary_of(group(*(tables(queries(messages=[cost] * 8)) for cost in costs)))
    assert summary.estimate("messages") == mean_of(costs)


def test_nothing_is_less_than_nothing() -> None:
    summary = summary_of(group(*(tables(queries(duplicates=[n] * 8)) for n in (0, 0, 0, 0, 9))))
    estimate = summary.estimate("duplicates")
    assert estimate is not None
    assert estimate.low == 0


# ---------------------------------------------------------------- nodes, upkeep, time


def test_loads_are_told_for_a_thousand_queries() -> None:
    loads = {"received": [0, 8, 8, 16], "sent": [8] * 4}
    summary = summary_of(group(tables(queries(8), loads=loads)))
    assert value(summary, "received_mean") == 1_000
    assert value(summary, "received_max") == 2_000
    assert value(summary, "received_gini") == pytest.approx(0.375)
    assert value(summary, "sent_max") == 1_000
    assert summary.estimate("received_bytes_mean") is None  # this fidelity does not tell


def test_the_busiest_of_a_hundred_is_not_the_busiest() -> None:
    loads = {"received": [8] * 198 + [16, 800]}
    summary = summary_of(group(tables(queries(8), loads=loads)))
    assert value(summary, "received_p99") == 1_000
    assert value(summary, "received_max") == 100_000


def test_messages_of_a_search_are_told_per_query_and_upkeep_per_node_and_hour() -> None:
    kinds = [("search", "Ask", 80, 8_000), ("upkeep", "Ping", 120, None), ("search", "Got", 8, 80)]
    made = tables(kinds=kinds, totals={"simulated_us": 2 * 3_600_000_000, "could_tell": 4})
    summary = summary_of(group(made))
    rows = [(each.purpose, each.type, each.messages.value) for each in summary.kinds]
    assert rows == [("search", "Ask", 10), ("search", "Got", 1), ("upkeep", "Ping", 6)]
    assert summary.kinds[2].bytes is None
    assert value(summary, "upkeep") == 6
    assert summary.estimate("upkeep_bytes") is None
    assert value(summary, "could_tell") == 4


def test_a_type_that_one_run_never_sent_counts_as_none_there() -> None:
    runs = [tables(kinds=[("search", "Ask", 8, 80)]), tables(kinds=[("search", "Got", 8, 80)])]
    summary = summary_of(group(*runs))
    assert [each.messages.value for each in summary.kinds] == [0.5, 0.5]


def test_a_run_that_does_not_say_how_long_it_was_has_no_upkeep_per_hour() -> None:
    made = tables(kinds=[("upkeep", "Ping", 9, 9)], totals={"events": 3})
    summary = summary_of(group(made))
    assert summary.estimate("upkeep") is None
    assert summary.kinds == ()


def test_availability_is_a_mean_over_time() -> None:
    moments = [(0, 10, 4, 8, 8), (1, 5, 2, 8, 2)]
    summary = summary_of(group(tables(moments=moments)))
    assert value(summary, "available") == 0.75
    assert value(summary, "copies_online") == 0.625
    assert value(summary, "nodes_online") == 0.75
    assert value(summary, "copies_held") == 2
    estimate = summary.estimate("available")
    assert estimate is not None
    assert not estimate.bounded  # one mesh says nothing of others


def test_a_run_without_a_sample_and_without_a_query_is_told_as_such() -> None:
    summary = summary_of(group(tables(queries(0), moments=(), kinds=())))
    told = {key for key, each in summary.findings.items() if each.estimate is not None}
    assert told == {"upkeep", "upkeep_bytes"}  # in an hour of nothing
    assert summary.estimate("discovered") is summary.estimate("available") is None
    assert summary.by_copies == ()


def test_what_a_fidelity_does_not_tell_is_nothing() -> None:
    rows = {key: each for key, each in queries().items() if key not in {"complete", "bytes"}}
    summary = summary_of(group(tables(rows)))
    assert summary.estimate("complete") is summary.estimate("bytes") is None
    assert value(summary, "messages") == 10


# ---------------------------------------------------------------- groups and differences


def both(seeds: int, ball: list[int], everyone: list[int]) -> Gathered:
    """Two ways to search on the same seeds, and what their queries cost."""
    runs = []
    for seed in range(1, seeds + 1):
        for search, costs in ((scenario().search, everyone), (AskBall(ttl=2), ball)):
            made = tables(queries(len(costs), messages=[cost + 100 * seed for cost in costs]))
            values = {"search": type(search).__name__}
            runs.append((run(made, scenario(seed, search=search)), values))
    return Gathered.of(runs)


def test_runs_that_differ_by_their_seed_are_one_group_named_by_the_way_to_search() -> None:
    everyone, ball = both(3, [1] * 8, [5] * 8).groups
    assert (everyone.name, ball.name) == ("everyone", "ball")
    assert [each.scenario.seed for each in ball.runs] == [1, 2, 3]


def test_ways_of_the_same_word_are_told_apart_by_what_differs() -> None:
    runs = [
        (run(tables(), scenario(search=AskBall(ttl=ttl))), {"search": {"ttl": ttl}})
        for ttl in (1, 2)
    ]
    assert [each.name for each in Gathered.of(runs).groups] == ["ball, ttl 1", "ball, ttl 2"]


@pytest.mark.parametrize("seeds", [1, 5])
def test_the_same_chance_shows_a_difference_that_the_meshes_hide(seeds: int) -> None:
    (comparison,) = comparisons_of(both(seeds, [1, 2] * 20, [5, 6] * 20).groups)
    assert (comparison.group.name, comparison.other.name) == ("ball", "everyone")
    difference = comparison.differences["messages"]
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (-4, -4, -4)


def test_ways_without_a_common_seed_are_not_compared() -> None:
    runs = [
        (run(tables(), scenario(1)), {"search": 1}),
        (run(tables(), scenario(2, search=AskBall())), {"search": 2}),
    ]
    (comparison,) = comparisons_of(Gathered.of(runs).groups)
    assert set(comparison.differences.values()) == {None}
