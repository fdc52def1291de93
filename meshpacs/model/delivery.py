"""Instances that one member sends to a DICOM machine for another (PROTOCOL 12)."""

from collections import Counter
from dataclasses import dataclass, field

from meshpacs.model.limits import DELIVERY_UIDS
from meshpacs.model.titles import is_ae_title

PRIORITIES = 3
"""Medium, high, low (PS3.7 9.1.1.1.5)."""

MESSAGE_ID_MOST = 0xFFFF

UID_MOST = 64
"""Characters of a UID (PS3.5 9.1)."""

REASONS = 16
"""Reasons of failures that are told apart in the log. A guess."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent, and where to."""

    destination: str
    """An AE title of the declaring member's book."""
    studies: tuple[str, ...] = ()
    """None: the destination is only asked whether it is there (C-ECHO)."""
    series: tuple[str, ...] = ()
    """Of these studies only these series; empty: all."""
    instances: tuple[str, ...] = ()
    """Of these only these instances; empty: all."""
    originator: str = ""
    """The title of the machine whose C-MOVE it is."""
    originator_id: int = 0
    """And its message."""
    priority: int = 0

    def fault(self) -> str:
        """Why nobody can carry this out, as a sentence; empty if somebody can."""
        uids = (*self.studies, *self.series, *self.instances)
        if not is_ae_title(self.destination):
            return "An order's destination is no AE title."
        if self.originator and not is_ae_title(self.originator):
            return "An order's originator is no AE title."
        if self.originator_id > MESSAGE_ID_MOST or self.priority >= PRIORITIES:
            return "An order has a message ID or a priority that DICOM does not have."
        if len(uids) > DELIVERY_UIDS:
            return f"An order names {len(uids)} UIDs; at most {DELIVERY_UIDS} can be passed on."
        if not all(map(is_uid, uids)):
            return "An order names what is no UID."
        if uids and not self.studies:
            return "An order names series or instances and no study."
        return ""


@dataclass(slots=True)
class Tally:
    """Sub-operations, as responses count them."""

    total: int
    """Fixed before the first one; 0 until it is known."""
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)
    """SOP Instance UIDs."""
    lost: int = 0
    """Failed, too: of these not even the names are known, because who sent them is gone."""
    reasons: Counter[str] = field(default_factory=Counter, compare=False)
    """Why they failed, for the log: one line a retrieval, however many there are."""

    @property
    def failures(self) -> int:
        """How many have failed."""
        return len(self.failed) + self.lost

    @property
    def remaining(self) -> int:
        """What has not been tried."""
        return self.total - self.completed - self.warning - self.failures

    def fail(self, sop_uid: str, reason: str) -> None:
        """One more could not be sent."""
        self.failed.append(sop_uid)
        self._note(reason, 1)

    def lose(self, reason: str) -> None:
        """Of what is left nobody will tell what came of it."""
        left = self.remaining
        if left:
            self.lost += left
            self._note(reason, left)

    def _note(self, reason: str, count: int) -> None:
        known = reason in self.reasons or len(self.reasons) < REASONS
        self.reasons[reason if known else "Other reasons."] += count


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery has ended: a status of C-MOVE (PS3.4 table C.4-2), with its Error Comment."""

    status: int
    """Success where all was tried, whatever came of it: the tally tells that."""
    comment: str = ""


def is_uid(text: str) -> bool:
    """Whether it can stand where a UID does (PS3.5 9.1): archives hold some with letters, too."""
    return 0 < len(text) <= UID_MOST and text.isascii() and text.isprintable() and "\\" not in text
