"""The association state machine of PS3.8 9.2: table 9-10 as a table, its actions as methods.

Events come in (primitives of whoever uses the association, PDUs that were read, what the transport
did, the timer) and effects go out. The ARTIM timer is a deadline: whoever drives the machine wakes
it then. A wrong use of a primitive is a programmer's mistake, not a peer's, and fails an assertion.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

from meshpacs.dimse.pdu import (
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    DataFragment,
    Pdu,
    ReleaseReply,
    ReleaseRequest,
)
from meshpacs.model.ids import SECOND, Micros

ARTIM_US = 30 * SECOND
"""PS3.8 9.1.5 leaves the time to us; 30 s is what DCMTK, dcm4che and pynetdicom have."""


class State(IntEnum):
    """PS3.8 tables 9-1 to 9-5."""

    IDLE = 1
    AWAITING_REQUEST = 2
    """The transport is open; the peer's A-ASSOCIATE-RQ is awaited."""
    AWAITING_LOCAL_ANSWER = 3
    AWAITING_TRANSPORT = 4
    AWAITING_ANSWER = 5
    ESTABLISHED = 6
    AWAITING_RELEASE_REPLY = 7
    AWAITING_LOCAL_RELEASE = 8
    COLLISION_REQUESTOR_LOCAL = 9
    COLLISION_ACCEPTOR_REPLY = 10
    COLLISION_REQUESTOR_REPLY = 11
    COLLISION_ACCEPTOR_LOCAL = 12
    AWAITING_CLOSE = 13


class Event(IntEnum):
    """The rows of table 9-10."""

    REQUEST = 1
    TRANSPORT_CONFIRMED = 2
    ACCEPT_PDU = 3
    REJECT_PDU = 4
    TRANSPORT_INDICATED = 5
    REQUEST_PDU = 6
    ACCEPT = 7
    REJECT = 8
    DATA = 9
    DATA_PDU = 10
    RELEASE = 11
    RELEASE_PDU = 12
    RELEASE_REPLY_PDU = 13
    RELEASE_ANSWER = 14
    ABORT = 15
    ABORT_PDU = 16
    TRANSPORT_CLOSED = 17
    ARTIM = 18
    INVALID_PDU = 19


class Action(Enum):
    """PS3.8 tables 9-6 to 9-9."""

    AE_1 = "AE-1: issue a transport connect request"
    AE_2 = "AE-2: send A-ASSOCIATE-RQ"
    AE_3 = "AE-3: confirm the acceptance"
    AE_4 = "AE-4: confirm the rejection, close the transport"
    AE_5 = "AE-5: start ARTIM"
    AE_6 = "AE-6: stop ARTIM; indicate the request if acceptable, else reject it and start ARTIM"
    AE_7 = "AE-7: send A-ASSOCIATE-AC"
    AE_8 = "AE-8: send A-ASSOCIATE-RJ, start ARTIM"
    DT_1 = "DT-1: send P-DATA-TF"
    DT_2 = "DT-2: indicate data"
    AR_1 = "AR-1: send A-RELEASE-RQ"
    AR_2 = "AR-2: indicate the release"
    AR_3 = "AR-3: confirm the release, close the transport"
    AR_4 = "AR-4: send A-RELEASE-RP, start ARTIM"
    AR_5 = "AR-5: stop ARTIM"
    AR_6 = "AR-6: indicate data"
    AR_7 = "AR-7: send P-DATA-TF"
    AR_8 = "AR-8: indicate a release that collided with ours"
    AR_9 = "AR-9: send A-RELEASE-RP"
    AR_10 = "AR-10: confirm the release"
    AA_1 = "AA-1: send A-ABORT of the user, start ARTIM"
    AA_2 = "AA-2: stop ARTIM, close the transport"
    AA_3 = "AA-3: indicate the peer's abort, close the transport"
    AA_4 = "AA-4: indicate an abort by the provider"
    AA_5 = "AA-5: stop ARTIM"
    AA_6 = "AA-6: ignore the PDU"
    AA_7 = "AA-7: send A-ABORT"
    AA_8 = "AA-8: send A-ABORT of the provider, indicate it, start ARTIM"


def _row(**cells: Action) -> dict[State, Action]:
    return {State(int(name.removeprefix("sta"))): action for name, action in cells.items()}


