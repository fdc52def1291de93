"""The small nouns: contents, members, reports, errors."""

from hypothesis import given
from hypothesis import strategies as st

from meshpacs.model.answer import MemberAnswer, Report, Status
from meshpacs.model.content import Content, Entry, content_root, leaf, leaf_count, study_root
from meshpacs.model.errors import LocalFault, PeerFault, fault_within
from meshpacs.model.ids import Digest, NodeId, QueryId, short
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.model.member import Member, Role

NODE = NodeId(b"\xab" * 32)


def entry(uid: str, root: bytes = b"r") -> Entry:
    return Entry(uid, "1.5", "1.9", "CT", "1.2.1", 10, Digest(root * 32))


@given(st.permutations([entry("1"), entry("2"), entry("3")]))
def test_a_studys_root_does_not_depend_on_the_order(entries: list[Entry]) -> None:
    assert study_root(entries) == study_root([entry("1"), entry("2"), entry("3")])


def test_a_studys_root_depends_on_what_is_in_it() -> None:
    roots = {
        study_root([]),
        study_root([entry("1")]),
        study_root([entry("1", b"q")]),
        study_root([entry("1"), entry("2")]),
    }
    assert len(roots) == 4


def test_a_content_is_named_by_its_length_and_leaves() -> None:
    leaves = leaf(b"x") + leaf(b"y")
    assert content_root(2, leaves) != content_root(3, leaves)
    assert content_root(2, leaves) != content_root(2, leaves[:32])
    assert [leaf_count(n) for n in (0, 1, LEAF_BYTES, LEAF_BYTES + 1)] == [0, 1, 1, 2]
    assert entry("1").content == Content("1.2.1", 10, Digest(b"r" * 32))


def test_roles_say_who_carries_and_who_answers() -> None:
    told = {
        role: (Member(NODE, "x", role).carries, Member(NODE, "x", role).answers) for role in Role
    }
    assert told == {
        Role.MEMBER: (True, True),
        Role.CUSTODIAN: (True, False),
        Role.RELAY: (True, False),
        Role.RESEARCHER: (False, False),
        Role.OBSERVER: (False, False),
    }


def test_a_report_is_complete_when_everybody_who_was_to_be_asked_answered_in_full() -> None:
    def complete(*statuses: Status, cancelled: bool = False, doubtful: bool = False) -> bool:
        members = tuple(MemberAnswer(NODE, status) for status in statuses)
        return Report(QueryId(b"q" * 16), members, 0, cancelled, doubtful).complete

    assert complete(Status.ANSWERED, Status.OUTSIDE)
    assert not complete(Status.ANSWERED, cancelled=True)
    assert not complete(Status.ANSWERED, Status.OUTSIDE, doubtful=True)
    for status in set(Status) - {Status.ANSWERED, Status.OUTSIDE}:
        assert not complete(Status.ANSWERED, status)


def test_an_error_says_what_and_what_mends_it() -> None:
    fault = LocalFault("The key is broken.", "Mend it.")
    assert (fault.what, fault.mend, str(fault)) == (
        "The key is broken.",
        "Mend it.",
        "The key is broken. Mend it.",
    )
    assert str(LocalFault("Broken.")) == "Broken."
    assert short(NODE) == "abababab"


def test_of_several_faults_in_a_group_a_peers_breach_is_the_cause() -> None:
    ours, theirs = LocalFault("ours"), PeerFault("theirs")
    assert fault_within(BaseExceptionGroup("", [ours])) is ours
    assert fault_within(BaseExceptionGroup("", [ours, BaseExceptionGroup("", [theirs])])) is theirs
    assert fault_within(BaseExceptionGroup("", [ours, ValueError()])) is None
    assert fault_within(BaseExceptionGroup("", [ValueError()])) is None
