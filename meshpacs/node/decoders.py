"""Processes that decode compressed pixels, at most a few, each for one instance at a time.

They are started when there is work, kept while there may be more, and killed when they take too
long or too much or nobody waits any more; the next one starts anew. See `archive.decoder`.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

import trio

from meshpacs.archive.decoder import ANSWER, job_head
from meshpacs.archive.decoding import installed
from meshpacs.dimse.syntaxes import DECODED, name_syntax
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.limits import (
    DECODE_S,
    DECODED_BYTES,
    DECODER_ANSWER_BYTES,
    DECODERS,
)

COMMAND = (sys.executable, "-P", "-m", "meshpacs.archive.decoder")
"""With `-P` Python imports nothing from the folder that we were started in, which may be a medium
that a stranger has brought."""

RECEIVE_BYTES = 1024 * 1024

REAP_S = 1.0
"""Seconds for the system to take away a process that was killed or is ending. A guess."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""One processor for each decoder, and no memory for threads that it does not use."""


class Decoders:
    """The decoding processes of one node."""

    def __init__(
        self, command: Sequence[str] | None = None, patience_s: float | None = None
    ) -> None:
        """Nothing is started yet; `close` ends what is."""
        self._command, self._patience_s = command or COMMAND, patience_s or DECODE_S
        self._places = trio.CapacityLimiter(DECODERS)
        self._idle: list[trio.Process] = []
        self.decodable = DECODED if installed() else frozenset[str]()
        """Compressed transfer syntaxes that can be decoded here."""

    async def close(self) -> None:
        """End those that wait for work; for shielded use."""
        while self._idle:
            await _end(self._idle.pop())

    async def decode(self, data: bytes, source: str, target: str) -> bytearray:
        """A data set with its pixels decoded.

        Raises:
            LocalFault: it cannot be decoded; the sentence says why.
            Unavailable: the process took too long or has ended.
        """
        async with self._places:
            process = await self._at_work()
            found: tuple[bool, bytearray] | None = None
            patience = trio.move_on_after(self._patience_s)
            try:
                with patience:
                    found = await _work(process, data, source, target)
            except (trio.BrokenResourceError, EOFError):
                # It is over, and how it ends says more: its pipes close a moment before that.
                with trio.move_on_after(REAP_S):
                    await process.wait()
            finally:
                if found is None:
                    with trio.move_on_after(REAP_S, shield=True):
                        await _end(process)
                else:
                    self._idle.append(process)
        name = name_syntax(source)
        if found is None and patience.cancelled_caught:
            what = f"{name} was not decoded within {self._patience_s:.0f} s."
            raise Unavailable(f"{what} The process was ended.")
        if found is None:
            raise Unavailable(f"Decoding {name} ended its process{_how(process.returncode)}.")
        good, answer = found
        if not good:
            raise LocalFault(answer.decode(errors="replace"))
        return answer

    async def _at_work(self) -> trio.Process:
        """One that waits for work, or a new one."""
        for process in tuple(self._idle):
            if process.poll() is not None:  # it had none for long
                self._idle.remove(process)
                await _end(process)
        if self._idle:
            return self._idle.pop()
        try:
            return await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
            )
        except OSError as error:
            what = f"No process to decode it could be started: {error.strerror}."
            raise Unavailable(what) from error


async def _work(
    process: trio.Process, data: bytes, source: str, target: str
) -> tuple[bool, bytearray]:
    """Give it a job and take the answer, of which nothing is believed."""
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send_all(job_head(data, source, target))
    await process.stdin.send_all(data)
    good, size = ANSWER.unpack(await _receive(process.stdout, ANSWER.size))
    if size > (DECODED_BYTES if good else DECODER_ANSWER_BYTES):
        raise EOFError
    return good, await _receive(process.stdout, size)


async def _receive(stream: trio.abc.ReceiveStream, size: int) -> bytearray:
    """Just so many bytes."""
    data = bytearray()
    while len(data) < size:
        piece = await stream.receive_some(min(RECEIVE_BYTES, size - len(data)))
        if not piece:
            raise EOFError
        data += piece
    return data


def _how(code: int | None) -> str:
    """How a process has ended, as far as that is known."""
    if code is None:
        return ""
    return f" (signal {-code})" if code < 0 else f" (exit code {code})"


async def _end(process: trio.Process) -> None:
    """Kill it, if it still runs, and have the system forget it."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            await stream.aclose()
