"""Who is a member: everybody who keeps the same items agrees, whatever they heard first."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.model import limits
from meshpacs.model.errors import LocalFault, PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId
from meshpacs.model.member import Role
from meshpacs.wire import chains, redemptions
from meshpacs.wire import entries as acts
from meshpacs.wire.admission import (
    ADMIT_CONTEXT,
    AdmissionBody,
    BadAdmission,
    Grant,
    admit,
    make_grant,
    read_admission,
)
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.entries import (
    Act,
    Add,
    Assign,
    BadEntry,
    Close,
    EntryBody,
    Found,
    Founder,
    Invited,
    Remove,
    Revoke,
    found,
    read_entry,
    write_entry,
)
from meshpacs.wire.keys import (
    NO_MESH,
    NOTHING_BEFORE,
    FounderKey,
    Identity,
    Signed,
    fingerprint,
)
from meshpacs.wire.record import BadRecord, NodeRecord, read_record, write_record
from meshpacs.wire.roster import News, Roster
from tests.wire.mesh_of import DAY_S, NOW_S, Mesh, entropy, founder, identity, mesh_of


def together(*, threshold: int, name: str = "Drei") -> tuple[Mesh, list[FounderKey]]:
    """A mesh of three founders, so many of whom must agree."""
    keys = [founder(f"{name} {number}") for number in range(3)]
    anna = identity("anna")
    others = tuple(key.public for key in keys[1:])
    mesh, genesis = found(keys[0], name, bytes(32), others=others, threshold=threshold)
    made = Mesh(keys[0], mesh, Roster(mesh), anna)
    made.take(made.roster.merge([genesis]))
    for key in keys[:threshold]:
        made.decide(Add(anna.chain[0], "member"), key)
    return made, keys


def names(roster: Roster) -> list[str]:
    return sorted(member.name for member in roster.members().values())


# ---------------------------------------------------------------- founding


def test_a_meshs_id_is_the_digest_of_its_genesis() -> None:
    mesh, genesis = found(founder(), "Nordlicht", bytes(32))
    entry = read_entry(genesis, mesh)
    assert bytes(entry.digest) == mesh
    roster = Roster(mesh)
    assert roster.name == ""
    assert not roster.members()
    roster.merge([genesis])
    assert roster.name == "Nordlicht"
    assert roster.standing.founders == (founder().public,)


@pytest.mark.parametrize(
    ("name", "others", "threshold"),
    [
        ("", (), 1),
        (" Nordlicht", (), 1),
        ("Nord\x1b[31mlicht", (), 1),
        ("x" * 65, (), 1),
        ("Nordlicht", (), 2),
        ("Nordlicht", (), 0),
        ("Nordlicht", (bytes(31),), 1),
        ("Nordlicht", (founder().public,), 1),
        ("Nordlicht", tuple(bytes((number,)) * 32 for number in range(1, 17)), 1),
    ],
)
def test_a_mesh_that_makes_no_sense_is_not_founded(
    name: str, others: tuple[bytes, ...], threshold: int
) -> None:
    with pytest.raises(LocalFault, match="cannot be founded"):
        found(founder(), name, bytes(32), others=others, threshold=threshold)


def test_another_meshs_genesis_is_refused() -> None:
    _, genesis = found(founder(), "Nordlicht", bytes(32))
    news = Roster(MeshId(bytes(32))).merge([genesis])
    assert not news
    assert news.refused == ("A genesis entry belongs to another mesh.",)


# ---------------------------------------------------------------- members come and go


def test_members_are_those_added_and_those_admitted() -> None:
    mesh = mesh_of("bert")
    mesh.admitted("carl", by=identity("bert"), role=Role.RELAY)
    members = mesh.roster.members()
    assert names(mesh.roster) == ["anna", "bert", "carl"]
    assert list(members) == sorted(members)
    assert members[identity("carl").node].role is Role.RELAY
    assert mesh.roster.why(identity("carl").node) == ""
    assert mesh.roster.why(identity("nobody").node) == "It is no member of this mesh."
    assert mesh.roster.keys(identity("nobody").node) is None


def test_a_member_without_a_record_goes_by_its_ids_beginning() -> None:
    mesh = mesh_of()
    bert = identity("bert")
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(bert, mesh.invite())]))
    assert mesh.roster.members()[bert.node].name == bert.node[:4].hex()
    mesh.record(bert, "Bert", addresses=("192.0.2.1:7117",))
    member = mesh.roster.members()[bert.node]
    assert (member.name, member.addresses, member.version) == ("Bert", ("192.0.2.1:7117",), "1.0")


def test_who_is_revoked_stays_revoked_even_if_added_again() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    before = mesh.roster.head()
    mesh.decide(Revoke(bert.node))
    assert mesh.roster.head() != before
    assert names(mesh.roster) == ["anna"]
    assert mesh.roster.why(bert.node) == "It was revoked."
    assert mesh.roster.standing.revoked == (bert.node,)
    mesh.decide(Add(bert.chain[0], "member"))
    assert names(mesh.roster) == ["anna"]


def test_a_revoked_nodes_admissions_stand_by_the_founders_grants() -> None:
    mesh = mesh_of("bert")
    mesh.admitted("carl", by=identity("bert"))
    mesh.decide(Revoke(identity("bert").node))
    assert names(mesh.roster) == ["anna", "carl"]


def test_an_invite_that_two_nodes_redeemed_suspends_both() -> None:
    mesh = mesh_of("zoe")
    twice = mesh.invite("twice")
    bert, carl = identity("bert"), identity("carl")
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(bert, twice)]))
    assert bert.node in mesh.roster.members()
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(carl, twice, identity("zoe"))]))
    for node in (bert.node, carl.node):
        assert node not in mesh.roster.members()
        assert mesh.roster.why(node) == "Its invite was redeemed by more than one node."
        assert mesh.roster.standing.suspended[node] == twice.public
    assert mesh.roster.redeemers(twice.public) == tuple(sorted((bert.node, carl.node)))
    # A founder settles it: by adding the right one, and revoking the other.
    mesh.decide(Add(bert.chain[0], "member"))
    mesh.decide(Revoke(carl.node))
    assert bert.node in mesh.roster.members()
    assert not mesh.roster.standing.suspended


def test_who_was_also_admitted_by_a_good_invite_is_not_suspended() -> None:
    mesh = mesh_of()
    bert = mesh.admitted("bert")
    twice = mesh.invite("twice")
    for joiner in (bert, identity("carl")):
        mesh.take(mesh.roster.merge(admissions=[mesh.admission(joiner, twice)]))
    assert bert.node in mesh.roster.members()
    assert identity("carl").node not in mesh.roster.members()


def test_the_same_node_may_redeem_an_invite_again_and_that_is_no_news() -> None:
    mesh = mesh_of("zoe")
    invite, bert, other = mesh.invite(), identity("bert"), mesh.copy()
    here, there = mesh.admission(bert, invite), mesh.admission(bert, invite, identity("zoe"), 7)
    for roster, first, second in ((mesh.roster, here, there), (other, there, here)):
        assert roster.merge(admissions=[first]).admissions == (first,)
        assert not roster.merge(admissions=[second])
        assert bert.node in roster.members()
        assert roster.admissions_of(bert.node) == (first,)
    assert mesh.roster.heads() == other.heads(), "who admitted it and when makes no difference"


def stuffing(mesh: Mesh, count: int) -> tuple[bytes, list[bytes]]:
    """An invite that bert has used, and redeems again for nodes that he makes up and admits."""
    own = mesh.invite("bert")
    made_up = [identity(f"made up {number}") for number in range(count)]
    return own.public, [mesh.admission(one, own, by=identity("bert")) for one in made_up]


def test_a_member_that_redeems_its_invite_for_made_up_nodes_takes_the_room_of_one() -> None:
    mesh = mesh_of("bert")
    own, stuffed = stuffing(mesh, 50)
    news = mesh.roster.merge(admissions=stuffed)
    assert len(news.admissions) == 1
    assert mesh.roster.redeemers(own) == tuple(
        sorted((identity("bert").node, identity("made up 0").node))
    )
    assert names(mesh.roster) == ["anna"]
    mesh.admitted("carl")
    assert names(mesh.roster) == ["anna", "carl"]


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_of_many_redemptions_nodes_may_hear_of_different_ones_and_still_agree(seed: int) -> None:
    draw = random.Random(seed)
    mesh = mesh_of("bert")
    bert, carl = identity("bert"), identity("carl")
    _, stuffed = stuffing(mesh, 6)
    items = mesh.roster.everything()
    # Whom bert has admitted by an invite of its own stays, whether bert is heard of or not.
    honest = mesh.admission(carl, mesh.invite("carl"), by=bert)
    records = [*items.records, mesh.record(bert, "bert", 2)]
    offered = [*items.admissions, *stuffed, honest]
    rosters = []
    for _ in range(3):
        roster = Roster(mesh.mesh)
        roster.merge(items.entries)
        for admission in draw.sample(offered, len(offered)):
            roster.merge(admissions=[admission])
        roster.merge(records=records)
        rosters.append(roster)
    for roster in rosters:
        assert sorted(roster.members()) == sorted((mesh.anna.node, carl.node)), f"seed {seed}"
        assert roster.heads() == rosters[0].heads(), f"seed {seed}"
        for other in rosters:  # and they have nothing to tell each other
            assert not any(roster.lacking(part).admissions for part in other.digests(100))


def test_who_knows_one_redemption_is_told_of_both() -> None:
    mesh = mesh_of("bert")
    behind = mesh.copy()
    _, stuffed = stuffing(mesh, 2)
    mesh.roster.merge(admissions=stuffed)
    (digests,) = behind.digests(100)
    news = mesh.roster.lacking(digests)
    assert len(news.admissions) == 2
    assert behind.merge(admissions=news.admissions)
    assert behind.heads() == mesh.roster.heads()
    (digests,) = mesh.copy().digests(100)
    assert not behind.lacking(digests)


def test_a_withdrawn_invite_takes_its_member_with_it() -> None:
    mesh = mesh_of("bert")
    mesh.decide(Close(mesh.invite("bert").public))
    assert names(mesh.roster) == ["anna"]
    assert mesh.roster.why(identity("bert").node) == "The invite was withdrawn."


def test_an_admission_after_the_expiry_does_not_hold() -> None:
    mesh = mesh_of()
    bert, late = identity("bert"), mesh.invite(expires_s=NOW_S)
    news = mesh.roster.merge(admissions=[mesh.admission(bert, late, at_s=NOW_S + 1)])
    assert news.refused == ("An admission is dated after its invite's expiry.",)
    assert mesh.roster.void(late.granted, NOW_S + 1) == "The invite had expired."
    assert mesh.roster.redeemers(late.public) == ()
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(bert, late, at_s=NOW_S)]))
    assert bert.node in mesh.roster.members()


def test_a_role_is_changed_by_the_last_word_of_a_founder() -> None:
    mesh = mesh_of("bert")
    node = identity("bert").node
    for role in ("relay", "observer", "custodian", "astronaut"):
        mesh.decide(Assign(node, role))
        expected = Role.OBSERVER if role == "astronaut" else Role(role)
        assert mesh.roster.members()[node].role is expected
    mesh.decide(Assign(identity("nobody").node, "member"))
    assert identity("nobody").node not in mesh.roster.members()


def test_nobody_is_made_less_by_an_invite_that_another_redeems_in_its_name() -> None:
    """Its key statement is known to all, so whoever holds an invite can redeem it for that node."""
    mesh = mesh_of("bert")
    vera = mesh.admitted("vera", role=Role.CUSTODIAN)
    for victim, role in ((mesh.anna, Role.MEMBER), (vera, Role.CUSTODIAN)):
        lesser = mesh.invite(f"lesser {role}", role=Role.OBSERVER)
        planted = mesh.admission(victim, lesser, by=identity("bert"))
        assert mesh.roster.merge(admissions=[planted])
        assert mesh.roster.members()[victim.node].role is role
    greater = mesh.admission(vera, mesh.invite("greater", role=Role.MEMBER))
    mesh.take(mesh.roster.merge(admissions=[greater]))
    assert mesh.roster.members()[vera.node].role is Role.MEMBER
    mesh.decide(Add(vera.chain[0], "relay"))
    assert mesh.roster.members()[vera.node].role is Role.RELAY, "founders have the last word"


def test_where_founders_differ_the_lesser_role_holds() -> None:
    mesh, keys = together(threshold=1)
    mesh.decide(Assign(mesh.anna.node, "relay"), keys[0])
    mesh.decide(Assign(mesh.anna.node, "custodian"), keys[1])
    assert mesh.roster.members()[mesh.anna.node].role is Role.RELAY


def test_a_node_added_twice_has_the_lesser_role() -> None:
    mesh = mesh_of()
    mesh.decide(Add(mesh.anna.chain[0], "relay"))
    assert mesh.roster.members()[mesh.anna.node].role is Role.RELAY


# ---------------------------------------------------------------- several founders


def test_an_act_takes_effect_when_enough_founders_have_signed_it() -> None:
    mesh, keys = together(threshold=2)
    bert = identity("bert")
    mesh.decide(Add(bert.chain[0], "member"), keys[0])
    mesh.decide(Add(bert.chain[0], "member"), keys[0])
    assert bert.node not in mesh.roster.members()
    mesh.decide(Add(bert.chain[0], "member"), keys[2])
    assert bert.node in mesh.roster.members()
    mesh.decide(Revoke(bert.node), keys[1])
    assert bert.node in mesh.roster.members()
    mesh.decide(Revoke(bert.node), keys[2])
    assert bert.node not in mesh.roster.members()
    mesh.decide(Assign(mesh.anna.node, "relay"), keys[1])
    assert mesh.roster.members()[mesh.anna.node].role is Role.MEMBER
    mesh.decide(Assign(mesh.anna.node, "relay"), keys[0])
    assert mesh.roster.members()[mesh.anna.node].role is Role.RELAY


def test_a_grant_needs_the_consent_of_enough_founders() -> None:
    mesh, keys = together(threshold=2)
    bert, invite = identity("bert"), mesh.invite(by=keys[1])
    lacking = "Not enough founders have agreed to the invite."
    assert mesh.roster.void(invite.granted, NOW_S) == lacking
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(bert, invite)]))
    assert mesh.roster.why(bert.node) == lacking
    grant = unpack(Grant, invite.granted.body)
    mesh.decide(Invited(grant.digest), keys[1])
    assert bert.node not in mesh.roster.members(), "one founder counts once"
    mesh.decide(Invited(grant.digest), keys[2])
    assert bert.node in mesh.roster.members()
    assert mesh.roster.void(invite.granted, NOW_S) == ""


def test_a_founder_that_was_added_can_add_founders_in_turn() -> None:
    mesh = mesh_of()
    second, third = founder("second"), founder("third")
    mesh.decide(Founder(second.public))
    mesh.decide(Founder(third.public), second)
    mesh.decide(Add(identity("bert").chain[0], "member"), third)
    assert identity("bert").node in mesh.roster.members()
    assert set(mesh.roster.standing.founders) == {
        mesh.founder.public,
        second.public,
        third.public,
    }
    assert mesh.roster.founder(fingerprint(third.public)) == third.public
    assert mesh.roster.founder(bytes(16)) is None


def test_a_removed_founders_later_entries_and_all_its_grants_are_void() -> None:
    mesh = mesh_of()
    second = founder("second")
    mesh.decide(Founder(second.public))
    kept, lost, invited = identity("kept"), identity("lost"), identity("invited")
    mesh.decide(Add(kept.chain[0], "member"), second)
    mesh.decide(Add(lost.chain[0], "member"), second)
    mesh.decide(Assign(mesh.anna.node, "relay"), second)
    invite = mesh.invite(by=second)
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(invited, invite)]))
    assert {kept.node, lost.node, invited.node} <= set(mesh.roster.members())
    mesh.decide(Remove(second.public, 2))
    mesh.decide(Remove(second.public, 1))
    members = mesh.roster.members()
    assert kept.node in members
    assert lost.node not in members
    assert members[mesh.anna.node].role is Role.MEMBER
    assert mesh.roster.why(invited.node) == "The founder who granted the invite is one no more."
    assert mesh.roster.standing.founders == (mesh.founder.public,)
    assert mesh.roster.void(invite.granted, NOW_S).startswith("No founder")


def test_founders_who_remove_each_other_are_both_gone() -> None:
    mesh = mesh_of()
    second = founder("second")
    mesh.decide(Founder(second.public))
    mesh.decide(Remove(second.public, 0))
    mesh.decide(Remove(mesh.founder.public, 2), second)
    assert mesh.roster.standing.founders == ()
    assert names(mesh.roster) == ["anna"]


def test_founders_added_by_a_founder_whose_entries_are_void_are_none() -> None:
    mesh = mesh_of()
    second, third = founder("second"), founder("third")
    mesh.decide(Founder(second.public))
    mesh.decide(Founder(third.public), second)
    mesh.decide(Assign(mesh.anna.node, "relay"), third)
    assert mesh.roster.members()[mesh.anna.node].role is Role.RELAY
    mesh.decide(Remove(second.public, 0))
    assert mesh.roster.standing.founders == (mesh.founder.public,)
    assert mesh.roster.members()[mesh.anna.node].role is Role.MEMBER


# ---------------------------------------------------------------- forks


def forked() -> tuple[Mesh, Roster, Roster]:
    """A founder's key used in two places; each of the rosters knows one branch."""
    mesh = mesh_of("bert", "carl")
    number, previous = mesh.roster.next_entry(mesh.founder.public)
    left, right = mesh.copy(), mesh.copy()
    for roster, role in ((left, "relay"), (right, "custodian")):
        entry = write_entry(
            mesh.founder, mesh.mesh, number, previous, Assign(identity("bert").node, role)
        )
        assert roster.merge([entry])
    return mesh, left, right