def _all(action: Action, first: int, last: int) -> dict[State, Action]:
    return {State(number): action for number in range(first, last + 1)}


_AA8 = _row(sta3=Action.AA_8) | _all(Action.AA_8, 5, 12)
"""What most PDUs meet in most states: they were not expected there."""

TABLE: dict[Event, dict[State, Action]] = {
    Event.REQUEST: _row(sta1=Action.AE_1),
    Event.TRANSPORT_CONFIRMED: _row(sta4=Action.AE_2),
    Event.ACCEPT_PDU: _AA8 | _row(sta2=Action.AA_1, sta5=Action.AE_3, sta13=Action.AA_6),
    Event.REJECT_PDU: _AA8 | _row(sta2=Action.AA_1, sta5=Action.AE_4, sta13=Action.AA_6),
    Event.TRANSPORT_INDICATED: _row(sta1=Action.AE_5),
    Event.REQUEST_PDU: _AA8 | _row(sta2=Action.AE_6, sta13=Action.AA_7),
    Event.ACCEPT: _row(sta3=Action.AE_7),
    Event.REJECT: _row(sta3=Action.AE_8),
    Event.DATA: _row(sta6=Action.DT_1, sta8=Action.AR_7),
    Event.DATA_PDU: _AA8
    | _row(sta2=Action.AA_1, sta6=Action.DT_2, sta7=Action.AR_6, sta13=Action.AA_6),
    Event.RELEASE: _row(sta6=Action.AR_1),
    Event.RELEASE_PDU: _AA8
    | _row(sta2=Action.AA_1, sta6=Action.AR_2, sta7=Action.AR_8, sta13=Action.AA_6),
    Event.RELEASE_REPLY_PDU: _AA8
    | _row(
        sta2=Action.AA_1,
        sta7=Action.AR_3,
        sta10=Action.AR_10,
        sta11=Action.AR_3,
        sta13=Action.AA_6,
    ),
    Event.RELEASE_ANSWER: _row(sta8=Action.AR_4, sta9=Action.AR_9, sta12=Action.AR_4),
    Event.ABORT: _row(sta3=Action.AA_1, sta4=Action.AA_2) | _all(Action.AA_1, 5, 12),
    Event.ABORT_PDU: _row(sta2=Action.AA_2, sta3=Action.AA_3, sta13=Action.AA_2)
    | _all(Action.AA_3, 5, 12),
    Event.TRANSPORT_CLOSED: _row(sta2=Action.AA_5, sta3=Action.AA_4, sta13=Action.AR_5)
    | _all(Action.AA_4, 4, 12),
    Event.ARTIM: _row(sta2=Action.AA_2, sta13=Action.AA_2),
    Event.INVALID_PDU: _AA8 | _row(sta2=Action.AA_1, sta13=Action.AA_7),
}
"""PS3.8 table 9-10, row by row. A cell that is empty there is absent here: it cannot happen."""

NEXT: dict[Action, State] = {
    Action.AE_1: State.AWAITING_TRANSPORT,
    Action.AE_2: State.AWAITING_ANSWER,
    Action.AE_3: State.ESTABLISHED,
    Action.AE_4: State.IDLE,
    Action.AE_5: State.AWAITING_REQUEST,
    Action.AE_6: State.AWAITING_LOCAL_ANSWER,  # or AWAITING_CLOSE, if the provider rejects it
    Action.AE_7: State.ESTABLISHED,
    Action.AE_8: State.AWAITING_CLOSE,
    Action.DT_1: State.ESTABLISHED,
    Action.DT_2: State.ESTABLISHED,
    Action.AR_1: State.AWAITING_RELEASE_REPLY,
    Action.AR_2: State.AWAITING_LOCAL_RELEASE,
    Action.AR_3: State.IDLE,
    Action.AR_4: State.AWAITING_CLOSE,
    Action.AR_5: State.IDLE,
    Action.AR_6: State.AWAITING_RELEASE_REPLY,
    Action.AR_7: State.AWAITING_LOCAL_RELEASE,
    Action.AR_8: State.COLLISION_REQUESTOR_LOCAL,  # or COLLISION_ACCEPTOR_REPLY, for an acceptor
    Action.AR_9: State.COLLISION_REQUESTOR_REPLY,
    Action.AR_10: State.COLLISION_ACCEPTOR_LOCAL,
    Action.AA_1: State.AWAITING_CLOSE,
    Action.AA_2: State.IDLE,
    Action.AA_3: State.IDLE,
    Action.AA_4: State.IDLE,
    Action.AA_5: State.IDLE,
    Action.AA_6: State.AWAITING_CLOSE,
    Action.AA_7: State.AWAITING_CLOSE,
    Action.AA_8: State.AWAITING_CLOSE,
}
"""The state after each action; every cell of table 9-10 that has the action has this one too."""


# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the transport."""


@dataclass(frozen=True, slots=True)
class SendPdu:
    """Send this."""

    pdu: Pdu


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Close the transport."""


@dataclass(frozen=True, slots=True)
class Indicate:
    """Tell the user of the association what the peer wants, or has answered."""

    what: Pdu | DataFragment


@dataclass(frozen=True, slots=True)
class Lost:
    """Tell the user that the association is gone, without a word from the peer's user."""


Effect = Connect | SendPdu | CloseTransport | Indicate | Lost

_EVENTS: dict[type, Event] = {
    AssociateRequest: Event.REQUEST_PDU,
    AssociateAccept: Event.ACCEPT_PDU,
    AssociateReject: Event.REJECT_PDU,
    ReleaseRequest: Event.RELEASE_PDU,
    ReleaseReply: Event.RELEASE_REPLY_PDU,
    Abort: Event.ABORT_PDU,
    DataFragment: Event.DATA_PDU,
}

UNEXPECTED_PDU = Abort(2, 2)
UNRECOGNIZED_PDU = Abort(2, 1)
INVALID_PARAMETER = Abort(2, 6)
"""PS3.8 table 9-26."""


class Association:
    """One association, from either side."""

    def __init__(self, *, artim_us: Micros = ARTIM_US) -> None:
        """Idle, until `request` or `transport_indicated`."""
        self.state = State.IDLE
        self.deadline: Micros | None = None
        """When `wake` is to be called; None while ARTIM does not run."""
        self._artim_us = artim_us
        self._requestor = False
        self._wanted: AssociateRequest | None = None

    # ------------------------------------------------------------ the user's primitives

    def request(self, wanted: AssociateRequest, now: Micros) -> list[Effect]:
        """A-ASSOCIATE request."""
        self._requestor, self._wanted = True, wanted
        return self._happen(Event.REQUEST, None, now)

    def accept(self, answer: AssociateAccept, now: Micros) -> list[Effect]:
        """A-ASSOCIATE response, accepting."""
        return self._happen(Event.ACCEPT, answer, now)

    def reject(self, answer: AssociateReject, now: Micros) -> list[Effect]:
        """A-ASSOCIATE response, rejecting."""
        return self._happen(Event.REJECT, answer, now)

    def may_send(self, now: Micros) -> bool:
        """P-DATA request: whether data may go out; the driver then writes it by itself."""
        if self.state not in TABLE[Event.DATA]:
            return False
        self._happen(Event.DATA, None, now)
        return True

    def release(self, now: Micros) -> list[Effect]:
        """A-RELEASE request."""
        return self._happen(Event.RELEASE, None, now)

    def answer_release(self, now: Micros) -> list[Effect]:
        """A-RELEASE response."""
        return self._happen(Event.RELEASE_ANSWER, None, now)

    def abort(self, now: Micros) -> list[Effect]:
        """A-ABORT request; nothing where there is nothing left to abort."""
        if self.state not in TABLE[Event.ABORT]:
            return []
        return self._happen(Event.ABORT, Abort(0), now)

    # ------------------------------------------------------------ what comes from below

    def transport_indicated(self, now: Micros) -> list[Effect]:
        """A peer has connected."""
        return self._happen(Event.TRANSPORT_INDICATED, None, now)

    def transport_confirmed(self, now: Micros) -> list[Effect]:
        """The connection that was asked for is open."""
        return self._happen(Event.TRANSPORT_CONFIRMED, None, now)

    def transport_closed(self, now: Micros) -> list[Effect]:
        """The peer, or the network, has closed the connection."""
        if self.state is State.IDLE:
            return []
        return self._happen(Event.TRANSPORT_CLOSED, None, now)

    @property
    def passes(self) -> bool:
        """P-DATA indication: whether data changes nothing now, and goes straight to the user."""
        return self.state in _PASSING

    def receive(self, pdu: Pdu | DataFragment, now: Micros) -> list[Effect]:
        """A PDU, or a piece of one, was read."""
        if self.state is State.IDLE:
            return []  # read together with what closed the association
        return self._happen(_EVENTS[type(pdu)], pdu, now)

    def invalid(self, answer: Abort, now: Micros) -> list[Effect]:
        """What was read is no PDU, or not one that may be; `answer` says so to the peer."""
        if self.state is State.IDLE:
            return []
        return self._happen(Event.INVALID_PDU, answer, now)

    def wake(self, now: Micros) -> list[Effect]:
        """Time has passed."""
        if self.deadline is None or now < self.deadline:
            return []
        return self._happen(Event.ARTIM, None, now)

    # ------------------------------------------------------------ the machine

    def _happen(self, event: Event, what: Pdu | DataFragment | None, now: Micros) -> list[Effect]:
        action = TABLE[event].get(self.state)
        assert action is not None, f"{event.name} cannot happen in Sta{self.state.value}"
        self.state = NEXT[action]
        match action:
            case Action.AE_6:
                assert isinstance(what, AssociateRequest)
                return self._judge(what, now)
            case Action.AR_8:
                if not self._requestor:
                    self.state = State.COLLISION_ACCEPTOR_REPLY
                return [Indicate(ReleaseRequest())]
            case _:
                return self._act(action, what, now)

    def _judge(self, wanted: AssociateRequest, now: Micros) -> list[Effect]:
        """AE-6: what the provider alone decides is the protocol's version (PS3.8 9.3.2)."""
        if wanted.version & PROTOCOL_VERSION:
            self.deadline = None
            return [Indicate(wanted)]
        self.state = State.AWAITING_CLOSE
        self.deadline = now + self._artim_us
        return [SendPdu(PROTOCOL_VERSION_NOT_SUPPORTED)]

    def _act(self, action: Action, what: Pdu | DataFragment | None, now: Micros) -> list[Effect]:
        if action in _STARTS_ARTIM:
            self.deadline = now + self._artim_us
        elif action in _STOPS_ARTIM:
            self.deadline = None
        match action:
            case Action.AE_1:
                return [Connect()]
            case Action.AE_2:
                assert self._wanted is not None
                return [SendPdu(self._wanted)]
            case Action.AE_3 | Action.DT_2 | Action.AR_2 | Action.AR_6 | Action.AR_10:
                assert what is not None
                return [Indicate(what)]
            case Action.AE_4 | Action.AR_3 | Action.AA_3:
                assert what is not None
                return [Indicate(what), CloseTransport()]
            case Action.AE_7 | Action.AE_8:
                assert what is not None
                assert not isinstance(what, DataFragment)
                return [SendPdu(what)]
            case Action.AR_1:
                return [SendPdu(ReleaseRequest())]
            case Action.AR_4 | Action.AR_9:
                return [SendPdu(ReleaseReply())]
            case Action.AA_2:
                return [CloseTransport()]
            case Action.AA_4:
                return [Lost()]
            case Action.AA_1:
                return [SendPdu(Abort(0))]
            case Action.AA_7:
                return [SendPdu(_complaint(what))]
            case Action.AA_8:
                return [SendPdu(_complaint(what)), Lost()]
            case _:
                return []


def _complaint(what: Pdu | DataFragment | None) -> Abort:
    return what if isinstance(what, Abort) else UNEXPECTED_PDU


_PASSING = frozenset(
    state for state, action in TABLE[Event.DATA_PDU].items() if action in {Action.DT_2, Action.AR_6}
)
"""Both actions indicate the data and stay where they are (PS3.8 tables 9-7 and 9-8)."""

_STARTS_ARTIM = frozenset(
    {Action.AE_5, Action.AE_8, Action.AR_4, Action.AA_1, Action.AA_8}
)  # fmt: skip
_STOPS_ARTIM = frozenset({Action.AR_5, Action.AA_2, Action.AA_5})
