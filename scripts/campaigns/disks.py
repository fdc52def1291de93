"""A node on a small disk that is filled, forbidden and slowed down, again and again.

Two nodes as processes; one has its home on a disk of its own. What it has acknowledged is written
down here, and nothing of it may be missing at the end, byte for byte. Each round:

1. *full*: imports until images are refused, each by name; questions, fetches from here and
   deletions go on; what was refused is taken in once there is room, without a restart;
2. *full to the last byte*: somebody else fills the disk, so far that a random few bytes are left;
   the mesh's news cannot be written down; a deletion makes room; the node is killed and starts;
3. *read-only*, then *failing*: refused by name; everything that only reads goes on; when it is over
   all is as before, without a restart;
4. *slow*: everything that is made durable takes long; imports are slow and right, and others'
   questions do not wait for it.
"""

import argparse
import errno
import re
import time
from statistics import median
from threading import Thread

from campaigns.campaign import Campaign, Outcome, Place
from campaigns.logbook import Explanation, Explanations, read
from campaigns.promised import OnDisk, Promised
from clinics.clinic import Clinic
from clinics.mesh import ending, found_and_join, up_all, wait_complete
from clinics.scanner import Study, data_set
from clinics.volume import BadDisk, volume

SIZE_MIB = 80
KEEP_FREE_MIB = 16
SLOW_MS = 1200
"""What is slow: more than the second from which `status` says so."""

SLOW_INSTANCES = 12
"""Each is made durable twice, file and folder: enough to be one in twenty of the last 256."""

EXPLAINED = (
    Explanation("disk_trouble", "the disk's troubles, told when they begin"),
    Explanation("ledger_failed", "the mesh's news that the disk did not take"),
    Explanation("archive_repaired", "a killed node says at its start what it has put in order"),
    Explanation("", "a start that a full disk refused", "The disk that holds"),
    Explanation("", "a start that a full disk refused", "Make room on it"),
    Explanation("", "a line that a full disk, which holds the log, has cut", '"stray": "{'),
)
TOLD = {"low", "full", "read-only", "failing", "slow"}
"""States of the disk that a log must tell, where the log is on another disk."""