def test_a_fork_is_shown_and_the_lesser_role_holds() -> None:
    mesh, left, right = forked()
    assert left.forks() == ()
    everything = right.everything()
    left.merge(everything.entries)
    right.merge(left.everything().entries)
    (fork,) = left.forks()
    assert (fork.founder, fork.number, len(fork.entries)) == (mesh.founder.public, 3, 2)
    for roster in (left, right):
        assert roster.members()[identity("bert").node].role is Role.RELAY
    assert left.head() == right.head()
    assert left.next_entry(mesh.founder.public)[0] == 4


def test_forked_chains_find_each_others_branch_by_their_heads() -> None:
    _, left, right = forked()
    for one, other in ((left, right), (right, left)):
        news = other.merge(one.entries_beyond(other.heads()))
        assert len(news.entries) == 1
    assert left.heads() == right.heads()


def test_a_branch_that_is_heard_of_late_does_not_undo_a_later_word() -> None:
    mesh, left, right = forked()
    number, previous = left.next_entry(mesh.founder.public)
    bert = identity("bert").node
    later = write_entry(mesh.founder, mesh.mesh, number, previous, Assign(bert, "member"))
    left.merge([later])
    left.merge(right.everything().entries)
    right.merge(left.everything().entries)
    assert left.members()[bert].role is right.members()[bert].role is Role.MEMBER


