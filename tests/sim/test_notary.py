"""Fake cryptography fails where the real one would, and imagined archives are searched for real."""

import pytest

from meshpacs.model.member import Member, Role
from meshpacs.model.query import Query
from meshpacs_sim.world.cellar import FAMILIES, PATIENT_NAME, Canned, by_name, clinic, every_study
from meshpacs_sim.world.hosts import name_of
from meshpacs_sim.world.notary import SIGNATURE_BYTES, FakeNotary

ANNA, BERT = name_of(1, 0), name_of(1, 1)
MEMBERS = {node: Member(node, "somebody", Role.MEMBER) for node in (ANNA, BERT)}


def test_a_signature_is_bound_to_signer_context_body_and_membership() -> None:
    members = dict(MEMBERS)
    anna, bert = FakeNotary(ANNA, members, 1), FakeNotary(BERT, members, 1)
    signature = anna.sign(b"ask", b"body")
    assert len(signature) == SIGNATURE_BYTES
    assert bert.verify(ANNA, b"ask", b"body", signature)
    assert not bert.verify(BERT, b"ask", b"body", signature)
    assert not bert.verify(ANNA, b"done", b"body", signature)
    assert not bert.verify(ANNA, b"ask", b"bodY", signature)
    assert not bert.verify(ANNA, b"ask", b"body", bert.sign(b"ask", b"body"))
    del members[ANNA]
    assert not bert.verify(ANNA, b"ask", b"body", signature)
    assert (anna.counts["sign"], bert.counts["verify"]) == (1, 6)


def test_context_and_body_cannot_be_traded_for_each_other() -> None:
    anna = FakeNotary(ANNA, MEMBERS, 1)
    assert anna.sign(b"a", b"bc") != anna.sign(b"ab", b"c")


def test_a_seal_opens_for_its_key_alone_and_unchanged() -> None:
    anna, bert = FakeNotary(ANNA, MEMBERS, 1), FakeNotary(BERT, MEMBERS, 1)
    public, private = anna.reply_keys()
    sealed = bert.seal(public, b"rows")
    assert len(sealed) == len(b"rows") + 48
    assert anna.unseal(public, private, sealed) == b"rows"
    other_public, other_private = anna.reply_keys()
    assert anna.unseal(other_public, other_private, sealed) is None
    assert anna.unseal(public, other_private, sealed) is None
    assert anna.unseal(public, private, sealed[:-1]) is None
    assert anna.unseal(public, private, b"short") is None
    for place in (0, 33, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert anna.unseal(public, private, bytes(changed)) is None


def test_a_clinic_is_a_function_of_its_seed() -> None:
    assert clinic(1, 2, 20).search(every_study()) == clinic(1, 2, 20).search(every_study())
    assert clinic(1, 2, 20).search(every_study()) != clinic(2, 2, 20).search(every_study())


@pytest.mark.parametrize("pattern", ["bodel^*", "*á*", "garcia^*"])
def test_a_clinic_is_searched_by_the_project_s_own_matching(pattern: str) -> None:
    everything, _ = clinic(1, 2, 200).search(every_study())
    found, truncated = clinic(1, 2, 200).search(by_name(pattern))
    assert 0 < len(found) < len(everything) == 200
    assert not truncated
    families = {str(row.record[PATIENT_NAME][0]).split("^")[0] for row in found}
    assert families <= {*FAMILIES}


def test_canned_rows_are_cut_at_the_limit() -> None:
    rows, _ = clinic(1, 2, 5).search(every_study())
    query = every_study()
    assert Canned(rows).search(query) == (rows, False)
    assert Canned(rows).search(Query(query.level, limit=3)) == (rows[:3], True)
