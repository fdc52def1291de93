"""Garbage over sockets, by a member's own keys, at a node's process: some of it over links."""

import sys
from pathlib import Path

import pytest

from garbage.live import Siege


@pytest.mark.live
@pytest.mark.timeout(240)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="figures are read from /proc")
def test_a_node_outlives_garbage_by_a_members_own_keys(tmp_path: Path) -> None:
    siege = Siege(tmp_path, seed=1)
    *_, wrong = siege.lay(200)
    assert wrong == []
    assert siege.thrown >= 200
    assert any(how.startswith("messages: ") for how in siege.seen)
