"""Of two control links one stays, and both sides choose the same."""

from dataclasses import dataclass

import pytest

from meshpacs.links.precedence import OVERLAP_S, Precedence
from meshpacs.model.ids import NodeId

ANNA, BERT = NodeId(b"a" * 32), NodeId(b"b" * 32)


@dataclass(frozen=True)
class End:
    """One end of a link: the peer's boot, who dialled, when it was ready."""

    boot: int
    outbound: bool
    ready_s: float


def test_a_higher_boot_replaces_an_older_link_whoever_dialled() -> None:
    ours = Precedence(ANNA)
    for outbound in (True, False):
        old, new = End(1, True, 0.0), End(2, outbound, 1.0)
        assert ours.prefers(BERT, new, old)
        assert not ours.prefers(BERT, old, new)


@pytest.mark.parametrize("first", [ANNA, BERT])
def test_of_two_links_dialled_at_once_the_smaller_nodes_stays_on_both_sides(first: NodeId) -> None:
    for node, peer in ((ANNA, BERT), (BERT, ANNA)):
        ready_s = {first: 0.0, BERT if first == ANNA else ANNA: 0.3}
        links = {dialler: End(1, dialler == node, ready_s[dialler]) for dialler in (ANNA, BERT)}
        old, new = sorted(links.values(), key=lambda end: end.ready_s)
        kept = new if Precedence(node).prefers(peer, new, old) else old
        assert kept is links[ANNA]


def test_who_dials_anew_has_lost_the_link_that_we_still_have() -> None:
    anna = Precedence(ANNA)
    old = End(1, False, 0.0)
    assert anna.prefers(BERT, End(1, False, 0.1), old), "the same side dialled again"
    assert anna.prefers(BERT, End(1, False, OVERLAP_S), End(1, True, 0.0))
    assert not anna.prefers(BERT, End(1, False, OVERLAP_S - 1), End(1, True, 0.0))
