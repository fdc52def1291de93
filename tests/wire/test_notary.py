"""The notary believes members, and only while they are members."""

from meshpacs.engine.notary import Notary
from meshpacs.wire.entries import Revoke
from meshpacs.wire.notary import RosterNotary
from tests.wire.mesh_of import entropy, identity, mesh_of


def test_a_members_signature_holds_until_it_is_revoked() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    notary: Notary = RosterNotary(mesh.anna, mesh.roster)
    signature = RosterNotary(bert, mesh.copy()).sign(b"meshpacs/ask/1", b"body")
    assert notary.verify(bert.node, b"meshpacs/ask/1", b"body", signature)
    assert not notary.verify(bert.node, b"meshpacs/done/1", b"body", signature)
    assert not notary.verify(mesh.anna.node, b"meshpacs/ask/1", b"body", signature)
    assert not notary.verify(identity("nobody").node, b"meshpacs/ask/1", b"body", signature)
    mesh.decide(Revoke(bert.node))
    assert not notary.verify(bert.node, b"meshpacs/ask/1", b"body", signature)


def test_a_replaced_key_signs_no_more() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    later = bert.rotated(entropy("bert 2", 64))
    mesh.record(later, "bert")
    notary = RosterNotary(mesh.anna, mesh.roster)
    for signer, holds in ((bert, False), (later, True)):
        signature = signer.sign(b"meshpacs/ask/1", mesh.mesh, b"body")
        assert notary.verify(bert.node, b"meshpacs/ask/1", b"body", signature) is holds


def test_who_was_ever_a_member_is_believed_about_the_past() -> None:
    mesh = mesh_of("bert")
    bert = identity("bert")
    notary = RosterNotary(mesh.anna, mesh.roster)
    signature = bert.sign(b"meshpacs/manifest/1", mesh.mesh, b"body")
    mesh.decide(Revoke(bert.node))
    mesh.record(bert.rotated(entropy("bert 2", 64)), "bert")
    assert notary.ever_signed(bert.node, b"meshpacs/manifest/1", b"body", signature)
    assert notary.ever_signed(bert.node, b"meshpacs/ask/1", b"body", signature) is False
    nobody = identity("nobody").node
    assert notary.ever_signed(nobody, b"meshpacs/manifest/1", b"body", signature) is None


def test_only_the_holder_of_the_private_half_unseals() -> None:
    mesh = mesh_of()
    notary = RosterNotary(mesh.anna, mesh.roster)
    public, private = notary.reply_keys()
    sealed = notary.seal(public, b"rows")
    assert notary.unseal(public, private, sealed) == b"rows"
    other = notary.reply_keys()
    assert notary.unseal(*other, sealed) is None
    assert notary.unseal(public, private, sealed[:-1]) is None
    assert notary.unseal(public, private, b"") is None


def test_an_answer_for_a_key_that_is_none_is_empty() -> None:
    notary = RosterNotary(mesh_of().anna, mesh_of().roster)
    assert notary.seal(b"short", b"rows") == b""
    assert notary.seal(bytes(32), b"rows") == b""
