"""`kill -9` at random moments of import, fetch, query, join and roster update.

Two nodes that stay up between the rounds: one holds 10,000 instances and founded the mesh, the
other fetches from it. Each round begins a piece of work, kills one of those who take part at a
moment drawn from the time that such a work usually takes, starts it again, and asks whether
everything that was acknowledged is there and nothing is that should not be. The killed work is then
done again, as a person would. At the end both archives are read whole.
"""

import argparse
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

from campaigns.campaign import Campaign, Outcome, Place
from campaigns.promises import Offered, Promises, Roots, offer, partial_studies
from campaigns.victim import Command, Executioner, Work
from clinics.clinic import Clinic, anywhere
from clinics.mesh import ending, found_and_join, up_all, wait_complete, wait_linked
from clinics.shelf import stock
from meshpacs.archive.archive import Archive
from meshpacs.model.errors import MeshError

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

STOP_EVERY = 30
"""Rounds between two clean stops."""

MANY = 100
"""Kills for which it is worth while to measure all works more than once beforehand."""

STRIKES = 3
"""One piece of work is begun and killed up to so many times before it may end."""

WAITING = 2
"""Members beside the two nodes at most: those that are never up are dialled in vain."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often, and with how much on the shelf."""
    parser.add_argument("--times", type=int, default=1000, help="kills (1000: about 30 minutes)")
    parser.add_argument("--minutes", type=float, default=90, help="end earlier, after so many")
    parser.add_argument("--instances", type=int, default=10_000, help="in the archive beforehand")


def fight(options: argparse.Namespace, place: Place) -> Outcome:
    """All rounds, and the reading at the end."""
    outcome = Outcome()
    war = War(place, outcome, options.instances)
    with ending(war.clinics):
        war.prepare(3 if options.times >= MANY else 1)
        rounds, until = 0, monotonic() + 60 * options.minutes
        while (done := sum(war.kills.values())) < options.times and monotonic() < until:
            stage = war.next_stage(options.times)
            STAGES[stage][1](war, stage)
            rounds += 1
            if rounds % STOP_EVERY == 0:
                victim = war.draw.choice(war.clinics)
                war.executioner.stop(victim)
                war.executioner.restart(victim)
                place.say(f"{done} of {options.times}, {len(outcome.wrong)} wrong")
        outcome.counts["killed in all"] = sum(war.kills.values())
        war.finish()
    return outcome


