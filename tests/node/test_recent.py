"""What was of use of late is kept, within a bound and for a while."""

from meshpacs.node.recent import Recent


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_used_least_of_late_goes_first() -> None:
    recent = Recent[str](10, 60.0, Clock())
    recent.keep(b"a", "A", 5)
    recent.keep(b"b", "B", 5)
    assert recent.get(b"a") == "A"
    recent.keep(b"c", "C", 5)
    assert recent.get(b"b") is None
    assert (recent.get(b"a"), recent.get(b"c")) == ("A", "C")


def test_what_nobody_has_asked_for_is_not_held_for_ever() -> None:
    clock = Clock()
    recent = Recent[str](10, 60.0, clock)
    recent.keep(b"a", "A", 1)
    recent.keep(b"b", "B", 1)
    clock.now = 59.0
    assert recent.get(b"b") == "B"
    clock.now = 60.0
    assert recent.get(b"c") is None
    assert len(recent) == 1
    assert recent.get(b"b") == "B"


def test_the_newest_stays_whatever_it_weighs() -> None:
    recent = Recent[str](10, 60.0, Clock())
    recent.keep(b"a", "A", 5)
    recent.keep(b"b", "B", 50)
    assert (recent.get(b"a"), recent.get(b"b")) == (None, "B")
    recent.keep(b"c", "C", 5)
    assert (recent.get(b"b"), recent.get(b"c")) == (None, "C")


def test_a_value_that_is_kept_twice_counts_once() -> None:
    recent = Recent[str](10, 60.0, Clock())
    for _ in range(5):
        recent.keep(b"a", "A", 6)
    recent.keep(b"b", "B", 4)
    assert (recent.get(b"a"), recent.get(b"b")) == ("A", "B")