def test_the_longer_branch_waits_to_be_told_and_then_tells() -> None:
    mesh, left, right = forked()
    number, previous = left.next_entry(mesh.founder.public)
    left.merge([write_entry(mesh.founder, mesh.mesh, number, previous, Revoke(NodeId(bytes(32))))])
    assert right.entries_beyond(left.heads()) == ()
    assert right.merge(left.entries_beyond(right.heads()))
    assert left.merge(right.entries_beyond(left.heads()))
    assert left.heads() == right.heads()


# ---------------------------------------------------------------- agreement


def scattered() -> tuple[Mesh, News]:
    """A mesh with everything that can happen in it."""
    mesh, keys = together(threshold=1)
    for name in ("bert", "carl", "dora"):
        mesh.admitted(name, by=identity("bert") if name == "dora" else None)
    twice = mesh.invite("twice")
    for name in ("emil", "fritz"):
        mesh.take(mesh.roster.merge(admissions=[mesh.admission(identity(name), twice)]))
    mesh.decide(Founder(founder("late").public), keys[1])
    mesh.decide(Assign(identity("carl").node, "relay"), founder("late"))
    mesh.decide(Revoke(identity("dora").node), keys[2])
    mesh.decide(Remove(keys[2].public, 1))
    rotated = identity("bert").rotated(entropy("bert 2", 64))
    mesh.record(rotated, "bert neu", number=1)
    mesh.take(
        mesh.roster.merge(admissions=[mesh.admission(identity("gina"), mesh.invite("g"), rotated)])
    )
    return mesh, mesh.roster.everything()


