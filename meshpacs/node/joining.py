"""How a home becomes a node's: by an invite to a mesh. Works on an idle home, under its lock."""

import time
from dataclasses import dataclass

import structlog
import trio

from meshpacs import __version__
from meshpacs.links.dialer import dial_invite
from meshpacs.links.join import Joined, knock
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import MeshId, NodeId, short
from meshpacs.node.config import Config
from meshpacs.node.founding import settle
from meshpacs.node.home import Home, read_secret, write_secret
from meshpacs.node.ledger import Kind
from meshpacs.wire.invite import Invite, read_invite
from meshpacs.wire.keys import Identity
from meshpacs.wire.record import write_record

log = structlog.get_logger()

JOIN_S = 60.0
"""Seconds that joining may take, the whole roster of a large mesh over a slow line included. A
guess."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """What `join` has made."""

    node: NodeId
    name: str
    mesh: MeshId
    mesh_name: str
    members: int
    """Members in force, this node among them."""
    through: NodeId
    """The member that let it in."""
    through_name: str


async def join(home: Home, invite_text: str, config: Config) -> Welcomed:
    """Make a node that is a member of the mesh that the invite is for.

    May be repeated after a failure or a crash: the identity is kept before the invite is used,
    and an invite lets the same identity in again.

    Raises:
        LocalFault: the home is in use or taken, or the invite is none or has expired.
        Unavailable: no member could be reached, or the one that was says no, and why.
        PeerFault: who answered is not the mesh of the invite.
    """
    home.require_unmade()  # before the lock too: a node that is up holds it, and is the reason
    invite = read_invite(invite_text)
    if invite.expires_s < time.time():
        raise LocalFault(
            "This invite has expired"
            + time.strftime(" on %d %B %Y.", time.gmtime(invite.expires_s)),
            "Ask for a new one. If it should not have expired, look at this machine's clock.",
        )
    with home.lock():
        home.require_unmade()
        identity = _identity(home)
        joined, through = await _knocked(invite, identity, config)
        roster = joined.roster
        everything = roster.everything()
        kept: list[tuple[Kind, bytes]] = [
            *(("entry", item) for item in everything.entries),
            *(("admission", item) for item in everything.admissions),
            *(("record", item) for item in everything.records),
        ]
        write_secret(home.mesh_secret, joined.secret)
        settle(home, config, roster.mesh, roster.name, kept)
        members = roster.members()
        return Welcomed(
            node=identity.node,
            name=config.name,
            mesh=roster.mesh,
            mesh_name=roster.name,
            members=len(members),
            through=through,
            through_name=members[through].name if through in members else short(through),
        )


async def _knocked(invite: Invite, identity: Identity, config: Config) -> tuple[Joined, NodeId]:
    # The first record has the name alone: where it is reached is known once it is up.
    record = write_record(
        identity,
        invite.mesh,
        number=int(time.time()),
        name=config.name,
        addresses=config.advertise,
        version=__version__,
    )
    with trio.move_on_after(JOIN_S):
        link = await dial_invite(invite, identity, __version__)
        try:
            return await knock(link, invite, identity, record), link.peer
        finally:
            with trio.move_on_after(1, shield=True):
                await link.aclose()
    raise Unavailable(
        f"Joining took longer than {JOIN_S:g} s.", "Try again; the same invite will do."
    )


def _identity(home: Home) -> Identity:
    """The identity of an earlier attempt, or a new one, kept before anybody hears of it."""
    if home.identity_key.exists():
        return Identity.unpack(read_secret(home.identity_key))
    identity = Identity.create()
    write_secret(home.identity_key, identity.pack())
    return identity
