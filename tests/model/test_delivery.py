"""Orders that nobody can carry out, and sub-operations as they are counted."""

import pytest

from meshpacs.model.delivery import REASONS, Order, Tally, is_uid
from meshpacs.model.limits import DELIVERY_UIDS


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order("CT1"), ""),
        (Order("CT1", ("1.2",), ("1.3",), ("1.4",), "VIEWER", 65_535, 2), ""),
        (Order("CT1", ("1",) * DELIVERY_UIDS), ""),
        (Order(""), "destination is no AE title"),
        (Order("CT1", originator="SEVENTEEN LETTERS"), "originator is no AE title"),
        (Order("CT1", originator_id=65_536), "message ID or a priority"),
        (Order("CT1", priority=3), "message ID or a priority"),
        (Order("CT1", ("1",) * DELIVERY_UIDS, ("2",)), "4097 UIDs"),
        (Order("CT1", ("1.2", "1.3\\1.4")), "no UID"),
        (Order("CT1", (), ("1.3",)), "no study"),
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(order: Order, words: str) -> None:
    assert order.fault() == "" if not words else words in order.fault()


def test_what_is_lost_has_failed_though_nobody_knows_its_name() -> None:
    tally = Tally(10, completed=3, warning=1, failed=["1.2"], lost=2)
    assert tally.failures == 3
    assert tally.remaining == 3
    tally.lose("Gone.")
    tally.lose("Gone again.")
    assert (tally.lost, tally.failures, tally.remaining) == (5, 6, 0)
    assert tally.reasons == {"Gone.": 3}


def test_a_tally_tells_so_many_reasons_apart_and_no_more() -> None:
    tally = Tally(100)
    for n in range(50):
        tally.fail(f"1.2.{n}", f"Reason {n}.")
        tally.fail(f"1.3.{n}", "Reason 0.")
    assert tally.failures == 100
    assert len(tally.reasons) == REASONS + 1
    assert tally.reasons["Reason 0."] == 51
    assert tally.reasons.total() == 100


def test_what_may_stand_where_a_uid_does() -> None:
    assert is_uid("1.2.840")
    assert is_uid("1.2.a3")
    assert not is_uid("")
    assert not is_uid("1" * 65)
    assert not is_uid("1.2\n")