MESH, EVERYTHING = scattered()


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_order_in_which_items_come_has_no_influence(seed: int) -> None:
    draw = random.Random(seed)

    def shuffled(items: Sequence[bytes]) -> list[bytes]:
        return draw.sample(items, len(items))

    other = Roster(MESH.mesh)
    kinds = [shuffled(items) for items in (EVERYTHING.entries, EVERYTHING.admissions)]
    records = shuffled(EVERYTHING.records)
    entries, admissions = kinds
    for _ in range(12):  # in pieces, again and again, as gossip would bring them
        some = draw.sample(entries, draw.randint(0, len(entries)))
        more = draw.sample(admissions, draw.randint(0, len(admissions)))
        other.merge(some, more, draw.sample(records, draw.randint(0, len(records))))
    other.merge(entries, admissions, records)
    assert other.standing == MESH.roster.standing, f"seed {seed}"
    assert other.heads() == MESH.roster.heads()
    assert other.head() == MESH.roster.head()


def test_what_is_kept_is_told_in_an_order_in_which_it_can_be_merged() -> None:
    other = Roster(MESH.mesh)
    for message in EVERYTHING.messages(most_bytes=1000):
        assert not other.merge(message.entries, message.admissions, message.records).refused
    assert other.heads() == MESH.roster.heads()


