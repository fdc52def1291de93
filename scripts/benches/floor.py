"""What no archive that keeps its word can be faster than: each file written and made durable."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benches.ground import Stopwatch, settle

BARE = "write, fsync, folder fsync and SQLite commit (WAL, synchronous=FULL) of each file"


def bare(files: Sequence[Path], folder: Path, *, threads: int) -> float:
    """Seconds that it takes to keep the files, with no thought about what they are."""
    folder.mkdir()
    con = sqlite3.connect(folder / "index", isolation_level=None, check_same_thread=False)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute("PRAGMA synchronous = FULL")
    con.execute("CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER)")
    lock = threading.Lock()

    def keep(numbered: tuple[int, Path]) -> None:
        number, path = numbered
        content = path.read_bytes()
        name = f"{number}.dcm"  # files of several folders may be called the same
        with (folder / name).open("xb", buffering=0) as out:
            out.write(content)
            os.fsync(out.fileno())
        _sync_folder(folder)
        with lock:
            con.execute("INSERT INTO files VALUES (?, ?)", (name, len(content)))

    settle()
    with Stopwatch() as watch:
        if threads == 1:
            for numbered in enumerate(files):
                keep(numbered)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(keep, enumerate(files)))
    con.close()
    shutil.rmtree(folder)
    return watch.s


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no such call and needs none
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
