"""Keeps glibc's allocator from holding memory that is free.

Each thread that allocates gets an arena of its own there, up to eight for each core, and an arena
keeps what was freed in its middle. So a node has few of them, and what is free in them goes back to
the system now and then. Measured: after half an hour of imports, questions and fetches a node had
95 MB of its own, 69 MB once given back, and without it grew by 20 MB an hour; of the 46 to 57 MB
that arenas of every thread's own had taken after a quarter of an hour's work, where 20 MB were in
use, two arenas took 28.
"""

import ctypes
import sys

import trio

ARENAS = 2
"""Shared by all threads. The work was as quick with two as with sixteen (measured): what allocates
much holds Python's lock."""

M_ARENA_MAX = -8
"""Of glibc's malloc.h (mallopt, man 3)."""

EVERY_S = 60.0
"""Between two times. A guess: a walk through the arenas takes a few milliseconds of a thread."""


def share_arenas() -> bool:
    """Hold the threads that start from now on to few arenas; whether the C library can."""
    mallopt = _of_the_c_library("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(ctypes.c_int(M_ARENA_MAX), ctypes.c_int(ARENAS)))


async def give_back() -> None:
    """Do it again and again, until cancelled."""
    while True:
        await trio.sleep(EVERY_S)
        await trio.to_thread.run_sync(trim)


def trim() -> bool:
    """Do it once; whether this system's C library can (glibc's malloc_trim, man 3)."""
    malloc_trim = _of_the_c_library("malloc_trim")
    if malloc_trim is None:
        return False
    malloc_trim(ctypes.c_size_t(0))
    return True


def _of_the_c_library(name: str) -> "ctypes._NamedFuncPointer | None":
    """None on systems other than Linux, and with musl, which has neither and needs neither."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
