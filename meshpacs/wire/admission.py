"""How a node becomes a member: grant, redemption, admission (PROTOCOL 1.5).

A founder grants an invite's key a role until a time. Whoever holds that key's seed signs a key
statement with it: the redemption. Any member then admits that node with its own signature and the
time on its own clock.
"""

import hashlib
from dataclasses import dataclass

from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, MeshId
from meshpacs.model.limits import ROSTER_ITEM_BYTES
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.keys import Chain, FounderKey, Identity, Keys, Signed, read_chain, verify

GRANT_CONTEXT = b"meshpacs/grant/1"
REDEEM_CONTEXT = b"meshpacs/redeem/1"
ADMIT_CONTEXT = b"meshpacs/admit/1"


class BadAdmission(PeerFault):
    """An admission, or what should lead to one, that was not honestly made."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a founder grants to an invite's key."""

    founder: bytes
    """The founder's fingerprint."""
    invite: bytes
    """The public half of the invite's one-time Ed25519 key."""
    role: str
    expires_s: int
    """Unix seconds; the admitting node's clock decides."""

    @property
    def digest(self) -> Digest:
        """What other founders consent to."""
        return Digest(hashlib.sha256(pack(self)).digest())


@dataclass(frozen=True, slots=True)
class AdmissionBody:
    """Who was admitted by whom, and why that is right."""

    grant: bytes
    """A packed `Signed` over a packed `Grant`, by the founder."""
    statement: bytes
    """The joiner's first key statement, packed."""
    redemption: bytes
    """The invite key's signature over the statement."""
    by: Chain
    """The admitting node's key statements as of then: whoever knows that node can verify this,
    even if its keys have changed since."""
    at_s: int
    """Unix seconds on the admitting node's clock."""


@dataclass(frozen=True, slots=True)
class Admission:
    """An admission that has been read.

    The founder's signature is the roster's to verify, and whether the admitter is known there.
    """

    packed: bytes
    signed: Signed
    body: AdmissionBody
    grant: Grant
    granted: Signed
    keys: Keys
    """The joiner's."""
    by: Keys
    """The admitter's, as of then."""


def make_grant(key: FounderKey, mesh: MeshId, grant: Grant) -> Signed:
    """Sign a grant; `grant.founder` is this key's fingerprint."""
    body = pack(grant)
    return Signed(body, key.sign(GRANT_CONTEXT, mesh, body))


def granted_by(founder: bytes, mesh: MeshId, granted: Signed) -> bool:
    """Whether the founder with this public key signed it."""
    return verify(founder, GRANT_CONTEXT, mesh, granted.body, granted.signature)


def redeemed(grant: Grant, mesh: MeshId, statement: bytes, redemption: bytes) -> bool:
    """Whether the holder of the invite's seed named this statement."""
    return verify(grant.invite, REDEEM_CONTEXT, mesh, statement, redemption)


def admit(
    identity: Identity,
    mesh: MeshId,
    *,
    grant: bytes,
    statement: bytes,
    redemption: bytes,
    at_s: int,
) -> bytes:
    """A signed admission by this node; the caller has verified what it admits."""
    body = pack(AdmissionBody(grant, statement, redemption, identity.chain, at_s))
    return pack(Signed(body, identity.sign(ADMIT_CONTEXT, mesh, body)))


def read_admission(packed: bytes, mesh: MeshId) -> Admission:
    """Read an admission and verify all of it but the founder's signature.

    Raises:
        BadAdmission: the redemption or the admitter's signature does not fit, or it came too late.
        BadKeys: the joiner's statement or the admitter's are not sound.
        Malformed: it cannot be read.
    """
    if len(packed) > ROSTER_ITEM_BYTES:
        raise BadAdmission(f"An admission has {len(packed)} bytes.")
    signed = unpack(Signed, packed)
    body = unpack(AdmissionBody, signed.body)
    granted = unpack(Signed, body.grant)
    grant = unpack(Grant, granted.body)
    if body.at_s > grant.expires_s:
        raise BadAdmission("An admission is dated after its invite's expiry.")
    keys = read_chain((body.statement,))
    if not redeemed(grant, mesh, body.statement, body.redemption):
        raise BadAdmission("A redemption is not signed by the invite's key.")
    by = read_chain(body.by)
    if not verify(by.signing, ADMIT_CONTEXT, mesh, signed.body, signed.signature):
        raise BadAdmission("An admission is not signed by the node that it names.")
    return Admission(packed, signed, body, grant, granted, keys, by)
