"""Garbage at every stage of a link ends as one of our errors: a small `campaign garbage`."""

import sys
from collections.abc import Iterator

import pytest

from garbage import doors, linked
from garbage.stages import (
    BLOCK,
    STAGES,
    Range,
    Stage,
    Tally,
    plan,
    throw_block,
    throwing_range,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a signal for CPU time")

SEED = 2
FRAMES = 200
"""Of each stage."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Range]:
    with throwing_range() as made:
        yield made


def named(name: str) -> Stage:
    return next(stage for stage in STAGES if stage.name == name)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_whatever_comes_is_taken_or_refused_by_one_of_our_errors(
    ground: Range, stage: Stage
) -> None:
    tally = Tally()
    throw_block(ground, stage, SEED, 0, FRAMES, tally)
    assert tally.findings == [], f"seed {SEED}, block 0 of {stage.name}"
    assert tally.by_stage[stage.name] == FRAMES
    assert len(tally.by_outcome) > 1, "a stage where all ends alike is not what it should be"


def test_a_block_thrown_again_is_the_same(ground: Range) -> None:
    tallies = Tally(), Tally()
    for tally in tallies:
        throw_block(ground, named("engine"), SEED, 1, FRAMES, tally)
    assert tallies[0].by_outcome == tallies[1].by_outcome


def test_the_stages_share_all_frames() -> None:
    planned = list(plan(100_000))
    assert sum(count for _, _, count in planned) == 100_000
    assert max(count for _, _, count in planned) == BLOCK
    assert {stage.name for stage, _, _ in planned} == {stage.name for stage in STAGES}


def test_an_error_of_no_known_kind_is_found_with_what_was_thrown(
    ground: Range, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defective(_payload: bytes) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(linked, "decode", defective)
    tally = Tally()
    throw_block(ground, named("messages"), SEED, 0, 5, tally)
    assert len(tally.findings) == 5
    assert all("KeyError" in found.what and found.thrown for found in tally.findings)


def test_a_loop_without_an_end_is_found(ground: Range, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(doors, "answer", endless)
    monkeypatch.setattr("garbage.stages.HANG_CPU_S", 0.2)
    tally = Tally()
    throw_block(ground, named("opening"), SEED, 0, 1, tally)
    assert "of the processor" in tally.findings[0].what


def test_what_is_left_open_is_found(ground: Range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("garbage.mind.Mind.still_open", lambda _self: {"waves": 1})
    tally = Tally()
    throw_block(ground, named("engine"), SEED, 0, 5, tally)
    assert "still open" in tally.findings[-1].what


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_stops_a_campaign_is_no_finding(
    ground: Range, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    async def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr(doors, "answer", stopped)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  perhaps in a nursery's group
        throw_block(ground, named("opening"), SEED, 0, 1, Tally())
    error = caught.value
    assert isinstance(error, stop) or (
        isinstance(error, BaseExceptionGroup) and error.subgroup(stop) is not None
    )