class Fight(Promised):
    """One round."""

    def all_of_it(self) -> None:
        """One round, by a process that has this disk."""
        self._restart()
        self.full()
        self.last_byte()
        self.unwritable(errno.EROFS, "cannot be written", "read-only")
        self.unwritable(errno.EIO, "Input/output error", "failing")
        self.slow()
        self.settle()

    def full(self) -> None:
        """Up to the room that is kept free."""
        self._import_until_full("There is no room")
        self._status("broken", {"full"})
        self.hold(
            self._disk.free_bytes() >= (KEEP_FREE_MIB - 4) << 20,
            f"only {self._disk.free_bytes()} bytes are left of those kept free",
        )
        self._ask_for_all()
        large, folder = self._study(40)
        self._there.take_in(folder)
        self._refused_to(
            "a fetch without room for it",
            f"no room for what is lacking of the study {large.uid}",
            lambda: self._here.ask("/v1/fetch", {"study_uid": large.uid}),
        )
        first, *others = self._promised
        fetched = self._there.ask("/v1/fetch", {"study_uid": first.uid})
        self.hold(
            fetched["instances"] == len(self._promised[first]) and not fetched["partial"],
            f"a full node gave {fetched['instances']} of {len(self._promised[first])} instances",
        )
        self._refused_to(
            "deleting the last copy",
            "are in no other archive that answered",
            lambda: self._delete(others[-1]),
        )
        self._delete(first)
        self._delete(others[0], even_if_last=True)
        left = self._take_in(*self._refused)
        self.hold(not left, f"refused though there is room again: {left}")
        self._status("degraded", {"low"})
        self._ask_for_all()
        back = self._there.ask("/v1/fetch", {"study_uid": first.uid})
        self.hold(back["already_here"], "what was deleted here is not whole elsewhere")

    def _make_room(self) -> None:
        """Delete until a few images more are sure to have room."""
        while self._disk.free_bytes() < (KEEP_FREE_MIB + 6) << 20 and len(self._promised) > 1:
            self._delete(max(self._promised, key=self._count), even_if_last=True)

    def _count(self, study: Study) -> int:
        return len(self._promised[study])

    def last_byte(self) -> None:
        """Somebody else takes what is left."""
        self._make_room()
        self._disk.fill(self._draw.choice((0, 0, 1, 3, 8)) * 4096)
        _, folder = self._study(3)
        refused = self._take_in(folder)
        self.hold(len(refused) == 3, f"3 instances on a full disk, {len(refused)} refused")
        self._status("broken", {"full"})
        self._ask_for_all()
        name = self._renamed()
        self._until("news on a full disk", lambda: name in self._peers())
        # The reserve is good for one of the two.
        if self._draw.random() < 0.5:
            self._delete(self._draw.choice(list(self._promised)), even_if_last=True)
        else:
            self._restart()
        self._ask_for_all()
        self._disk.fill()
        self._ask_for_all()
        self._here.kill()
        self._refused_to("a start on a full disk", r"is full\.\s+Make room", self._here.up)
        self._here.end()
        self._disk.clear()
        self._here.up()
        wait_complete([self._here, self._there])
        self._ask_for_all()
        left = self._take_in(folder)
        self.hold(not left, f"refused though there is room again: {left}")
        self._status("degraded", {"low"})
        self._until("the reserve is laid by again", self._reserve_is_there)
        self._restart()
        self._until("what came on a full disk is known", lambda: name in self._peers())

    def _restart(self) -> None:
        self._here.kill()
        self._here.up()
        wait_complete([self._here, self._there])

    def _reserve_is_there(self) -> bool:
        self._here.client().get("/v1/status")
        return (self._here.archive / "reserve").exists()

    def _renamed(self) -> str:
        """The other clinic's new name: something that the mesh must remember."""
        name = f"Bille {self._draw.randrange(10**6)}"
        _configure(self._there, "name", f'"{name}"')
        self._there.client().post("/v1/config/reload")
        return name

    def _peers(self) -> list[str]:
        return [peer["name"] for peer in self._here.client().get("/v1/peers")["peers"]]

    def unwritable(self, error: int, words: str, state: str) -> None:
        """Nothing can be written any more."""
        self._make_room()
        known = next(iter(self._promised))
        self._there.ask("/v1/fetch", {"study_uid": known.uid})
        _, folder = self._study(2)
        self._outcome.counts[f"disks that were {state}"] += 1
        self._bad.be(error)
        try:
            refused = self._take_in(folder)
            self.hold(
                len(refused) == 2 and all(words in why for why in refused.values()),
                f"2 instances on a disk that is {state}: {refused}",
            )
            self._status("broken", {state})
            self._ask_for_all()
            self._refused_to(
                f"deleting on a disk that is {state}",
                f"{words}|could not be read or written",
                lambda: self._delete(known, even_if_last=True),
            )
            name = self._renamed()
            self._until(f"news on a disk that is {state}", lambda: name in self._peers())
        finally:
            self._bad.be()
        left = self._take_in(folder)
        self.hold(not left, f"refused though the disk can be written again: {left}")
        self._until("the mesh's news is written", self._is_low)
        self._ask_for_all()

    def _is_low(self) -> bool:
        status = self._here.client().get("/v1/status")
        return bool(status["level"] == "degraded" and status["archive"]["disk"] == "low")

    def slow(self) -> None:
        """Everything that is made durable takes `SLOW_MS` longer."""
        self._make_room()
        study, folder = self._study(SLOW_INSTANCES)
        refused: list[dict[str, str]] = []
        importing = Thread(target=lambda: refused.append(self._take_in(folder)))
        known = next(iter(self._promised))
        count = len(self._promised[known])
        took: list[float] = []
        self._bad.be(slower_ms=SLOW_MS)
        try:
            importing.start()
            while importing.is_alive() or len(took) < 10:
                began = time.monotonic()
                self._ask_for(self._there, known, count)
                took.append(time.monotonic() - began)
                time.sleep(0.05)
            importing.join()
            self._status("degraded", {"slow"})
        finally:
            self._bad.be()
        self.hold(refused == [{}], f"a slow disk has refused: {refused}")
        self.hold(
            median(took) < SLOW_MS / 1000,
            f"while a slow disk takes in, half of {len(took)} questions take {median(took):.2f} s",
        )
        self._outcome.notes.append(
            f"on a disk that takes {SLOW_MS} ms longer for each write: {len(took)} questions of "
            f"another node, median {1000 * median(took):.0f} ms, longest {1000 * max(took):.0f} ms"
        )
        self._ask_for(self._here, study, SLOW_INSTANCES)

    def settle(self) -> None:
        """Everything that was acknowledged and not deleted is here, byte for byte."""
        for study, files in self._promised.items():
            folder = self._folder / f"out-{study.number}"
            folder.mkdir()
            done = self._here.ask("/v1/fetch", {"study_uid": study.uid, "to": str(folder)})
            there = sorted(data_set(p.read_bytes()) for p in folder.rglob("*") if p.is_file())
            self.hold(
                there == sorted(map(data_set, files.values())) and not done["conflicts"],
                f"study {study.number}: {len(there)} instances are as they were taken in, of "
                f"{len(files)} acknowledged",
            )
            self._outcome.counts["instances compared byte for byte"] += len(files)
        for study in list(self._promised):
            self._delete(study, even_if_last=True)
        self.hold(
            not list((self._here.archive / "blobs").rglob("*.dcm")),
            "bytes are left of studies that were deleted",
        )


def _configure(clinic: Clinic, key: str, value: str) -> None:
    path = clinic.home / "config.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE), encoding="utf-8"
    )


def run(options: argparse.Namespace, place: Place) -> Outcome:
    """So many rounds on one small disk."""
    outcome = Outcome()
    with volume(place.folder / "disk", SIZE_MIB) as disk:
        bad = BadDisk(place.folder, disk)
        here = OnDisk("Alster", disk.folder / "home")
        made = here, Clinic("Bille", place.folder / "bille")
        elsewhere = place.folder / "alster.log"
        with ending(made):
            found_and_join(made)
            made[0].end()
            _configure(made[0], "keep_free_mib", str(KEEP_FREE_MIB))
            up_all(made)
            wait_complete(made)
            for number in range(options.rounds):
                place.say(f"round {number + 1} of {options.rounds}")
                here.log_elsewhere = None if number % 2 else elsewhere
                with bad.for_those_started():
                    Fight(place, outcome, number, made, (disk, bad)).all_of_it()
        explanations = Explanations(*EXPLAINED)
        for log in (made[1].log, here.home / "log", elsewhere):
            for line in explanations.unexplained(read(log)):
                outcome.wrong.append(f"{log.name} holds, unexplained: {line}")
        outcome.counts += explanations.counts
        troubles = [line for line in read(elsewhere) if line.get("event") == "disk_trouble"]
        told = {str(line["state"]) for line in troubles}
        outcome.hold(told - {"stuck"} == TOLD, f"the log has told of a disk that is {sorted(told)}")
    return outcome


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


DISKS = Campaign(
    "disks",
    "A node on a small disk that is filled, to the last byte too, made read-only, and slow.",
    _options,
    run,
)
