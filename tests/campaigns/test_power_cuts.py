"""The power fails after each single change that a home and an archive make on a recorded disk."""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from benches.ground import memory_folder
from campaigns.campaign import Outcome
from campaigns.examination import Examination, Kept
from campaigns.promises import Offered, offer
from clinics.clinic import NotHere
from imagined.disk import Cut, Disk, Op, replay
from imagined.machine import Machine, check_possible, machine
from imagined.tape import read_tape
from meshpacs.archive.archive import Archive
from meshpacs.archive.ingest import Import, Taken
from meshpacs.archive.stage import Brought
from meshpacs.node.config import Config
from meshpacs.node.founding import found
from meshpacs.node.home import Home

pytestmark = [pytest.mark.live]

SEED = 20_261_125


@pytest.fixture
def room() -> Iterator[Path]:
    """In memory: these disks are imagined, and the real one would only be slow."""
    path = Path(tempfile.mkdtemp(prefix="meshpacs-cuts-", dir=memory_folder()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def recorded(room: Path, work: Callable[[Machine], None]) -> tuple[list[Op], list[int]]:
    """Everything that some work changes on a disk, and how long the tape was after each change."""
    try:
        check_possible()
    except NotHere as why:
        pytest.skip(str(why))
    room.mkdir(exist_ok=True)
    with machine(room) as running:
        work(running)
    return read_tape(room / "tape")


def looked_into(
    room: Path,
    tape: tuple[Sequence[Op], Sequence[int]],
    kept_at: Callable[[int], Kept],
    *,
    every: int = 1,
) -> Outcome:
    """After every change, or some of them, with each kind of disk in turn."""
    outcome = Outcome()
    draw = random.Random(SEED)
    disk = Disk()
    ops, ends = tape
    kinds = cycle(Cut)
    for moment in replay(disk, ops, [*range(0, len(ops), every), len(ops)]):
        kind = next(kinds)
        left = room / f"{moment}-{kind.name}"
        left.mkdir()
        disk.cut(kind, draw, left)
        kept = kept_at(ends[moment - 1] if moment else 0)
        words = f"seed {SEED}, {moment} of {len(ops)} changes, {kind.value}"
        Examination(outcome, words).look(left, kept)
        shutil.rmtree(left)
    return outcome


def founded(running: Machine, told: list[tuple[int, str]]) -> Home:
    home = Home(running.folder / "home")
    node = found(home, Config(name="Nord"), "Verbund").node.hex()
    told.append((running.position, node))
    return home


def test_a_mesh_that_was_founded_survives_every_power_cut(room: Path) -> None:
    told: list[tuple[int, str]] = []

    def work(running: Machine) -> None:
        founded(running, told)

    tape = recorded(room, work)
    ((position, node),) = told

    def kept_at(now: int) -> Kept:
        return Kept(node=node if now >= position else "")

    assert looked_into(room, tape, kept_at).wrong == []
    # The same, had nothing been synced: so the looking can find something.
    deaf = [(op, end) for op, end in zip(*tape, strict=True) if op[0] != "sync"]
    unsynced = [op for op, _ in deaf], [end for _, end in deaf]
    assert looked_into(room, unsynced, kept_at).wrong


def test_an_instance_that_was_acknowledged_survives_every_power_cut(room: Path) -> None:
    told: list[tuple[int, str]] = []
    taken: list[tuple[int, str]] = []
    offered: list[Offered] = []

    def work(running: Machine) -> None:
        home = founded(running, told)
        offered.append(offer(7, room / "files", {8: 2, 256: 1}, SEED))
        with home.lock(), Archive.open(home.archive) as archive:
            for outcome in Import(archive, [offered[0].folder]):
                assert outcome.taken is Taken.STORED
                taken.append((running.position, Path(outcome.name).name))

    tape = recorded(room, work)
    (study,) = offered
    assert len(taken) == 3

    def kept_at(now: int) -> Kept:
        kept = Kept(node=told[0][1] if now >= told[0][0] else "")
        kept.offered[study.study.uid] = study.all
        for position, name in taken:
            if position <= now:
                kept.hold(study.study.uid, {study.sops[name]: study.roots[name]})
        return kept

    outcome = looked_into(room, tape, kept_at, every=5)
    assert outcome.wrong == []
    assert outcome.counts["instances read back byte for byte"] > 10


def test_a_study_that_was_fetched_survives_every_power_cut_and_is_never_shown_in_part(
    room: Path,
) -> None:
    told: list[tuple[int, str]] = []
    offered = offer(7, room / "files", {8: 5}, SEED)
    uid = offered.study.uid
    with Archive.open(room / "holder") as holder:
        list(Import(holder, [offered.folder]))
        brought = [
            Brought(entry, holder.read_leaf(entry.root, 0), "Süd")
            for entry in holder.study_entries(uid)
        ]
    shown: list[int] = []

    def fetch(running: Machine, *, naming: bool = True) -> None:
        home = founded(running, told)
        with home.lock(), Archive.open(home.archive) as archive:
            if not naming:
                archive._stores.index._sync_folder = lambda _: None
            stage = archive.stage("s")
            for some in (brought[:2], brought[2:]):
                assert set(stage.write(some, study_uid=uid)) == {None}
                stage.keep()
            assert archive.adopt("s").stored == len(brought)
            shown.append(running.position)

    def kept_at(now: int) -> Kept:
        kept = Kept(node=told[-1][1] if now >= told[-1][0] else "")
        kept.offered[uid] = offered.all
        if now >= shown[-1]:
            kept.hold(uid, offered.all)
        return kept

    outcome = looked_into(room, recorded(room / "one", fetch), kept_at, every=10)
    assert outcome.wrong == []
    assert outcome.counts["instances read back byte for byte"] > 10
    # The same, had no folder been made durable: so the looking can find something.
    nameless = recorded(room / "other", partial(fetch, naming=False))
    assert looked_into(room, nameless, kept_at, every=20).wrong
