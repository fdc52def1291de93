"""How much memory a node with a large archive takes."""

import shutil
from pathlib import Path
from time import sleep

from benches.figure import Figure, under
from benches.ground import Ground, Stopwatch, Unmeasurable
from clinics.clinic import Clinic
from clinics.mesh import alone
from clinics.scanner import Study
from clinics.shelf import stock

STUDIES = 1000
INSTANCES = 100

IDLE_S = 3.0
"""Seconds of rest before a look. A guess: what a start needs is freed at once."""

QUESTIONS = 50


def bench(ground: Ground) -> list[Figure]:
    """Starts of one node: idle, then after some questions."""
    if not Path("/proc/self/status").exists():
        raise Unmeasurable("Resident memory is read from /proc, which this system does not have.")
    idle: list[float] = []
    asked: list[float] = []
    starts: list[float] = []
    studies = ground.size(STUDIES, 20)
    with ground.memory_room("memory") as room, alone(room) as clinic:
        ground.say(f"filling an archive with {studies * INSTANCES} instances")
        shutil.rmtree(clinic.archive, ignore_errors=True)
        stock(clinic.archive, 0, studies, INSTANCES)
        for number in range(ground.rounds):
            ground.say(f"start {number + 1}")
            with Stopwatch() as watch:
                clinic.up()
            starts.append(watch.s)
            sleep(IDLE_S)
            idle.append(_resident_mb(clinic))
            for question in range(QUESTIONS):
                key = f"PatientID={Study(question * 7919 % studies).patient_id}"
                clinic.ask("/v1/find", {"keys": [key], "scope": "local"})
            clinic.ask("/v1/find", {"keys": ["PatientName=*"], "scope": "local", "limit": 2000})
            asked.append(_resident_mb(clinic))
            clinic.end()
    held = f"{studies * INSTANCES} instances in {studies} studies"
    return [
        Figure("idle", "MB", tuple(idle), f"{held}; VmRSS {IDLE_S:.0f} s after a start",
               under(150)),
        Figure("after questions", "MB", tuple(asked),
               f"after {QUESTIONS} exact keys and one that lists up to 2,000 studies"),
        Figure("start", "s", tuple(starts), f"{held}; `meshpacs up` until it serves, clean stop"
               " before"),
    ]  # fmt: skip


def _resident_mb(clinic: Clinic) -> float:
    for line in Path(f"/proc/{clinic.pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise Unmeasurable("The node is gone.")
