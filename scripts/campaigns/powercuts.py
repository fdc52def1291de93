"""The power fails while a node works: everything that it was not told to keep may be gone.

The node under test stands on a file system that records every change (imagined.mount). From one
recording the disk of any moment can be made, without what was not synced by then, or with any part
of it (imagined.disk). Two things are done with that:

- *looked into*: many moments of each recording, each from three kinds of disk. The home is opened
  as a start would: keys, roster, boot, archive; what had been acknowledged by then must be there
  and be read back byte for byte, and what is shown must be what was offered.
- *lived on*: the node is killed at a random moment, the power cut at that very moment, and the
  node is started again on what is left, in the same mesh. So cuts pile up, some of them during the
  repairs of the one before.

Rounds are of three kinds: a founder's life (imports, fetches, invites honoured, members revoked), a
home that is being founded, and a node that joins. FUSE was chosen over intercepting the calls of
libc: the kernel's own caching, mapping and locking stay in the path, whatever program makes the
calls, and nothing has to be compiled.
"""

import argparse
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

from campaigns.campaign import Campaign, Outcome, Place
from campaigns.examination import Examination, Kept
from campaigns.promises import Offered, offer
from campaigns.victim import Command, Executioner, Work
from clinics.clinic import Clinic, anywhere
from clinics.mesh import (
    ending,
    found_and_join,
    up_all,
    wait_complete,
    wait_known,
    wait_linked,
)
from imagined.disk import Cut, Disk, replay
from imagined.machine import Machine, check_possible, machine
from imagined.tape import read_tape
from meshpacs.node.config import Config
from meshpacs.node.founding import found, read_belongings
from meshpacs.node.home import Home

Json = dict[str, Any]

IMPORTED = {8: 10, 256: 3}
LARGE = {8: 4, 256: 2, 1024: 1}
"""Images by width; the widest is 2 MB, of two leaves."""

BEYOND = 1.1
"""Of the changes that a work makes: moments are drawn up to here, so some come after its end."""

LOOK_S = 0.001

HOME = "home"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--times", type=int, default=60, help="rounds, each ends with a cut")
    parser.add_argument("--minutes", type=float, default=90, help="end earlier, after so many")
    parser.add_argument("--looks", type=int, default=24, help="moments looked into of each round")


def fight(options: argparse.Namespace, place: Place) -> Outcome:
    """All rounds."""
    check_possible()
    outcome = Outcome()
    war = War(place, outcome, options.looks)
    with ending([war.member]):
        war.prepare()
        until = monotonic() + 60 * options.minutes
        for number in range(1, options.times + 1):
            if monotonic() > until:
                break
            kind = war.draw.choices((war.life, war.founding, war.joining), (6, 1, 3))[0]
            with place.room(f"round-{number}") as room:
                kind(room)
            if number % 10 == 0:
                place.say(f"{number} of {options.times}, {len(outcome.wrong)} wrong")
        war.finish()
    return outcome


@dataclass(slots=True)
class Told:
    """What was acknowledged while a tape ran: how long it was then, and what to keep from then."""

    moments: list[tuple[int, Callable[[Kept], None]]] = field(default_factory=list)

    def by(self, position: int, before: Kept) -> Kept:
        """What had been acknowledged when the tape was so long."""
        kept = before.copy()
        for told, keep in self.moments:
            if told <= position:
                keep(kept)
        return kept


