"""Killing something in the middle of its work, and starting it again."""

import json
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, Generic, TypeVar

from campaigns.campaign import Outcome
from clinics.clinic import Broken, Clinic
from meshpacs.model.errors import MeshError

T = TypeVar("T")

RESTART_S = 5.0
"""What a start after a kill may take, with 10,000 instances in the archive."""

BEYOND = 1.1
"""Of the time that a work usually takes: moments are drawn up to here, so that some come after its
end, when the last of it may still be on its way to the disk."""

WORK_S = 60.0
"""How long a work that nobody killed may take. A guess."""

HARMLESS = frozenset({"debug", "info", "warning"})


class Work(Generic[T]):
    """Something under way in a thread; how it ended is known once it is joined."""

    def __init__(self, act: Callable[[], T]) -> None:
        """Begin."""
        self._act = act
        self.result: T | None = None
        self.fault: Exception | None = None
        self._bug: Exception | None = None
        """Of the campaign itself: no kill explains it."""
        self._began = monotonic()
        self.took_s = 0.0
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._act()
        except (MeshError, Broken, OSError) as fault:
            self.fault = fault
        except Exception as bug:  # noqa: BLE001  # a thread's top; raised by `join`
            self._bug = bug
        self.took_s = monotonic() - self._began

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def join(self) -> "Work[T]":
        """Wait for its end.

        Raises:
            Broken: it hangs, though what it waited for is gone.
            Exception: whatever else than a fault of the node or its machine has ended it.
        """
        self._thread.join(WORK_S)
        if self._thread.is_alive():
            raise Broken(f"A work still waits {WORK_S:g} s after what it asked was killed.")
        if self._bug is not None:
            raise self._bug
        return self


@dataclass(slots=True)
class Executioner:
    """Draws the moments, kills, and remembers how long works and restarts took."""

    outcome: Outcome
    draw: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    usual_s: dict[str, list[float]] = field(default_factory=dict)
    restarts_s: list[float] = field(default_factory=list)
    restarts_own_s: list[float] = field(default_factory=list)
    """Without the time that the process waited for a processor that others had."""
    boots: dict[Path, int] = field(default_factory=dict)
    read: dict[Path, int] = field(default_factory=dict)
    """How far each log was read."""

    def measure(self, stage: str, act: Callable[[], T]) -> T:
        """How long a work takes when nobody is killed."""
        work = Work(act).join()
        if work.fault is not None:
            raise Broken(f"{stage}: {work.fault}") from work.fault
        self.usual_s.setdefault(stage, []).append(work.took_s)
        return work.result  # type: ignore[return-value]  # it ended without a fault

    def strike(self, stage: str, kill: Callable[[], None], act: Callable[[], T]) -> Work[T]:
        """Begin a work, kill at a moment drawn from the time that it usually takes."""
        usual = self.usual_s[stage]
        delay = self.draw.uniform(0, BEYOND * median(usual[-9:]))
        work = Work(act)
        sleep(delay)
        under_way = work.under_way
        kill()
        work.join()
        self.kills[stage] += 1
        self.outcome.counts[f"{stage}: killed"] += 1
        if under_way:
            self.outcome.counts[f"{stage}: killed under way"] += 1
        else:
            self.outcome.hold(work.fault is None, f"{stage}, before the kill: {work.fault}")
            usual.append(work.took_s)
        return work

    def restart(self, clinic: Clinic, *words: str) -> None:
        """Start it again, and see that it is as if nothing had been."""
        began = monotonic()
        clinic.start(*words)
        clinic.wait_ready()
        took = monotonic() - began
        own = took - queued_s(clinic.pid)
        self.restarts_s.append(took)
        self.restarts_own_s.append(own)
        hold = self.outcome.hold
        hold(own < RESTART_S, f"{clinic.name} took {own:.1f} s to start again")
        status = clinic.client().get("/v1/status")
        before = self.boots.get(clinic.home, 0)
        hold(status["boot"] > before, f"{clinic.name}: boot {status['boot']} after {before}")
        self.boots[clinic.home] = status["boot"]
        hold(status["archive"]["conflicts"] == 0, f"{clinic.name} has invented a conflict")
        for sentence in status["archive"]["repaired"]:
            kind = " ".join(word for word in sentence.split() if not word.isdigit())
            self.outcome.counts[f"start said: {kind}"] += 1
            bad = ("lost", "damaged", "made anew")
            hold(not any(word in sentence for word in bad), f"{clinic.name} says: {sentence}")
        self.look_at_log(clinic)

    def figures(self, after: str) -> str:
        """How long restarts took."""
        wall, own = sorted(self.restarts_s), sorted(self.restarts_own_s)
        return (
            f"restarts after {after}: p50 {median(own):.2f} s, p99 {own[len(own) * 99 // 100]:.2f} "
            f"s, max {own[-1]:.2f} s; by the clock, with others on the machine, "
            f"p50 {median(wall):.2f} s, max {wall[-1]:.2f} s"
        )

    def look_at_log(self, clinic: Clinic) -> None:
        """No error, no traceback, since the last look."""
        with clinic.log.open("rb") as log:
            log.seek(self.read.get(clinic.home, 0))
            lines = log.read()
        self.read[clinic.home] = self.read.get(clinic.home, 0) + len(lines)
        for line in lines.decode("utf-8", "replace").splitlines():
            said: Any = {}
            with suppress(ValueError):
                said = json.loads(line)
            harmless = isinstance(said, dict) and said.get("level") in HARMLESS
            # A line that a kill has cut off in the middle is no error.
            torn = line.startswith("{") and not said
            self.outcome.hold(harmless or torn or not line, f"{clinic.name} logged: {line[:300]}")

    def stop(self, clinic: Clinic) -> None:
        """A clean end: code 0."""
        process = clinic.process
        clinic.down()
        assert process is not None
        self.outcome.hold(
            process.returncode == 0, f"{clinic.name} ended with code {process.returncode}"
        )
        self.outcome.counts["clean stops"] += 1


def queued_s(pid: int) -> float:
    """How long a process's threads were ready while others had the processors; Linux tells.

    All of them: a start's main thread waits for the one that opens the archive.
    """
    waited = 0
    with suppress(OSError, IndexError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            waited += int((thread / "schedstat").read_text(encoding="ascii").split()[1])
    return waited / 1e9


class Command:
    """A command as something that can be killed."""

    def __init__(self, command: list[str]) -> None:
        """Not begun."""
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._begun = Event()
        self._out = ""

    def wait(self) -> int:
        """Begin, and its exit code."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self._begun.set()
        self._out, _ = self._process.communicate()
        return self._process.returncode

    def kill(self) -> None:
        """As soon as it has begun."""
        self._begun.wait()
        assert self._process is not None
        self._process.kill()

    def said(self) -> Any:
        """Its document, once it has ended well."""
        return json.loads(self._out)
