"""An hour of a small mesh's ordinary life: does anything grow, is anything logged unexplained?

Five nodes as processes, each with somebody who works with it: imports, questions to everyone,
fetches, a look at status. Two of them are stopped or killed again and again and start anew; the
others run through, so that what they hold is what they have gathered. Nothing hangs on how fast the
machine is: what a restart cuts short is asked again until it is whole.
"""

import argparse
import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from time import monotonic

from campaigns.campaign import Campaign, Outcome, Place
from campaigns.gauge import Sample, judge, look
from campaigns.logbook import Explanation, Explanations, read
from clinics.clinic import Broken, Clinic, Json, NotHere
from clinics.mesh import mesh, wait_complete
from clinics.scanner import Study, data_set, slices
from clinics.shelf import stock_all
from meshpacs.model.errors import MeshError

NODES = 5
RESTARTED = 2
"""Of them, the last ones."""

STOCKED = 700, 40
"""Studies and small instances that each archive begins with: an index of 18 MB, so that its page
caches, 8 MB for each of up to five connections, fill while the nodes warm up, and what grows
afterwards is not they. With 200 studies they went on filling for the whole hour."""

ELSEWHERE = 1_000_000
"""Numbers between the studies of two nodes."""

SIDES = (16, 16, 16, 64, 256, 512)
"""Pixels of an image: 0.5 KiB to 0.5 MiB; two leaves would be more, which fetches of a scan's
series never have."""

PAUSE_S = (0.2, 1.6)
"""Between two pieces of work of one node: as a few people at work. A guess."""

PATIENCE_S = 600.0
"""How long something is asked again that must succeed in the end. A guess for a busy machine."""

SAMPLES = 1_440
"""Of each node, in all. Every 2.5 s of an hour."""

EXPLAINED = (
    Explanation("archive_repaired", "a killed node says at its start what it has put in order"),
)
"""Events above `info` that this campaign brings about itself."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A study that a node has said it holds."""

    study: Study
    instances: int
    side: int


@dataclass(slots=True)
class Ward:
    """What all who work share."""

    clinics: Sequence[Clinic]
    seed: int
    folder: Path
    outcome: Outcome
    stop: Event = field(default_factory=Event)
    kept: list[Kept] = field(default_factory=list)
    restarts: int = 0
    """Begun and ended: even while none is under way."""
    lock: Lock = field(default_factory=Lock)

    def count(self, what: str, more: int = 1) -> None:
        with self.lock:
            self.outcome.counts[what] += more

    def hold(self, true: object, what: str) -> None:
        with self.lock:
            self.outcome.hold(true, what)

    def some(self, draw: random.Random) -> Kept | None:
        with self.lock:
            return draw.choice(self.kept) if self.kept else None