class War:
    """A founder on an imagined disk, and a member on a real one that it fetches from."""

    def __init__(self, place: Place, outcome: Outcome, looks: int) -> None:
        """Nothing is started."""
        self.place, self.outcome, self.looks = place, outcome, looks
        self.draw = random.Random(f"{place.seed}/cuts")
        self.executioner = Executioner(outcome, self.draw)
        self.founder = Clinic("Wümme", place.folder / "first" / HOME)
        self.member = Clinic("Oste", place.folder / "oste")
        self.base = place.folder / "first"
        """What the founder's disk holds between two rounds."""
        self.kept = Kept()
        self.told = Told()
        self.machine: Machine
        self.waiting: list[str] = []
        """Members that may be revoked."""
        self._changes: dict[str, list[int]] = {}
        """Bytes of tape that each kind of work has taken, when it came to its end."""
        self._numbers = count(2_000_000)

    def prepare(self) -> None:
        """The mesh, on a real disk."""
        self.base.mkdir()
        with ending([self.founder]):
            found_and_join((self.founder, self.member), "Power cuts")
            up_all((self.member,))
            wait_complete((self.founder, self.member))
            self.kept.node = self.founder.client().get("/v1/status")["node"]
            self.kept.members.add(self.member.client().get("/v1/status")["node"])
            self.executioner.boots[self.founder.home] = 0
            self.founder.down()

    def finish(self) -> None:
        """Start the founder once more, on a real disk, and compare with the member."""
        self.founder = Clinic(self.founder.name, self.base / HOME)
        self._drop_log()
        with ending([self.founder]):
            self.executioner.restart(self.founder)
            wait_linked(self.founder, self.member)
            for clinic in (self.founder, self.member):
                roster = clinic.client().get("/v1/status")["roster"]
                self.outcome.hold(not roster["forks"], f"{clinic.name} sees a fork")
                self.outcome.hold(not roster["suspended"], f"{clinic.name} has suspended members")
                out = set(roster["revoked"])
                self.outcome.hold(self.kept.revoked <= out, f"{clinic.name} forgot a revocation")
            self.executioner.stop(self.founder)
        Examination(self.outcome, "at the end").look(self.base, self.kept)
        self.outcome.notes.append(self.executioner.figures("a cut"))

    # ------------------------------------------------------------ a founder's life

    def life(self, room: Path) -> None:
        """Start on what the last cut has left, work, be cut off."""
        self.told = Told()
        with machine(room, self.base) as self.machine:
            self.founder = Clinic(self.founder.name, self.machine.folder / HOME)
            with ending([self.founder]):  # while it lives, its disk cannot be unmounted
                self._live()
        self._look_and_cut(room, self.base, "life")

    def _live(self) -> None:
        self.executioner.boots.setdefault(self.founder.home, self.kept.boot)
        self._drop_log()
        if self.draw.random() < 0.25:
            self._start()
        else:
            self.executioner.restart(self.founder)
            boot = self.executioner.boots[self.founder.home]
            self.tell(lambda kept: kept.reach(boot))
            self.draw.choices((self._work, self._stop), (4, 1))[0]()

    def _drop_log(self) -> None:
        """Nobody syncs a log: what a cut has left of it may be zeros, and says nothing."""
        self.founder.log.unlink(missing_ok=True)
        self.executioner.read[self.founder.home] = 0

    def _cut_short(self, stage: str, act: Callable[[], Any], kill: Callable[[], None]) -> Work[Any]:
        """Begin a work, and end it once the disk has seen a share of the changes that it makes.

        A share of its changes, not of its time: a busy machine would have all moments early. The
        first of each kind may go to its end, and so is measured.
        """
        usual = self._changes.setdefault(stage, [])
        began = self.machine.position
        goal = began + self.draw.uniform(0, BEYOND) * median(usual[-9:] or [inf])
        work = Work(act)
        while work.under_way and self.machine.position < goal:
            sleep(LOOK_S)
        under_way = work.under_way
        if not under_way:
            usual.append(self.machine.position - began)
            self.outcome.hold(work.fault is None, f"{stage}, before the cut: {work.fault}")
        kill()
        self.outcome.counts[f"power failed {'during' if under_way else 'after'} {stage}"] += 1
        return work.join()

    def _start(self) -> None:
        self.founder.start()
        self._cut_short("a start", self.founder.wait_ready, self.founder.kill)

    def _work(self) -> None:
        self._cut_short("works", self._works, self.founder.kill)

    def _stop(self) -> None:
        self._import()  # so that the index has something to bring from its log
        process = self.founder.process
        assert process is not None

        def stop() -> None:
            self.founder.client().post("/v1/stop")
            process.wait()

        self._cut_short("a stop", stop, self.founder.kill)

    def tell(self, keep: Callable[[Kept], None]) -> None:
        """This was acknowledged just now."""
        self.told.moments.append((self.machine.position, keep))

    def _works(self) -> None:
        works = [self._import, self._import, self._fetch, self._admit, self._revoke]
        self.draw.shuffle(works)
        for work in works:
            work()
            self.outcome.counts[f"done before the cut: {work.__name__.strip('_')}"] += 1

    def _study(self) -> Offered:
        number = next(self._numbers)
        sides = LARGE if number % 3 == 0 else IMPORTED
        offered = offer(number, self.place.folder / f"study-{number}", sides, self.place.seed)
        self.kept.offered[offered.study.uid] = offered.all
        return offered

    def _import(self) -> None:
        offered = self._study()
        uid = offered.study.uid
        body = {"paths": [str(offered.folder)]}
        for event in self.founder.client().lines("/v1/import", body):
            if event["event"] == "file":
                name = Path(event["name"]).name
                one = {offered.sops[name]: offered.roots[name]}
                self.tell(partial(Kept.hold, study_uid=uid, instances=one))
        shutil.rmtree(offered.folder)

    def _fetch(self) -> None:
        offered = self._study()
        self.member.take_in(offered.folder)
        shutil.rmtree(offered.folder)
        uid = offered.study.uid
        done = self.founder.ask("/v1/fetch", {"study_uid": uid})
        if done["partial"]:
            self.kept.partial.add(uid)
        else:
            self.tell(partial(Kept.hold, study_uid=uid, instances=offered.all))

    def _invite(self) -> str:
        return str(self.founder.client().post("/v1/invite", {"local": True})["text"])

    def _admit(self) -> None:
        home = self.place.folder / f"new-{next(self._numbers)}"
        clinic = Clinic(home.name, home)
        done = clinic.run("join", self._invite(), "--name", clinic.name, *anywhere())
        if done["through"]["name"] == self.founder.name:
            self.tell(partial(Kept.admit, node=done["node"]))
        self.waiting.append(done["node"])
        shutil.rmtree(home)

    def _revoke(self) -> None:
        if not self.waiting:
            return
        node = self.waiting.pop(0)
        self.kept.doubtful.add(node)
        wait_known(self.founder, node)
        self.founder.client().post("/v1/revoke", {"who": node})
        self.tell(partial(Kept.revoke, node=node))

    # ------------------------------------------------------------ homes that come to be

    def founding(self, room: Path) -> None:
        """`init`, cut off; it must be possible again, unless it was said to be done."""
        words = ("init", "--name", "Lühe", *anywhere())
        home, done = self._made(room, words)
        if not home.made:
            self.outcome.hold(done is None, "a mesh was founded, and is gone")
            found(home, Config(name="Lühe"), "Again")
            self.outcome.counts["founded at the second try"] += 1

    def joining(self, room: Path) -> None:
        """`join`, cut off; the same invite must do again, unless it was said to be done."""
        words = ("join", self._spare_invite(room), "--name", "Este", *anywhere())
        home, done = self._made(room, words)
        if not home.made:
            self.outcome.hold(done is None, "a node had joined, and is gone")
            again = Work(partial(Clinic("Este", home.folder).run, *words)).join()
            self.outcome.hold(again.fault is None, f"joining the second time: {again.fault}")
            self.outcome.counts["joined at the second try"] += 1
        if home.made:
            self.waiting.append(read_belongings(home).identity.node.hex())

    def _made(self, room: Path, words: tuple[str, ...]) -> tuple[Home, Json | None]:
        """The home that a command, cut off, has left on an empty disk; what the command said."""
        stage = f"`{words[0]}`"
        self.told = Told()
        with machine(room) as self.machine:
            done = self._killed(Clinic(words[0], self.machine.folder / HOME), words, stage)
        base = room / "base"
        base.mkdir()
        self._look_and_cut(room, base, stage, Kept(node=done["node"] if done else ""))
        return Home(base / HOME), done

    def _spare_invite(self, room: Path) -> str:
        """One of the founder's, which is not up: the member honours it."""
        spare = Clinic(self.founder.name, room / "spare")
        shutil.copytree(self.base / HOME, spare.home)
        spare.start()
        try:
            spare.wait_ready()
            wait_linked(spare, self.member)
            return str(spare.client().post("/v1/invite", {"local": True})["text"])
        finally:
            spare.kill()
            shutil.rmtree(self.base / HOME)
            shutil.copytree(spare.home, self.base / HOME)

    def _killed(self, clinic: Clinic, words: tuple[str, ...], stage: str) -> Json | None:
        """A command, killed at a random moment; what it said, if it ended before."""
        process = Command([*clinic.command(*words), "--json"])
        work = self._cut_short(stage, process.wait, process.kill)
        if work.result != 0:
            return None
        done: Json = process.said()
        return done

    # ------------------------------------------------------------ the cuts

    def _look_and_cut(self, room: Path, base: Path, stage: str, kept: Kept | None = None) -> None:
        """Look into moments of the tape, and leave the disk of the last one in `base`."""
        start = self.base if base is self.base else None
        ops, ends = read_tape(room / "tape")
        before = self.kept if kept is None else Kept()
        last = len(ops)
        moments = [self.draw.randrange(last + 1) for _ in range(self.looks)] + [last]
        disk = Disk.load(start) if start else Disk()
        left = room / "left"
        left.mkdir()
        for moment in replay(disk, ops, moments):
            kind = self.draw.choice(list(Cut))
            told = self.told.by(ends[moment - 1] if moment else 0, before)
            if kept is not None and moment == last:
                told = kept
            look = room / "look"
            look.mkdir()
            words = f"{stage}, {room.name}, after {moment} of {last} changes, {kind.value}"
            disk.cut(kind, self.draw, look)
            if moment == last and not any(left.iterdir()):
                shutil.copytree(look, left, dirs_exist_ok=True)
                if kept is None:
                    self.kept = told
            Examination(self.outcome, words).look(look, told)
            self.outcome.counts[f"cuts: {stage}"] += 1
            self.outcome.counts[f"cuts with {kind.value}"] += 1
            shutil.rmtree(look)
        shutil.rmtree(base)
        left.rename(base)


POWER_CUTS = Campaign(
    "powercuts",
    "The power fails during imports, fetches, joins, roster updates, starts: writes that were not "
    "synced are lost or torn; 60 rounds, 1,500 cuts, in about ten minutes. Linux with FUSE.",
    add_options,
    fight,
)
