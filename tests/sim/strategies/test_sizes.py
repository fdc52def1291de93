"""The sizes of messages that strategies are weighed by are those of the protocol's messages."""

from dataclasses import dataclass

from meshpacs.model.attributes import Level
from meshpacs.model.ids import Digest, NodeId, QueryId
from meshpacs.model.query import Query
from meshpacs.wire.bodies import AskBody
from meshpacs.wire.codec import encode, pack
from meshpacs.wire.messages import Ask, Cancel, Closed, Got, Part
from meshpacs.wire.parts import OVERHEAD, SIZES
from meshpacs_sim.strategies import sizes
from meshpacs_sim.strategies.sizes import Kind
from meshpacs_sim.world.measures import FRAME_BYTES
from meshpacs_sim.world.notary import EPHEMERAL_BYTES, TAG_BYTES


@dataclass(frozen=True, slots=True)
class Named:
    node: NodeId


TOKEN = 123_456
"""After some hours."""


def weight(message: Ask | Cancel | Closed | Got | Part) -> int:
    return FRAME_BYTES + len(encode(message))


def test_an_ask_for_a_patients_studies_weighs_what_is_counted() -> None:
    query = Query(Level.STUDY, ((0x0010_0020, ("1234567",)),))
    body = AskBody(
        bytes(32),
        NodeId(bytes(32)),
        boot=1_764_000_000,
        counter=1_234,
        sent_at_us=1_764_000_000_123_456,
        ttl0=0,
        budget_ms=10_000,
        roster_head=Digest(bytes(32)),
        key_epoch=0,
        query=query,
        reply_key=bytes(32),
    )
    ask = Ask(TOKEN, 0, 3, 9_000, pack(body), bytes(64))
    assert sizes.SIZES[Kind.ASK] == weight(ask)


def test_acknowledgements_and_notices_weigh_what_is_counted() -> None:
    assert sizes.SIZES[Kind.GOT] == weight(Got(TOKEN))
    assert sizes.SIZES[Kind.CLOSED] == weight(Closed(TOKEN))
    named = weight(Cancel(QueryId(bytes(16))))
    assert sizes.SIZES[Kind.CHECK] == sizes.SIZES[Kind.NOTICE] == named


def test_answers_weigh_what_padded_and_sealed_parts_weigh() -> None:
    kinds = (Kind.PART, Kind.PART_4, Kind.PART_16, Kind.PART_64)
    for kind, padded, names in zip(kinds, SIZES, sizes.PART_NAMES, strict=True):
        sealed = bytes(EPHEMERAL_BYTES + padded + TAG_BYTES)
        assert sizes.SIZES[kind] == weight(Part(TOKEN, sealed))
        named = names * len(pack(Named(NodeId(bytes(32))))[1:])
        assert padded - OVERHEAD - sizes.NAME_BYTES < named <= padded - OVERHEAD


def test_every_kind_has_a_size() -> None:
    assert [kind.value for kind in Kind] == list(range(len(sizes.SIZES)))