class Worker:
    """Somebody at one node."""

    def __init__(self, ward: Ward, number: int) -> None:
        self._ward = ward
        self._clinic = ward.clinics[number]
        self._number = number
        self._draw = random.Random(f"{ward.seed}/soak/{number}")
        self._made = 0
        self._restarts = number >= len(ward.clinics) - RESTARTED

    def work(self) -> None:
        """Until the time is over."""
        jobs: list[tuple[Callable[[], None], int]] = [
            (self._import, 15), (self._ask_exactly, 35), (self._ask_widely, 8), (self._fetch, 20),
            (self._look, 10), (self._restart, 2 if self._restarts else 0),
        ]  # fmt: skip
        works, weights = zip(*jobs, strict=True)
        self._import()
        while not self._ward.stop.wait(self._draw.uniform(*PAUSE_S)):
            (job,) = self._draw.choices(works, weights)
            try:
                job()
            except (MeshError, Broken, OSError) as error:
                self._ward.hold(False, f"{self._clinic.name}, {job.__name__}: {error}")

    def _import(self) -> None:
        self._made += 1
        study = Study(self._number * ELSEWHERE + self._made)
        kept = Kept(study, self._draw.randint(1, 20), self._draw.choice(SIDES))
        folder = self._ward.folder / f"study-{study.number}"
        folder.mkdir()
        for number, content in enumerate(slices(study, kept.instances, side=kept.side)):
            (folder / f"{number:03}.dcm").write_bytes(content)
        done = self._clinic.take_in(folder)
        self._ward.hold(
            done["stored"] == kept.instances and not done["refused"],
            f"{self._clinic.name} took in {done['stored']} of {kept.instances} new instances",
        )
        if self._draw.random() < 0.2:
            again = self._clinic.take_in(folder)
            self._ward.hold(
                again["unchanged"] == kept.instances,
                f"{self._clinic.name} found {again['unchanged']} of {kept.instances} unchanged",
            )
        shutil.rmtree(folder)
        with self._ward.lock:
            self._ward.kept.append(kept)
        self._ward.count("instances imported", kept.instances)

    def _ask_exactly(self) -> None:
        kept = self._ward.some(self._draw)
        if kept is not None:
            self.find(kept)
            self._ward.count("exact questions to everyone")

    def find(self, kept: Kept) -> None:
        """One study by its patient's number, over the whole mesh; with all its instances."""
        found = self._whole(
            "/v1/find",
            {"keys": [f"PatientID={kept.study.patient_id}"], "scope": "mesh"},
            lambda answer: answer["complete"],
        )
        shown = [
            match["attributes"].get("NumberOfStudyRelatedInstances") for match in found["matches"]
        ]
        self._ward.hold(
            [int(count) for count in shown] == [kept.instances],
            f"{self._clinic.name} was told {shown} instead of {kept.instances} instances of study "
            f"{kept.study.number}",
        )

    def _ask_widely(self) -> None:
        family = self._draw.choice("ABCDEFGHIJKLMNOPQRSTUVWZ")
        level = self._draw.choice(("PATIENT", "STUDY"))
        body = {"keys": [f"PatientName={family}*"], "scope": "mesh", "level": level, "limit": 50}
        self._whole(
            "/v1/find", body, lambda answer: answer["report"]["complete"] or answer["truncated"]
        )
        self._ward.count("wild-card questions to everyone")

    def _fetch(self) -> None:
        kept = self._ward.some(self._draw)
        if kept is None:
            return
        body: Json = {"study_uid": kept.study.uid}
        folder = self._ward.folder / f"export-{self._number}"
        if exporting := self._draw.random() < 0.2:
            folder.mkdir()
            body["to"] = str(folder)
        done = self._whole(
            "/v1/fetch", body, lambda answer: not answer["partial"] and not answer["unheard"]
        )
        self._ward.hold(
            done["instances"] == kept.instances and not done["conflicts"],
            f"{self._clinic.name} fetched {done['instances']} of {kept.instances} instances of "
            f"study {kept.study.number}, {done['conflicts']} in conflict",
        )
        if exporting:
            there = sorted(
                data_set(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
            )
            made = sorted(map(data_set, slices(kept.study, kept.instances, side=kept.side)))
            self._ward.hold(
                there == made,
                f"{self._clinic.name} exported study {kept.study.number} not as it was made",
            )
            shutil.rmtree(folder)
        self._ward.count("studies here already" if done["already_here"] else "studies fetched")

    def _look(self) -> None:
        client = self._clinic.client()
        status = client.get("/v1/status")
        self._ward.hold(
            status["level"] != "broken", f"{self._clinic.name} is broken: {status['troubles']}"
        )
        for path in ("/v1/peers", "/v1/counters", "/v1/conflicts"):
            client.get(path)
        self._ward.count("looks at status")

    def _restart(self) -> None:
        with self._ward.lock:
            self._ward.restarts += 1
        try:
            if self._draw.random() < 0.5:
                self._clinic.down()
                self._ward.count("restarts after a clean stop")
            else:
                self._clinic.kill()
                self._ward.count("restarts after kill -9")
            self._clinic.up()
        finally:
            with self._ward.lock:
                self._ward.restarts += 1

    def _whole(self, path: str, body: Json, whole: Callable[[Json], bool]) -> Json:
        """Ask until the answer is whole: a restarted node may have had a part of it.

        Raises:
            Broken: it does not become so.
        """
        until = monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._clinic.ask(path, body)
                if whole(answer):
                    return answer
                said = str(answer)
            except MeshError as error:
                said = str(error)
            self._ward.count("asked again, as a part was missing")
            if monotonic() > until:
                raise Broken(f"{path} does not become whole: {said[:500]}")
            self._ward.stop.wait(0.5)


def watch(ward: Ward, every_s: float, samples: Sequence[list[Sample]]) -> None:
    """Look at every node now and then, until the time is over."""
    began = monotonic()
    while not ward.stop.wait(every_s):
        for clinic, seen in zip(ward.clinics, samples, strict=True):
            process = clinic.process
            sample = None if process is None else look(process.pid, monotonic() - began)
            if sample is not None:
                seen.append(sample)


# ---------------------------------------------------------------- the whole


def run(options: argparse.Namespace, place: Place) -> Outcome:
    """All of it."""
    if not Path("/proc/self/status").exists():
        raise NotHere("Memory and open files are read from /proc, on Linux.")
    outcome = Outcome()
    lasts_s = options.minutes * 60
    _, instances = STOCKED

    def fill(clinics: Sequence[Clinic]) -> None:
        place.say(f"filling {len(clinics)} archives with {options.stock * instances} instances")
        firsts = [(50 + number) * ELSEWHERE for number in range(len(clinics))]
        stock_all([clinic.archive for clinic in clinics], firsts, options.stock, instances)

    homes = place.folder / "homes"
    homes.mkdir()
    with mesh(homes, NODES, fill if options.stock else None) as clinics:
        ward = Ward(clinics, place.seed, place.folder, outcome)
        samples: list[list[Sample]] = [[] for _ in clinics]
        workers = [Worker(ward, number) for number in range(NODES)]
        place.say(f"{NODES} nodes at work for {options.minutes:g} minutes")
        with ThreadPoolExecutor(NODES + 1) as pool:
            every_s = max(0.25, lasts_s / SAMPLES)
            under_way = [pool.submit(worker.work) for worker in workers]
            under_way.append(pool.submit(watch, ward, every_s, samples))
            try:
                _wait(ward, lasts_s, place.say)
            finally:
                ward.stop.set()
            for work in under_way:
                work.result()
        ward.stop = Event()
        wait_complete(clinics)
        place.say(f"looking for all {len(ward.kept)} studies again")
        for number, kept in enumerate(ward.kept):
            workers[number % NODES].find(kept)
        for clinic in clinics:
            clinic.down()
    for number, (clinic, seen) in enumerate(zip(clinics, samples, strict=True)):
        judge(outcome, clinic.name, seen, lasts_s, through=number < NODES - RESTARTED)
    _read_logs(outcome, clinics)
    outcome.counts["studies kept and found again"] = len(ward.kept)
    return outcome


def _wait(ward: Ward, lasts_s: float, say: Callable[[str], None]) -> None:
    """The time, with a word now and then."""
    began = monotonic()
    while (left := began + lasts_s - monotonic()) > 0:
        ward.stop.wait(min(left, 300.0))
        with ward.lock:
            say(
                f"  {(monotonic() - began) / 60:.0f} minutes: {len(ward.kept)} studies, "
                f"{ward.restarts // 2} restarts, {len(ward.outcome.wrong)} things wrong"
            )
            for wrong in ward.outcome.wrong[-3:]:
                say(f"    {wrong}")


def _read_logs(outcome: Outcome, clinics: Sequence[Clinic]) -> None:
    explanations = Explanations(*EXPLAINED)
    for clinic in clinics:
        for line in explanations.unexplained(read(clinic.log)):
            outcome.wrong.append(f"{clinic.name} has logged, unexplained: {line}")
    outcome.counts += explanations.counts


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--stock", type=int, default=STOCKED[0], help="studies that each archive begins with"
    )


SOAK = Campaign(
    "soak",
    "Five nodes for an hour of imports, queries, fetches and restarts: what grows, what is logged?",
    _options,
    run,
)
