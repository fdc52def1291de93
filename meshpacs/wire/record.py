"""What a node says of itself: name, addresses, version, keys, shared destinations (PROTOCOL 1.1).

Numbered and signed by the node alone; the highest rank wins everywhere.
"""

from dataclasses import dataclass

from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId
from meshpacs.model.limits import (
    ADDRESS_CHARACTERS,
    ADDRESSES,
    DESTINATIONS,
    NAME_CHARACTERS,
    ROSTER_ITEM_BYTES,
    VERSION_CHARACTERS,
)
from meshpacs.model.titles import is_ae_title
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.entries import readable
from meshpacs.wire.keys import Chain, Identity, Keys, Signed, read_chain, verify

RECORD_CONTEXT = b"meshpacs/record/1"

LARGEST_NUMBER = 2**48 - 1
"""So that statement and number fit one integer of 63 bits. Unix seconds need 31 of them."""


class BadRecord(PeerFault):
    """A node record that its node did not make, or that nobody could show."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """The body of a record."""

    node: NodeId
    number: int
    """Above every number before: at least Unix seconds, so that a lost file does no harm."""
    chain: Chain
    name: str
    addresses: tuple[str, ...]
    """`host:port`, best first."""
    version: str
    destinations: tuple[str, ...] = ()
    """AE titles that the node sends to for other members, sorted (PROTOCOL 12.1); never where."""


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """A record that has been read and verified."""

    packed: bytes
    digest: Digest
    record: NodeRecord
    keys: Keys

    @property
    def rank(self) -> int:
        """Later keys first, then the number: an old key's thief cannot undo a rotation."""
        return self.keys.number << 48 | self.record.number


def write_record(
    identity: Identity,
    mesh: MeshId,
    *,
    number: int,
    name: str,
    addresses: tuple[str, ...],
    version: str,
    destinations: tuple[str, ...] = (),
) -> bytes:
    """This node's signed record."""
    body = pack(
        NodeRecord(identity.node, number, identity.chain, name, addresses, version, destinations)
    )
    return pack(Signed(body, identity.sign(RECORD_CONTEXT, mesh, body)))


def read_record(packed: bytes, mesh: MeshId) -> KnownRecord:
    """Read a record and verify it; whether its node is a member is the roster's to say.

    Raises:
        BadRecord: not signed by the node's newest key, or beyond the limits.
        BadKeys: its key statements are not sound.
        Malformed: it cannot be read.
    """
    if len(packed) > ROSTER_ITEM_BYTES:
        raise BadRecord(f"A node record has {len(packed)} bytes.")
    signed = unpack(Signed, packed)
    record = unpack(NodeRecord, signed.body)
    if record.number > LARGEST_NUMBER or len(record.addresses) > ADDRESSES:
        raise BadRecord("A node record is beyond the limits.")
    if not (
        readable(record.name, NAME_CHARACTERS)
        and (not record.version or readable(record.version, VERSION_CHARACTERS))
        and all(readable(address, ADDRESS_CHARACTERS) for address in record.addresses)
    ):
        raise BadRecord("A node record has a name, version or address that cannot be shown.")
    titles = record.destinations
    if len(titles) > DESTINATIONS or list(titles) != sorted(set(titles)):
        raise BadRecord("A node record shares too many destinations, or not each of them once.")
    if not all(is_ae_title(title) for title in titles):
        raise BadRecord("A node record shares a destination under what is no AE title.")
    keys = read_chain(record.chain)
    if keys.node != record.node:
        raise BadRecord("A node record names another node than its keys do.")
    if not verify(keys.signing, RECORD_CONTEXT, mesh, signed.body, signed.signature):
        raise BadRecord("A node record is not signed by its node.")
    return KnownRecord(packed, signed.digest, record, keys)
