"""What nodes share of their AE books: by their own signature, the last number, while members."""

from dataclasses import dataclass

from meshpacs.model import limits
from meshpacs.model.ids import NodeId
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.entries import Revoke
from meshpacs.wire.keys import Chain, Signed
from meshpacs.wire.record import LARGEST_NUMBER, NodeRecord, read_record, write_record
from tests.wire.mesh_of import identity, mesh_of

BERT = identity("bert").node


@dataclass(frozen=True, slots=True)
class OldRecord:
    """A node record as versions wrote it that shared nothing."""

    node: NodeId
    number: int
    chain: Chain
    name: str
    addresses: tuple[str, ...]
    version: str


def test_a_member_shares_what_its_record_of_the_highest_number_names() -> None:
    mesh = mesh_of("bert")
    first = mesh.record(identity("bert"), "bert", 2, destinations=("CT1", "WORK STATION"))
    assert mesh.roster.members()[BERT].destinations == ("CT1", "WORK STATION")
    mesh.record(identity("bert"), "bert", 3)
    assert mesh.roster.members()[BERT].destinations == ()
    assert not mesh.roster.merge(records=[first]), "an old record is no news: it is a replay"
    assert mesh.roster.members()[BERT].destinations == ()


def test_nobody_shares_in_another_ones_name() -> None:
    mesh = mesh_of("bert", "carl")
    mesh.record(identity("bert"), "bert", 2, destinations=("CT1",))
    packed = mesh.record(identity("carl"), "carl", 2, destinations=("MR1",))
    signed = unpack(Signed, packed)
    forged = signed.body.replace(b"MR1", b"MR2")
    assert forged != signed.body
    assert not mesh.roster.merge(records=[pack(Signed(forged, signed.signature))])
    assert mesh.roster.members()[identity("carl").node].destinations == ("MR1",)
    record = read_record(packed, mesh.mesh).record
    stolen = pack(NodeRecord(BERT, 9, record.chain, "bert", (), "1.0", ("MR1",)))
    signature = identity("carl").sign(b"meshpacs/record/1", mesh.mesh, stolen)
    assert not mesh.roster.merge(records=[pack(Signed(stolen, signature))])
    assert mesh.roster.members()[BERT].destinations == ("CT1",)


def test_who_is_revoked_shares_nothing_any_more() -> None:
    mesh = mesh_of("bert")
    mesh.record(identity("bert"), "bert", 2, destinations=("CT1",))
    mesh.decide(Revoke(BERT))
    mesh.roster.merge(
        records=[
            write_record(
                identity("bert"),
                mesh.mesh,
                number=3,
                name="bert",
                addresses=(),
                version="",
                destinations=("CT1", "CT2"),
            )
        ]
    )
    assert BERT not in mesh.roster.members()


def test_a_record_of_an_older_version_shares_nothing_and_a_newer_one_can_be_read_by_it() -> None:
    mesh, bert = mesh_of("bert"), identity("bert")
    body = pack(OldRecord(bert.node, 7, bert.chain, "bert", (), "0.9"))
    packed = pack(Signed(body, bert.sign(b"meshpacs/record/1", mesh.mesh, body)))
    assert read_record(packed, mesh.mesh).record.destinations == ()
    newer = mesh.record(bert, "bert", 8, destinations=("CT1",))
    assert unpack(OldRecord, unpack(Signed, newer).body).number == 8


def test_the_largest_record_fits_an_item_of_the_roster() -> None:
    mesh, bert = mesh_of("bert"), identity("bert")
    while len(bert.chain) < limits.STATEMENTS:
        bert = bert.rotated()
    packed = write_record(
        bert,
        mesh.mesh,
        number=LARGEST_NUMBER,
        name="n" * limits.NAME_CHARACTERS,
        addresses=("a" * (limits.ADDRESS_CHARACTERS - 2) + ":1",) * limits.ADDRESSES,
        version="v" * limits.VERSION_CHARACTERS,
        destinations=tuple(f"DESTINATION {n:04}" for n in range(limits.DESTINATIONS)),
    )
    print(len(packed), "bytes")
    assert len(packed) <= limits.ROSTER_ITEM_BYTES
    assert read_record(packed, mesh.mesh).record.destinations[-1] == "DESTINATION 0127"
