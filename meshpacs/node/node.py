"""A running node: everything is opened, started and stopped here, in one nursery."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog
import trio

from meshpacs import __version__
from meshpacs.archive.room import make_room_to_start
from meshpacs.engine.effects import Effect
from meshpacs.engine.engine import Engine
from meshpacs.engine.gossip import RosterGossip
from meshpacs.engine.settings import Settings
from meshpacs.links.dialer import Dialer
from meshpacs.links.door import Door
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.link import Link
from meshpacs.links.precedence import Precedence
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import Micros, NodeId
from meshpacs.node.clock import Clock, wall_us
from meshpacs.node.commitments import Commitments
from meshpacs.node.config import MIB, ConfigFile
from meshpacs.node.decoders import Decoders
from meshpacs.node.disk import Watch
from meshpacs.node.driver import Driver
from meshpacs.node.fetcher import Fetcher
from meshpacs.node.fetching import Means
from meshpacs.node.founding import Belongings, read_belongings
from meshpacs.node.home import Home
from meshpacs.node.ledger import Ledger, RosterLog
from meshpacs.node.living import LivingMesh, Locating
from meshpacs.node.manifests import Contributions
from meshpacs.node.membership import Membership
from meshpacs.node.meters import Meters
from meshpacs.node.removing import Removing
from meshpacs.node.rewriting import Rewriter
from meshpacs.node.rooms import Rooms
from meshpacs.node.serving import Serving
from meshpacs.node.sharing import Sharing
from meshpacs.node.switchboard import Switchboard
from meshpacs.node.vault import Vault
from meshpacs.wire.messages import Purpose
from meshpacs.wire.notary import RosterNotary
from meshpacs.wire.roster import News

log = structlog.get_logger()

SETTLE_S = 1.0
"""Seconds that a stop waits for the roster and the boots to be written. With the second that
links take to close, `COMMITMENTS_S` and `VAULT_S` a stop stays below 5."""

VAULT_S = 2.5
"""Seconds that closing the archive may take: `vault.CLOSE_S` and a checkpoint of its index."""

COMMITMENTS_S = 0.4
"""Seconds that closing the requests for commitment may take: `commitments.CLOSE_S` and a little."""

ADMIT_S = 60.0
"""Seconds that a joiner has to knock and to read the roster: as long as it waits itself."""

GOODBYE_S = 1.0
"""Seconds that closing a join link may take. A guess."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is up."""

    mesh: LivingMesh
    rooms: Rooms
    stopping: trio.Event
    """Set when somebody wants it to stop; whoever has opened it leaves its context then."""

    @property
    def node_id(self) -> NodeId:
        """Its name."""
        return self.rooms.node

    @property
    def config(self) -> ConfigFile:
        """Its configuration."""
        return self.rooms.config

    @property
    def listening(self) -> tuple[str, ...]:
        """Where members reach it, ports as they are."""
        return self.rooms.listening


@asynccontextmanager
async def open_node(
    home: Home,
    config: ConfigFile,
    *,
    settings: Settings | None = None,
    only_neighbours: tuple[NodeId, ...] = (),
) -> AsyncIterator[Node]:
    """Run the node that lives in this home; leaving the context stops it cleanly.

    With `only_neighbours` the overlay is frozen: these are dialled, nobody else is a neighbour.

    Raises:
        LocalFault: there is no node in this home, it is in use, or an address cannot be had.
        Damaged: one of its files cannot be read.
        Unavailable: the disk is full, read-only or failing.
    """
    if only_neighbours:
        settings = replace(
            settings or Settings(), frozen_overlay=True, frozen_neighbours=only_neighbours
        )
    make_room_to_start(home.archive)
    with home.lock():
        belongings = read_belongings(home)
        wanted = config.config
        vault = await Vault.open(
            home.archive, wanted.default_charset, wanted.keep_free_mib * MIB, wanted.issuer
        )
        try:
            async with (
                _commitments(home) as commitments,
                _running(home, config, belongings, vault, commitments, settings) as node,
            ):
                yield node
        finally:
            with trio.move_on_after(VAULT_S, shield=True):
                await vault.close()


@asynccontextmanager
async def _commitments(home: Home) -> AsyncIterator[Commitments]:
    commitments = await Commitments.open(home.commitments, wall_us)
    try:
        yield commitments
    finally:
        with trio.move_on_after(COMMITMENTS_S, shield=True):
            await commitments.close()


