"""What speaks against a result is said, and nothing else is."""

from meshpacs_sim.lab.cautions import cautions_of
from meshpacs_sim.lab.groups import Gathered
from meshpacs_sim.lab.results import Results
from meshpacs_sim.lab.scenario import Measure
from meshpacs_sim.lab.searching import AskBall
from meshpacs_sim.lab.summaries import summary_of
from tests.sim.lab.invented import Runs, gathered, queries, run, scenario, tables, waves

QUERIES = 400


def good(seed: int) -> Results:
    """A run against which nothing speaks."""
    latencies = [1_000 * each for each in waves(seed + 100, QUERIES)]
    return tables(queries(QUERIES, messages=waves(seed, QUERIES), latency_us=latencies))


def told(*made: Results, missing: int = 0, **manifest: object) -> list[str]:
    whole = gathered(*made, **manifest)
    whole = Gathered(
        whole.name, whole.about, whole.text, whole.words, whole.groups, whole.manifests, missing
    )
    return cautions_of(whole, [summary_of(group) for group in whole.groups])


def test_of_enough_seeds_and_queries_nothing_is_said() -> None:
    assert told(*(good(seed) for seed in range(5))) == []


def test_one_mesh_is_called_one_mesh() -> None:
    (said,) = told(good(1))
    assert said.startswith("1 seed: the intervals say how sure the numbers are for this very mesh")
    (said,) = told(good(1), good(2))
    assert "these very meshes" in said


def test_runs_that_are_missing_cut_short_or_of_other_programs_are_named() -> None:
    five = [good(seed) for seed in range(5)]
    assert told(*five, missing=2) == [
        "2 runs of the sweep have not been done; this is without them."
    ]
    assert told(*five, interrupted=True) == [
        "5 of 5 runs were interrupted, with fewer queries than wanted."
    ]
    assert told(*five, code={"git": "c0ffee+"}) == ["The program had changes that no commit holds."]
    runs: Runs = [(run(good(n), scenario(n), code={"git": str(n)}), {}) for n in range(5)]
    whole = Gathered.of(runs)
    assert cautions_of(whole, [summary_of(group) for group in whole.groups]) == [
        "The runs were made by different versions of the program."
    ]


def test_a_warm_up_that_was_longer_than_what_was_cut_is_told_with_its_length() -> None:
    def begun(seed: int) -> Results:
        costs = [
            cost + max(0, 200 - 4 * number) for number, cost in enumerate(waves(seed, QUERIES))
        ]
        return tables(queries(QUERIES, messages=costs, warm_up=[n < 10 for n in range(QUERIES)]))

    (said,) = told(*(begun(seed) for seed in range(5)))
    assert "The warm-up was longer than what was cut: the costs of queries differ until" in said
    until = int(said.split("about query ")[1].split()[0])
    assert 35 <= until <= 60


def test_a_warm_up_that_was_cut_is_not_missed() -> None:
    def cut(seed: int) -> Results:
        costs = [
            cost + max(0, 200 - 4 * number) for number, cost in enumerate(waves(seed, QUERIES))
        ]
        return tables(queries(QUERIES, messages=costs, warm_up=[n < 60 for n in range(QUERIES)]))

    assert told(*(cut(seed) for seed in range(5))) == []


def test_chance_is_not_taken_for_a_warm_up() -> None:
    said = [told(*(good(100 * trial + seed) for seed in range(5))) for trial in range(30)]
    assert sum(map(bool, said)) <= 1


def test_a_mesh_that_is_still_emptying_is_no_steady_state() -> None:
    moments = [(n, 10, max(0, 1_000 - n), 8, 8) for n in range(1_200)]
    rows = queries(QUERIES, messages=waves(1, QUERIES))
    said = told(*(tables(rows, moments=moments) for _ in range(5)))
    assert any("not a steady state" in each for each in said)


def test_a_week_that_ends_with_its_weekend_has_no_beginning_to_cut() -> None:
    week = [3 if n // 48 < 5 else 1 for n in range(7 * 48)]
    moments = [(n, 10, available, 8, 8) for n, available in enumerate(week)]
    rows = queries(QUERIES, messages=waves(1, QUERIES))
    assert not any("steady state" in each for each in told(tables(rows, moments=moments)))


def test_queries_that_resemble_each_other_are_told_by_the_measure() -> None:
    rising = queries(QUERIES, messages=range(QUERIES))
    (few, said, *_) = told(tables(rising))
    assert few.startswith("1 seed")
    assert any("resemble each other" in each for each in (said, *_))
    assert any("(messages per query)" in each for each in (said, *_))


def test_few_queries_none_and_those_that_were_never_sent_are_told() -> None:
    assert any(each.startswith("Only 8 queries count") for each in told(tables()))
    nothing = told(tables(queries(8, warm_up=[True] * 8)))
    assert nothing[-1] == "No query counts: all were warm-up, or none was asked."
    half = queries(QUERIES, ended=["answered", "refused"] * (QUERIES // 2))
    said = told(*(tables(half) for _ in range(5)))
    assert any(each.startswith("50.0 % of the queries were never sent") for each in said)


def test_a_tail_that_so_few_do_not_bound_is_told() -> None:
    said = told(*(tables(queries(50)) for _ in range(5)))
    assert said == ["The 99th percentile of latency has no upper bound: that takes 368 finds."]


def test_an_interval_that_is_wider_than_was_wanted_is_told() -> None:
    measure = Measure(queries=QUERIES, half_width=0.001, of="messages")
    runs: Runs = [(run(good(n), scenario(n, measure=measure)), {}) for n in range(5)]
    whole = Gathered.of(runs)
    (said,) = cautions_of(whole, [summary_of(group) for group in whole.groups])
    assert said.startswith("The interval around messages is not as narrow as")


def test_what_is_true_of_one_way_alone_names_it() -> None:
    runs = [(run(good(seed), scenario(seed)), {"search": 1}) for seed in range(5)]
    runs += [
        (run(tables(queries(20)), scenario(seed, search=AskBall())), {"search": 2})
        for seed in range(5)
    ]
    whole = Gathered.of(runs)
    said = cautions_of(whole, [summary_of(group) for group in whole.groups])
    assert [each.split(":")[0] for each in said] == ["ball"]
    assert "Only 100 queries" not in said[0]
