"""What a campaign says at its end, and that it leaves no process behind, however it ends."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import campaign
from campaigns import garbage, powercuts
from campaigns.campaign import Campaign, Outcome, Place
from clinics.clinic import NotHere
from imagined.machine import Machine

Run = Callable[[argparse.Namespace, Place], Outcome]


def fought(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code."""
    one = Campaign("one", "For this test.", lambda _: None, run)
    monkeypatch.setattr(campaign, "CAMPAIGNS", (one,))
    monkeypatch.setattr(sys, "argv", ["campaign", "one", "--folder", str(folder)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(type(sys.stdout), "reconfigure", lambda *_, **__: None, raising=False)
    code = campaign.main()
    assert list(folder.iterdir()) == []
    return code


def test_what_did_not_hold_is_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_options: argparse.Namespace, _place: Place) -> Outcome:
        outcome = Outcome()
        outcome.hold(True, "the sky is up")
        outcome.hold(False, "the disk is round")
        return outcome

    assert fought(run, tmp_path, monkeypatch) == 1
    said = capsys.readouterr()
    assert "one, seed 1: 1 things not as they should be" in said.out
    assert "the disk is round" in said.err
    assert "the sky" not in said.err


def test_a_campaign_that_cannot_be_fought_here_has_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_options: argparse.Namespace, _place: Place) -> Outcome:
        raise NotHere("It needs a disk that is round.")

    assert fought(run, tmp_path, monkeypatch) == 0
    said = capsys.readouterr().out
    assert "one: skipped: It needs a disk that is round." in said
    assert "all held" not in said


def test_a_block_of_garbage_that_does_not_exist_is_no_success(tmp_path: Path) -> None:
    outcome = Outcome()
    options = argparse.Namespace(frames=500, only="nowhere/0", findings=tmp_path)
    garbage.throw_frames(options, Place(tmp_path, 1, print), outcome)
    assert outcome.wrong == ["no frame was thrown: is there a block nowhere/0?"]


def test_a_node_whose_life_on_an_imagined_disk_breaks_off_ends_before_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    war = powercuts.War(Place(tmp_path, 1, print), Outcome(), looks=1)
    alive: list[bool] = []

    @contextmanager
    def machine(room: Path, _base: Path) -> Iterator[Machine]:
        try:
            yield Machine(room, room / "tape")
        finally:
            alive.append(war.founder.process is not None)

    def breaks_off() -> None:
        words = [sys.executable, "-c", "import time; time.sleep(60)"]
        war.founder.process = subprocess.Popen(words, encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(powercuts, "machine", machine)
    monkeypatch.setattr(war, "_live", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        war.life(tmp_path)
    assert alive == [False]
