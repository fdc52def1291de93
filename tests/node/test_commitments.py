"""Requests for storage commitment outlive the process, within limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from meshpacs.model.commitment import GIVE_UP_US, Reference
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import SECOND
from meshpacs.node import commitments as module
from meshpacs.node.commitments import (
    GIVEN_UP,
    OPEN,
    SHOWN_GIVEN_UP_US,
    Commitments,
    NoPlace,
    Transaction,
)

ONE, TWO = Reference("1.2", "1.2.1"), Reference("1.2", "1.2.2")


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def kept(folder: Path, wall: Wall | None = None) -> AsyncIterator[Commitments]:
    commitments = await Commitments.open(folder / "c.sqlite", wall or Wall())
    try:
        yield commitments
    finally:
        with trio.move_on_after(5, shield=True):
            await commitments.close()


async def ask(
    commitments: Commitments, *references: Reference, title: str = "CT1", uid: str = "1.9"
) -> Transaction:
    return await commitments.keep(title, "192.0.2.7", "MESHPACS", uid, references or (ONE,))


async def test_what_is_kept_is_there_for_whoever_opens_it_next(tmp_path: Path) -> None:
    async with kept(tmp_path) as first:
        asked = await ask(first, TWO, ONE)
        # Not closed: as a kill leaves it.
        async with kept(tmp_path) as second:
            assert await second.open_ones() == (asked,)
            assert await second.references(asked) == (TWO, ONE)
    assert (asked.title, asked.host, asked.called) == ("CT1", "192.0.2.7", "MESHPACS")
    assert (asked.uid, asked.instances, asked.state) == ("1.9", 2, OPEN)
    assert (tmp_path / "c.sqlite").stat().st_mode & 0o077 == 0


async def test_the_same_request_again_is_one_transaction_and_after_its_end_another(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as commitments:
        asked = await ask(commitments)
        assert await ask(commitments) == asked
        await commitments.reported(asked)
        assert await commitments.open_ones() == ()
        again = await ask(commitments)
        assert await commitments.open_ones() == (again,)
        assert not again.duplicate


async def test_other_instances_under_a_uid_in_use_are_a_duplicate_and_stay_one(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as commitments:
        first = await ask(commitments, ONE)
        second = await ask(commitments, TWO)
        assert (first.duplicate, second.duplicate) == (False, True)
        for each in (first, second):
            await commitments.reported(each)
        assert not (await ask(commitments, ONE)).duplicate
        assert (await ask(commitments, TWO)).duplicate
        # Of another requestor it is another transaction.
        assert not (await ask(commitments, TWO, title="MR1")).duplicate


async def test_an_attempt_that_failed_is_remembered_and_a_day_is_the_end(tmp_path: Path) -> None:
    wall = Wall()
    async with kept(tmp_path, wall) as commitments:
        asked = await ask(commitments)
        assert commitments.left_s(asked) <= 0
        tried = await commitments.not_delivered(asked, "It is off.", "Switch it on.")
        assert (tried.attempts, commitments.left_s(tried)) == (1, 60)
        assert await commitments.open_ones() == (tried,)
        assert commitments.left_at_all_s(tried) == GIVE_UP_US / SECOND
        wall.now += GIVE_UP_US
        over = await commitments.not_delivered(tried, "It is off.", "Switch it on.")
        assert over.state == GIVEN_UP
        assert await commitments.open_ones() == ()
        view = await commitments.view()
        assert (view.open, view.given_up) == (0, 1)
        (shown,) = view.transactions
        assert (shown.what, shown.mend, shown.state) == ("It is off.", "Switch it on.", GIVEN_UP)
        assert (shown.calling, shown.transaction_uid, shown.attempts) == ("CT1", "1.9", 2)
        wall.now += SHOWN_GIVEN_UP_US
        assert (await commitments.view()).given_up == 0


async def test_what_it_waits_for_is_no_attempt_and_is_written_once(tmp_path: Path) -> None:
    async with kept(tmp_path) as commitments:
        asked = await ask(commitments)
        waits = await commitments.waits(asked, "Nobody knows its port.", "Say it.")
        assert (waits.attempts, waits.what) == (0, "Nobody knows its port.")
        assert await commitments.open_ones() == (waits,)
        assert await commitments.waits(waits, waits.what, waits.mend) is waits


async def test_there_is_room_for_so_many_and_for_so_many_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMITMENTS_OF_ONE", 2)
    monkeypatch.setattr(module, "COMMITMENTS_OPEN", 3)
    async with kept(tmp_path) as commitments:
        asked = [await ask(commitments, uid=f"1.{number}") for number in range(2)]
        with pytest.raises(NoPlace, match="CT1 has 2 requests"):
            await ask(commitments, uid="1.2")
        assert await ask(commitments, uid="1.1") == asked[1]  # a repeat needs no room
        await ask(commitments, title="MR1")
        with pytest.raises(NoPlace, match="3 requests"):
            await ask(commitments, title="MR2")
        await commitments.reported(asked[0])
        monkeypatch.setattr(module, "COMMITMENT_REFERENCES", 3)
        with pytest.raises(NoPlace):
            await ask(commitments, ONE, TWO, title="MR2")
        await ask(commitments, ONE, title="MR2")


async def test_of_those_that_have_ended_the_oldest_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMITMENTS_KEPT", 2)
    async with kept(tmp_path) as commitments:
        waits = await ask(commitments, uid="1.0")
        for number in range(1, 5):
            await commitments.reported(await ask(commitments, uid=f"1.{number}"))
        assert await commitments.open_ones() == (waits,)
        assert not (await ask(commitments, TWO, uid="1.1")).duplicate
        assert (await ask(commitments, TWO, uid="1.4")).duplicate


async def test_a_damaged_file_is_set_aside_and_told(tmp_path: Path) -> None:
    async with kept(tmp_path) as commitments:
        await ask(commitments)
    (tmp_path / "c.sqlite").write_bytes(b"nothing of ours" * 1000)
    async with kept(tmp_path) as commitments:
        assert "c.sqlite was damaged" in (await commitments.view()).repaired
        assert await commitments.open_ones() == ()
        await ask(commitments)
    assert (tmp_path / "c.sqlite.damaged").exists()
    async with kept(tmp_path) as commitments:
        assert (await commitments.view()).repaired == ""
        assert len(await commitments.open_ones()) == 1


async def test_a_full_disk_is_no_place_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    async with kept(tmp_path) as commitments:
        asked = await ask(commitments)
        (pages,) = commitments._con.execute("PRAGMA page_count").fetchone()
        commitments._con.execute(f"PRAGMA max_page_count = {pages}")  # what a full disk looks like
        many = tuple(Reference(f"1.{n}", f"{n * 7919}") for n in range(20_000))
        with pytest.raises(NoPlace, match="full"):
            await ask(commitments, *many, uid="1.8")
        assert await commitments.open_ones() == (asked,)


async def test_a_failing_disk_is_told_as_one(tmp_path: Path) -> None:
    async with kept(tmp_path) as commitments:
        asked = await ask(commitments)
        commitments._con.execute("DROP TABLE transactions")
        with pytest.raises(Unavailable) as caught:
            await commitments.references(asked)
        assert not isinstance(caught.value, NoPlace)
    with pytest.raises(Unavailable):
        await Commitments.open(tmp_path / "no folder" / "c.sqlite", Wall())
