"""Two nodes of one mesh, what can be done with them, and whether they keep what they said."""

import random
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from campaigns.campaign import Outcome, Place
from campaigns.promises import Offered, Promises, Roots, offer, partial_studies
from campaigns.victim import Executioner, Work
from clinics.clinic import Clinic, anywhere
from clinics.mesh import wait_linked
from meshpacs.model.errors import MeshError
from meshpacs.node.founding import read_belongings
from meshpacs.node.home import Home

Json = dict[str, Any]

STUDY_INSTANCES = 40
"""Of each study that is on the shelf from the start."""

IMPORTED = {8: 24, 512: 8}
FETCHED = {8: 4, 512: 16, 1024: 4}
"""Images by width: 128 bytes, 0.5 MB, and 2 MB in two leaves."""

FIRST = 1_000_000
"""Number of the first study that a round makes."""

HEAR_S = 20.0
"""How long a node that was killed may take to be one of the mesh again. A guess; dialling rests up
to 2 s."""


class Pair:
    """One that holds and founded the mesh, one that takes; what they have promised."""

    def __init__(self, place: Place, outcome: Outcome, instances: int) -> None:
        """Nothing is started."""
        self.place, self.outcome = place, outcome
        self.draw = random.Random(f"{place.seed}/moments")
        self.executioner = Executioner(outcome, self.draw)
        self.holder = Clinic("Alster", place.folder / "alster")
        self.taker = Clinic("Bille", place.folder / "bille")
        self.clinics = (self.holder, self.taker)
        self.promises = {clinic.name: Promises() for clinic in self.clinics}
        self.shelf = max(1, instances // STUDY_INSTANCES)
        self.joined: list[tuple[str, Path]] = []
        """Members that wait to be revoked: id and home."""
        self.revoked: list[str] = []
        self.resent: list[int] = []
        self.kills = self.executioner.kills
        self._numbers = iter(range(FIRST, FIRST * 2))

    # ------------------------------------------------------------ works

    def new_study(self, sides: dict[int, int]) -> Offered:
        """Files that nobody has seen."""
        number = next(self._numbers)
        offered = offer(number, self.place.folder / f"study-{number}", sides, self.place.seed)
        for promises in self.promises.values():
            promises.offered[offered.study.uid] = offered.all
        return offered

    def take_in(self, offered: Offered) -> list[Json]:
        """Import it at the holder; what was acknowledged is remembered as it comes."""
        events = []
        promises = self.promises[self.holder.name]
        for event in self.holder.client().lines("/v1/import", {"paths": [str(offered.folder)]}):
            events.append(event)
            if event["event"] == "file":
                name = Path(event["name"]).name
                self.outcome.hold(
                    event["taken"] in {"stored", "unchanged"}, f"{name}: {event['taken']}"
                )
                promises.keep(offered.study.uid, {offered.sops[name]: offered.roots[name]})
        return events

    def hold_study(self) -> Offered:
        """A study that the holder has whole, and its files no more."""
        offered = self.new_study(FETCHED)
        self.take_in(offered)
        shutil.rmtree(offered.folder)
        self.fetched_mb = offered.size_bytes / 1e6
        return offered

    def fetch(self, offered: Offered) -> Json:
        """Bring it to the taker."""
        return self.taker.ask("/v1/fetch", {"study_uid": offered.study.uid})

    def promise_fetched(self, offered: Offered, done: Json) -> None:
        """The taker has said how much of it is there."""
        uid = offered.study.uid
        if done["partial"]:
            self.promises[self.taker.name].partial.add(uid)
        else:
            self.outcome.hold(done["instances"] == len(offered.all), f"{uid} is whole, and is not")
            self.promises[self.taker.name].keep(uid, offered.all)

    def ask(self) -> Json:
        """Everything on the holder's shelf, from the taker."""
        return self.taker.ask("/v1/find", {"keys": ["AccessionNumber=A*"], "scope": "mesh"})

    def invite(self) -> str:
        """One for a new member."""
        return str(self.holder.client().post("/v1/invite", {"local": True})["text"])

    def new_home(self) -> Path:
        """Where a node will live."""
        return self.place.folder / f"home-{next(self._numbers)}"

    def join(self, home: Path, invite: str) -> Json:
        """The command, to its end."""
        clinic = Clinic(f"Member {home.name[-6:]}", home)
        return clinic.run("join", invite, "--name", clinic.name, *anywhere())

    def revoke(self, node: str) -> Json:
        """Take a membership."""
        return self.holder.client().post("/v1/revoke", {"who": node})

    # ------------------------------------------------------------ looking

    def visible(self, clinic: Clinic, offered: Offered) -> set[str]:
        """SOP Instance UIDs of a study that a node shows."""
        keys = [f"StudyInstanceUID={offered.study.uid}", "SOPInstanceUID="]
        body = {"keys": keys, "level": "IMAGE", "scope": "local"}
        found = clinic.ask("/v1/find", body)
        return {match["attributes"]["SOPInstanceUID"] for match in found["matches"]}

    def check_import(self, offered: Offered) -> None:
        """What the holder acknowledged of it, it shows, and nothing else."""
        uid = offered.study.uid
        here = self.visible(self.holder, offered)
        promised: Roots = self.promises[self.holder.name].instances.get(uid, {})
        for sop_uid in promised.keys() - here:
            self.outcome.hold(False, f"{sop_uid} was acknowledged and is gone")
        self.outcome.hold(here <= offered.all.keys(), f"{uid} has instances that nobody offered")
        self.outcome.counts["acknowledged before the kill"] += len(promised)
        self.outcome.counts["shown and not yet acknowledged"] += len(here - promised.keys())

    def check_fetched(self, offered: Offered) -> int:
        """All of it is there, or nothing, or it is called partial; how much."""
        uid = offered.study.uid
        here = self.visible(self.taker, offered)
        whole = here == offered.all.keys()
        self.outcome.hold(
            whole or not here or uid in partial_studies(self.taker.archive),
            f"{self.taker.name} shows {len(here)} of {len(offered.all)} of {uid}",
        )
        promised = self.promises[self.taker.name].instances.get(uid, {})
        self.outcome.hold(promised.keys() <= here, f"{uid} was said to be whole and is not")
        shown = "whole" if whole else "in part, and called so" if here else "not yet"
        self.outcome.counts[f"fetched study shown: {shown}"] += 1
        return len(here)

    def check_roster(self, clinic: Clinic) -> None:
        """Who was let in is in, who was revoked is out; as soon as news have come."""
        until = monotonic() + HEAR_S
        revoked, members = set(self.revoked), {node for node, _ in self.joined}
        while True:
            status = clinic.client().get("/v1/status")
            peers = {peer["node"] for peer in clinic.client().get("/v1/peers")["peers"]}
            out = set(status["roster"]["revoked"])
            right = revoked <= out and members <= peers and not peers & revoked
            if right or monotonic() > until:
                break
            sleep(0.1)
        self.outcome.hold(right, f"{clinic.name}: not in: {members - peers}, not out: "
                                 f"{(revoked - out) | (peers & revoked)}")  # fmt: skip
        self.outcome.hold(not status["roster"]["forks"], f"{clinic.name} sees a fork")
        self.outcome.hold(not status["roster"]["suspended"], f"{clinic.name} has suspended some")

    def wait_linked(self) -> None:
        """Until the taker hears the holder again."""
        wait_linked(self.taker, self.holder)
        self.outcome.counts["linked again"] += 1

    def chunk_bytes(self) -> int:
        """What the taker has been given of content since it started."""
        counters = self.taker.client().get("/v1/counters")["counters"]
        return sum(c["bytes_in"] for c in counters if c["purpose"] == "bulk")

    def served(self) -> int:
        """What the holder has given of content since it started."""
        counters = self.holder.client().get("/v1/counters")["counters"]
        return sum(c["bytes_out"] for c in counters if c["purpose"] == "bulk")

    def finish_fetch(self, offered: Offered) -> None:
        """Fetch until it is whole; a person would try twice."""
        done: Json = {"partial": True}
        for _ in range(3):
            with suppress(MeshError):
                done = self.fetch(offered)
                self.promise_fetched(offered, done)
            if not done["partial"]:
                return
            sleep(1)
        self.outcome.hold(False, f"{offered.study.uid} cannot be had any more")

    def check_answer(self, found: Json) -> None:
        """Whoever is said to have answered has given all its rows."""
        holders = {m["name"] for m in found["report"]["members"] if said(m)}
        rows = sum(
            self.holder.name in {holder["name"] for holder in match["holders"]}
            for match in found["matches"]
        )
        if self.holder.name in holders:
            self.outcome.hold(rows >= self.shelf, f"{rows} rows of {self.shelf} for an answer")
            self.outcome.counts["answers with the holder's rows"] += 1
        else:
            self.outcome.hold(not found["complete"], "complete without the holder")
            self.outcome.counts["answers that name the holder as missing"] += 1

    def joining(self, home: Path, invite: str) -> list[str]:
        """The command line."""
        clinic = Clinic(f"Member {home.name[-6:]}", home)
        return clinic.command("join", invite, "--name", clinic.name, "--json", *anywhere())

    def welcome(self, home: Path) -> None:
        """It is a member from now on."""
        self.joined.append((read_belongings(Home(home)).identity.node.hex(), home))

    def refuse_another(self, invite: str) -> None:
        """An invite that was used is no good for anybody else."""
        home = self.new_home()
        another = Work(partial(self.join, home, invite)).join()
        self.outcome.hold(another.fault is not None, "an invite was good for two")
        self.outcome.counts["second users of an invite refused"] += another.fault is not None
        shutil.rmtree(home, ignore_errors=True)


def said(member: Json) -> bool:
    """Whether a member has answered with all its rows."""
    return bool(member["status"] == "answered")
