"""What must not be forgotten is on the disk when it is said to be, and a crash tears only tails."""

import errno
import itertools
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest
import trio
import trio.testing

from meshpacs.model.errors import Damaged, LocalFault
from meshpacs.model.ids import NodeId
from meshpacs.node import home as homes
from meshpacs.node import ledger as ledgers
from meshpacs.node.home import write_durably
from meshpacs.node.ledger import KINDS, MARK_BYTES, Kind, Ledger, RosterLog
from meshpacs.wire.roster import News, Roster
from tests.wire.mesh_of import Mesh, identity, mesh_of

ANNA = NodeId(b"a" * 32)
BERT = NodeId(b"b" * 32)


@pytest.fixture
def roster(tmp_path: Path) -> RosterLog:
    return RosterLog(tmp_path / "roster.log")


def test_what_was_appended_is_read_in_order(roster: RosterLog) -> None:
    assert roster.read() == ([], "")
    roster.append([("entry", b"one"), ("record", b"")])
    roster.append([("admission", b"x" * 5000)])
    assert roster.read() == ([("entry", b"one"), ("record", b""), ("admission", b"x" * 5000)], "")


def test_a_tail_torn_at_any_byte_is_moved_aside_and_the_rest_is_kept(roster: RosterLog) -> None:
    roster.append([("entry", b"one")])
    whole = roster.path.stat().st_size
    roster.append([("record", b"two")])
    data = roster.path.read_bytes()
    for size in range(whole + 1, len(data)):
        roster.path.write_bytes(data[:size])
        records, told = roster.read()
        assert records == [("entry", b"one")], size
        kept = whole if size < whole + MARK_BYTES else whole + MARK_BYTES
        if size > kept:
            assert f"The last {size - kept} bytes" in told
            assert roster.path.with_name("roster.log.torn").read_bytes() == data[kept:size]
        roster.append([("record", b"again")])
        assert roster.read() == ([("entry", b"one"), ("record", b"again")], "")


def test_a_tail_whose_last_bytes_never_reached_the_disk_is_moved_aside(roster: RosterLog) -> None:
    roster.append([("entry", b"one")])
    whole = roster.path.stat().st_size
    roster.append([("record", b"two")])
    data = bytearray(roster.path.read_bytes())
    data[whole + 5 :] = bytes(len(data) - whole - 5)
    roster.path.write_bytes(data)
    assert roster.read()[0] == [("entry", b"one")]


def test_a_file_torn_within_its_first_line_starts_anew(roster: RosterLog) -> None:
    roster.path.write_bytes(b"meshpacs/ro")
    assert roster.read() == ([], "")
    roster.append([("entry", b"one")])
    assert roster.read() == ([("entry", b"one")], "")


@pytest.mark.parametrize("sector", [512, 4096])
def test_an_append_of_which_any_sectors_are_missing_is_cut_off(
    roster: RosterLog, sector: int
) -> None:
    first: list[tuple[Kind, bytes]] = [("entry", b"one"), ("record", b"two" * 100)]
    roster.append(first)
    before = roster.path.stat().st_size
    last: list[tuple[Kind, bytes]] = [("admission", bytes([i]) * 900) for i in range(1, 12)]
    roster.append(last)
    data = roster.path.read_bytes()
    for at in range(before - before % sector, len(data), sector):
        torn = bytearray(data)
        gone = slice(max(before, at), at + sector)
        torn[gone] = bytes(len(data[gone]))
        roster.path.write_bytes(torn)
        records, told = roster.read()
        assert records == [*first, *last][: len(records)], at
        assert 2 <= len(records) < 13
        assert "were torn" in told
        assert roster.read() == (records, "")


def test_damage_in_the_middle_is_named_and_nothing_is_cut(roster: RosterLog) -> None:
    roster.append([("entry", b"one"), ("record", b"two")])
    roster.append([("record", b"three")])
    data = bytearray(roster.path.read_bytes())
    data[data.index(b"one")] ^= 1
    roster.path.write_bytes(data)
    with pytest.raises(Damaged, match=r"roster\.log is damaged"):
        roster.read()
    assert roster.path.read_bytes() == data
    roster.path.write_bytes(b"something else")
    with pytest.raises(Damaged):
        roster.read()


def test_a_kind_that_nobody_knows_is_damage(roster: RosterLog) -> None:
    roster.append([("entry", b"one")])
    data = bytearray(roster.path.read_bytes())
    at = data.index(b"one") - 1
    data[at] = 9
    data[at + 4 :] = zlib.crc32(bytes(data[at : at + 4])).to_bytes(4, "big")
    roster.path.write_bytes(data)
    with pytest.raises(Damaged):
        roster.read()


