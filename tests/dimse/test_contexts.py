"""What two sides agree on (PS3.7 annex D, PS3.4 C.5)."""

from dataclasses import replace

import pytest

from meshpacs.dimse.contexts import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Context,
    Offer,
    agreed,
    negotiate,
    propose,
    read_rules,
    write_rules,
)
from meshpacs.dimse.pdu import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    Extended,
    Identity,
    ProposedContext,
    Role,
    User,
)
from meshpacs.dimse.services import STUDY_ROOT_FIND, VERIFICATION
from meshpacs.model.limits import PDU_BYTES, PRESENTATION_CONTEXTS
from meshpacs.model.query import Rules

CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG = "1.2.840.10008.1.2.4.50"
OFFERS = {
    VERIFICATION: Offer((IMPLICIT_LITTLE,)),
    STUDY_ROOT_FIND: Offer((EXPLICIT_LITTLE, IMPLICIT_LITTLE)),
    CT: Offer(None, scu=True),
}


def request(*contexts: ProposedContext, **user: object) -> AssociateRequest:
    return AssociateRequest("B", "A", contexts, replace(User(16384, "1.2"), **user))  # type: ignore[arg-type]


def test_each_context_is_answered_for_itself() -> None:
    answer, agreement = negotiate(
        request(
            ProposedContext(1, VERIFICATION, (JPEG, IMPLICIT_LITTLE)),
            ProposedContext(3, "1.2.3.4", (IMPLICIT_LITTLE,)),
            ProposedContext(5, STUDY_ROOT_FIND, (JPEG,)),
            ProposedContext(7, STUDY_ROOT_FIND, (IMPLICIT_LITTLE, EXPLICIT_LITTLE)),
            ProposedContext(9, CT, (JPEG, IMPLICIT_LITTLE)),
        ),
        OFFERS.get,
        lambda _: False,
    )
    assert [(c.id, c.result, c.transfer_syntax) for c in answer.contexts] == [
        (1, 0, IMPLICIT_LITTLE),
        (3, 3, IMPLICIT_LITTLE),
        (5, 4, JPEG),
        (7, 0, EXPLICIT_LITTLE),  # ours first
        (9, 0, JPEG),  # theirs first
    ]
    assert sorted(agreement.contexts) == [1, 7, 9]
    assert agreement.contexts[9] == Context(9, CT, JPEG)
    assert agreement.of(STUDY_ROOT_FIND) == (agreement.contexts[7],)
    assert answer.user.max_length == PDU_BYTES
    assert agreement.max_length == 16384


@pytest.mark.parametrize(
    ("role", "proposed", "taken"),
    [
        (Role(CT, scu=False, scp=True), (JPEG, IMPLICIT_LITTLE, EXPLICIT_LITTLE), EXPLICIT_LITTLE),
        (Role(CT, scu=False, scp=True), (JPEG, IMPLICIT_LITTLE), IMPLICIT_LITTLE),
        (Role(CT, scu=False, scp=True), (JPEG, "1.2.840.10008.1.2.4.70"), JPEG),
        (Role(CT, scu=True, scp=False), (JPEG, EXPLICIT_LITTLE), JPEG),
        (None, (JPEG, EXPLICIT_LITTLE), JPEG),
    ],
)
def test_where_we_send_we_take_what_everything_can_be_turned_into(
    role: Role | None, proposed: tuple[str, ...], taken: str
) -> None:
    _, agreement = negotiate(
        request(ProposedContext(1, CT, proposed), roles=(role,) if role else ()),
        {CT: Offer(None, scu=True, sends=(EXPLICIT_LITTLE, IMPLICIT_LITTLE))}.get,
        lambda _: False,
    )
    assert agreement.contexts[1].transfer_syntax == taken


def test_what_was_not_proposed_is_not_answered() -> None:
    answer, _ = negotiate(request(ProposedContext(1, CT, (JPEG,))), OFFERS.get, lambda _: True)
    user = answer.user
    assert user.async_operations is None
    assert user.roles == ()
    assert user.extended == ()
    assert user.identity_answer is None


def test_the_window_is_one_operation_each_way() -> None:
    answer, _ = negotiate(
        request(ProposedContext(1, CT, (JPEG,)), async_operations=(0, 8)),
        OFFERS.get,
        lambda _: True,
    )
    assert answer.user.async_operations == (1, 1)


@pytest.mark.parametrize(("wanted", "answer"), [(True, b""), (False, None)])
def test_an_identity_is_answered_where_an_answer_is_wanted(
    wanted: bool, answer: bytes | None
) -> None:
    found, _ = negotiate(
        request(ProposedContext(1, CT, (JPEG,)), identity=Identity(1, wanted, b"anna")),
        OFFERS.get,
        lambda _: True,
    )
    assert found.user.identity_answer == answer


