"""A live mesh costs what the simulator says: the identities of PROTOCOL 4.7, counted.

    scripts/live                      20 processes, 6 neighbours each, 50 queries; 1 to 3 minutes
    scripts/live --nodes 6 --degree 3 --queries 5 --origins 2

Processes of the installed program on loopback, joined by invites, each with a small archive, their
overlay frozen to a random regular graph made from the seed. What they have sent and received is
read from their own counters (`GET /v1/counters`), and by whom each query came to them and to whom
it went on from their trails (`GET /v1/trails`). Then World, the simulator, is asked the same on the
same graph, with the same archives and names, and is told which copy of an Ask came first at each
node: that is chance, and how many links answers cross hangs on it. What is held:

- every query to everyone costs exactly 2E - (n - 1) Asks and as many Closed, live and in World;
  keepalives, acknowledgements and recalls are counted apart;
- every answer comes back over as many links as its holder is hops away: Parts = sum of hops;
- a ball is answered by exactly the members within its TTL, for every TTL;
- every query, balls too, costs as many messages and bytes of each type as in World, exactly; where
  a process was so late that others gave it up, the names in their Closeds are counted apart.

World is asked once more and not told. What it says then of Parts is a forecast, whose ratio to
what was seen is printed and not judged; Ask, Got and Closed, and the bytes of each Part, are held
to 5 %.

Exits 1 as soon as something is not as it should be; leaves nothing behind.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from clinics.clinic import Broken, Clinic
from clinics.equality import FLOOD, NotEqual, Outcome, Question, compare, hold
from clinics.mesh import AT_ONCE, ending, found_and_join
from clinics.ways import Way, orders_of_links, read_way
from meshpacs.archive.archive import Archive
from meshpacs.model.answer import Row
from meshpacs.model.attributes import Level
from meshpacs.model.identifier import parse_query
from meshpacs.model.ids import SECOND, NodeId
from meshpacs.model.limits import HOPS
from meshpacs.model.query import Ball, Everyone, Query
from meshpacs_sim.graphs import topologies
from meshpacs_sim.graphs.graph import Graph
from meshpacs_sim.world.measures import Measures
from meshpacs_sim.world.network import UNIT, Latency
from meshpacs_sim.world.retold import Retold

Json = dict[str, Any]

KEYS = ("PatientName=", "StudyInstanceUID=")
"""What is asked: every study, with its name."""

TURNS = Latency(low_us=1, high_us=1, jitter_us=10_000)
"""The roads of a World that is not told. All processes share this machine's cores, so a message
takes as long as its reader waits for its turn: anything up to a round, another time every time.
Only which copy of an Ask comes first hangs on it, so how long a round is does not matter. A guess:
live had 0.95 to 1.23 of its bytes of Parts. (Roads that are always short or always long, as between
clinics, gave 5 to 23 % fewer Parts, because answers came by fewer hops.)"""

NOBODY = NodeId(b"")

PATIENCE_S = 30.0
"""How long to wait for something that should be quick. Guesses for a slow, busy machine."""

# ---------------------------------------------------------------- processes


@dataclass
class Numbered(Clinic):
    """A clinic that is a node of the graph."""

    number: int = 0
    node: NodeId = NOBODY


@contextlib.contextmanager
def mesh(folder: Path, graph: Graph) -> Iterator[list[Numbered]]:
    """All clinics up and linked as the graph says; gone when the block ends."""
    clinics = [Numbered(f"Clinic {n}", folder / f"{n:02}", number=n) for n in range(graph.size)]
    with ending(clinics):
        found_and_join(clinics, "Frozen")
        for peer in clinics[0].client().get("/v1/peers")["peers"]:
            clinics[int(peer["name"].split()[1])].node = NodeId(bytes.fromhex(peer["node"]))
        clinics[0].node = NodeId(bytes.fromhex(clinics[0].client().get("/v1/status")["node"]))
        clinics[0].end()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(import_study, clinics))
        for clinic in clinics:
            neighbours = (clinics[n].node.hex() for n in graph.neighbours[clinic.number])
            clinic.start(*(word for node in neighbours for word in ("--only-neighbour", node)))
        with ThreadPoolExecutor(len(clinics)) as pool:
            list(pool.map(Clinic.wait_ready, clinics))
        yield clinics


def import_study(clinic: Numbered) -> None:
    """An archive of one study."""
    write_study(clinic.home / "study.dcm", clinic.number)
    clinic.run("import", str(clinic.home / "study.dcm"))


def write_study(path: Path, number: int) -> None:
    """A CT study of one instance without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"2.25.{number + 1}.1.1")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = f"2.25.{number + 1}", f"2.25.{number + 1}.1"
    data.Modality, data.PatientID, data.PatientName = "CT", f"P{number}", f"Muster^Nr {number}"
    data.save_as(path, enforce_file_format=True)


