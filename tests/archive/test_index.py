"""The index's connections: shared commits, one writer's mistake is not the others', damage."""

import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshpacs.archive.archive import INDEX_FILE, Archive
from meshpacs.archive.faults import IndexDamaged
from meshpacs.archive.index import READERS_KEPT, Index, Transaction
from meshpacs.model.charsets import charset
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.limits import VALUE_CHARACTERS, VALUES_PER_KEY
from meshpacs.model.values import texts
from tests.archive.instances import instance, take


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = Index(tmp_path / INDEX_FILE, lambda _: None)
    yield opened
    opened.close()


def note(name: str) -> Callable[[Transaction], int]:
    def work(tx: Transaction) -> int:
        tx.con.execute("INSERT INTO facts VALUES (?, x'')", (name,))
        return tx.stamp

    return work


def notes(index: Index) -> list[str]:
    with index.reading() as con:
        return [name for (name,) in con.execute("SELECT name FROM facts ORDER BY name")]


def test_who_waits_together_commits_together(index: Index) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> int:
        inside.set()
        go_on.wait(timeout=20)
        return tx.stamp

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(index.write, slow)
        inside.wait(timeout=20)
        rest = [pool.submit(index.write, note(str(i))) for i in range(8)]
        while len(index._queue) < 8:
            pass  # all have queued up behind the slow one
        go_on.set()
        stamps = {future.result(timeout=20) for future in rest}
    assert len(stamps) == 1
    assert stamps != {first.result()}
    assert len(notes(index)) == 8


def test_folders_of_one_commit_are_made_durable_side_by_side_and_all_of_them(
    tmp_path: Path,
) -> None:
    both = threading.Barrier(2, timeout=20)
    synced = []

    def sync(folder: Path) -> None:
        both.wait()
        synced.append(folder.name)

    index = Index(tmp_path / INDEX_FILE, sync)

    def work(tx: Transaction) -> None:
        tx.folders.update({Path("a"): None, Path("b"): None})

    index.write(work)
    index.close()
    assert sorted(synced) == ["a", "b"]


def test_nothing_is_committed_before_the_last_folder_is_durable(tmp_path: Path) -> None:
    gate, waits = threading.Event(), threading.Semaphore(0)
    synced = []

    def sync(folder: Path) -> None:
        if folder.name != "a":  # of the shares that are not the writer's own
            waits.release()
            gate.wait(20)
        synced.append(folder.name)

    index = Index(tmp_path / INDEX_FILE, sync)

    def work(tx: Transaction) -> None:
        note("kept")(tx)
        tx.folders.update(dict.fromkeys(map(Path, "abc")))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(index.write, work)
        assert all(waits.acquire(timeout=20) for _ in "bc")
        assert (notes(index), writing.done()) == ([], False)
        gate.set()
        writing.result(20)
    assert (notes(index), sorted(synced)) == (["kept"], ["a", "b", "c"])
    index.close()


@pytest.mark.parametrize("bad", ["a", "b"])  # in the writer's own share, and in another's
def test_a_folder_that_cannot_be_made_durable_fails_the_commit(tmp_path: Path, bad: str) -> None:
    def sync(folder: Path) -> None:
        if folder.name == bad:
            raise OSError(errno.EIO, "Input/output error")

    index = Index(tmp_path / INDEX_FILE, sync)

    def work(tx: Transaction) -> None:
        note("kept")(tx)
        tx.folders.update({Path("a"): None, Path("b"): None})

    with pytest.raises(Unavailable):
        index.write(work)
    assert notes(index) == []
    index.close()


def test_ones_error_costs_the_others_nothing(index: Index) -> None:
    inside, go_on = threading.Event(), threading.Event()
    undone = []

    def slow(_: Transaction) -> None:
        inside.set()
        go_on.wait(timeout=20)

    def bad(tx: Transaction) -> None:
        tx.con.execute("INSERT INTO facts VALUES ('bad', x'')")
        tx.undo.append(lambda: undone.append(1))
        raise OSError(errno.EIO, "Input/output error")

    with ThreadPoolExecutor(4) as pool:
        pool.submit(index.write, slow)
        inside.wait(timeout=20)
        good = [pool.submit(index.write, note(str(i))) for i in range(2)]
        failing = pool.submit(index.write, bad)
        while len(index._queue) < 3:
            pass
        go_on.set()
        with pytest.raises(Unavailable):
            failing.result(timeout=20)
        assert len({future.result(timeout=20) for future in good}) == 1
    assert notes(index) == ["0", "1"]
    assert undone == [1]


def test_what_was_to_follow_a_commit_does_not_if_there_was_none(index: Index) -> None:
    # Else an instance's leaves would be removed, although it could not be filed beside others.
    done: list[str] = []

    def fails(tx: Transaction) -> None:
        tx.after.append(lambda: done.append("of one that failed"))
        raise LocalFault("not today")

    with pytest.raises(LocalFault, match="not today"):
        index.write(fails)
    index.write(lambda tx: tx.after.append(lambda: done.append("of one that did not")))
    assert done == ["of one that did not"]


