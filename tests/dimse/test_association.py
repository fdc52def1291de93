"""The state machine, cell by cell (PS3.8 table 9-10)."""

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from meshpacs.dimse.association import (
    ARTIM_US,
    INVALID_PARAMETER,
    NEXT,
    TABLE,
    UNEXPECTED_PDU,
    Action,
    Association,
    CloseTransport,
    Connect,
    Effect,
    Event,
    Indicate,
    Lost,
    SendPdu,
    State,
)
from meshpacs.dimse.pdu import (
    CALLED_TITLE_NOT_RECOGNIZED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    Abort,
    AssociateAccept,
    AssociateRequest,
    DataFragment,
    Pdu,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    User,
)

REQUEST = AssociateRequest("B", "A", (ProposedContext(1, "1.2", ("1.3",)),), User(0, "1.4"))
OLD = AssociateRequest("B", "A", REQUEST.contexts, REQUEST.user, version=2)
ACCEPT = AssociateAccept("B", "A", (), User(0, "1.4"))
REJECT = CALLED_TITLE_NOT_RECOGNIZED
DATA = DataFragment(1, command=True, last=True, data=memoryview(b"x"))

STANDARD = """
        1     2     3     4     5     6     7     8     9     10    11    12    13
1       AE-1  .     .     .     .     .     .     .     .     .     .     .     .
2       .     .     .     AE-2  .     .     .     .     .     .     .     .     .
3       .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
4       .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
5       AE-5  .     .     .     .     .     .     .     .     .     .     .     .
6       .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
7       .     .     AE-7  .     .     .     .     .     .     .     .     .     .
8       .     .     AE-8  .     .     .     .     .     .     .     .     .     .
9       .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
10      .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
11      .     .     .     .     .     AR-1  .     .     .     .     .     .     .
12      .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
13      .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
14      .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
15      .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
16      .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
17      .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
18      .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
19      .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""
"""PS3.8 table 9-10 as it is printed there, turned: a row an event, a column a state."""

CELLS = [
    (Event(int(line.split()[0])), State(number), cell)
    for line in STANDARD.strip().splitlines()[1:]
    for number, cell in enumerate(line.split()[1:], 1)
]


@pytest.mark.parametrize("event", Event)
def test_a_row_of_the_table_is_the_standards(event: Event) -> None:
    ours = {state: action.name.replace("_", "-") for state, action in TABLE[event].items()}
    assert ours == {state: cell for e, state, cell in CELLS if e is event and cell != "."}


def test_the_table_is_pynetdicoms_too() -> None:
    ours = {
        (f"Evt{event.value}", f"Sta{state.value}"): action.name.replace("_", "-")
        for event, row in TABLE.items()
        for state, action in row.items()
    }
    assert ours == TRANSITION_TABLE


def test_every_action_has_a_state_after_it() -> None:
    assert set(NEXT) == set(Action)


# ---------------------------------------------------------------- what each action does

SENT: dict[str, Pdu] = {
    "AE-2": REQUEST, "AE-7": ACCEPT, "AE-8": REJECT, "AR-1": ReleaseRequest(),
    "AR-4": ReleaseReply(), "AR-9": ReleaseReply(), "AA-1": Abort(0),
}  # fmt: skip

PDUS: dict[Event, Pdu | DataFragment] = {
    Event.ACCEPT_PDU: ACCEPT,
    Event.REJECT_PDU: REJECT,
    Event.REQUEST_PDU: REQUEST,
    Event.DATA_PDU: DATA,
    Event.RELEASE_PDU: ReleaseRequest(),
    Event.RELEASE_REPLY_PDU: ReleaseReply(),
    Event.ABORT_PDU: Abort(0, 0),
}

STARTS = {"AE-5", "AE-8", "AR-4", "AA-1", "AA-8"}
STOPS = {"AE-6", "AR-5", "AA-2", "AA-5"}


def happen(association: Association, event: Event, now: int) -> list[Effect]:
    match event:
        case Event.REQUEST:
            return association.request(REQUEST, now)
        case Event.TRANSPORT_CONFIRMED:
            return association.transport_confirmed(now)
        case Event.TRANSPORT_INDICATED:
            return association.transport_indicated(now)
        case Event.ACCEPT:
            return association.accept(ACCEPT, now)
        case Event.REJECT:
            return association.reject(REJECT, now)
        case Event.DATA:
            assert association.may_send(now)
            return []
        case Event.RELEASE:
            return association.release(now)
        case Event.RELEASE_ANSWER:
            return association.answer_release(now)
        case Event.ABORT:
            return association.abort(now)
        case Event.TRANSPORT_CLOSED:
            return association.transport_closed(now)
        case Event.ARTIM:
            return association.wake(now)
        case Event.INVALID_PDU:
            return association.invalid(INVALID_PARAMETER, now)
        case _:
            return association.receive(PDUS[event], now)


def expected(cell: str, event: Event) -> list[Effect]:
    what = PDUS.get(event)
    if cell in SENT:
        return [SendPdu(SENT[cell])]
    complaint = INVALID_PARAMETER if event is Event.INVALID_PDU else UNEXPECTED_PDU
    match cell:
        case "AE-1":
            return [Connect()]
        case "AE-3" | "AE-6" | "DT-2" | "AR-2" | "AR-6" | "AR-8" | "AR-10":
            assert what is not None
            return [Indicate(what)]
        case "AE-4" | "AR-3" | "AA-3":
            assert what is not None
            return [Indicate(what), CloseTransport()]
        case "AA-2":
            return [CloseTransport()]
        case "AA-4":
            return [Lost()]
        case "AA-7":
            return [SendPdu(complaint)]
        case "AA-8":
            return [SendPdu(complaint), Lost()]
        case _:
            return []


@pytest.mark.parametrize(
    ("event", "state", "cell"),
    [cell for cell in CELLS if cell[2] != "."],
    ids=lambda value: value.name if isinstance(value, Event | State) else value,
)
def test_a_cell_does_what_its_action_says(event: Event, state: State, cell: str) -> None:
    association = Association()
    association.request(REQUEST, 0)
    association.state = state
    # ARTIM runs in the two states that it is for.
    association.deadline = 5 if state in (State.AWAITING_REQUEST, State.AWAITING_CLOSE) else None
    before = association.deadline
    assert happen(association, event, 7) == expected(cell, event)
    assert association.state is NEXT[Action[cell.replace("-", "_")]]
    if cell in STARTS:
        assert association.deadline == 7 + ARTIM_US
    elif cell in STOPS:
        assert association.deadline is None
    else:
        assert association.deadline == before


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE])
def test_data_passes_where_it_is_indicated_and_changes_nothing_else(state: State) -> None:
    association = Association()
    association.state = state
    passes = association.passes
    if state in TABLE[Event.DATA_PDU]:
        assert passes is (association.receive(DATA, 0) == [Indicate(DATA)])
        assert association.state is state or not passes
    else:
        assert not passes


def test_a_release_collision_is_ended_by_both_sides() -> None:
    requestor, acceptor = established(), established(requestor=False)
    assert requestor.release(0) == [SendPdu(ReleaseRequest())]
    assert acceptor.release(0) == [SendPdu(ReleaseRequest())]
    assert requestor.receive(ReleaseRequest(), 0) == [Indicate(ReleaseRequest())]
    assert acceptor.receive(ReleaseRequest(), 0) == [Indicate(ReleaseRequest())]
    assert state_of(acceptor) is State.COLLISION_ACCEPTOR_REPLY
    assert requestor.answer_release(0) == [SendPdu(ReleaseReply())]
    assert acceptor.receive(ReleaseReply(), 0) == [Indicate(ReleaseReply())]
    assert acceptor.answer_release(0) == [SendPdu(ReleaseReply())]
    assert requestor.receive(ReleaseReply(), 0) == [Indicate(ReleaseReply()), CloseTransport()]
    assert state_of(requestor) is State.IDLE
    assert state_of(acceptor) is State.AWAITING_CLOSE
    assert acceptor.transport_closed(1) == []
    assert state_of(acceptor) is State.IDLE


def state_of(association: Association) -> State:
    """Read anew each time: the type checker does not see that calls change it."""
    return association.state


def established(*, requestor: bool = True) -> Association:
    association = Association()
    if requestor:
        association.request(REQUEST, 0)
        association.transport_confirmed(0)
        association.receive(ACCEPT, 0)
    else:
        association.transport_indicated(0)
        association.receive(REQUEST, 0)
        association.accept(ACCEPT, 0)
    assert association.state is State.ESTABLISHED
    return association


def test_another_version_of_the_protocol_is_rejected_by_the_provider() -> None:
    association = Association()
    association.transport_indicated(0)
    assert association.receive(OLD, 3) == [SendPdu(PROTOCOL_VERSION_NOT_SUPPORTED)]
    assert association.state is State.AWAITING_CLOSE
    assert association.deadline == 3 + ARTIM_US


def test_the_timer_goes_off_at_its_time_and_not_before() -> None:
    association = Association(artim_us=10)
    assert association.wake(100) == []
    association.transport_indicated(0)
    assert association.deadline == 10
    assert association.wake(9) == []
    assert state_of(association) is State.AWAITING_REQUEST
    assert association.wake(10) == [CloseTransport()]
    assert state_of(association) is State.IDLE
    assert association.deadline is None


def test_what_comes_after_the_end_changes_nothing() -> None:
    association = established()
    association.receive(Abort(0), 0)
    assert association.receive(DATA, 0) == []
    assert association.transport_closed(0) == []
    assert association.invalid(INVALID_PARAMETER, 0) == []
    assert association.abort(0) == []
    assert not association.may_send(0)
    assert association.state is State.IDLE


def test_a_primitive_that_cannot_be_used_now_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="RELEASE cannot happen in Sta1"):
        Association().release(0)
