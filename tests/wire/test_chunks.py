"""The plan of a fetch: who is asked for what, and what becomes of what comes."""

from collections import deque
from random import Random

import pytest

from meshpacs.model.content import Entry, content_root, leaf
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.wire import chunks, partial
from meshpacs.wire.chunks import LISTS, WRONG_MOST, Accepted, Bad, Plan, Wants

ANNA, BERT, CARL = (NodeId(letter * 32) for letter in (b"a", b"b", b"c"))
NOTHING = Wants()


class Instance:
    """A content with its leaves."""

    def __init__(self, name: str, size: int, tail: bytes = b"") -> None:
        whole = (name.encode() * (size // len(name) + 1))[: size - len(tail)] + tail
        self.parts = [whole[at : at + LEAF_BYTES] for at in range(0, size, LEAF_BYTES)]
        self.leaves = b"".join(map(leaf, self.parts))
        self.root = content_root(size, self.leaves)
        self.entry = Entry(name, "1.5", "1.9", "CT", "1.2.1", size, self.root)


def small(*names: str, size: int = 1000) -> list[Instance]:
    return [Instance(name, size) for name in names]


def large(name: str, leaves: int) -> Instance:
    return Instance(name, leaves * LEAF_BYTES - 7, tail=b"end")


def planned(
    instances: list[Instance], *holders: NodeId, window_bytes: int = chunks.WINDOW_BYTES
) -> Plan:
    plan = Plan([i.entry for i in instances], window_bytes=window_bytes)
    for holder in holders:
        plan.add_holder(holder, [i.root for i in instances])
    return plan


def give(plan: Plan, node: NodeId, instance: Instance, index: int = 0) -> Accepted | Bad:
    return plan.chunk(node, instance.root, index, instance.parts[index])


def coming(plan: Plan) -> bool:
    return plan.coming


def stuck(plan: Plan) -> bool:
    return plan.stuck


def accepted(outcome: Accepted | Bad) -> Accepted:
    assert isinstance(outcome, Accepted)
    return outcome


# ---------------------------------------------------------------- asking


def test_instances_are_asked_for_in_their_order_small_ones_in_one_batch() -> None:
    one, two, three = instances = small("b", "a", "c")
    plan = planned(instances, ANNA)
    assert plan.next_wants(ANNA) == Wants(
        (), ((one.root, 0, 1), (two.root, 0, 1), (three.root, 0, 1))
    )
    assert plan.next_wants(ANNA) == NOTHING
    assert not plan.next_wants(ANNA)


def test_what_one_holder_was_asked_for_no_other_is() -> None:
    instances = small("a", "b", "c", size=LEAF_BYTES)
    plan = planned(instances, ANNA, BERT, window_bytes=LEAF_BYTES)
    assert plan.next_wants(ANNA).ranges == ((instances[0].root, 0, 1),)
    assert plan.next_wants(BERT).ranges == ((instances[1].root, 0, 1),)
    give(plan, BERT, instances[1])
    assert plan.next_wants(BERT).ranges == ((instances[2].root, 0, 1),)
    give(plan, BERT, instances[2])
    assert plan.next_wants(BERT) == NOTHING


def test_a_holder_is_asked_for_more_once_a_batch_is_free() -> None:
    instances = small("a", "b", "c", "d", size=LEAF_BYTES // 2)
    plan = planned(instances, ANNA, window_bytes=LEAF_BYTES)
    assert len(plan.next_wants(ANNA).ranges) == 2
    give(plan, ANNA, instances[0])
    assert plan.next_wants(ANNA) == NOTHING
    give(plan, ANNA, instances[1])
    assert len(plan.next_wants(ANNA).ranges) == 2


def test_what_has_come_leaves_its_holder_free_before_it_is_judged() -> None:
    instances = small("a", "b", "c", "d", size=LEAF_BYTES // 2)
    plan = planned(instances, ANNA, BERT, window_bytes=LEAF_BYTES)
    first, second = (root for root, _, _ in plan.next_wants(ANNA).ranges)
    assert not plan.came(ANNA, first, 0)
    assert plan.came(ANNA, second, 0)
    assert len(plan.next_wants(ANNA).ranges) == 2
    assert not plan.came(CARL, first, 0)
    # It is still here, so nobody else is asked for it; not even if who brought it is lost.
    plan.drop_holder(ANNA)
    assert plan.next_wants(BERT).ranges == ((instances[2].root, 0, 1), (instances[3].root, 0, 1))
    assert isinstance(plan.chunk(ANNA, first, 0, b"wrong"), Bad)
    assert accepted(give(plan, ANNA, instances[1])).whole
    give(plan, BERT, instances[2])
    give(plan, BERT, instances[3])
    assert plan.next_wants(BERT).ranges == ((first, 0, 1),)


def test_something_is_coming_while_anybody_owes_a_leaf() -> None:
    one, two = small("one", "two")
    plan = planned([one, two], ANNA, window_bytes=1000)
    assert not coming(plan)
    plan.next_wants(ANNA)
    plan.add_holder(BERT, [two.root])
    plan.next_wants(BERT)
    assert plan.came(ANNA, one.root, 0)
    assert coming(plan)
    plan.drop_holder(BERT)
    assert not coming(plan)


def test_a_holder_is_asked_only_for_what_it_has() -> None:
    one, two = small("a", "b")
    plan = Plan([one.entry, two.entry])
    plan.add_holder(ANNA, [two.root, Digest(b"?" * 32)])
    plan.add_holder(ANNA, [two.root])
    assert plan.next_wants(ANNA).ranges == ((two.root, 0, 1),)
    assert plan.next_wants(BERT) == NOTHING


def test_a_content_of_many_leaves_is_shared_in_runs_once_its_list_is_here() -> None:
    big = large("x", 10)
    plan = planned([big], ANNA, BERT, window_bytes=4 * LEAF_BYTES)
    assert plan.next_wants(ANNA) == Wants((big.root,), ())
    assert plan.next_wants(BERT) == NOTHING
    assert plan.expected(big.root, 0) is None
    assert plan.leaves(ANNA, big.root, big.leaves) == Accepted()
    assert plan.next_wants(ANNA).ranges == ((big.root, 0, 4),)
    assert plan.next_wants(BERT).ranges == ((big.root, 4, 4),)
    assert accepted(give(plan, BERT, big, 4)).ready == ()
    assert plan.bytes_done == 0
    for index in range(3):
        assert [r.index for r in accepted(give(plan, ANNA, big, index)).ready] == [index]
    assert [r.index for r in accepted(give(plan, ANNA, big, 3)).ready] == [3, 4]
    assert plan.next_wants(ANNA).ranges == ((big.root, 8, 2),)
    for index in (5, 6, 7, 8):
        assert not accepted(give(plan, BERT, big, index)).whole
    assert accepted(give(plan, ANNA, big, 9)).whole
    assert plan.done
    assert plan.bytes_done == plan.bytes_total == big.entry.size_bytes
    assert (plan.taken_bytes(CARL), plan.taken_bytes(BERT)) == (0, 5 * LEAF_BYTES)


def test_a_list_known_here_is_not_asked_for() -> None:
    big = large("x", 2)
    plan = planned([big], ANNA)
    assert plan.leaves(None, big.root, b"wrong") == Accepted()
    assert plan.leaves(None, big.root, big.leaves) == Accepted()
    assert plan.next_wants(ANNA) == Wants((), ((big.root, 0, 2),))


def test_only_so_many_lists_are_asked_for_at_once() -> None:
    several = [large(chr(ord("A") + n), 2) for n in range(3)]
    plan = planned(several, ANNA)
    plan._holders[ANNA].lists.update({Digest(bytes([n]) * 32): 64 for n in range(LISTS - 1)})
    assert plan.next_wants(ANNA).lists == (several[0].root,)
    plan._holders[ANNA].lists.clear()
    assert plan.next_wants(ANNA).lists == (several[1].root, several[2].root)


def test_a_resumed_fetch_asks_only_for_what_is_lacking() -> None:
    big, done, rest = large("x", 3), *small("a", "b")
    plan = Plan([big.entry, done.entry, rest.entry], {big.root: 2, done.root: 1})
    plan.add_holder(ANNA, [big.root, done.root, rest.root])
    assert plan.bytes_done == 2 * LEAF_BYTES + 1000
    wants = plan.next_wants(ANNA)
    assert wants == Wants((big.root,), ((rest.root, 0, 1),))
    plan.leaves(ANNA, big.root, big.leaves)
    give(plan, ANNA, rest)
    assert plan.next_wants(ANNA).ranges == ((big.root, 2, 1),)
    assert accepted(give(plan, ANNA, big, 2)).whole
    assert plan.done


def test_what_turns_out_to_be_here_is_not_asked_for() -> None:
    big, one = large("x", 3), *small("a")
    plan = planned([big, one], ANNA)
    assert plan.resume(Digest(b"?" * 32), 1) == Accepted()
    assert plan.resume(big.root, 2) == Accepted()
    assert plan.resume(big.root, 1) == Accepted()
    assert plan.bytes_done == 2 * LEAF_BYTES
    assert plan.resume(one.root, 5) == Accepted(whole=True)
    assert plan.resume(one.root, 5) == Accepted()
    plan.leaves(None, big.root, big.leaves)
    assert plan.next_wants(ANNA).ranges == ((big.root, 2, 1),)
    assert plan.resume(big.root, 3) == Accepted()
    assert accepted(give(plan, ANNA, big, 2)).whole
    assert plan.done
    assert plan.bytes_done == plan.bytes_total


def test_nothing_wanted_is_done_at_once() -> None:
    assert Plan([]).done
    assert not Plan([]).stuck


def test_leaves_spread_only_so_far_and_never_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partial, "SPREAD_LEAVES", 6)
    monkeypatch.setattr(chunks, "BUFFER_BYTES", 2 * LEAF_BYTES)
    big, other = large("x", 12), large("y", 4)
    plan = planned([big, other], ANNA, BERT, window_bytes=3 * LEAF_BYTES)
    for instance in (big, other):
        plan.leaves(None, instance.root, instance.leaves)
    assert plan.next_wants(ANNA).ranges == ((big.root, 0, 3),)
    # Leaves 3 to 5 of the first, which may be 6 leaves ahead; then the other content.
    assert plan.next_wants(BERT).ranges == ((big.root, 3, 3),)
    give(plan, BERT, big, 3)
    give(plan, BERT, big, 4)
    # Two leaves wait: from now on only leaves that need not wait are asked for.
    assert plan.next_wants(BERT).ranges == ((other.root, 0, 1),)
    give(plan, BERT, big, 5)
    give(plan, BERT, other, 0)
    assert plan.next_wants(BERT).ranges == ((other.root, 1, 1),)


def test_looking_ahead_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LOOK_AHEAD", 1)
    big, rest = large("x", 2), *small("a")
    plan = planned([big, rest], ANNA)
    assert plan.next_wants(ANNA) == Wants((big.root,), ())
    assert plan.next_wants(ANNA) == NOTHING


# ---------------------------------------------------------------- holders fail


def test_what_a_lost_holder_owes_is_asked_of_another() -> None:
    big, one = large("x", 2), *small("a")
    plan = planned([big, one], ANNA, BERT)
    assert plan.next_wants(ANNA) == Wants((big.root,), ((one.root, 0, 1),))
    assert plan.next_wants(BERT) == NOTHING
    plan.drop_holder(ANNA)
    plan.drop_holder(ANNA)
    assert plan.next_wants(BERT) == Wants((big.root,), ((one.root, 0, 1),))
    plan.drop_holder(BERT)
    assert stuck(plan)
    assert plan.lacking == (big.entry, one.entry)
    plan.add_holder(CARL, [big.root, one.root])
    assert not stuck(plan)
    assert plan.next_wants(CARL)


def test_a_holder_that_lacks_a_content_is_not_asked_for_it_again() -> None:
    big, one = large("x", 3), *small("a")
    plan = planned([big, one], ANNA, BERT)
    plan.leaves(None, big.root, big.leaves)
    plan.next_wants(ANNA)
    give(plan, ANNA, big, 0)
    plan.missing(ANNA, big.root)
    plan.missing(ANNA, big.root)
    assert plan.next_wants(ANNA) == NOTHING
    assert plan.next_wants(BERT).ranges == ((big.root, 1, 2),)
    plan.missing(CARL, big.root)
    plan.missing(BERT, Digest(b"?" * 32))
    plan.missing(BERT, big.root)
    assert not stuck(plan)
    give(plan, ANNA, one)
    assert stuck(plan)
    assert plan.lacking == (big.entry,)


def test_an_empty_list_says_that_the_content_is_not_there() -> None:
    big = large("x", 2)
    plan = planned([big], ANNA, BERT)
    plan.next_wants(ANNA)
    assert plan.leaves(ANNA, big.root, b"") == Accepted()
    assert plan.next_wants(ANNA) == NOTHING
    assert plan.next_wants(BERT).lists == (big.root,)


def test_a_wrong_list_is_blamed_and_had_elsewhere() -> None:
    big = large("x", 2)
    plan = planned([big], ANNA, BERT)
    plan.next_wants(ANNA)
    assert plan.leaves(ANNA, big.root, b"x" * 64) == Bad(ANNA, big.root, None, dropped=False)
    assert plan.next_wants(ANNA) == NOTHING
    assert plan.next_wants(BERT).lists == (big.root,)
    assert plan.leaves(BERT, big.root, big.leaves[:32]) == Bad(BERT, big.root, None, dropped=False)
    assert stuck(plan)


@pytest.mark.parametrize("wrong", [b"", b"y" * 1000, b"a" * 999])
def test_a_wrong_leaf_is_blamed_and_had_elsewhere(wrong: bytes) -> None:
    (one,) = small("a")
    plan = planned([one], ANNA, BERT)
    plan.next_wants(ANNA)
    assert plan.chunk(ANNA, one.root, 0, wrong) == Bad(ANNA, one.root, 0, dropped=False)
    assert plan.next_wants(ANNA) == NOTHING
    assert plan.next_wants(BERT).ranges == ((one.root, 0, 1),)
    assert accepted(give(plan, BERT, one)).whole


def test_who_is_wrong_too_often_is_asked_for_nothing() -> None:
    instances = small(*"abcdef")
    plan = planned(instances, ANNA, BERT)
    plan.next_wants(ANNA)
    outcomes = [plan.chunk(ANNA, i.root, 0, b"wrong") for i in instances[:WRONG_MOST]]
    assert [isinstance(o, Bad) and o.dropped for o in outcomes] == [False, False, True]
    assert plan.next_wants(ANNA) == NOTHING
    assert len(plan.next_wants(BERT).ranges) == 6
    # What was under way and is right is taken; what is wrong is still named.
    assert accepted(give(plan, ANNA, instances[3])).whole
    late = plan.chunk(ANNA, instances[4].root, 0, b"wrong")
    assert late == Bad(ANNA, instances[4].root, 0, dropped=False)


def test_what_comes_twice_or_unasked_does_no_harm() -> None:
    big, one = large("x", 2), *small("a")
    plan = planned([big, one], ANNA, BERT)
    nobody = Digest(b"?" * 32)
    assert plan.chunk(ANNA, nobody, 0, b"") == Accepted()
    assert plan.leaves(ANNA, nobody, b"") == Accepted()
    assert plan.expected(nobody, 0) is None
    assert give(plan, ANNA, big, 0) == Accepted()
    plan.leaves(BERT, big.root, big.leaves)
    assert plan.leaves(ANNA, big.root, big.leaves) == Accepted()
    assert give(plan, ANNA, big, 1) == Accepted()
    assert give(plan, BERT, big, 1) == Accepted()
    assert plan.chunk(ANNA, big.root, 2, b"") == Accepted()
    assert accepted(give(plan, ANNA, big, 0)).whole
    assert give(plan, ANNA, big, 0) == Accepted()
    plan.next_wants(ANNA)
    plan.drop_holder(ANNA)
    assert accepted(give(plan, ANNA, one)).whole
    assert plan.done


def test_what_came_from_elsewhere_is_not_asked_for_again_when_its_holder_is_lost() -> None:
    (one,) = small("a")
    plan = planned([one], ANNA, BERT)
    plan.next_wants(ANNA)
    assert accepted(give(plan, BERT, one)).whole
    plan.drop_holder(ANNA)
    assert plan.next_wants(BERT) == NOTHING
    assert plan.done


def test_leaves_may_be_judged_elsewhere() -> None:
    (one,) = small("a")
    plan = planned([one], ANNA)
    wanted = plan.expected(one.root, 0)
    assert wanted is not None
    assert wanted.holds(bytearray(one.parts[0]))
    assert not wanted.holds(b"z" * 1000)
    assert isinstance(plan.chunk(ANNA, one.root, 0, one.parts[0], verified=False), Bad)
    assert accepted(plan.chunk(ANNA, one.root, 0, one.parts[0], verified=True)).whole


def test_one_root_cannot_have_two_sizes_nor_be_empty() -> None:
    (one,) = small("a")
    liar = Entry("b", "1.5", "1.9", "CT", "1.2.1", 999, one.root)
    empty = Entry("c", "1.5", "1.9", "CT", "1.2.1", 0, content_root(0, b""))
    twin = Entry("d", "1.5", "1.9", "CT", "1.2.1", 1000, one.root)
    plan = Plan([one.entry, liar, empty, twin])
    plan.add_holder(ANNA, [one.root, empty.root])
    plan.next_wants(ANNA)
    give(plan, ANNA, one)
    assert stuck(plan)
    assert plan.lacking == (liar, empty)


# ---------------------------------------------------------------- all at once


@pytest.mark.parametrize("seed", range(40))
def test_whatever_holders_do_every_leaf_comes_once_in_order_and_right(seed: int) -> None:
    """Three holders, each with a queue of its own; one lies, one loses things, one is honest."""
    rng = Random(seed)
    instances = [
        Instance(f"i{n}", rng.choice([10, 1000, LEAF_BYTES, 2 * LEAF_BYTES + 5, 9 * LEAF_BYTES]))
        for n in range(rng.randint(1, 12))
    ]
    by_root = {i.root: i for i in instances}
    plan = Plan([i.entry for i in instances], window_bytes=rng.choice([1, 3, 8]) * LEAF_BYTES)
    honest, liar, loser = ANNA, BERT, CARL
    plan.add_holder(honest, by_root)
    plan.add_holder(liar, [r for r in by_root if rng.random() < 0.7])
    plan.add_holder(loser, [r for r in by_root if rng.random() < 0.7])
    queues: dict[NodeId, deque[tuple[Digest, int | None]]] = {
        honest: deque(), liar: deque(), loser: deque()
    }  # fmt: skip
    got: dict[Digest, list[bytes]] = {root: [] for root in by_root}
    for _ in range(20_000):
        if plan.done:
            break
        for node, queue in queues.items():
            wants = plan.next_wants(node)
            queue.extend((root, None) for root in wants.lists)
            queue.extend(
                (root, i)
                for root, start, count in wants.ranges
                for i in range(start, start + count)
            )
        node = rng.choice([n for n, q in queues.items() if q] or [honest])
        if not queues[node]:
            continue
        root, index = queues[node].popleft()
        instance = by_root[root]
        if node == loser and rng.random() < 0.1:
            plan.missing(node, root)
            queues[node] = deque(q for q in queues[node] if q[0] != root)
        elif node == loser and rng.random() < 0.02:
            plan.drop_holder(node)
            queues[node].clear()
        elif index is None:
            lie = node == liar and rng.random() < 0.2
            plan.leaves(node, root, bytes(len(instance.leaves)) if lie else instance.leaves)
        else:
            lie = node == liar and rng.random() < 0.2
            data = b"lie" if lie else instance.parts[index]
            outcome = plan.chunk(node, root, index, data)
            if isinstance(outcome, Accepted):
                got[root] += [bytes(r.data) for r in outcome.ready if r.root == root]
    assert plan.done, f"seed {seed}"
    assert all(got[i.root] == i.parts for i in instances), f"seed {seed}"
    assert plan.bytes_done == plan.bytes_total
