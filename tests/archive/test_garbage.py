"""Mutated files through the import, and the worst that a file can cost: a small campaign."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from garbage import imports
from garbage.extremes import CASES, Case, weighed
from garbage.imports import Tally, import_batch, look_after
from meshpacs.archive.archive import Archive

SEED = 4
SLOW = frozenset(
    {
        "more elements than are scanned",
        "the same in values of unknown kind",
        "a bulk frame of empty maps",
    }
)
"""Too slow to be weighed here; the campaign does."""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as opened:
        yield opened


def test_mutated_files_are_stored_or_refused_by_name_and_nothing_is_left(
    archive: Archive, tmp_path: Path
) -> None:
    tally = Tally()
    for batch in range(2):
        import_batch(archive, tmp_path / "in", SEED, batch, imports.BATCH, tally)
    assert tally.findings == [], f"seed {SEED}"
    assert tally.by_kind.total() == 2 * imports.BATCH
    assert tally.by_outcome["stored"] > 5
    wrong, instances = look_after(archive.folder, archive)
    assert wrong == []
    assert instances == tally.by_outcome["stored"]


def test_an_import_that_ends_early_is_found(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defective(*_: object) -> None:
        raise LookupError("planted")

    monkeypatch.setattr("meshpacs.archive.arrival.scan", defective)
    tally = Tally()
    import_batch(archive, tmp_path / "in", SEED, 0, 20, tally)
    assert "LookupError" in tally.findings[0][0]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case[0] not in SLOW], ids=lambda case: case[0]
)
def test_the_worst_that_can_come_stays_within_its_limit(case: tuple[str, int, object]) -> None:
    found = weighed(*case)  # type: ignore[arg-type]
    assert found.holds, found


def test_too_much_memory_or_another_error_is_not_held() -> None:
    assert Case("x", "Refused", 1.0, 2, 0.1).holds
    assert not Case("x", "Refused", 2.1, 2, 0.1).holds
    assert not Case("x", "!KeyError()", 1.0, 2, 0.1).holds
    assert not Case("x", "taken", 1.0, 2, 61.0).holds