def test_what_is_known_is_no_news() -> None:
    copy = MESH.copy()
    head = copy.heads()
    assert not copy.merge(EVERYTHING.entries, EVERYTHING.admissions, EVERYTHING.records)
    assert copy.heads() is head


# ---------------------------------------------------------------- comparing


def test_entries_beyond_heads_are_those_that_lack() -> None:
    full, empty = MESH.roster, Roster(MESH.mesh)
    assert full.entries_beyond(empty.heads()) == EVERYTHING.entries
    assert full.entries_beyond(full.heads()) == ()
    behind = Roster(MESH.mesh)
    behind.merge(EVERYTHING.entries[:3])
    news = behind.merge(full.entries_beyond(behind.heads()))
    assert len(news.entries) == len(EVERYTHING.entries) - 3
    assert behind.entries_beyond(full.heads()) == ()


@pytest.mark.parametrize("most", [100, 2, 1])
def test_digests_find_what_the_other_lacks_in_one_part_or_many(most: int) -> None:
    full, empty = MESH.roster, Roster(MESH.mesh)
    empty.merge(EVERYTHING.entries)
    parts = empty.digests(most)
    assert len(parts) == 1, "an empty roster has little to say"
    missing = full.lacking(parts[0])
    assert (set(missing.admissions), set(missing.records)) == (
        set(EVERYTHING.admissions),
        set(EVERYTHING.records),
    )
    many = full.digests(most)
    assert len(many) >= len(EVERYTHING.admissions) / most
    assert all(not empty.lacking(part) for part in many)
    assert all(not full.lacking(part) for part in many)
    known = {digest for part in many for digest in part.admissions}
    assert len(known) == len(EVERYTHING.admissions) - 1, "an invite used twice is told once"


def test_an_older_record_is_lacking_at_the_other_side() -> None:
    mesh = mesh_of("bert")
    other = mesh.copy()
    mesh.record(identity("bert"), "Bert", number=5)
    (digests,) = other.digests(100)
    assert len(mesh.roster.lacking(digests).records) == 1


def test_parts_are_never_more_than_a_byte_can_tell() -> None:
    assert len(MESH.roster.digests(0)) == 256


def test_news_is_cut_into_messages_of_which_the_last_says_so() -> None:
    news = News((b"a" * 60, b"b" * 60), (b"c" * 200,), (b"d" * 10,))
    messages = news.messages(most_bytes=100)
    assert [message.last for message in messages] == [False, False, False, True]
    assert [len(m.entries) + len(m.admissions) + len(m.records) for m in messages] == [1, 1, 1, 1]
    (empty,) = News().messages()
    assert empty.last
    assert (empty.entries, empty.admissions, empty.records) == ((), (), ())


# ---------------------------------------------------------------- proofs


