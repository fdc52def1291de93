"""How bytes get into a file."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from meshpacs.archive.blobs import open_private, write_all

PIECES = b"", b"a preface", b"", memoryview(b"the data set itself"), bytearray(b".")


@pytest.mark.parametrize("most", [1, 9, 10, 28, 1000])
def test_everything_is_written_in_order_however_little_the_system_takes_at_a_time(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def sparing(number: int, pieces: Sequence[memoryview]) -> int:
        nonlocal calls
        calls += 1
        return os.write(number, b"".join(pieces)[:most])

    monkeypatch.setattr(os, "writev", sparing, raising=False)
    with open_private(tmp_path / "file", "xb") as file:
        write_all(file, *PIECES)
        write_all(file)
    assert (tmp_path / "file").read_bytes() == b"".join(PIECES)
    assert calls == {1: 28, 9: 4, 10: 3, 28: 1, 1000: 1}[most]


def test_a_system_that_writes_one_piece_at_a_time_is_given_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "writev", raising=False)
    with open_private(tmp_path / "file", "xb") as file:
        write_all(file, *PIECES)
    assert (tmp_path / "file").read_bytes() == b"".join(PIECES)