def test_more_than_one_batch_may_wait(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.archive.index.BATCH", 2)
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: Transaction) -> None:
        inside.set()
        go_on.wait(timeout=20)

    with ThreadPoolExecutor(8) as pool:
        pool.submit(index.write, slow)
        inside.wait(timeout=20)
        rest = [pool.submit(index.write, note(str(i))) for i in range(7)]
        while len(index._queue) < 7:
            pass
        go_on.set()
        assert len({future.result(timeout=20) for future in rest}) == 4
    assert len(notes(index)) == 7


def test_a_mistake_of_ours_is_raised_and_leaves_nothing(index: Index) -> None:
    def mistaken(tx: Transaction) -> None:
        tx.con.execute("INSERT INTO facts VALUES ('half', x'')")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        index.write(mistaken)
    assert notes(index) == []
    index.write(note("next"))
    assert notes(index) == ["next"]


def test_leftovers_that_cannot_be_removed_are_left_to_the_next_start(index: Index) -> None:
    def fails() -> None:
        raise OSError(errno.EBUSY, "busy")

    def work(tx: Transaction) -> None:
        tx.after.append(fails)

    index.write(work)

    def undoes(tx: Transaction) -> None:
        tx.undo.append(fails)
        raise sqlite3.OperationalError("anything")

    with pytest.raises(Unavailable, match="anything"):
        index.write(undoes)


def test_only_some_idle_readers_are_kept(index: Index) -> None:
    readers = [index.reading() for _ in range(READERS_KEPT + 2)]
    for reader in readers:
        reader.__enter__()
    for reader in readers:
        reader.__exit__(None, None, None)
    assert len(index._idle) == READERS_KEPT


def test_a_reader_sees_one_state_while_others_write(index: Index) -> None:
    with index.reading() as con:
        assert con.execute("SELECT count(*) FROM facts").fetchone() == (0,)
        index.write(note("later"))
        assert con.execute("SELECT count(*) FROM facts").fetchone() == (0,)
    assert notes(index) == ["later"]


def test_closing_waits_for_no_reader_and_each_closes_its_own(tmp_path: Path) -> None:
    index = Index(tmp_path / INDEX_FILE, lambda _: None)
    with index.reading() as con:
        con.execute("SELECT 1").fetchone()
        index.close()
    with pytest.raises(LocalFault, match="closed"), index.reading():
        pass


@pytest.mark.parametrize(("at", "torn_by"), [(0, b"\xff" * 8), (8, b"\0" * 32)])
def test_every_used_page_that_is_damaged_is_found_by_the_check(
    tmp_path: Path, at: int, torn_by: bytes
) -> None:
    with Archive.open(tmp_path, sync=lambda _: None) as archive:
        for i in range(60):
            take(archive, instance(f"1.{i}", study=f"1.1.{i}"))
    path = tmp_path / INDEX_FILE
    sound = path.read_bytes()
    found = 0
    pages = range(1, len(sound) // 4096)
    used = [page for page in pages if sound[page * 4096 + 3 : page * 4096 + 5] != b"\0\0"]
    for page in used:  # a page without cells has nothing to lose
        torn = bytearray(sound)
        start = page * 4096 + at
        torn[start : start + len(torn_by)] = torn_by
        path.write_bytes(torn)
        try:
            index = Index(path, lambda _: None)
        except IndexDamaged:
            found += 1
            continue
        try:
            index.check()
        except IndexDamaged:
            found += 1
        finally:
            index.close()
    assert found == len(used)


def test_statements_that_fail_are_named(index: Index) -> None:
    with pytest.raises(Unavailable, match="no such table"), index.reading() as con:
        con.execute("SELECT * FROM nowhere")


# ---------------------------------------------------------------- values

PLAIN = charset(("ISO_IR 100",), "latin_1")


@pytest.mark.parametrize(
    ("vr", "raw", "meant"),
    [
        ("US", b"\1\0\2\0\3", ("1", "2")),
        ("SS", b"\xff\xff", ("-1",)),
        ("FL", b"\xcd\xcc\xcc\x3d", ("0.100000001",)),
        ("FD", b"\x9a\x99\x99\x99\x99\x99\xb9\x3f", ("0.1",)),
        ("AT", b"\x08\0\x05\0\x10\0\x20\0\0", ("00080005", "00100020")),
        ("UI", b"1.2.3\0", ("1.2.3",)),
        ("CS", b" A \\B ", ("A", "B")),
        ("CS", b"\\", ("", "")),
        ("LO", b"  \0", ()),
        ("LT", b" a\\b \0", (" a\\b",)),
        ("LT", b"", ()),
        ("DA", b"20040119", ("20040119",)),
        ("CS", b"\xc4", ("Ä",)),
        ("LO", b"x" * 1023 + b" yz", ("x" * 1023,)),
        ("UC", b"x" * 9999, ("x" * VALUE_CHARACTERS,)),
    ],
)
def test_values_are_read_as_texts(vr: str, raw: bytes, meant: tuple[str, ...]) -> None:
    assert texts(vr, raw, "<", PLAIN) == meant


def test_no_more_values_are_kept_than_a_row_may_carry() -> None:
    assert len(texts("CS", b"A\\" * 600, "<", PLAIN)) == VALUES_PER_KEY
    assert len(texts("US", b"\0\0" * 600, "<", PLAIN)) == VALUES_PER_KEY
    assert len(texts("AT", b"\0\0\0\0" * 600, "<", PLAIN)) == VALUES_PER_KEY
