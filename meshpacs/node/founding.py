"""How a home becomes a node's: by founding a mesh. Works on an idle home, under its lock."""

import secrets
import time
from dataclasses import dataclass, field

from meshpacs.model.errors import Damaged
from meshpacs.model.ids import MeshId, NodeId
from meshpacs.model.member import Role
from meshpacs.node.config import Config
from meshpacs.node.home import Home, read_secret, write_durably, write_secret
from meshpacs.node.ledger import KINDS, Kind, RosterLog
from meshpacs.node.template import default_toml
from meshpacs.wire import entries
from meshpacs.wire.keys import FounderKey, Identity
from meshpacs.wire.roster import Roster

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Founded:
    """What `init` has made."""

    node: NodeId
    name: str
    mesh: MeshId
    mesh_name: str
    recovery_key: str = field(repr=False)
    """The founder's private key for paper; shown once and written nowhere else."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a node's home says who it is, read and checked."""

    identity: Identity
    founder: FounderKey | None
    secret: bytes = field(repr=False)
    mesh: MeshId
    roster: Roster
    torn: str
    """A sentence about a torn tail of the roster's log; empty if there was none."""


def found(home: Home, config: Config, mesh_name: str) -> Founded:
    """Make a node and found a mesh.

    Raises:
        LocalFault: the home is in use or taken, or a name cannot be used.
    """
    home.require_unmade()  # before the lock too: a node that is up holds it, and is the reason
    with home.lock():
        home.require_unmade()
        identity, founder = Identity.create(), FounderKey.create()
        mesh, genesis = entries.found(founder, mesh_name, secrets.token_bytes(32))
        roster = Roster(mesh)
        roster.merge([genesis])
        number, previous = roster.next_entry(founder.public)
        add = entries.Add(identity.chain[0], Role.MEMBER.value)
        own = entries.write_entry(founder, mesh, number, previous, add)
        roster.merge([own])
        write_secret(home.identity_key, identity.pack())
        write_secret(home.founder_key, founder.pack())
        write_secret(home.mesh_secret, secrets.token_bytes(SECRET_BYTES))
        settle(home, config, mesh, mesh_name, [("entry", genesis), ("entry", own)])
        return Founded(identity.node, config.name, mesh, mesh_name, founder.paper())


def settle(
    home: Home, config: Config, mesh: MeshId, mesh_name: str, roster: list[tuple[Kind, bytes]]
) -> None:
    """Write all but the secrets; `mesh.json` last, for its presence makes the home a node's.

    Whatever an attempt that crashed has left of these files is replaced.
    """
    home.roster_log.unlink(missing_ok=True)
    RosterLog(home.roster_log).append(roster)
    if not home.config.exists():
        write_durably(home.config, default_toml(config).encode())
    home.admin_token()
    home.keep_facts(
        {"mesh": mesh.hex(), "mesh_name": mesh_name, "joined_us": str(time.time_ns() // 1000)}
    )


def read_belongings(home: Home) -> Belongings:
    """Read a home's keys and roster.

    Raises:
        LocalFault: there is no node here, or a private file is missing or open to others.
        Damaged: a file cannot be read.
    """
    home.require_made()
    try:
        mesh = MeshId(bytes.fromhex(home.facts()["mesh"]))
    except (KeyError, ValueError) as error:
        raise Damaged(
            f"{home.mesh_facts} names no mesh.", "Restore this file from a backup."
        ) from error
    founder = (
        FounderKey.unpack(read_secret(home.founder_key)) if home.founder_key.exists() else None
    )
    secret = read_secret(home.mesh_secret)
    if len(secret) != SECRET_BYTES:
        raise Damaged(f"{home.mesh_secret} is damaged.", "Restore this file from a backup.")
    kept, torn = RosterLog(home.roster_log).read()
    roster = Roster(mesh)
    roster.merge(*([signed for kind, signed in kept if kind == wanted] for wanted in KINDS))
    if not roster.name:
        raise Damaged(
            f"{home.roster_log} does not say who founded the mesh.",
            "Restore this file from a backup: one from any time will do.",
        )
    return Belongings(
        identity=Identity.unpack(read_secret(home.identity_key)),
        founder=founder,
        secret=secret,
        mesh=mesh,
        roster=roster,
        torn=torn,
    )
