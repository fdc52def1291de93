"""Answers: rows from holders, and the report that says how complete they are (protocol 5)."""

from dataclasses import dataclass
from enum import StrEnum

from meshpacs.model.attributes import Record
from meshpacs.model.content import StudyState
from meshpacs.model.ids import Micros, NodeId, QueryId


@dataclass(frozen=True, slots=True)
class Row:
    """One match at one holder."""

    record: Record
    """The attributes asked for, with the unique keys of this level and those above, and always
    IssuerOfPatientID (protocol 5.6)."""
    studies: tuple[StudyState, ...]
    """What the holder has of the study (below PATIENT: exactly one), or of each of the
    patient's studies."""


class Status(StrEnum):
    """What became of one member's part in a query."""

    ANSWERED = "answered"
    """A verified Done with all its rows."""
    TRUNCATED = "truncated"
    """Answered, but the holder has more rows than were returned."""
    REFUSED = "refused"
    """The member does not answer this asker, role or purpose; never about the data."""
    BUSY = "busy"
    """The member has too much to do, or we asked too often."""
    UNSUPPORTED = "unsupported"
    """The member's version does not know this kind of query."""
    SKEWED = "skewed"
    """The member's clock and ours differ by more than five minutes."""
    FAILED = "failed"
    """The member's own archive could not be searched."""
    UNREACHABLE = "unreachable"
    """No answer came; `since` says when the member was last heard."""
    OUTSIDE = "outside"
    """Not asked: beyond the ball that was asked for."""


COMPLETE = frozenset({Status.ANSWERED})


@dataclass(frozen=True, slots=True)
class MemberAnswer:
    """One line of a report."""

    node: NodeId
    status: Status
    rows: int = 0
    hops: int = 0
    took_us: Micros = 0
    """From asking to this member's verified answer, on the asker's clock."""
    as_of_us: Micros = 0
    """The member's own wall clock when it searched, Unix microseconds."""
    since_us: Micros = 0
    """UNREACHABLE: when it was last heard, Unix microseconds; 0 for never."""
    skew_us: Micros = 0
    """SKEWED: the member's wall clock minus ours."""


@dataclass(frozen=True, slots=True)
class Report:
    """How complete an answer is: every member, once (protocol 5.4)."""

    query_id: QueryId
    members: tuple[MemberAnswer, ...]
    """Sorted by node id; the asker itself is among them."""
    took_us: Micros
    cancelled: bool = False
    doubtful: bool = False
    """Something in a ball failed: who is named outside may have been within, behind what failed."""

    @property
    def asked(self) -> tuple[MemberAnswer, ...]:
        """All but those outside the ball."""
        return tuple(m for m in self.members if m.status is not Status.OUTSIDE)

    @property
    def complete(self) -> bool:
        """Whether every member that was to be asked has answered in full."""
        sound = not self.cancelled and not self.doubtful
        return sound and all(m.status in COMPLETE for m in self.asked)
