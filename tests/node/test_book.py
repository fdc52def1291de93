"""The AE book: who may call, and where instances may be sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing

from meshpacs.model.errors import LocalFault
from meshpacs.node.book import SERVICES, Book, Entry, check_entry, read_book, write_book


@asynccontextmanager
async def watched(file: Path) -> AsyncIterator[Book]:
    """A book that is looked after."""
    book = Book(file)
    async with trio.open_nursery() as nursery:
        await nursery.start(book.watch)
        yield book
        nursery.cancel_scope.cancel()


CT = Entry("CT1", "192.0.2.7", services=("echo", "store"))
VIEWER = Entry("VIEWER", "localhost", 11113, services=("echo", "find", "move"))
WARD = Entry("WARD", "198.51.100.0/24")


def test_a_book_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "aes.toml"
    assert read_book(file) == ()
    write_book(file, [VIEWER, CT, WARD])
    assert read_book(file) == (CT, VIEWER, WARD)
    assert VIEWER.address == "localhost:11113"
    assert WARD.address == "198.51.100.0/24"


async def test_a_caller_has_the_transfer_syntax_that_it_is_best_sent(tmp_path: Path) -> None:
    implicit = Entry("WARD", "192.0.2.0/24", prefer="ImplicitVRLittleEndian")
    by_uid = Entry("WARD", "198.51.100.0/24", prefer="1.2.840.10008.1.2.1")
    write_book(tmp_path / "aes.toml", [CT, implicit, by_uid])
    async with watched(tmp_path / "aes.toml") as book:
        assert book.prefers("WARD", "192.0.2.9") == "1.2.840.10008.1.2"
        assert book.prefers("WARD", "198.51.100.9") == "1.2.840.10008.1.2.1"
        assert book.prefers("WARD", "203.0.113.9") is None
        assert book.prefers("CT1", "192.0.2.7") is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ae = 1", "Expected `array`"),
        ("[[ae]]\ntitle = 'X'", "host"),
        ("[[ae]]\ntitle = 'X'\nhost = 'h'\ncolour = 1", "colour"),
        ("[[ae", "not TOML"),
        ("[[ae]]\ntitle = ''\nhost = 'h'", "no AE title"),
        ("[[ae]]\ntitle = 'X'\nhost = 'h'\nservices = ['print']", "no service 'print'"),
        ("[[ae]]\ntitle = 'X'\nhost = 'h'\nport = 70000", "70000 is no port"),
        ("[[ae]]\ntitle = 'X'\nhost = 'h'\nprefer = 'ExplicitLE'", "'ExplicitLE' is no transfer"),
        ("[[ae]]\ntitle = 'X'\nhost = 'h h'", "no host"),
        ("[[ae]]\ntitle = 'X'\nhost = '*'\nport = 104", "nothing can be sent"),
    ],
)
def test_a_book_that_cannot_be_used_says_why(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "aes.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LocalFault, match=word) as caught:
        read_book(file)
    assert str(file) in caught.value.what


def test_a_folder_is_no_book(tmp_path: Path) -> None:
    with pytest.raises(LocalFault, match="cannot be read"):
        read_book(tmp_path)


def test_a_book_has_so_many_entries_and_no_more(tmp_path: Path) -> None:
    write_book(tmp_path / "aes.toml", [CT] * 1025)
    with pytest.raises(LocalFault, match="has 1025 entries"):
        read_book(tmp_path / "aes.toml")


def test_a_title_has_sixteen_characters_at_most() -> None:
    check_entry(Entry("X" * 16, "h"), "here")
    for title in ("X" * 17, " X", "X\\Y", "Ä"):
        with pytest.raises(LocalFault):
            check_entry(Entry(title, "h"), "here")


async def test_a_caller_may_what_the_entries_for_its_title_and_place_say(tmp_path: Path) -> None:
    file = tmp_path / "aes.toml"
    write_book(file, [CT, VIEWER, WARD, Entry("ANY", "*", services=("echo",))])
    async with watched(file) as book:
        assert book.allows("CT1", "192.0.2.7") == {"echo", "store"}
        assert book.allows("CT1", "::ffff:192.0.2.7") == {"echo", "store"}
        assert book.allows("CT1", "192.0.2.8") == frozenset()
        assert book.allows("CT2", "192.0.2.7") == frozenset()
        assert book.allows("WARD", "198.51.100.200") == set(SERVICES)
        assert book.allows("VIEWER", "127.0.0.1") == {"echo", "find", "move"}
        assert book.allows("ANY", "unknown") == {"echo"}
        assert book.allows("CT1", "unknown") == frozenset()
        assert book.destination("VIEWER") == (VIEWER,)
        assert book.destination("CT1") == ()


async def test_a_change_is_taken_whole_or_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.book.LOOK_S", 0.01)
    file = tmp_path / "aes.toml"
    with structlog.testing.capture_logs() as lines:
        async with watched(file) as book:

            async def told(count: int) -> None:
                with trio.fail_after(10):
                    while len(lines) < count:
                        await trio.sleep(0.01)

            assert book.allows("CT1", "192.0.2.7") == frozenset()
            write_book(file, [CT])
            await told(2)
            assert book.allows("CT1", "192.0.2.7")
            file.write_text("[[ae", encoding="utf-8")
            await told(3)
            assert book.allows("CT1", "192.0.2.7")
            file.unlink()
            await told(4)
            assert not book.allows("CT1", "192.0.2.7")
    assert [line["event"] for line in lines] == [
        "ae_book_in_force",
        "ae_book_in_force",
        "ae_book_kept_out",
        "ae_book_in_force",
    ]


async def test_a_name_that_nobody_knows_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "aes.toml"
    write_book(file, [Entry("X", "no-such-host.invalid")])
    async with watched(file) as book:
        assert book.allows("X", "192.0.2.7") == frozenset()


def test_what_cannot_be_shared_says_why(tmp_path: Path) -> None:
    with pytest.raises(LocalFault, match="without a port"):
        check_entry(Entry("CT1", "192.0.2.7", shared=True), "here")
    file = tmp_path / "aes.toml"
    write_book(file, [Entry(f"AE{n}", "192.0.2.7", 104, shared=True) for n in range(129)])
    with pytest.raises(LocalFault, match="shares 129 destinations"):
        read_book(file)


async def test_what_is_shared_is_told_after_each_read_and_not_when_the_book_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshpacs.node.book.LOOK_S", 0.01)
    file = tmp_path / "aes.toml"
    tell, told = trio.open_memory_channel[tuple[str, ...]](9)
    shared = Entry("VIEWER", "192.0.2.20", 11112, shared=True)
    write_book(file, [shared, CT, Entry("TWIN", "192.0.2.21", 104, shared=True)])
    book = Book(file, tell.send)
    with structlog.testing.capture_logs() as logs, trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(book.watch)
            assert await told.receive() == ("TWIN", "VIEWER")
            assert book.entries_of("VIEWER", "192.0.2.20") == (shared,)
            assert book.entries_of("VIEWER", "192.0.2.21") == ()
            file.write_text("nonsense", encoding="utf-8")
            while not [line for line in logs if line["event"] == "ae_book_kept_out"]:
                await trio.sleep(0.01)
            twins = [Entry("TWIN", f"192.0.2.{n}", 104, shared=True) for n in (21, 22)]
            write_book(file, [shared, *twins])
            # A book that cannot be read has withdrawn nothing: the next word is this one.
            assert await told.receive() == ("VIEWER",)
            nursery.cancel_scope.cancel()
    assert [line["title"] for line in logs if line["event"] == "ae_not_shared"] == ["TWIN"]
