"""Joining: what is said over a join link once hands are shaken (PROTOCOL 1.5).

joiner                     member
Knock              →
←     Welcome, RosterNews …   or Sorry
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from meshpacs.links.link import Link, foul
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.ids import NodeId, short
from meshpacs.wire.admission import Grant, admit, redeemed
from meshpacs.wire.codec import pack, unpack
from meshpacs.wire.greeting import Refused
from meshpacs.wire.invite import Invite
from meshpacs.wire.keys import Identity, Signed, read_chain
from meshpacs.wire.messages import Knock, RosterNews, Sorry, Welcome
from meshpacs.wire.roster import News, Roster

NEWS_MESSAGES = 1_000
"""Messages of roster news that a joiner takes: 250 MB, beyond the largest roster."""


@dataclass(frozen=True, slots=True)
class Joined:
    """All that a new member must keep. The secret is the mesh's: never logged."""

    secret: bytes
    roster: Roster

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Joined({short(self.roster.mesh)})"


async def knock(link: Link, invite: Invite, identity: Identity, record: bytes) -> Joined:
    """Ask to be admitted; `record` is this node's first one.

    Asking again after a crash, with the same identity, gives the same answer: keep the identity
    before knocking.

    Raises:
        Unavailable: the member says no, and why; or the link is lost.
        PeerFault: what it sends is not the mesh of the invite.
    """
    statement = identity.chain[0]
    await link.send(Knock(pack(invite.granted), statement, invite.redeem(statement), record))
    reply = await link.receive()
    if isinstance(reply, Sorry):
        raise Unavailable(f"The mesh does not admit this node: {reply.reason}", "Ask there.")
    if not isinstance(reply, Welcome):
        raise foul(reply)
    roster = Roster(invite.mesh)
    for _ in range(NEWS_MESSAGES):
        news = await link.receive()
        if not isinstance(news, RosterNews):
            raise foul(news)
        roster.merge(news.entries, news.admissions, news.records)
        if news.last:
            break
    roster.merge(admissions=(reply.admission,), records=(record,))
    if identity.node not in roster.members():
        raise PeerFault(
            f"The member {short(link.peer)} welcomes this node but has not admitted it: "
            f"{roster.why(identity.node)}"
        )
    return Joined(reply.mesh_secret, roster)


async def open_to(
    link: Link, admitting: Callable[[Knock], Awaitable[tuple[Welcome, News]]]
) -> None:
    """Answer one knock on a join link.

    `admitting` owns the roster: it calls `admit_knock`, keeps the news durably, and gives back
    the welcome and the whole roster.

    Raises:
        Unavailable: the joiner is gone.
        PeerFault: it sends something else than a knock, or was refused; it has been told why.
    """
    message = await link.receive()
    if not isinstance(message, Knock):
        raise foul(message)
    admitted: tuple[Welcome, News] | MeshError
    try:
        admitted = await admitting(message)
    except MeshError as error:
        admitted = error
    if isinstance(admitted, MeshError):
        await link.send(Sorry(admitted.what))
        raise admitted
    welcome, everything = admitted
    await link.send(welcome)
    for news in everything.messages():
        await link.send(news)
    # The joiner hangs up once it has read all; until then what was sent may still be on its way.
    try:
        raise foul(await link.receive())
    except Unavailable:
        return


def admit_knock(
    message: Knock,
    *,
    roster: Roster,
    identity: Identity,
    secret: bytes,
    joiner: NodeId,
    invite: bytes,
    at_s: int,
) -> tuple[Welcome, News]:
    """Verify a knock and admit the joiner; the welcome, and what is new in the roster.

    `joiner` and `invite` are what the link's handshake has proven. `at_s` is our wall clock.

    Raises:
        PeerFault: why not, fit for the joiner to read.
    """
    granted = unpack(Signed, message.grant)
    grant = unpack(Grant, granted.body)
    keys = read_chain((message.statement,))
    if grant.invite != invite or keys.node != joiner:
        raise Refused("The knock is not about this link's invite or node.")
    if not redeemed(grant, roster.mesh, message.statement, message.redemption):
        raise Refused("The key statement is not signed with the invite.")
    reason = roster.void(granted, at_s)
    used = roster.redeemers(invite)
    if reason:
        raise Refused(reason)
    if used and used != (joiner,):
        raise Refused("The invite was used already.")
    if not used:
        admission = admit(
            identity,
            roster.mesh,
            grant=message.grant,
            statement=message.statement,
            redemption=message.redemption,
            at_s=at_s,
        )
        news = roster.merge(admissions=(admission,))
    else:
        admission, news = roster.admissions_of(joiner)[0], News()
    reason = roster.why(joiner)
    if reason:
        raise Refused(reason)
    record = roster.merge(records=(message.record,) if message.record else ())
    return Welcome(secret, admission), News(news.entries, news.admissions, record.records)