def test_a_proof_shows_a_member_to_who_knows_only_the_meshs_id() -> None:
    mesh = mesh_of("bert")
    mesh.decide(Founder(founder("second").public))
    mesh.decide(Revoke(identity("nobody").node))
    mesh.admitted("carl", by=identity("bert"))
    mesh.admitted("dora", by=identity("carl"))
    again = mesh.admission(identity("dora"), mesh.invite("again"), identity("carl"))
    mesh.take(mesh.roster.merge(admissions=[again]))
    mesh.admitted("emil")
    proof = mesh.roster.proof(identity("dora").node)
    stranger = Roster(mesh.mesh, gaps=True)
    assert not stranger.merge(proof.entries, proof.admissions, proof.records).refused
    assert sorted(stranger.members()) == sorted(
        identity(name).node for name in ("anna", "bert", "carl", "dora")
    )
    assert len(proof.records) == 1


def test_a_proof_without_a_link_in_its_chain_shows_nothing() -> None:
    mesh = mesh_of("bert")
    mesh.admitted("carl", by=identity("bert"))
    proof = mesh.roster.proof(identity("carl").node)
    for at in range(len(proof.admissions)):
        stranger = Roster(mesh.mesh, gaps=True)
        stranger.merge(
            proof.entries, proof.admissions[:at] + proof.admissions[at + 1 :], proof.records
        )
        assert identity("carl").node not in stranger.members()
    for at in range(len(proof.entries)):
        stranger = Roster(mesh.mesh, gaps=True)
        stranger.merge(proof.entries[:at] + proof.entries[at + 1 :], proof.admissions)
        assert identity("carl").node not in stranger.members()


def test_a_thief_of_an_invite_cannot_show_a_joiner_that_he_is_a_member() -> None:
    mesh = mesh_of()
    thief = identity("thief")
    joiner = Roster(mesh.mesh, gaps=True)
    own = [mesh.admission(thief, mesh.invite(), by=thief)]
    news = joiner.merge(mesh.roster.everything().entries, own)
    assert not news.admissions
    assert news.refused == ("An admission is not by a node that is known here.",)
    assert thief.node not in joiner.members()


# ---------------------------------------------------------------- refusals


def resigned(packed: bytes, key: FounderKey, mesh: MeshId, **fields: object) -> bytes:
    """An entry with other fields, signed properly."""
    body = unpack(EntryBody, unpack(Signed, packed).body)
    changed = pack(replace(body, **fields))  # type: ignore[arg-type]
    return pack(Signed(changed, key.sign(acts.ENTRY_CONTEXT, mesh, changed)))


def test_entries_by_strangers_or_out_of_place_are_refused() -> None:
    mesh = mesh_of()
    other = founder("stranger")
    number, previous = mesh.roster.next_entry(mesh.founder.public)
    terms = Revoke(mesh.anna.node)
    good = write_entry(mesh.founder, mesh.mesh, number, previous, terms)
    for packed, reason in (
        (write_entry(other, mesh.mesh, 1, Digest(mesh.mesh), terms), "nobody who ever was"),
        (write_entry(mesh.founder, mesh.mesh, number + 1, previous, terms), "does not follow"),
        (write_entry(mesh.founder, mesh.mesh, number, Digest(bytes(32)), terms), "does not follow"),
        (write_entry(mesh.founder, mesh.mesh, 1, Digest(bytes(32)), terms), "does not follow"),
        (write_entry(mesh.founder, mesh.mesh, 0, previous, terms), "has no number"),
        (write_entry(mesh.founder, NO_MESH, number, previous, terms), "not signed"),
        (good + bytes(limits.ROSTER_ITEM_BYTES), "bytes"),
        (good[:-1], "Signed"),
        (resigned(good, mesh.founder, mesh.mesh, terms=b"x"), "Revoke"),
        (resigned(good, mesh.founder, mesh.mesh, founder=other.public), "not signed"),
    ):
        news = mesh.roster.merge([packed])
        assert not news
        assert reason in news.refused[0]
    bad = Add(identity("bert").rotated(entropy("b", 64)).chain[1], "member")
    news = mesh.roster.merge([write_entry(mesh.founder, mesh.mesh, number, previous, bad)])
    assert "does not follow" in news.refused[0]


def test_another_founders_chain_does_not_follow_ours() -> None:
    mesh = mesh_of()
    second = founder("second")
    mesh.decide(Founder(second.public))
    number, previous = mesh.roster.next_entry(mesh.founder.public)
    stolen = write_entry(second, mesh.mesh, number, previous, Revoke(mesh.anna.node))
    assert "does not follow" in mesh.roster.merge([stolen]).refused[0]


def test_an_act_of_a_later_version_is_kept_without_effect() -> None:
    mesh = mesh_of()
    before = mesh.roster.standing
    number, previous = mesh.roster.next_entry(mesh.founder.public)
    known = write_entry(mesh.founder, mesh.mesh, number, previous, Revoke(mesh.anna.node))
    unknown = resigned(known, mesh.founder, mesh.mesh, act="promote", terms=b"\xff\xff")
    assert mesh.roster.merge([unknown]).entries == (unknown,)
    assert mesh.roster.standing == before
    hold = resigned(known, mesh.founder, mesh.mesh, act=Act.HOLD.value, number=number)
    assert mesh.roster.merge([hold])


def test_a_genesis_that_makes_no_sense_is_refused_by_who_reads_it() -> None:
    key = founder()
    terms = Found("Nordlicht", (key.public,), 1, bytes(32))
    packed = write_entry(key, NO_MESH, 2, NOTHING_BEFORE, terms)
    mesh = MeshId(bytes(unpack(Signed, packed).digest))
    with pytest.raises(BadEntry, match="makes no sense"):
        read_entry(packed, mesh)


