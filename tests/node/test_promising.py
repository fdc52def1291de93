"""What a positive answer of storage commitment stands for today."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.archive.faults import NoRoom
from meshpacs.model.commitment import Promise, Reference
from meshpacs.model.errors import Unavailable
from meshpacs.node.promising import HeldHere
from meshpacs.node.vault import Vault
from tests.node.clinics import CT, STUDY, instance

ONE, TWO = (Reference(CT, f"{STUDY}.1.{number}") for number in (1, 2))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as opened:
        keep(opened, instance(1, size=3_000_000))
        yield opened


def keep(archive: Archive, data: bytes) -> None:
    arrival = archive.arrive()
    arrival.write(data)
    arrival.commit()


def blob(archive: Archive) -> Path:
    return next((archive.folder / "blobs").rglob("*.dcm"))


async def test_what_is_here_and_whole_is_committed_and_what_is_not_is_absent(
    archive: Archive,
) -> None:
    held = HeldHere(Vault(archive))
    assert await held.promise(ONE, reread=True) is Promise.COMMITTED
    assert await held.promise(TWO, reread=True) is Promise.ABSENT
    other = Reference("1.2.840.10008.5.1.4.1.1.4", ONE.sop_uid)
    assert await held.promise(other, reread=True) is Promise.OTHER_CLASS


async def test_each_byte_is_read_again(archive: Archive) -> None:
    held = HeldHere(Vault(archive))
    with blob(archive).open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"?")
    assert await held.promise(ONE, reread=False) is Promise.COMMITTED
    assert await held.promise(ONE, reread=True) is Promise.ABSENT
    assert await held.promise(ONE, reread=False) is Promise.ABSENT  # the damage was noted
    assert [loss.sop_uid for loss in archive.losses()] == [ONE.sop_uid]


async def test_a_blob_that_is_gone_is_not_committed(archive: Archive) -> None:
    blob(archive).unlink()
    assert await HeldHere(Vault(archive)).promise(ONE, reread=True) is Promise.ABSENT


async def test_two_contents_under_one_uid_are_a_conflict(archive: Archive) -> None:
    keep(archive, instance(1, variant=1))
    assert await HeldHere(Vault(archive)).promise(ONE, reread=True) is Promise.IN_CONFLICT


async def test_what_is_absent_and_would_be_refused_has_no_room(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_words: object) -> NoReturn:
        raise NoRoom("There is no room.")

    monkeypatch.setattr(archive, "need_room", none)
    assert await HeldHere(Vault(archive)).promise(TWO, reread=True) is Promise.NO_ROOM
    assert await HeldHere(Vault(archive)).promise(ONE, reread=True) is Promise.COMMITTED


async def test_a_disk_that_fails_promises_nothing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_words: object) -> NoReturn:
        raise Unavailable("The disk does not answer.")

    monkeypatch.setattr(archive, "read_leaf", fails)
    assert await HeldHere(Vault(archive)).promise(ONE, reread=True) is Promise.FAILED
