"""What a recorded first message is recognised by."""

from meshpacs.links.freshness import EPHEMERALS, Freshness
from meshpacs.model.ids import NodeId

ANNA = NodeId(b"a" * 32)


def test_an_ephemeral_key_is_new_once() -> None:
    freshness = Freshness()
    assert freshness.first_time(b"key")
    assert not freshness.first_time(b"key")


def test_ephemeral_keys_are_forgotten_oldest_first() -> None:
    freshness = Freshness()
    for number in range(EPHEMERALS + 1):
        assert freshness.first_time(number.to_bytes(4, "big"))
    assert freshness.first_time((0).to_bytes(4, "big"))
    assert not freshness.first_time(EPHEMERALS.to_bytes(4, "big"))


def test_a_dial_is_completed_once_and_dials_may_overtake_each_other() -> None:
    freshness = Freshness()
    assert freshness.fresh(ANNA, 1, 5)
    freshness.completed(ANNA, 1, 5)
    assert not freshness.fresh(ANNA, 1, 5)
    assert freshness.fresh(ANNA, 1, 4)
    freshness.completed(ANNA, 1, 4)
    assert not freshness.fresh(ANNA, 1, 4)
    freshness.completed(ANNA, 1, 2000)
    assert freshness.fresh(ANNA, 1, 1999)
    assert not freshness.fresh(ANNA, 1, 6), "too far back to be remembered"


def test_a_dial_number_may_jump_by_any_amount() -> None:
    freshness = Freshness()
    freshness.completed(ANNA, 1, 1)
    freshness.completed(ANNA, 1, 2**62)
    assert not freshness.fresh(ANNA, 1, 2**62)
    assert freshness.fresh(ANNA, 1, 2**62 - 1)


def test_an_earlier_boot_is_stale_and_a_later_one_begins_anew() -> None:
    freshness = Freshness({ANNA: 7})
    assert not freshness.fresh(ANNA, 6, 99)
    assert freshness.fresh(ANNA, 7, 1)
    freshness.completed(ANNA, 7, 1)
    assert not freshness.fresh(ANNA, 7, 1)
    freshness.completed(ANNA, 8, 1)
    assert not freshness.fresh(ANNA, 7, 2)
    assert freshness.fresh(ANNA, 8, 2)
