"""Engine and kernel are one: equal rows for each scenario; a rule that one side bends is seen."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from meshpacs.engine.answering import Answering
from meshpacs.engine.attendance import Attendance
from meshpacs.engine.flood import Flood
from meshpacs.engine.inquiry import Inquiries
from meshpacs.engine.peers import Peer
from meshpacs.model import limits
from meshpacs.model.ids import NodeId
from meshpacs.model.member import Member
from meshpacs.wire.keys import Identity
from meshpacs.wire.notary import RosterNotary
from meshpacs.wire.roster import Roster
from meshpacs_sim import __main__ as command
from meshpacs_sim.kernel import latencies
from meshpacs_sim.kernel.twin import words
from meshpacs_sim.kernel.twin.memory import Told
from meshpacs_sim.twins import comparing
from meshpacs_sim.twins.comparing import Parted, compared, digest
from meshpacs_sim.twins.scenario import WIDTHS, Scenario, scenario
from meshpacs_sim.twins.sides import SETTINGS, engine_side, kernel_side
from meshpacs_sim.world import network
from meshpacs_sim.world.hosts import mesh_of
from tests.sim.edited import edited
from tests.sim.test_replay import KnownKeys

pytestmark = pytest.mark.timeout(480)  # the first test compiles for all: ten seconds of a processor

REAL = 15
"""A seed whose mesh is small: real signatures take time."""

SEEDS = (
    2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 15, 16, 18, 24, 25, 26, 27, 28, 30, 32, 34, 37, 38, 39, 40,
    41, 42, 44, 45, 48, 57,
)  # fmt: skip
"""The campaign's first thirty of up to 60 nodes, and one of 186; `python -m meshpacs_sim twins
--seeds 2000` runs all."""


@pytest.mark.parametrize("seed", SEEDS)
def test_both_sides_tell_one_history(seed: int) -> None:
    shown = compared(seed)
    assert shown.counts["linked"] > 0
    assert shown.counts["asked"] > 0


BENT: dict[str, tuple[object, str, str, str, int]] = {
    "an Ask goes out with no time left": (
        Flood, "_forward", "remaining_ms <= 0:", "remaining_ms < 0:", 30,
    ),
    "round trips are smoothed otherwise": (
        Peer, "measured", "(7 * self.rtt_us + sample_us) // 8", "(self.rtt_us + sample_us) // 2", 5,
    ),
    "a copy that may go further is a repeat": (
        Answering, "ask", "if best is not None and ask.ttl <= best:", "if best is not None:", 2,
    ),
    "who was silent is recalled": (
        Inquiries, "flooded", "if node in inquiry.silent and self._attendance.silent(node):",
        "if False:", 13,
    ),
    "who comes back is not heard": (
        Attendance, "heard", "if node in self._silent:", "if False:", 4,
    ),
}  # fmt: skip
"""By name: where, which function, what stands there and what is planted, and a seed that
meets it."""


@pytest.mark.parametrize("bug", BENT)
def test_a_rule_that_the_engine_bends_is_seen(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room, name, old, new, seed = BENT[bug]
    real: Callable[..., Any] = getattr(room, name)
    compared(seed)
    monkeypatch.setattr(room, name, edited(real, old, new))
    with pytest.raises(Parted, match="differs"):
        compared(seed)


MISTAKEN: dict[str, tuple[str, int, int]] = {
    "a hop takes a millisecond more": ("hop_us", SETTINGS.hop_us + 1_000, 2),
    "an acknowledgement may take longer": ("ack_us", SETTINGS.ack_us + 1, 3),
    "a member that is visited may take longer": ("visit_us", SETTINGS.visit_us + 1, 15),
    "keepalives are late": ("keepalive_us", SETTINGS.keepalive_us + 1, 3),
    "one more Ping is waited for": ("misses", SETTINGS.misses + 1, 15),
}
"""By name: what the twin takes for which of the engine's numbers, and a seed that meets it."""


@pytest.mark.parametrize("mistake", MISTAKEN)
def test_a_rule_that_the_twin_bends_is_seen(mistake: str) -> None:
    name, number, seed = MISTAKEN[mistake]
    settings = replace(SETTINGS, **cast("Any", {name: number}))
    with pytest.raises(Parted, match="differs"):
        compared(seed, twin=lambda what: kernel_side(what, settings))


def test_a_parting_is_shown_with_what_was_told_around_it() -> None:
    def forgetful(what: Scenario) -> Told:
        told = kernel_side(what)
        return Told(told.rows[:-3], told.calls)

    with pytest.raises(Parted) as parted:
        compared(2, twin=forgetful)
    whole = len(engine_side(scenario(2)).rows)
    said = str(parted.value)
    assert f"row {whole - 3} of {whole} and {whole - 3} differs" in said
    engine, kernel = said.split("kernel:")
    assert engine.count("\n  >") == 1
    assert kernel.count("\n  >") == 0


def test_a_twin_whose_engines_are_called_more_often_is_seen() -> None:
    def busy(what: Scenario) -> Told:
        told = kernel_side(what)
        return Told(told.rows, told.calls + 1)

    with pytest.raises(Parted, match="engines were called"):
        compared(2, twin=busy)


# ---------------------------------------------------------------- whatever it is run with


def test_real_signatures_leave_the_rows_that_counted_fakes_leave_and_the_twin() -> None:
    what = scenario(REAL)
    people = [Identity.create(bytes([number + 1]) * 64) for number in range(what.graph.size)]
    keys = {person.node: person.keys for person in people}

    def real(index: int, node: NodeId, members: dict[NodeId, Member]) -> RosterNotary:
        assert people[index].node == node
        roster = cast("Roster", KnownKeys(mesh_of(what.seed), keys, members))
        return RosterNotary(people[index], roster)

    true = engine_side(what, names=[person.node for person in people], notary=real)
    fake, twin = engine_side(what), kernel_side(what)
    assert digest(true.rows) == digest(fake.rows) == digest(twin.rows)
    assert len(fake.rows) > 500


SCRIPT = """
import sys
from meshpacs_sim.twins.comparing import digest
from meshpacs_sim.twins.scenario import scenario
from meshpacs_sim.twins.sides import kernel_side
print(digest(kernel_side(scenario(int(sys.argv[1]))).rows))
"""


@pytest.mark.usefixtures("untraced")
def test_the_twin_is_the_same_as_plain_python_on_an_array_that_checks_its_bounds() -> None:
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    line = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(REAL)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest(kernel_side(scenario(REAL)).rows)


def test_the_twin_s_lists_are_as_long_as_the_engine_s() -> None:
    assert words.RECALLS_AT_ONCE == limits.RECALLS_AT_ONCE
    assert words.HINTS == limits.UNREACHED_HINTS
    assert latencies.TABLE == network.TABLE
    assert max(map(len, WIDTHS)) <= words.STEPS


# ---------------------------------------------------------------- the campaign


def test_scenarios_are_of_every_kind_and_size() -> None:
    seen = [scenario(seed) for seed in range(200)]
    kinds = {what.graph.name.split("(")[0] for what in seen}
    assert kinds == {"complete", "random", "grid", "power_law", "ring", "regular"}
    assert min(what.graph.size for what in seen) < 8
    assert max(what.graph.size for what in seen) > 500
    assert max(what.graph.size for what in seen) <= 2_000
    plans = [plan for what in seen for plan in what.plans]
    assert {len(plan.ttls) for plan in plans} >= {1, 2, 3, 5}
    acts = {act for what in seen for _, act, _ in what.scenes}
    assert len(acts) == 5


def test_the_command_compares_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["twins", "--seeds", "2", "--first", "2", "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "twins: 2 from seed 2" in said
    assert "mismatches: 0" in said
    assert said.splitlines()[-1].startswith("verdict: all held (")


def test_the_command_names_the_seed_at_which_they_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = comparing.one_pair

    def parted(seed: int) -> comparing.Compared | str:
        return "row 5 differs" if seed == 3 else sound(seed)

    monkeypatch.setattr("meshpacs_sim.twins.comparing.one_pair", parted)
    assert command.main(["twins", "--seeds", "3", "--first", "2"]) == 2
    said = capsys.readouterr().out
    assert "seed 3: row 5 differs" in said
    assert "again: python -m meshpacs_sim twins --first 3 --seeds 1" in said