def test_a_failed_append_leaves_no_torn_bytes(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    roster.append([("entry", b"one")])

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            roster.append([("entry", b"two")])
    assert roster.read() == ([("entry", b"one")], "")


class Tight:
    """A file of a disk that takes only so many bytes more, and then none."""

    def __init__(self, path: Path, room: int, *, failing: bool = False) -> None:
        self._file = path.open("ab", buffering=0)
        self._room = room
        self._failing = failing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._file.write(data[: self._room])
        self._room -= taken
        return taken

    def truncate(self, size: int) -> int:
        if self._failing and self._room == 0:
            raise OSError(errno.EIO, "Input/output error")
        return self._file.truncate(size)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("failing", [False, True], ids=["full", "failing"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("room", [0, 1, 7, 20])
def test_what_a_full_disk_took_of_an_append_does_not_damage_the_next(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch, room: int, *, first: bool, failing: bool
) -> None:
    if not first:
        roster.append([("entry", b"one")])
    with monkeypatch.context() as patch:
        file = Tight(roster.path, room, failing=failing)
        patch.setattr(Path, "open", lambda *_, **__: file)
        with pytest.raises(OSError, match="No space"):
            roster.append([("entry", b"that is torn")])
    roster.append([("entry", b"two")])
    before = [] if first else [("entry", b"one")]
    assert roster.read() == ([*before, ("entry", b"two")], "")


async def test_settled_means_on_the_disk(roster: RosterLog) -> None:
    boots: dict[NodeId, int] = {}
    ledger = Ledger(roster, boots.update, News)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        await ledger.settled()
        ledger.keep_roster([b"e"], [b"a"], [b"r"])
        ledger.keep_boot(ANNA, 7)
        await ledger.settled()
        assert roster.read()[0] == [("entry", b"e"), ("admission", b"a"), ("record", b"r")]
        assert boots == {ANNA: 7}
        ledger.keep_boot(ANNA, 8)
        ledger.keep_boot(ANNA, 9)
        await ledger.settled()
        assert boots == {ANNA: 9}
        nursery.cancel_scope.cancel()


async def test_a_write_that_fails_is_told_kept_and_tried_again(
    roster: RosterLog, autojump_clock: trio.testing.MockClock
) -> None:
    kept: dict[NodeId, int] = {}
    full = True

    def keep(boots: Mapping[NodeId, int]) -> None:
        if full:
            raise OSError(28, "No space left on device")
        kept.update(boots)

    ledger = Ledger(roster, keep, lambda: News(records=(b"e",)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        ledger.keep_roster([b"e"], [], [])
        ledger.keep_boot(ANNA, 7)
        with pytest.raises(LocalFault, match="disk is full"):
            await ledger.settled()
        ledger.keep_boot(BERT, 1)
        full = False
        await ledger.settled()
        assert kept == {ANNA: 7, BERT: 1}
        assert roster.read()[0] == [("entry", b"e")], "written once, though the boots failed"
        assert not ledger.trouble
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- the log does not grow for ever


def read_back(log: RosterLog, mesh: Mesh) -> Roster:
    roster = Roster(mesh.mesh)
    kept, torn = log.read()
    assert not torn
    roster.merge(*([signed for kind, signed in kept if kind == wanted] for wanted in KINDS))
    return roster


async def test_a_member_that_renews_its_record_without_end_fills_no_disk(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "SLACK_BYTES", 4096)
    mesh = mesh_of("bert")
    news = mesh.roster.everything()
    ledger = Ledger(roster, dict[NodeId, int]().update, mesh.roster.everything)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        sizes = []
        for number in range(2, 202):
            ledger.keep_roster(news.entries, news.admissions, news.records)
            await ledger.settled()
            sizes.append(roster.size_bytes())
            news = News(records=(mesh.record(identity("bert"), f"bert {number}", number),))
        ledger.keep_roster((), (), news.records)
        await ledger.settled()
        nursery.cancel_scope.cancel()
    assert max(sizes) < 12_000
    assert sum(after < before for before, after in itertools.pairwise(sizes)) > 5
    assert read_back(roster, mesh).heads() == mesh.roster.heads()


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
async def test_a_log_that_cannot_be_written_anew_is_kept_as_it_is_and_goes_on(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(ledgers, "SLACK_BYTES", 1)
    mesh = mesh_of("bert")
    ledger = Ledger(roster, dict[NodeId, int]().update, mesh.roster.everything)
    news = mesh.roster.everything()
    before = b""

    def fails(*_: object, **__: object) -> None:
        nonlocal before
        before = roster.path.read_bytes()
        raise OSError(28, "No space left on device")

    def maybe_full(path: Path, data: bytes) -> None:
        with monkeypatch.context() as patch:
            if no_space:
                where, what = steps[step]
                patch.setattr(where, what, fails)
            write_durably(path, data)

    steps = {"write": (tempfile, "mkstemp"), "fsync": (os, "fsync"), "rename": (Path, "replace")}
    no_space = True
    monkeypatch.setattr(ledgers, "write_durably", maybe_full)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        ledger.keep_roster(news.entries, news.admissions, news.records)
        await ledger.settled()
        renewed = mesh.record(identity("bert"), "Bert", 2)
        ledger.keep_roster((), (), (renewed,))
        await ledger.settled()
        assert before
        assert roster.path.read_bytes().startswith(before)
        assert read_back(roster, mesh).heads() == mesh.roster.heads()
        no_space = False
        ledger.keep_roster((), (), (renewed,))
        with trio.fail_after(10):
            while roster.path.read_bytes().startswith(before):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert read_back(roster, mesh).heads() == mesh.roster.heads()
    assert list(roster.path.parent.iterdir()) == [roster.path], "no half-written file is left"


async def test_what_waits_for_a_full_disk_is_no_more_than_twice_what_is_kept(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = mesh_of("bert")
    ledger = Ledger(roster, dict[NodeId, int]().update, mesh.roster.everything)
    waiting: list[int] = []

    def full(_log: RosterLog, records: list[tuple[str, bytes]]) -> None:
        waiting.append(len(records))
        raise OSError(28, "No space left on device")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        with monkeypatch.context() as patch:
            patch.setattr(RosterLog, "append", full)
            for number in range(2, 100):
                ledger.keep_roster((), (), (mesh.record(identity("bert"), "bert", number),))
                with pytest.raises(LocalFault):
                    await ledger.settled()
        ledger.keep_boot(ANNA, 1)
        await ledger.settled()
        nursery.cancel_scope.cancel()
    kept = mesh.roster.everything()
    assert max(waiting) <= 2 * sum(map(len, (kept.entries, kept.admissions, kept.records))) + 1
    late = mesh_of()
    late.roster.merge(kept.entries, kept.admissions)
    late.roster.merge(records=[signed for kind, signed in roster.read()[0] if kind == "record"])
    known = late.roster.record(identity("bert").node)
    assert known is not None
    assert known.record.number == 99, "the newest is among them"


def test_a_new_log_whose_folder_could_not_be_made_durable_is_gone_on_with(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    roster.append([("record", b"one"), ("record", b"two"), ("record", b"three")])
    longer: list[tuple[Kind, bytes]] = [("record", b"x" * 500)]
    shorter: list[tuple[Kind, bytes]] = [("record", b"y")]
    for records in (longer, shorter):

        def fails(_folder: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(homes, "sync_folder", fails)
            with pytest.raises(OSError, match="Input/output"):
                roster.rewrite(records)
        roster.append([("entry", b"later")])
        assert roster.read() == ([*records, ("entry", b"later")], "")


async def test_a_disk_that_does_not_say_how_long_the_log_is_ends_no_node(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_roster: RosterLog) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(RosterLog, "size_bytes", fails)
    ledger = Ledger(roster, lambda _: None, News)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        for signed in (b"one", b"two"):
            ledger.keep_roster((signed,), (), ())
            await ledger.settled()
        nursery.cancel_scope.cancel()
    assert roster.read()[0] == [("entry", b"one"), ("entry", b"two")]


async def test_what_was_written_first_stays_when_the_log_is_written_anew_before_the_roster_has_it(
    roster: RosterLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = News(entries=(b"known",))
    ledger = Ledger(roster, lambda _: None, lambda: everything)
    await ledger.keep_first("entry", b"new")
    monkeypatch.setattr(ledger, "_rewrite_at", 0)
    await ledger._shorten()
    assert roster.read()[0] == [("entry", b"known"), ("entry", b"new")]
    everything = News(entries=(b"known", b"new"))
    monkeypatch.setattr(ledger, "_rewrite_at", 0)
    await ledger._shorten()
    assert roster.read()[0] == [("entry", b"known"), ("entry", b"new")]
