"""A node on a small disk, another beside it, and what the first has acknowledged."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaigns.campaign import Outcome, Place
from clinics.clinic import Broken, Clinic, Json
from clinics.scanner import Study, slices
from clinics.volume import BadDisk, Volume
from meshpacs.model.errors import MeshError

SIDE = 256
"""Pixels: 128 KiB an image. About 30 MiB are left for them, so a dozen studies fill the disk."""

PATIENCE_S = 300.0
"""How long something may take that must happen. A guess for a busy machine."""


@dataclass
class OnDisk(Clinic):
    """The node on the small disk; its log is there, too, or elsewhere."""

    log_elsewhere: Path | None = None

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.log_elsewhere or self.home / "log"


class Promised:
    """What was promised in one round, and the pieces of work that hold it."""

    def __init__(
        self,
        place: Place,
        outcome: Outcome,
        number: int,
        clinics: tuple[Clinic, Clinic],
        disks: tuple[Volume, BadDisk],
    ) -> None:
        self._folder = place.folder / f"round-{number}"
        self._folder.mkdir()
        self._draw = random.Random(f"{place.seed}/disks/{number}")
        self._outcome = outcome
        self._here, self._there = clinics
        self._disk, self._bad = disks
        self._next = 1 + 1000 * number
        self._promised: dict[Study, dict[str, bytes]] = {}
        """Acknowledged at `here` and not deleted since: file names and files."""
        self._refused: list[Path] = []

    def hold(self, true: object, what: str) -> None:
        """Remember what did not hold."""
        self._outcome.hold(true, what)

    # ------------------------------------------------------------ pieces of work

    def _study(self, count: int) -> tuple[Study, Path]:
        """A new one, in a folder."""
        study = Study(self._next)
        self._next += 1
        folder = self._folder / f"study-{study.number}"
        folder.mkdir()
        for number, content in enumerate(slices(study, count, side=SIDE)):
            (folder / f"{number:03}.dcm").write_bytes(content)
        return study, folder

    def _take_in(self, *paths: Path) -> dict[str, str]:
        """Import at `here`; the refused ones by their names, with the reason."""
        refused: dict[str, str] = {}
        for event in self._here.client().lines("/v1/import", {"paths": [str(p) for p in paths]}):
            if event["event"] != "file":
                continue
            path = Path(event["name"])
            if event["taken"] in {"stored", "unchanged"}:
                study = Study(int(path.parent.name.partition("-")[2]))
                self._promised.setdefault(study, {})[path.name] = path.read_bytes()
                self._outcome.counts["instances acknowledged"] += 1
            else:
                refused[str(path)] = event["reason"]
                self._outcome.counts["instances refused by name"] += 1
        return refused

    def _import_until_full(self, why: str) -> None:
        """New studies, until one is refused."""
        refused: dict[str, str] = {}
        while not refused:
            _, folder = self._study(self._draw.randint(5, 25))
            refused = self._take_in(folder)
            if refused:  # a look cuts the index's log, and so may make a little room
                self._here.client().get("/v1/status")
                refused = self._take_in(*map(Path, refused))
        self.hold(
            all(why in reason for reason in refused.values()), f"refused without why: {refused}"
        )
        self._refused = [Path(name) for name in refused]

    def _ask_for_all(self) -> None:
        """Both nodes see, through the whole mesh, exactly what was promised."""
        for clinic in (self._here, self._there):
            for study, files in self._promised.items():
                self._ask_for(clinic, study, len(files))

    def _ask_for(self, clinic: Clinic, study: Study, count: int) -> None:
        keys = [f"PatientID={study.patient_id}"]
        found = clinic.ask("/v1/find", {"keys": keys, "scope": "mesh"})
        self._outcome.counts["questions to everyone"] += 1
        shown = [
            int(match["attributes"]["NumberOfStudyRelatedInstances"]) for match in found["matches"]
        ]
        self.hold(
            found["complete"] and shown == [count],
            f"{clinic.name} was told {shown} of study {study.number}, which has {count}",
        )

    def _status(self, level: str, states: set[str]) -> Json:
        """What `meshpacs status` says and exits with."""
        code = {"fine": 0, "degraded": 1, "broken": 2}[level]
        status = self._here.run("status", codes=(0, 1, 2))
        self.hold(
            status["level"] == level and status["archive"]["disk"] in states,
            f"status says {status['level']}, {status['archive']['disk']} instead of {level}, "
            f"{states}: {status['troubles']}",
        )
        self.hold(
            not code or (status["troubles"] and all(t["mend"] for t in status["troubles"])),
            f"status does not say what to do: {status['troubles']}",
        )
        return status

    def _refused_to(self, what: str, words: str, work: Callable[[], object]) -> None:
        """This must be refused, with these words."""
        try:
            work()
        except (MeshError, Broken) as fault:
            self.hold(re.search(words, str(fault), re.DOTALL), f"{what} was refused with: {fault}")
            self._outcome.counts["wishes refused by name"] += 1
        else:
            self.hold(False, f"{what} was not refused")

    def _delete(self, study: Study, **more: bool) -> None:
        body = {"study_uid": study.uid, "confirmed": True, **more}
        gone = self._here.client().post("/v1/delete", body, answer_s=None)
        self.hold(gone["deleted"], f"study {study.number} was not deleted: {gone}")
        del self._promised[study]
        self._outcome.counts["studies deleted"] += 1

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > until:
                self.hold(False, f"{what}: not within {PATIENCE_S:.0f} s")
                return
            time.sleep(0.5)
