"""How long a command takes that does next to nothing."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benches.figure import Figure, under
from benches.ground import Ground, Stopwatch, Unmeasurable
from clinics.mesh import alone

RUNS = 15


def bench(ground: Ground) -> list[Figure]:
    """Runs of each command by turns."""
    program = Path(sys.executable).with_name("meshpacs")
    with ground.room("startup") as room, alone(room) as clinic:
        clinic.up()
        home = ("--home", str(clinic.home))
        commands = {
            "bare Python": [sys.executable, "-c", "pass"],
            "--help": [str(program), "--help"],
            "status": [str(program), *home, "status", "--json"],
            "find": [str(program), *home, "find", "PatientID=1", "--json"],
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(ground.size(RUNS, 3) + 1):
            for name, command in commands.items():
                seconds = _run(command)
                if number:  # the first warms up
                    took[name].append(seconds * 1000)
    hows = {
        "bare Python": "python -c pass",
        "--help": "meshpacs --help",
        "status": "meshpacs status --json, with a node that is up",
        "find": "meshpacs find PatientID=1 --json, in a mesh of one",
    }
    return [
        Figure(name, "ms", tuple(values), hows[name], under(300) if name == "--help" else None)
        for name, values in took.items()
    ]


def _run(command: Sequence[str]) -> float:
    with Stopwatch() as watch:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode not in (0, 1):
        raise Unmeasurable(f"{command[-2:]} ended with {done.returncode}: {done.stderr[-300:]}")
    return watch.s
