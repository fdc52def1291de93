"""What can happen: the world's kinds of events, by its numbers, and what a scenario does."""

ARRIVE, FIN, KNOCK, ACCEPTED, REFUSED, CALL, HEARD, TIME_OUT, FOUND, WAKE = range(10)

# Acts of the scenario; these come before all else of a moment, in the order in which they were set.
LOOK, ASK_PLAN, CANCEL_PLAN, CRASH, CRASH_DARK, RESTART = range(10, 16)
