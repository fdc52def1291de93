"""A peer's library behind a small program of ours, that is told by lines what to do.

A request is one line of words parted by tabs; the answer is one line of JSON, with `failed` where
it did not work. What else the program says goes to a log.
"""

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.peer import PROGRAM_S, Failed, end

ANSWER = "answer "
"""What an answer's line begins with: libraries may say something themselves."""


class Program:
    """One that is up; requests come one after the other."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        """Start it; its first answer says that it is ready."""
        self._log = log
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        self._answers: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.ready = self._answer()
        except Failed:
            self.end()
            raise

    def ask(self, *words: str | Path | int) -> Any:
        """One request to its end.

        Raises:
            Failed: it did not work; the sentence has the library's words.
        """
        assert self._process.stdin is not None
        line = "\t".join(str(word) for word in words)
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Leave no process."""
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.decode("utf-8", "replace")
            if text.startswith(ANSWER):
                self._answers.put(json.loads(text[len(ANSWER) :]))
        self._answers.put({"failed": "its process has ended"})

    def _answer(self) -> Any:
        try:
            answer = self._answers.get(timeout=PROGRAM_S)
        except queue.Empty:
            answer = {"failed": "no answer"}
        if "failed" in answer:
            said = self._log.read_text("utf-8", "replace")[-500:]
            raise Failed(f"{answer['failed']}; {said}")
        return answer