@pytest.mark.parametrize(
    ("sop_class", "scu", "scp", "granted"),
    [
        (CT, True, True, (True, True)),
        (CT, False, True, (False, True)),
        (CT, True, False, (True, False)),
        (VERIFICATION, True, True, (True, False)),
    ],
)
def test_a_role_is_granted_where_it_is_proposed_and_offered(
    sop_class: str, scu: bool, scp: bool, granted: tuple[bool, bool]
) -> None:
    answer, agreement = negotiate(
        request(
            ProposedContext(1, sop_class, (IMPLICIT_LITTLE,)),
            roles=(Role(sop_class, scu, scp), Role("1.9", True, True)),
        ),
        OFFERS.get,
        lambda _: True,
    )
    assert answer.user.roles == (Role(sop_class, *granted),)
    assert (agreement.contexts[1].scu, agreement.contexts[1].scp) == granted


def test_extensions_that_exist_here_are_granted_and_others_answered_0() -> None:
    answer, agreement = negotiate(
        request(
            ProposedContext(1, STUDY_ROOT_FIND, (IMPLICIT_LITTLE,)),
            extended=(Extended(STUDY_ROOT_FIND, b"\1" * 9), Extended(CT, b"\1")),
        ),
        OFFERS.get,
        lambda sop_class: sop_class == STUDY_ROOT_FIND,
    )
    assert answer.user.extended == (Extended(STUDY_ROOT_FIND, bytes((1, 1, 0, 0, 0, 1, 1, 0, 0))),)
    assert agreement.rules == {STUDY_ROOT_FIND: Rules(True, True, True, True)}


def test_a_private_transfer_syntax_is_passed_over_for_one_of_the_standard() -> None:
    private = "1.2.840.113619.5.2"
    answer, agreement = negotiate(
        request(
            ProposedContext(1, CT, (private, IMPLICIT_LITTLE)),
            ProposedContext(3, CT, (private,)),
        ),
        OFFERS.get,
        lambda _: False,
    )
    assert [(c.id, c.result) for c in answer.contexts] == [(1, 0), (3, 4)]
    assert agreement.contexts[1].transfer_syntax == IMPLICIT_LITTLE


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        (None, None),
        (Role(CT, scu=True, scp=False), None),
        (Role(CT, scu=True, scp=True), Context(1, CT, JPEG, scu=False, scp=True)),
    ],
)
def test_a_context_is_refused_where_neither_side_may_be_what_the_other_wants(
    role: Role | None, granted: Context | None
) -> None:
    answer, agreement = negotiate(
        request(ProposedContext(1, CT, (JPEG,)), roles=(role,) if role else ()),
        {CT: Offer(None, scu=True, scp=False)}.get,
        lambda _: False,
    )
    assert [c.result for c in answer.contexts] == [0 if granted else 3]
    assert answer.user.roles == ((Role(CT, scu=False, scp=True),) if granted else ())
    assert agreement.contexts == ({1: granted} if granted else {})


@pytest.mark.parametrize(
    ("information", "rules"),
    [
        (b"", Rules()),
        (b"\1", Rules(relational=True)),
        (b"\0\1\1", Rules(combined_datetime=True)),
        (b"\2\0\0\0\0\1\0", Rules(empty_value=True)),
    ],
)
def test_an_extension_is_answered_with_as_many_bytes_as_it_asks(
    information: bytes, rules: Rules
) -> None:
    assert read_rules(information) == rules
    assert len(write_rules(rules, len(information))) == len(information)
    assert read_rules(write_rules(rules, 7)) == rules


def test_a_requestor_reads_the_answer_against_what_it_asked() -> None:
    wanted = request(
        *propose([(CT, (JPEG,)), (STUDY_ROOT_FIND, (IMPLICIT_LITTLE,)), ("1.5", ("1.6",))]),
        roles=(Role(CT, scu=False, scp=True),),
    )
    answer = AssociateAccept(
        "B",
        "A",
        (
            AnsweredContext(1, 0, JPEG),
            AnsweredContext(3, 0, IMPLICIT_LITTLE),
            AnsweredContext(5, 4, ""),
            AnsweredContext(99, 0, JPEG),
        ),
        User(
            4096,
            "1.2",
            roles=(Role(CT, scu=False, scp=True), Role(STUDY_ROOT_FIND, scu=False, scp=True)),
            extended=(Extended(STUDY_ROOT_FIND, b"\1"),),
        ),
    )
    agreement = agreed(wanted, answer)
    assert agreement.contexts == {
        1: Context(1, CT, JPEG, scu=False, scp=True),
        3: Context(3, STUDY_ROOT_FIND, IMPLICIT_LITTLE),
    }
    assert agreement.max_length == 4096
    assert agreement.rules == {STUDY_ROOT_FIND: Rules(relational=True)}


def test_ids_are_odd_and_fit_into_a_byte() -> None:
    ids = [c.id for c in propose([("1.2", ("1.3",))] * PRESENTATION_CONTEXTS)]
    assert ids == list(range(1, 256, 2))