def wait_linked(clinics: Sequence[Numbered], graph: Graph) -> None:
    """Until everybody is linked with exactly its neighbours and the roster has been told."""
    until = time.monotonic() + PATIENCE_S + 2 * len(clinics)
    last: Snapshot | None = None
    wrong = "nobody has looked"
    while time.monotonic() < until:
        wrong = ""
        heads = set()
        for clinic in clinics:
            peers = clinic.client().get("/v1/peers")["peers"]
            linked = {peer["node"] for peer in peers if peer["state"] == "linked"}
            wanted = {clinics[n].node.hex() for n in graph.neighbours[clinic.number]}
            if linked != wanted:
                wrong = f"clinic {clinic.number} is linked with {len(linked)}, not {len(wanted)}"
            heads.add(clinic.client().get("/v1/status")["roster"]["head"])
        if len(heads) > 1:
            wrong = f"{len(heads)} different rosters are known"
        seen = snapshot(clinics)
        # Roster messages make no sound any more, so every link carries queries.
        if not wrong and last is not None and seen.roster == last.roster:
            return
        last = seen
    raise NotEqual(wrong or "the roster is still being told")


# ---------------------------------------------------------------- counts


@dataclass(frozen=True)
class Snapshot:
    """Sums over all nodes."""

    sent: Counter[str]
    """Messages by type, over control links."""
    received: Counter[str]
    bytes_sent: Counter[str]
    elsewhere: Counter[str]
    """Messages sent over links that are no edges: recalls."""

    @property
    def roster(self) -> tuple[int, ...]:
        """How much was said of the roster."""
        return tuple(self.sent[name] for name in ("Heads", "Digests", "RosterNews"))

    def since(self, before: "Snapshot") -> "Snapshot":
        """What has come after another."""
        return Snapshot(
            _less(self.sent, before.sent),
            _less(self.received, before.received),
            _less(self.bytes_sent, before.bytes_sent),
            _less(self.elsewhere, before.elsewhere),
        )

    @property
    def over(self) -> bool:
        """Whether all that was sent has arrived, and every copy that asks has been closed.

        A node closes a copy after those that it has sent on, so nothing can come any more.
        """
        asked = self.sent["Ask"] + self.sent["Recall"]
        return (
            all(self.sent[name] == self.received[name] for name in FLOOD)
            and self.sent["Closed"] == self.sent["Got"] == asked
        )


def _less(one: Counter[str], other: Counter[str]) -> Counter[str]:
    return Counter({name: one[name] - other[name] for name in one if one[name] != other[name]})


def snapshot(clinics: Sequence[Numbered]) -> Snapshot:
    """Read everybody's counters."""
    total = Snapshot(Counter(), Counter(), Counter(), Counter())
    for clinic in clinics:
        for line in clinic.client().get("/v1/counters")["counters"]:
            name = line["message"]
            if line["purpose"] != "control":
                total.elsewhere[name] += line["messages_out"] if name in FLOOD else 0
                continue
            total.sent[name] += line["messages_out"]
            total.received[name] += line["messages_in"]
            total.bytes_sent[name] += line["bytes_out"]
    return total


def wait_over(clinics: Sequence[Numbered], before: Snapshot) -> Snapshot:
    """The counts once the flood since `before` has ended."""
    until = time.monotonic() + PATIENCE_S
    last = snapshot(clinics)
    while time.monotonic() < until:
        seen = snapshot(clinics)
        # Nodes are read one after the other, so one look alone is no moment.
        flood = [(seen.sent[name], seen.received[name]) for name in FLOOD]
        same = flood == [(last.sent[name], last.received[name]) for name in FLOOD]
        if same and seen.since(before).over:
            return seen
        last = seen
    raise NotEqual(f"a flood has not ended: {dict(last.since(before).sent)}")


# ---------------------------------------------------------------- questions


def ask_live(
    clinics: Sequence[Numbered], questions: Sequence[Question]
) -> tuple[list[Outcome], list[Way]]:
    """Ask one question after the other; what each cost, and how it went."""
    index = {clinic.node.hex(): clinic.number for clinic in clinics}
    outcomes, ways = [], []
    before = wait_over(clinics, snapshot(clinics))
    for question in questions:
        body: Json = {"keys": KEYS} | (
            {"ball": question.ttl} if question.ttl else {"scope": "mesh"}
        )
        *_, found = clinics[question.origin].client().lines("/v1/find", body, answer_s=PATIENCE_S)
        after = wait_over(clinics, before)
        cost = after.since(before)
        hold(not cost.elsewhere.total(), f"{question}: recalled directly, {dict(cost.elsewhere)}")
        members = found["report"]["members"]
        answered = [member for member in members if member["status"] == "answered"]
        way = read_way(clinics, index, found["report"]["query_id"])
        ways.append(way)
        outcomes.append(
            Outcome(
                counts={name: cost.sent[name] for name in FLOOD},
                bytes={name: cost.bytes_sent[name] for name in FLOOD},
                answered=tuple(sorted(index[member["node"]] for member in answered)),
                hops=sum(member["hops"] for member in answered),
                took_ms=found["report"]["took_us"] / 1000,
                named_bytes=way.named_bytes,
            )
        )
        before = after
    return outcomes, ways


