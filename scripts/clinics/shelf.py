"""Archives that are full already when their node starts: many small instances, quickly.

They go in by the archive's own door, but nothing waits for the disk: what is measured comes later.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from clinics.scanner import Study, slices
from meshpacs.archive.archive import Archive

SIDE = 8
"""Pixels of a small image."""

THREADS = 4


def stock(folder: Path, first: int, studies: int, instances: int) -> int:
    """Put studies of so many instances each into one archive; how many instances are there."""

    def put(number: int) -> None:
        for content in slices(Study(number), instances, side=SIDE):
            with archive.arrive(came_from="bench") as arrival:
                arrival.write(content)
                arrival.commit()

    with Archive.open(folder, sync=lambda _: None) as archive:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(put, range(first, first + studies)))
        return archive.counts().instances


def stock_all(folders: Sequence[Path], firsts: Sequence[int], studies: int, instances: int) -> None:
    """Several archives at once, a process for each core."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cpu_count(), mp_context=spawn) as pool:
        work = [
            pool.submit(stock, folder, first, studies, instances)
            for folder, first in zip(folders, firsts, strict=True)
        ]
        for done in work:
            done.result()
