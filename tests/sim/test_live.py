"""Real processes cost what World says: a small `scripts/live`; the script alone runs the large."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

SCRIPT = Path(__file__).parents[2] / "scripts" / "live.py"


def test_a_live_mesh_on_a_frozen_graph_costs_what_the_simulated_one_costs() -> None:
    small = ("--nodes", "6", "--degree", "3", "--queries", "5", "--origins", "1")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *small],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # 9 links, 6 nodes: 2 * 9 - 5.
    assert "5 queries to everyone: 13 Asks and 13 Closed each" in done.stdout
    assert "live equals simulated" in done.stdout
