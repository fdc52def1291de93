"""What coverage-guided fuzzing is let loose on holds for honest inputs and their neighbours."""

from random import Random

import pytest

from campaigns.campaign import Outcome
from campaigns.fuzz import Fuzzed, judge
from garbage.mutations import scramble, warp
from garbage.targets import TARGETS, seeds

SEED = 3


@pytest.mark.parametrize("name", TARGETS)
def test_no_target_falls_over_honest_inputs_or_what_is_near_them(name: str) -> None:
    honest = seeds(name)
    for data in (b"", *honest):
        TARGETS[name](data)
    draw = Random(SEED)
    for number in range(150):
        data = scramble(draw.choice(honest), draw, draw.choice(honest))
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"seed {SEED}, input {number} of {name}: {data!r}") from error


def test_the_same_seed_warps_alike_and_another_one_does_not() -> None:
    honest = seeds("codec")[5][2:]
    warped = [[warp(honest, Random(seed)) for _ in range(3)] for seed in (1, 1, 2)]
    assert warped[0] == warped[1] != warped[2]


TRIED = """#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb
#4096\tpulse  cov: 20 ft: 33 corp: 5/9b lim: 4 exec/s: 99 rss: 41Mb
stat::number_of_executed_units: 5000
stat::peak_rss_mb:              44
"""


def test_what_a_fuzzer_tells_is_counted() -> None:
    outcome = Outcome()
    judge(Fuzzed("codec", 0, TRIED), outcome)
    assert outcome.wrong == []
    assert outcome.counts["codec: inputs tried"] == 5000
    assert outcome.counts["codec: edges covered"] == 20
    assert outcome.counts["codec: peak memory, MB"] == 44


def test_a_fuzzer_that_found_something_or_tried_nothing_is_a_bad_verdict() -> None:
    for code, log in ((77, TRIED + "Test unit written to /x/codec-crash-1\n"), (0, "")):
        outcome = Outcome()
        judge(Fuzzed("codec", code, log), outcome)
        assert len(outcome.wrong) == 1
        assert not code or "fuzzed.py codec /x/codec-crash-1" in outcome.wrong[0]