class War:
    """Two nodes, what they have promised, and who kills them."""

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

    # ------------------------------------------------------------ before and after

    def prepare(self, tries: int) -> None:
        """Found, fill, link, and measure each work without a kill."""
        began = monotonic()
        found_and_join(self.clinics, "Kills")
        self.holder.end()
        stock(self.holder.archive, 1, self.shelf, STUDY_INSTANCES)
        up_all(self.clinics)
        wait_complete(self.clinics)
        for clinic in self.clinics:
            self.executioner.boots[clinic.home] = clinic.client().get("/v1/status")["boot"]
        measure = self.executioner.measure
        for _ in range(tries):
            offered = self.new_study(IMPORTED)
            measure("import", partial(self.take_in, offered))
            shutil.rmtree(offered.folder)
            offered = self.hold_study()
            events = measure("fetch, taker", partial(self.fetch, offered))
            self.executioner.usual_s["fetch, holder"] = self.executioner.usual_s["fetch, taker"]
            self.promise_fetched(offered, events)
            measure("query, asker", self.ask)
            self.executioner.usual_s["query, holder"] = self.executioner.usual_s["query, asker"]
            home, invite = self.new_home(), self.invite()
            measure("join, joiner", partial(self.join, home, invite))
            self.executioner.usual_s["join, host"] = self.executioner.usual_s["join, joiner"]
            self.welcome(home)
            node = self.joined.pop()[0]
            measure("roster, founder", partial(self.revoke, node))
            self.executioner.usual_s["roster, hearer"] = self.executioner.usual_s["roster, founder"]
            self.revoked.append(node)
        self.place.say(f"ready after {monotonic() - began:.0f} s")

    def finish(self) -> None:
        """Ask all once more; then read what is on the disks."""
        for clinic in self.clinics:
            self.check_roster(clinic)
            conflicts = clinic.client().get("/v1/conflicts")["conflicts"]
            self.outcome.hold(not conflicts, f"{clinic.name} has invented a conflict")
            self.executioner.stop(clinic)
            self.executioner.look_at_log(clinic)
            with Archive.open(clinic.archive) as archive:
                self.outcome.hold(
                    not archive.repaired.sentences,
                    f"{clinic.name} needs mending after a clean stop",
                )
                self.promises[clinic.name].check(archive, self.outcome, clinic.name)
                self.outcome.counts[f"instances at {clinic.name}"] = archive.counts().instances
        self.outcome.notes.append(self.executioner.figures("a kill"))
        if self.resent:
            mega = sorted(size / 1e6 for size in self.resent)
            self.outcome.notes.append(
                f"sent again after a kill of {self.fetched_mb:.1f} MB: median {median(mega):.2f} "
                f"MB, max {mega[-1]:.2f} MB, over {len(mega)} fetches"
            )

    fetched_mb = 0.0

    def next_stage(self, times: int) -> str:
        """Drawn among those that have not had their share."""
        whole = sum(share for share, _ in STAGES.values())
        lacking = {
            stage: max(0.0, times * share / whole - self.kills[stage])
            for stage, (share, _) in STAGES.items()
        }
        return self.draw.choices(list(lacking), [*lacking.values()])[0]

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

    # ------------------------------------------------------------ rounds

    def import_round(self, stage: str) -> None:
        """Killed while it takes in files; then they are taken in again."""
        offered = self.new_study(IMPORTED)
        for _ in range(self.draw.randint(1, STRIKES)):
            self.executioner.strike(stage, self.holder.kill, partial(self.take_in, offered))
            self.executioner.restart(self.holder)
            self.check_import(offered)
        self.take_in(offered)
        self.outcome.hold(
            self.visible(self.holder, offered) == offered.all.keys(),
            f"{offered.study.uid} was taken in again and is not whole",
        )
        shutil.rmtree(offered.folder)

    def fetch_round(self, stage: str, victim: Clinic) -> None:
        """Killed while a study is on its way; then it is fetched again."""
        offered = self.hold_study()
        strikes, came, here = self.draw.randint(1, STRIKES), 0, 0
        for _ in range(strikes):
            self.wait_linked()
            before = self.served()
            work = self.executioner.strike(stage, victim.kill, partial(self.fetch, offered))
            if work.result is not None:
                self.promise_fetched(offered, work.result)
            came = self.served() - before if victim is self.taker else 0
            self.executioner.restart(victim)
            here = self.check_fetched(offered)
            if here == len(offered.all):
                break
        self.wait_linked()
        begun = self.chunk_bytes()
        self.finish_fetch(offered)
        if victim is self.taker and not here and strikes == 1:
            again = self.chunk_bytes() - begun
            self.resent.append(max(0, came + again - offered.size_bytes))
        self.check_fetched(offered)

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

    def query_round(self, stage: str, victim: Clinic) -> None:
        """Killed while a question is on its way; then it is asked again."""
        for _ in range(self.draw.randint(1, STRIKES)):
            self.wait_linked()
            work = self.executioner.strike(stage, victim.kill, self.ask)
            if work.result is not None:
                self.check_answer(work.result)
            self.executioner.restart(victim)
        self.wait_linked()
        answer = Work(self.ask).join()
        self.outcome.hold(answer.result, f"no answer after a kill: {answer.fault}")
        if answer.result is not None:
            self.check_answer(answer.result)
            heard = [m["name"] for m in answer.result["report"]["members"] if said(m)]
            self.outcome.hold(self.holder.name in heard, "the holder is back and not heard")

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

    def join_round(self, stage: str) -> None:
        """The joiner or the member that lets it in is killed; the same invite does again."""
        home, invite = self.new_home(), self.invite()
        for _ in range(self.draw.randint(1, STRIKES)):
            if stage == "join, joiner":
                joiner = Command(self.joining(home, invite))
                self.executioner.strike(stage, joiner.kill, joiner.wait)
            else:
                self.executioner.strike(stage, self.holder.kill, partial(self.join, home, invite))
                self.executioner.restart(self.holder)
            if (home / "mesh.json").exists():
                break
        else:
            again = Work(partial(self.join, home, invite)).join()
            self.outcome.hold(again.fault is None, f"{stage}, once more: {again.fault}")
            self.outcome.counts["joined when tried again"] += 1
        self.welcome(home)
        if self.draw.random() < 0.2:
            self.refuse_another(invite)
        self.check_roster(self.holder)
        if len(self.joined) > WAITING:
            node, left = self.joined.pop(0)
            self.revoke(node)
            self.revoked.append(node)
            shutil.rmtree(left)

    def joining(self, home: Path, invite: str) -> list[str]:
        """The command line."""
        clinic = Clinic(f"Member {home.name[-6:]}", home)
        return clinic.command("join", invite, "--name", clinic.name, "--json", *anywhere())

    def welcome(self, home: Path) -> None:
        """It is a member from now on."""
        from meshpacs.node.founding import read_belongings
        from meshpacs.node.home import Home

        self.joined.append((read_belongings(Home(home)).identity.node.hex(), home))

    def refuse_another(self, invite: str) -> None:
        """An invite that was used is no good for anybody else."""
        home = self.new_home()
        another = Work(partial(self.join, home, invite)).join()
        self.outcome.hold(another.fault is not None, "an invite was good for two")
        self.outcome.counts["second users of an invite refused"] += another.fault is not None
        shutil.rmtree(home, ignore_errors=True)

    def roster_round(self, stage: str, victim: Clinic) -> None:
        """Killed while a member is revoked; who is out stays out."""
        if not self.joined:
            home = self.new_home()
            self.join(home, self.invite())
            self.welcome(home)
        node, home = self.joined.pop(self.draw.randrange(len(self.joined)))
        work = self.executioner.strike(stage, victim.kill, partial(self.revoke, node))
        self.executioner.restart(victim)
        out = self.holder.client().get("/v1/status")["roster"]["revoked"]
        self.outcome.hold(work.result is None or node in out, f"the revocation of {node} was lost")
        if node not in out:
            self.revoke(node)
            self.outcome.counts["revoked at the second try"] += 1
        self.revoked.append(node)
        shutil.rmtree(home)
        self.wait_linked()
        for clinic in self.clinics:
            self.check_roster(clinic)


def said(member: Json) -> bool:
    """Whether a member has answered with all its rows."""
    return bool(member["status"] == "answered")


STAGES: dict[str, tuple[int, Callable[[War, str], None]]] = {
    "import": (300, War.import_round),
    "fetch, taker": (200, lambda war, stage: war.fetch_round(stage, war.taker)),
    "fetch, holder": (150, lambda war, stage: war.fetch_round(stage, war.holder)),
    "query, asker": (50, lambda war, stage: war.query_round(stage, war.taker)),
    "query, holder": (50, lambda war, stage: war.query_round(stage, war.holder)),
    "join, joiner": (75, War.join_round),
    "join, host": (75, War.join_round),
    "roster, founder": (60, lambda war, stage: war.roster_round(stage, war.holder)),
    "roster, hearer": (40, lambda war, stage: war.roster_round(stage, war.taker)),
}
"""Who is killed while what is done, and how often of 1,000 times."""

KILLS = Campaign(
    "kills",
    "kill -9 at random moments of import, fetch, query, join and roster update; 1,000 times in "
    "about half an hour.",
    add_options,
    fight,
)