def test_admissions_that_were_not_honestly_made_are_refused() -> None:
    mesh, other = mesh_of("bert"), mesh_of(name="Südwind")
    joiner, invite = identity("carl"), mesh.invite()
    good = mesh.admission(joiner, invite)
    statement, grant = joiner.chain[0], pack(invite.granted)
    redemption = invite.redeem(statement)

    def made(**fields: object) -> bytes:
        terms = {"grant": grant, "statement": statement, "redemption": redemption, "at_s": NOW_S}
        return admit(mesh.anna, mesh.mesh, **(terms | fields))  # type: ignore[arg-type]

    body = unpack(AdmissionBody, unpack(Signed, good).body)
    swapped = pack(replace(body, by=identity("bert").chain))
    cases = (
        (made(redemption=bytes(64)), "redemption is not signed"),
        (made(statement=identity("dora").chain[0]), "redemption is not signed"),
        (pack(Signed(swapped, mesh.anna.sign(ADMIT_CONTEXT, mesh.mesh, swapped))), "not signed by"),
        (made(grant=pack(Signed(invite.granted.body, bytes(64)))), "nobody who ever was a founder"),
        (mesh.admission(joiner, mesh.invite(by=other.founder)), "nobody who ever was a founder"),
        (good + bytes(limits.ROSTER_ITEM_BYTES), "bytes"),
        (good[:-1], "Signed"),
    )
    for packed, reason in cases:
        news = mesh.roster.merge(admissions=[packed])
        assert not news
        assert reason in news.refused[0]
    assert mesh.roster.merge(admissions=[good])


def test_a_grant_is_void_for_a_reason_that_is_named() -> None:
    mesh, other = mesh_of(), mesh_of(name="Südwind")
    invite = mesh.invite()
    assert mesh.roster.void(invite.granted, NOW_S) == ""
    assert mesh.roster.void(invite.granted, NOW_S + DAY_S + 1) == "The invite had expired."
    foreign = mesh.invite(by=other.founder).granted
    assert mesh.roster.void(foreign, NOW_S).startswith("No founder of this mesh")
    unsigned = Signed(invite.granted.body, bytes(64))
    assert "has not signed" in mesh.roster.void(unsigned, NOW_S)
    assert Roster(mesh.mesh).void(invite.granted, NOW_S).startswith("No founder")
    with pytest.raises(PeerFault):
        mesh.roster.void(Signed(b"x", bytes(64)), NOW_S)


def test_records_that_their_node_did_not_make_are_refused() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")

    def made(node: Identity = bert, by: Identity = bert, **fields: object) -> bytes:
        record = NodeRecord(node.node, 7, node.chain, "bert", (), "1.0")
        body = pack(replace(record, **fields))  # type: ignore[arg-type]
        return pack(Signed(body, by.sign(b"meshpacs/record/1", mesh.mesh, body)))

    cases = (
        (made(by=mesh.anna), "not signed by its node"),
        (made(node=mesh.anna), "not signed by its node"),
        (made(node=bert, chain=mesh.anna.chain), "another node than its keys"),
        (made(number=2**48), "beyond the limits"),
        (made(addresses=("a:1",) * 9), "beyond the limits"),
        (made(addresses=("a\n:1",)), "cannot be shown"),
        (made(name=""), "cannot be shown"),
        (made(version="\x07"), "cannot be shown"),
        (made(destinations=("B", "A")), "each of them once"),
        (made(destinations=("A", "A")), "each of them once"),
        (made(destinations=tuple(f"AE{n:03}" for n in range(129))), "too many destinations"),
        (made(destinations=("A\\B",)), "no AE title"),
        (made(destinations=("SEVENTEEN LETTERS",)), "no AE title"),
        (made(node=identity("nobody"), by=identity("nobody")), "not known here"),
        (made() + bytes(limits.ROSTER_ITEM_BYTES), "bytes"),
        (b"", "Signed"),
    )
    for packed, reason in cases:
        news = mesh.roster.merge(records=[packed])
        assert not news
        assert reason in news.refused[0], reason
    assert mesh.roster.merge(records=[made(version="")])


def test_the_record_of_the_highest_rank_wins_in_any_order() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    rotated = bert.rotated(entropy("bert 2", 64))

    def made(node: Identity, number: int, name: str) -> bytes:
        return write_record(node, mesh.mesh, number=number, name=name, addresses=(), version="")

    records = [
        made(bert, 9, "old keys, high number"),
        made(rotated, 2, "new keys"),
        made(rotated, 3, "new keys again"),
        made(rotated, 3, "new keys, same number"),
    ]
    heard = []
    for order in (records, records[::-1], records[2:] + records[:2]):
        roster = mesh.copy()
        for record in order:
            roster.merge(records=[record])
        heard.append(roster.members()[bert.node].name)
        known = roster.record(bert.node)
        assert known is not None
        assert known.record.number == 3
        assert roster.keys(bert.node) == rotated.keys
    assert len(set(heard)) == 1


