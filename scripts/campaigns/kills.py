"""`kill -9` at random moments of import, fetch, query, join and roster update.

Two nodes that stay up between the rounds: one holds 10,000 instances and founded the mesh, the
other fetches from it. Each round begins a piece of work, kills one of those who take part at a
moment drawn from the time that such a work usually takes, starts it again, and asks whether
everything that was acknowledged is there and nothing is that should not be. The killed work is then
done again, as a person would. At the end both archives are read whole.
"""

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from statistics import median
from time import monotonic
from typing import Any

from campaigns.campaign import Campaign, Outcome, Place
from campaigns.pair import IMPORTED, STUDY_INSTANCES, Pair, said
from campaigns.victim import Command, Work
from clinics.clinic import Clinic
from clinics.mesh import ending, found_and_join, up_all, wait_complete
from clinics.shelf import stock
from meshpacs.archive.archive import Archive

Json = dict[str, Any]

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


class War(Pair):
    """The pair, and who kills them."""

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
