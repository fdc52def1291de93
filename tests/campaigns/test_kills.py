"""A handful of kills, and that losses, errors and slow starts would not go unseen."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from campaigns.campaign import Outcome
from campaigns.promises import Promises, offer
from campaigns.victim import Executioner, Work
from clinics.clinic import Clinic
from meshpacs.archive.archive import Archive
from meshpacs.archive.ingest import Import
from meshpacs.model.errors import Unavailable

SCRIPT = Path(__file__).parents[2] / "scripts" / "campaign.py"


@pytest.mark.live
@pytest.mark.timeout(240)
def test_nodes_that_are_killed_in_their_work_keep_what_they_acknowledged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "kills", "--times", "6", "--seed", "1", "--instances", "80",
         "--folder", str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=230,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all held" in done.stdout
    assert list(tmp_path.iterdir()) == []


def promised(folder: Path) -> tuple[Promises, Archive]:
    """An archive with three instances, all promised."""
    offered = offer(9, folder / "files", {8: 2, 16: 1}, seed=1)
    assert len(set(offered.all.values())) == 3
    promises = Promises(offered={offered.study.uid: offered.all})
    promises.keep(offered.study.uid, offered.all)
    archive = Archive.open(folder / "archive", sync=lambda _: None)
    list(Import(archive, [offered.folder]))
    return promises, archive


def test_a_promise_that_is_kept_is_seen_to_be(tmp_path: Path) -> None:
    promises, archive = promised(tmp_path)
    outcome = Outcome()
    with archive:
        promises.check(archive, outcome, "Nord")
    assert outcome.wrong == []
    assert outcome.counts["instances read back byte for byte"] == 3


def test_an_instance_that_is_gone_changed_or_was_never_offered_is_seen(tmp_path: Path) -> None:
    promises, archive = promised(tmp_path)
    (uid,) = promises.offered
    first, second, third = sorted(promises.offered[uid])
    roots = dict(promises.offered[uid])
    promises.keep(uid, {"2.25.99": roots[first], second: roots[third]})
    promises.offered[uid] = {sop: root for sop, root in roots.items() if sop != third}
    outcome = Outcome()
    with archive:
        promises.check(archive, outcome, "Nord")
    assert [line.split(",")[0] for line in outcome.wrong] == [
        f"Nord has other bytes for {second}",
        "Nord has lost 2.25.99",
        f"Nord shows {third}",
    ]


def test_an_error_in_a_log_is_seen_once_and_a_line_cut_off_by_a_kill_is_none(
    tmp_path: Path,
) -> None:
    clinic = Clinic("Nord", tmp_path)
    outcome = Outcome()
    executioner = Executioner(outcome, random.Random(1))
    fine = json.dumps({"event": "ready", "level": "info"})
    bad = json.dumps({"event": "search_broke", "level": "error"})
    clinic.log.write_text(f'{fine}\n{bad}\n{{"event": "imp\n', encoding="utf-8")
    executioner.look_at_log(clinic)
    executioner.look_at_log(clinic)
    assert outcome.wrong == [f"Nord logged: {bad}"]
    with clinic.log.open("a", encoding="utf-8") as log:
        log.write("Traceback (most recent call last):\n")
    executioner.look_at_log(clinic)
    assert len(outcome.wrong) == 2


def test_a_work_that_was_cut_off_says_why() -> None:
    def act() -> None:
        raise Unavailable("The node stopped.")

    work = Work(act).join()
    assert not work.under_way
    assert str(work.fault) == "The node stopped."


def test_an_error_in_the_campaign_itself_is_not_taken_for_a_kills_work() -> None:
    def act() -> int:
        return {"stored": 1}["sorted"]

    with pytest.raises(KeyError, match="sorted"):
        Work(act).join()