def test_a_founder_cannot_use_up_the_room_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, keys = together(threshold=1)
    monkeypatch.setattr(chains, "ENTRIES_OF_ONE", 5)
    thief, honest = keys[1], keys[0]
    mesh.decide(Remove(thief.public, 0), honest)
    for number in range(1, 9):
        before = mesh.roster.next_entry(thief.public)
        entry = write_entry(thief, mesh.mesh, *before, Assign(mesh.anna.node, "relay"))
        news = mesh.roster.merge([entry])
        assert bool(news) == (number <= 5)
        assert number <= 5 or "as many roster entries as one may" in news.refused[0]
    mesh.decide(Revoke(mesh.anna.node), honest)
    assert names(mesh.roster) == []


def test_branches_of_a_chain_that_is_full_are_not_told_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, left, right = forked()
    monkeypatch.setattr(chains, "ENTRIES_OF_ONE", 3)
    for one, other in ((left, right), (right, left)):
        assert one.entries_beyond(other.heads()) == ()
    assert left.heads().chains == right.heads().chains


def test_a_founder_cannot_make_room_by_adding_founders(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, keys = together(threshold=1)
    monkeypatch.setattr(chains, "FOUNDERS", 4)
    puppets = [founder(f"puppet {number}") for number in range(3)]
    for puppet in puppets:
        mesh.decide(Founder(puppet.public), keys[1])
    mesh.decide(Assign(mesh.anna.node, "relay"), puppets[0])
    other = mesh.copy()
    entry = write_entry(puppets[1], mesh.mesh, 1, Digest(mesh.mesh), Revoke(mesh.anna.node))
    assert "As many founders" in mesh.roster.merge([entry]).refused[0]
    late = Roster(mesh.mesh)
    late.merge(mesh.roster.everything().entries[:1])
    assert late.entries_beyond(mesh.roster.heads()) == ()
    monkeypatch.setattr(chains, "FOUNDERS", 5)
    assert other.merge([entry])
    monkeypatch.setattr(chains, "FOUNDERS", 4)
    beyond = other.entries_beyond(mesh.roster.heads())
    assert entry not in beyond, "who has no room is not told again and again"
    mesh.decide(Revoke(mesh.anna.node), keys[2])
    assert mesh.roster.entries_beyond(other.heads()), "who the genesis names always has room"
    assert names(mesh.roster) == []


def test_a_founder_has_room_for_so_many_grants_and_others_for_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mesh, keys = together(threshold=1)
    monkeypatch.setattr(redemptions, "GRANTS_OF_ONE", 1)
    thief, honest = keys[1], keys[0]
    first = mesh.invite("first", by=thief)
    mesh.take(mesh.roster.merge(admissions=[mesh.admission(identity("bert"), first)]))
    more = mesh.admission(identity("carl"), mesh.invite("more", by=thief))
    assert "As many grants" in mesh.roster.merge(admissions=[more]).refused[0]
    again = mesh.admission(identity("carl"), first)
    assert mesh.roster.merge(admissions=[again]), "that an invite was used twice is always kept"
    good = mesh.admission(identity("dora"), mesh.invite("good", by=honest))
    assert mesh.roster.merge(admissions=[good])
    assert identity("dora").node in mesh.roster.members()


def test_a_founder_without_entries_begins_behind_the_meshs_id() -> None:
    mesh = mesh_of()
    assert mesh.roster.next_entry(founder("second").public) == (1, Digest(mesh.mesh))


# ---------------------------------------------------------------- garbage


@given(st.binary(max_size=300), st.integers(0, 2**16), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_garbage_is_kept_and_none_raises(garbage: bytes, place: int, bit: int) -> None:
    copy = Roster(MESH.mesh)
    copy.merge(EVERYTHING.entries[:2])
    for items in (EVERYTHING.entries, EVERYTHING.admissions, EVERYTHING.records):
        good = items[place % len(items)]
        flipped = bytearray(good)
        flipped[place % len(good)] ^= 1 << bit
        for packed in (garbage, bytes(flipped), good[: place % len(good)], good + garbage):
            if packed == good:
                continue
            news = copy.merge([packed], [packed], [packed])
            # Trailing msgpack fields are ignored, and an item's digest covers its body alone, so
            # that a changed wrapping may be the same item; it never is another one.
            assert all(item == packed for item in news.entries + news.admissions + news.records)
    assert copy.standing.founders
    assert set(copy.members()) <= set(MESH.roster.members()) | {MESH.anna.node}


def test_a_grant_is_one_founders_signature_over_its_terms() -> None:
    mesh = mesh_of()
    mark = fingerprint(mesh.founder.public)
    grant = Grant(mark, bytes(32), "member", NOW_S)
    assert make_grant(mesh.founder, mesh.mesh, grant).digest == grant.digest
    with pytest.raises(BadAdmission):
        read_admission(bytes(limits.ROSTER_ITEM_BYTES + 1), mesh.mesh)
    with pytest.raises(BadRecord):
        read_record(bytes(limits.ROSTER_ITEM_BYTES + 1), mesh.mesh)