class Shelf:
    """A clinic's own archive, as World searches it."""

    def __init__(self, archive: Archive) -> None:
        """Opened already."""
        self._archive = archive

    def search(self, query: Query) -> tuple[tuple[Row, ...], bool]:
        """As the clinic itself does."""
        found = self._archive.search(query)
        return found.rows, found.truncated


def ask_world(
    clinics: Sequence[Numbered],
    questions: Sequence[Question],
    graph: Graph,
    seed: int,
    ways: Sequence[Way] | None = None,
) -> list[Outcome]:
    """Ask World the same, in the same order; the clinics' processes are gone by now.

    With `ways` it is told how each query went, and roads do not matter.
    """
    query = parse_query(KEYS, Level.STUDY)
    index = {clinic.node: clinic.number for clinic in clinics}
    outcomes = []
    with contextlib.ExitStack() as stack:
        archives = [Archive.open(clinic.home / "archive") for clinic in clinics]
        for archive in archives:
            stack.callback(archive.close)
        measures = Measures(sizes=True)
        world = Retold(
            seed,
            graph,
            orders_of_links(ways, graph.size) if ways else graph.neighbours,
            latency=UNIT if ways else TURNS,
            cellars=[Shelf(archive) for archive in archives],
            names=[clinic.node for clinic in clinics],
            observers=[measures],
        )
        world.run(SECOND)
        for at, question in enumerate(questions):
            before = measures.bytes.copy()
            scope = Ball(question.ttl) if question.ttl else Everyone()
            asking = world.ask(question.origin, query, scope)
            world.retell(asking, ways[at].steps if ways else {})
            world.finish(asking)
            world.run(world.now + SECOND)
            missing = world.missing(asking)
            hold(not missing, f"{question}: in World never came what came live: {missing}")
            hold(asking.report is not None, f"World has no final for {question}")
            assert asking.report is not None
            tally = measures.of(asking.query_id)
            hold(not tally.recall, f"World has recalled: {dict(tally.recall)}")
            answered = [m for m in asking.report.members if m.status.value == "answered"]
            outcomes.append(
                Outcome(
                    counts={name: tally.flood[name] for name in FLOOD},
                    bytes={name: measures.bytes[name] - before[name] for name in FLOOD},
                    answered=tuple(sorted(index[m.node] for m in answered)),
                    hops=sum(m.hops for m in answered),
                    took_ms=asking.took_us / 1000,
                )
            )
    return outcomes


# ---------------------------------------------------------------- all of it


def live_and_simulated(folder: Path, options: argparse.Namespace) -> None:
    """All of it."""
    graph = topologies.regular(options.nodes, options.degree, options.seed)
    chance = random.Random(options.seed)
    diameter = max(hop or 0 for origin in range(graph.size) for hop in graph.distances(origin))
    everybody = range(graph.size)
    questions = [Question(chance.choice(everybody), 0) for _ in range(options.queries)]
    for ttl in range(1, HOPS + 1):
        # Further than the diameter every ball is everybody.
        origins = options.origins if ttl <= diameter + 1 else 1
        picked = chance.sample(everybody, min(origins, graph.size))
        questions += [Question(origin, ttl) for origin in picked]
    print(f"seed {options.seed}: {graph.name}, {len(graph.edges)} links, diameter {diameter}")
    began = time.monotonic()
    with mesh(folder, graph) as clinics:
        wait_linked(clinics, graph)
        print(f"{graph.size} processes are up and linked after {time.monotonic() - began:.0f} s")
        start = snapshot(clinics)
        live, ways = ask_live(clinics, questions)
        total = snapshot(clinics).since(start)
    took = sorted(outcome.took_ms for outcome in live[: options.queries])
    print(f"{len(questions)} queries asked; to everyone p50 {took[len(took) // 2]:.0f} ms")
    told = ask_world(clinics, questions, graph, options.seed, ways)
    untold = ask_world(clinics, questions, graph, options.seed)
    compare(graph, questions, live, told, untold)
    for name in FLOOD:
        counted = sum(outcome.counts[name] for outcome in live)
        hold(total.sent[name] == counted, f"{name}: {total.sent[name]} in all, {counted} by query")
    apart = {n: total.sent[n] for n in sorted(total.sent) if n not in FLOOD and total.sent[n]}
    print(f"counted apart: {apart}")
    print(f"seed {options.seed}: live equals simulated, in {time.monotonic() - began:.0f} s")


def main() -> int:
    """Run it in a folder that is removed afterwards, unless somebody wants to keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--degree", type=int, default=6)
    parser.add_argument("--queries", type=int, default=50, help="to everyone")
    parser.add_argument("--origins", type=int, default=20, help="of each small TTL's balls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave homes and logs there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.pop("MESHPACS_HOME", None)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="meshpacs-live-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        live_and_simulated(folder.resolve(), options)
    except (NotEqual, Broken) as verdict:
        print(f"seed {options.seed}: not as it should be: {verdict}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
