"""Storage commitment in the project's own nouns: what is asked about, and what is promised of it.

Source: PS3.4 annex J, whose words are used where it has some.
"""

from dataclasses import dataclass
from enum import StrEnum

from meshpacs.model.ids import SECOND, Micros


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One instance that somebody asks commitment of."""

    sop_class: str
    """What the asker takes it to be an instance of."""
    sop_uid: str


class Promise(StrEnum):
    """What is said of one instance that commitment was asked of."""

    COMMITTED = "committed"
    """Its asker may remove its own copy."""
    ABSENT = "absent"
    """It is not here, or no longer readable."""
    OTHER_CLASS = "other class"
    """It is here, as an instance of another SOP class."""
    IN_CONFLICT = "in conflict"
    """Two contents came under its UID, and nobody has said yet which is the right one."""
    NO_ROOM = "no room"
    """It is not here, and would be refused if it came now: the disk is full."""
    FAILED = "failed"
    """Whether it is here cannot be told now: the disk is failing."""


RETRY_LEAST_US = 60 * SECOND
"""Until a report that could not be delivered is tried again for the first time."""

RETRY_MOST_US = 3600 * SECOND
"""The longest wait between two attempts; each is twice the one before. A guess: a modality that was
off for the night gets its reports within its first hour."""

GIVE_UP_US = 24 * 3600 * SECOND
"""After the request; the last attempt is made then."""


def retry_at(attempts: int, asked_us: Micros, now: Micros) -> Micros | None:
    """When the next attempt is due after this many have failed; None: it is given up."""
    last = asked_us + GIVE_UP_US
    if now >= last:
        return None
    doubled = RETRY_LEAST_US << min(attempts - 1, 16)
    return min(now + min(doubled, RETRY_MOST_US), last)
