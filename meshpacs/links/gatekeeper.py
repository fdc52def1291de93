"""Who may connect, and how this node shows who it is (PROTOCOL 1.5, 1.6, 2.1)."""

from collections.abc import Callable, Mapping
from itertools import count

from meshpacs.links.freshness import Freshness
from meshpacs.model.ids import MeshId, NodeId, short
from meshpacs.wire.admission import Grant
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.greeting import (
    JOIN_CONTEXT,
    Claim,
    Credentials,
    JoinClaim,
    Proof,
    Refused,
    join_tag,
)
from meshpacs.wire.invite import invite_psk, mesh_psk
from meshpacs.wire.keys import Identity, Keys, Signed, read_chain, verify
from meshpacs.wire.roster import News, Roster


def nothing_learnt(_news: News) -> None:
    """For who does not want to know."""


class Gatekeeper:
    """Decides by the roster. Every refusal is a `Refused` that names its reason, for our log."""

    def __init__(
        self,
        identity: Identity,
        roster: Roster,
        secret: bytes,
        *,
        boot: int,
        version: str,
        wall_s: Callable[[], int],
        boots: Mapping[NodeId, int] | None = None,
        learnt: Callable[[News], None] = nothing_learnt,
    ) -> None:
        """`secret` is the mesh's; `wall_s` is Unix seconds and decides when an invite expires.

        `boots` are the highest ones kept. `learnt` is told what a dialer's claim has added to
        the roster: its own admission, which we had not heard of.
        """
        self.identity = identity
        self.roster = roster
        self.boot = boot
        self.version = version
        self._secret = secret
        self._wall_s = wall_s
        self._learnt = learnt
        self._dials = count(1)
        self._freshness = Freshness(boots)

    @property
    def mesh(self) -> MeshId:
        """The one mesh that this node belongs to."""
        return self.roster.mesh

    # ------------------------------------------------------------ showing who we are

    @property
    def psk(self) -> bytes:
        """Between members."""
        return mesh_psk(self._secret, self.mesh)

    def invite_psk(self, invite: bytes) -> bytes:
        """For joiners with this invite; whether it was ever granted is seen later."""
        return invite_psk(self._secret, self.mesh, invite)

    def claim(self, target: NodeId) -> bytes:
        """Message 1 to a member."""
        node = self.identity.node
        admissions = self.roster.admissions_of(node)
        return pack(Claim(target, node, self.boot, next(self._dials), admissions[:4]))

    def credentials(self) -> bytes:
        """Message 2 or 3 to a member."""
        return pack(Credentials(self.identity.chain))

    def proof(self) -> bytes:
        """Message 2 to a joiner."""
        news = self.roster.proof(self.identity.node)
        return pack(Proof(self.identity.chain, news.entries, news.admissions, news.records))

    # ------------------------------------------------------------ members

    def weigh(self, payload: bytes, ephemeral: bytes) -> Claim:
        """Whether a member's message 1 is to be answered. Nothing in it is proven yet.

        Raises:
            Refused: with the reason.
            Malformed: it cannot be read.
        """
        claim = unpack(Claim, payload)
        if claim.target != self.identity.node:
            raise Refused("A handshake for another node was replayed to this one.")
        if claim.node == self.identity.node:
            raise Refused("Somebody claims to be this very node.")
        if claim.node not in self.roster.members() and claim.admissions:
            news = self.roster.merge(admissions=claim.admissions)
            if news:
                self._learnt(news)
        self._require_member(claim.node)
        if not self._freshness.fresh(claim.node, claim.boot, claim.dial):
            raise Refused(f"A handshake of {short(claim.node)} was replayed.")
        if not self._freshness.first_time(ephemeral):
            raise Refused(f"A first message of {short(claim.node)} was replayed.")
        return claim

    def recognise(self, payload: bytes, static: bytes, expected: NodeId) -> Keys:
        """Verify a member's credentials against the static key it has proven to hold.

        Raises:
            Refused: with the reason.
            PeerFault: the credentials are not sound.
        """
        keys = read_chain(unpack(Credentials, payload).chain)
        if keys.node != expected:
            raise Refused(f"{short(keys.node)} answers in the place of {short(expected)}.")
        if keys.link != static:
            raise Refused(f"Somebody shows the keys of {short(keys.node)} but does not hold them.")
        self._require_member(keys.node)
        known = self.roster.keys(keys.node)
        if known is not None and (
            keys.number < known.number or (keys.number == known.number and keys != known)
        ):
            raise Refused(f"{short(keys.node)} shows keys that it has replaced.")
        return keys

    def completed(self, claim: Claim) -> None:
        """The dialer has proven its claim."""
        self._freshness.completed(claim.node, claim.boot, claim.dial)

    def _require_member(self, node: NodeId) -> None:
        reason = self.roster.why(node)
        if reason:
            raise Refused(f"{short(node)} is not let in. {reason}")

    # ------------------------------------------------------------ joiners

    def weigh_join(self, invite: bytes, payload: bytes, ephemeral: bytes) -> JoinClaim:
        """Whether a joiner's message 1 is to be answered: a grant in force, by its holder.

        Raises:
            Refused: with the reason.
            Malformed: it cannot be read.
        """
        claim = unpack(JoinClaim, payload)
        granted = unpack(Signed, claim.grant)
        grant = unpack(Grant, granted.body)
        name = f"The invite {short(invite)}"
        if grant.invite != invite:
            raise Refused(f"{name} comes with the grant of another.")
        if not verify(invite, JOIN_CONTEXT, self.mesh, ephemeral + claim.tag, claim.proof):
            raise Refused(f"{name} is shown by somebody who does not hold it.")
        reason = self.roster.void(granted, self._wall_s())
        if reason:
            raise Refused(f"{name} is not honoured. {reason}")
        used = self.roster.redeemers(invite)
        if used and any(join_tag(invite, node) != claim.tag for node in used):
            raise Refused(f"{name} was used already, by {short(used[0])}.")
        if not self._freshness.first_time(ephemeral):
            raise Refused(f"A first message with the invite {short(invite)} was replayed.")
        return claim

    def recognise_joiner(self, payload: bytes, static: bytes, invite: bytes, tag: bytes) -> Keys:
        """Verify a joiner's credentials: the keys it holds, and the name it has blinded.

        Raises:
            Refused: with the reason.
            PeerFault: the credentials are not sound.
        """
        keys = read_chain(unpack(Credentials, payload).chain)
        if keys.link != static:
            raise Refused(f"A joiner shows the keys of {short(keys.node)} but does not hold them.")
        if join_tag(invite, keys.node) != tag:
            raise Refused(f"A joiner turns out to be {short(keys.node)}, not whom it announced.")
        return keys
