"""One seed is one history: in every process, and whatever cryptography is used."""

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from meshpacs.engine.settings import Settings
from meshpacs.model.ids import MILLISECOND, SECOND, MeshId, NodeId
from meshpacs.model.member import Member
from meshpacs.wire.keys import Identity, Keys
from meshpacs.wire.notary import RosterNotary
from meshpacs.wire.roster import Roster
from meshpacs_sim import __main__ as command
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials.nights import night
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.trials.trouble import FAULTS
from meshpacs_sim.world import faults
from meshpacs_sim.world.cellar import by_name, clinic
from meshpacs_sim.world.hosts import mesh_of
from meshpacs_sim.world.notary import FakeNotary
from meshpacs_sim.world.trace import Trace
from meshpacs_sim.world.world import MakeNotary, World

SCRIPT = """
from meshpacs_sim.trials.nights import night
from meshpacs_sim.world.trace import Trace
for seed in (65, 8):
    exact = Trace(exact=True)
    shown = night(seed, also=(exact,))
    print(shown.seed, shown.queries, shown.events, shown.digest, exact.count, exact.digest)
"""


@pytest.mark.usefixtures("untraced")
def test_a_night_is_the_same_to_the_last_byte_whatever_the_hash_seed() -> None:
    with ThreadPoolExecutor() as threads:
        histories = set(threads.map(_history, ("0", "1", "4242")))
    assert len(histories) == 1
    assert len(histories.pop().splitlines()) == 2


def _history(hash_seed: str) -> str:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- real cryptography


@dataclass
class KnownKeys:
    """The three things that a notary wants of a roster."""

    mesh: MeshId
    who: dict[NodeId, Keys]
    everybody: dict[NodeId, Member]

    def keys(self, node: NodeId) -> Keys | None:
        return self.who.get(node)

    def members(self) -> dict[NodeId, Member]:
        return self.everybody


def _scenario(names: list[NodeId], notary: MakeNotary | None) -> tuple[World, Trace]:
    seed = 77
    trace = Trace(keep=True)
    world = World(
        seed,
        topologies.regular(10, 4, seed),
        settings=Settings(frozen_overlay=True),
        cellars=[clinic(seed, host, 15) for host in range(10)],
        names=names,
        notary=notary,
        observers=[trace, *safety()],
        relink_us=SECOND,
    )
    world.run(SECOND)
    world.finish(world.ask(0, by_name("*a*")))
    faults.freeze(world, 4)
    world.finish(world.ask(1))
    faults.thaw(world, 4)
    world.at(world.now + 20 * MILLISECOND, lambda: faults.crash(world, 6))
    world.finish(world.ask(2))
    faults.restart(world, 6)
    world.run(world.now + 15 * SECOND)
    world.finish(world.ask(6))
    world.run(world.now + 15 * SECOND)
    world.end()
    return world, trace


def test_real_signatures_and_seals_leave_the_same_trace_as_counted_fakes() -> None:
    people = [Identity.create(bytes([number + 1]) * 64) for number in range(10)]
    keys = {person.node: person.keys for person in people}
    names = [person.node for person in people]

    def real(index: int, node: NodeId, members: dict[NodeId, Member]) -> RosterNotary:
        assert people[index].node == node
        roster = cast("Roster", KnownKeys(mesh_of(77), keys, members))
        return RosterNotary(people[index], roster)

    _, true = _scenario(names, real)
    world, fake = _scenario(names, None)
    assert fake.lines == true.lines
    assert fake.digest == true.digest
    assert fake.count > 1_000
    notary = world.notaries[0]
    assert isinstance(notary, FakeNotary)
    # One signature for its own question and one for each of the three answers that it gave.
    assert notary.counts["sign"] == 1 + 3


# ---------------------------------------------------------------- nights


@pytest.mark.parametrize("seed", [65, 100])
def test_a_night_of_faults_breaks_no_rule(seed: int) -> None:
    shown = night(seed)
    assert shown.queries > 30
    assert sum(shown.faults.values()) > 10


@pytest.mark.timeout(480)
@pytest.mark.usefixtures("untraced")
def test_thirty_nights_break_no_rule_and_meet_every_fault() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), context) as pool:
        nights = list(pool.map(night, range(200, 230)))
    assert len({shown.digest for shown in nights}) == 30  # another seed, another history
    met = Counter[str]()
    for shown in nights:
        met += shown.faults
    assert set(met) == set(FAULTS)
    assert {shown.mesh.split("(")[0] for shown in nights} == {
        "complete", "regular", "power_law", "grid", "ring",
    }  # fmt: skip


def test_the_command_runs_nights_and_says_what_each_met(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["nights", "--seeds", "2", "--first", "100", "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "seed 100: " in said
    assert "faults: " in said
    assert said.splitlines()[-1].startswith("verdict: all held (")


@pytest.mark.usefixtures("untraced")
def test_several_processes_leave_the_same_table_as_one(tmp_path: Path) -> None:
    tables = [tmp_path / "one", tmp_path / "two"]
    for jobs, table in enumerate(tables, 1):
        words = ["nights", "--seeds", "3", "--first", "7", "--jobs", str(jobs)]
        assert command.main([*words, "--table", str(table)]) == 0
    one, two = (table.read_text(encoding="utf-8") for table in tables)
    assert one == two
    heads, *rows = (line.split("\t") for line in one.splitlines())
    assert heads[5:-1] == list(FAULTS)
    assert [row[0] for row in rows] == ["7", "8", "9"]


def test_the_command_counts_floods(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["identities", "--seeds", "5", "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "graphs: grid 1, power_law 1, random 1, regular 1, ring 1" in said
    assert said.splitlines()[-1].startswith("verdict: all held (")