@asynccontextmanager
async def _running(
    home: Home,
    config: ConfigFile,
    belongings: Belongings,
    vault: Vault,
    commitments: Commitments,
    settings: Settings | None,
) -> AsyncIterator[Node]:
    boots = await vault.boots()
    making = _Making(home, config, belongings, vault, commitments, boots, settings)
    # Listening comes before anything runs, so that an address in use is told plainly.
    rooms = making.rooms(await making.door.listen(config.config.mesh_listen))
    membership, fetcher = making.membership, making.fetcher
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        making.nursery = nursery
        nursery.start_soon(rooms.ledger.run)
        nursery.start_soon(rooms.driver.run)
        await nursery.start(rooms.switchboard.run, rooms.driver)
        await nursery.start(fetcher.run)
        await nursery.start(making.door.run)
        watch = Watch(rooms.vault)
        nursery.start_soon(watch.run)
        await rooms.driver.tell(lambda engine, now: engine.start(now))
        await membership.publish()
        nursery.start_soon(membership.run)
        log.info(
            "node_up",
            node=rooms.node.hex()[:8],
            members=len(rooms.roster.members()),
            listening=list(rooms.listening),
            boot=rooms.boot,
        )
        decoders = Decoders()
        try:
            living = LivingMesh(
                rooms,
                membership,
                fetcher,
                making.removing,
                making.sharing,
                watch,
                Rewriter(decoders),
                stopping,
            )
            yield Node(living, rooms, stopping)
        finally:
            with trio.move_on_after(SETTLE_S, shield=True):
                await decoders.close()
                await _settle(rooms.ledger)
            nursery.cancel_scope.cancel()


async def _settle(ledger: Ledger) -> None:
    try:
        await ledger.settled()
    except MeshError as error:
        log.warning("ledger_unsettled", what=error.what)


class _Making:
    """Puts the parts together; some of them need others that come later."""

    def __init__(
        self,
        home: Home,
        config: ConfigFile,
        belongings: Belongings,
        vault: Vault,
        commitments: Commitments,
        boots: dict[NodeId, int],
        settings: Settings | None,
    ) -> None:
        identity, roster = belongings.identity, belongings.roster
        self.nursery: trio.Nursery
        self._home, self._config, self._belongings = home, config, belongings
        self._vault, self._commitments = vault, commitments
        self._boot = home.next_boot()
        self._clock = Clock()
        self._meters = Meters(self._clock.wall)
        self._ledger = Ledger(RosterLog(home.roster_log), vault.keep_boots, roster.everything)
        self._notary = RosterNotary(identity, roster)
        self._gate = Gatekeeper(
            identity,
            roster,
            belongings.secret,
            boot=self._boot,
            version=__version__,
            wall_s=lambda: self._clock.wall() // 1_000_000,
            boots=boots,
            learnt=self._learnt_at_the_door,
        )
        self._serving: Serving
        self._switchboard = Switchboard(
            members=roster.members,
            dial=Dialer(self._gate),
            precedence=Precedence(identity.node),
            meters=self._meters,
            on_bulk=self._on_bulk,
        )
        engine = Engine(
            node=identity.node,
            mesh=roster.mesh,
            boot=self._boot,
            seed=int.from_bytes(os.urandom(7), "big"),
            notary=self._notary,
            members=roster.members(),
            roster_head=roster.head(),
            boots=boots,
            settings=settings,
            gossip=RosterGossip(roster),
        )
        self._driver = Driver(engine, self._clock, self._switchboard, vault, self._ledger)
        self.door = Door(self._gate, self._on_link)
        self.membership: Membership
        self.fetcher: Fetcher
        self.removing: Removing
        self.sharing: Sharing

    def rooms(self, listening: tuple[str, ...]) -> Rooms:
        """The whole, once it is known where it listens."""
        rooms = Rooms(
            home=self._home,
            config=self._config,
            belongings=self._belongings,
            boot=self._boot,
            version=__version__,
            clock=self._clock,
            meters=self._meters,
            ledger=self._ledger,
            vault=self._vault,
            commitments=self._commitments,
            gate=self._gate,
            notary=self._notary,
            switchboard=self._switchboard,
            driver=self._driver,
            listening=listening,
            started_us=self._clock.wall(),
        )
        roster, archive = rooms.roster, self._vault.archive
        contributions = Contributions(rooms.node, archive, self._notary, roster.head)
        self._serving = Serving(archive, contributions, roster.members, self._switchboard.blame)
        means = Means(
            cellar=archive,
            contributions=contributions,
            locate=Locating(rooms),
            bulk=self._switchboard.bulk,
            blame=self._switchboard.blame,
            names=rooms.names,
        )
        self.fetcher = Fetcher(rooms.node, archive, means)
        self.removing = Removing(rooms, means, self.fetcher)
        self.membership = Membership(rooms)
        self.sharing = Sharing(rooms)
        return rooms

    # ------------------------------------------------------------ what comes in at the door

    async def _on_link(self, link: Link) -> None:
        if link.purpose is not Purpose.JOIN:
            await self._switchboard.serve(link)
            return
        try:
            with trio.move_on_after(ADMIT_S):
                await self.membership.admit(link)
        finally:
            self._meters.counters.ended(link)
            with trio.move_on_after(GOODBYE_S, shield=True):
                await link.aclose()

    async def _on_bulk(self, link: Link) -> None:
        if link.purpose is Purpose.DELIVERY:
            await self.sharing.serve(link)
        else:
            await self._serving.serve(link)

    def _learnt_at_the_door(self, news: News) -> None:
        def turn(engine: Engine, now: Micros) -> list[Effect]:
            return engine.learnt(news, now)

        self.nursery.start_soon(self._driver.tell, turn)
