"""A node keeps its name when its keys change, and nobody else can change them."""

import hashlib
from dataclasses import replace

import pytest

from meshpacs.model.errors import Damaged, LocalFault
from meshpacs.model.ids import MeshId
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.keys import (
    IDENTITY_MAGIC,
    NO_MESH,
    BadKeys,
    FounderKey,
    Identity,
    KeyStatement,
    Statement,
    fingerprint,
    read_chain,
    verify,
)
from tests.wire.mesh_of import entropy, founder, identity

MESH = MeshId(bytes(range(32)))


def test_a_nodes_name_is_the_digest_of_its_first_statement() -> None:
    anna = identity("anna")
    body = unpack(Statement, anna.chain[0]).body
    assert anna.node == hashlib.sha256(body).digest()
    keys = read_chain(anna.chain)
    assert (keys.node, keys.number, keys.link) == (anna.node, 1, anna.link.public)


def test_the_name_stays_when_the_keys_change() -> None:
    anna = identity("anna")
    later = anna.rotated(entropy("anna 2", 64)).rotated()
    assert later.node == anna.node
    assert later.keys.number == 3
    assert later.keys.signing != anna.keys.signing
    assert later.keys.link != anna.keys.link
    assert later.keys.signers[0] == anna.keys.signing


def test_two_new_nodes_are_two() -> None:
    assert Identity.create().node != Identity.create().node
    assert FounderKey.create().public != FounderKey.create().public


def changed(chain: tuple[bytes, ...], at: int, **fields: object) -> tuple[bytes, ...]:
    """A chain with one statement's outer fields replaced."""
    outer = replace(unpack(Statement, chain[at]), **fields)  # type: ignore[arg-type]
    return (*chain[:at], pack(outer), *chain[at + 1 :])


def test_a_statement_must_be_signed_by_its_own_key_and_vouched_for_by_the_one_before() -> None:
    chain = identity("anna").rotated(entropy("anna 2", 64)).chain
    with pytest.raises(BadKeys, match="statement 1 is not signed"):
        read_chain(changed(chain, 0, signature=bytes(64)))
    with pytest.raises(BadKeys, match="statement 2 is not signed"):
        read_chain(changed(chain, 1, signature=bytes(64)))
    with pytest.raises(BadKeys, match="not vouched for"):
        read_chain(changed(chain, 1, vouched=b""))


def test_statements_must_follow_each_other() -> None:
    anna, bert = identity("anna"), identity("bert")
    later = anna.rotated(entropy("anna 2", 64))
    for chain in (
        (later.chain[1],),
        (later.chain[1], later.chain[0]),
        (later.chain[0], later.chain[0]),
        (bert.chain[0], later.chain[1]),
    ):
        with pytest.raises(BadKeys, match="does not follow"):
            read_chain(chain)


def test_a_chain_has_a_beginning_and_a_limit() -> None:
    node = identity("anna")
    with pytest.raises(BadKeys, match="shows 0"):
        read_chain(())
    for _ in range(15):
        node = node.rotated(entropy(f"later {node.keys.number}", 64))
    assert node.keys.number == 16
    with pytest.raises(BadKeys, match="shows 17"):
        node.rotated()


def test_a_statement_needs_a_link_key() -> None:
    anna = identity("anna")
    outer = unpack(Statement, anna.chain[0])
    inner = replace(unpack(KeyStatement, outer.body), link=b"short")
    body = pack(inner)
    forged = Statement(body, anna.sign(b"meshpacs/keys/1", NO_MESH, body))
    with pytest.raises(BadKeys, match="no link key"):
        read_chain((pack(forged),))


# ---------------------------------------------------------------- signatures


def test_a_signature_holds_for_one_context_one_mesh_and_one_body() -> None:
    anna = identity("anna")
    public = anna.keys.signing
    signature = anna.sign(b"meshpacs/ask/1", MESH, b"body")
    assert verify(public, b"meshpacs/ask/1", MESH, b"body", signature)
    assert not verify(public, b"meshpacs/done/1", MESH, b"body", signature)
    assert not verify(public, b"meshpacs/ask/1", NO_MESH, b"body", signature)
    assert not verify(public, b"meshpacs/ask/1", MESH, b"bodY", signature)
    assert not verify(identity("bert").keys.signing, b"meshpacs/ask/1", MESH, b"body", signature)


@pytest.mark.parametrize(
    ("key", "signature"), [(b"", bytes(64)), (bytes(32), b""), (b"x" * 31, b"")]
)
def test_what_is_no_key_or_no_signature_verifies_nothing(key: bytes, signature: bytes) -> None:
    assert not verify(key, b"meshpacs/ask/1", MESH, b"", signature)


# ---------------------------------------------------------------- files and paper


def test_an_identity_survives_its_file() -> None:
    anna = identity("anna").rotated(entropy("anna 2", 64))
    again = Identity.unpack(anna.pack())
    assert (again.node, again.chain, again.link) == (anna.node, anna.chain, anna.link)
    assert again.sign(b"c", MESH, b"b") == anna.sign(b"c", MESH, b"b")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"something else",
        IDENTITY_MAGIC,
        IDENTITY_MAGIC + b"\x93\xc4\x00\xc4\x00\x90",
        identity("anna").pack()[:-1],
        identity("anna").pack().replace(identity("anna").link.private, bytes(32)),
    ],
)
def test_a_damaged_identity_is_said_to_be_one(data: bytes) -> None:
    with pytest.raises(Damaged, match="identity cannot be read"):
        Identity.unpack(data)


def test_a_founders_key_survives_its_file_and_paper() -> None:
    key = founder()
    assert FounderKey.unpack(key.pack()).public == key.public
    paper = key.paper()
    assert paper.startswith("MPFK-")
    assert all(len(group) <= 4 for group in paper.split("-"))
    for typed in (paper, paper.lower(), paper.replace("-", " "), f"  {paper}\n", paper[5:]):
        assert FounderKey.from_paper(typed).public == key.public


@pytest.mark.parametrize("data", [b"", founder().pack()[:-1], founder("other").pack()[:19]])
def test_a_damaged_founders_key_is_said_to_be_one(data: bytes) -> None:
    with pytest.raises(Damaged, match="founder's key cannot be read"):
        FounderKey.unpack(data)


def test_a_founders_key_that_is_not_the_one_it_names_is_damaged() -> None:
    ours, other = founder(), founder("other")
    with pytest.raises(Damaged):
        FounderKey.unpack(ours.pack().replace(ours.public, other.public))
    with pytest.raises(Damaged):
        FounderKey.unpack(b"meshpacs founder 1\n\x92\xc4\x01x\xc4\x00")


def test_a_mistyped_recovery_key_is_refused() -> None:
    paper = founder().paper()
    swapped = paper[:6] + ("A" if paper[6] != "A" else "B") + paper[7:]
    for typed in ("", "MPFK", paper[:-5], swapped, paper + "-AAAA", "ÄÖÜ", paper[:-1] + "!"):
        with pytest.raises(LocalFault, match="no recovery key"):
            FounderKey.from_paper(typed)


def test_nothing_private_shows_when_printed() -> None:
    anna, key = identity("anna"), founder()
    assert repr(anna) == f"Identity({anna.node.hex()[:8]})"
    assert repr(key) == f"FounderKey({fingerprint(key.public).hex()[:8]})"
