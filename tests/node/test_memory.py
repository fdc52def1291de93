"""Free memory goes back to the system."""

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from meshpacs.node import memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_what_was_freed_between_what_is_kept_goes_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(100_000) for _ in range(1_000)]
    for block in blocks:
        ctypes.memset(block, 1, 100_000)
    for number, block in enumerate(blocks):
        if number % 10:
            libc.free(block)
    held_kb = resident_kb()
    assert memory.trim()
    given_kb = held_kb - resident_kb()
    for block in blocks[::10]:
        libc.free(block)
    assert given_kb > 50_000, "of 90 MB"


def resident_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith("RssAnon")]
    return int(line.split()[1])


ARENAS_OF_MANY_THREADS = """
import ctypes, sys, threading
from meshpacs.node import memory

if sys.argv[1] == "shared":
    assert memory.share_arenas()
libc = ctypes.CDLL(None)
together = threading.Barrier(12)

def allocate():
    together.wait()
    libc.malloc(ctypes.c_size_t(1_000))
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
@pytest.mark.parametrize("whose", ["shared", "own"])
def test_threads_of_a_node_share_few_arenas(whose: str) -> None:
    command = [sys.executable, "-c", ARENAS_OF_MANY_THREADS, whose]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    arenas = sum(line.startswith("Arena ") for line in told.stderr.splitlines())
    assert (arenas <= memory.ARENAS) == (whose == "shared"), arenas


def test_where_the_c_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not memory.trim()
    assert not memory.share_arenas()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.trim()
    assert not memory.share_arenas()


async def test_it_is_done_again_and_again(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []

    async def in_a_thread(what: object) -> None:
        assert what is memory.trim
        times.append(trio.current_time() - began)

    monkeypatch.setattr(trio.to_thread, "run_sync", in_a_thread)
    began = trio.current_time()
    with trio.move_on_after(memory.EVERY_S * 3.5):
        await memory.give_back()
    assert times == [memory.EVERY_S * n for n in (1, 2, 3)]
