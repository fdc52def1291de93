"""When a report is tried again, and when it is given up."""

from meshpacs.model.commitment import GIVE_UP_US, retry_at
from meshpacs.model.ids import SECOND


def test_attempts_go_from_a_minute_to_an_hour_apart_until_a_day_is_over() -> None:
    asked = now = 1_700_000_000 * SECOND
    waits, attempts = [], 0
    while True:
        attempts += 1
        due = retry_at(attempts, asked, now)
        if due is None:
            break
        waits.append((due - now) // SECOND)
        now = due
    assert waits[:8] == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert now - asked == GIVE_UP_US == 24 * 3600 * SECOND
    assert sum(waits) == 24 * 3600
    assert all(0 < wait <= 3600 for wait in waits)


def test_many_attempts_within_a_moment_wait_an_hour_and_not_for_ever() -> None:
    assert retry_at(10_000, 0, 0) == 3600 * SECOND
