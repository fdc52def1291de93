"""How this node is, and how its peers are, as facts for people."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import trio

from meshpacs.archive.holdings import Counts
from meshpacs.engine.effects import Effect
from meshpacs.engine.engine import Engine
from meshpacs.engine.trails import Trail
from meshpacs.model.errors import MeshError
from meshpacs.model.ids import Micros, NodeId, short
from meshpacs.model.member import Member, Role
from meshpacs.node.commitments import GIVEN_UP
from meshpacs.node.credentials import credential_troubles
from meshpacs.node.disk import Watch
from meshpacs.node.membership import Membership
from meshpacs.node.reach import only_loopback, reach
from meshpacs.node.rooms import Rooms
from meshpacs.node.views import (
    ArchiveView,
    CommitmentsView,
    Health,
    PassView,
    PeerState,
    PeerView,
    RosterView,
    StatusView,
    TrailView,
    Trouble,
)

SKEW_US = 60_000_000
"""A peer's clock so far off is worth a word; at five minutes queries are refused. A guess."""

ARCHIVE_S = 12.0
"""How long the archive may take, a look at its disk included. A guess, within the 15 s after which
a command gives up: a disk that hangs is what somebody asks for the status for."""


TLS_FILES_S = 2.0
"""How long reading a few files may take. A guess."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the engine knows of one member."""

    heard_us: Micros
    """Unix microseconds; 0 for never."""
    round_trip_us: Micros | None = None
    offset_us: Micros | None = None
    outbound: bool = False


class Standing:
    """Asks all rooms how they are."""

    def __init__(self, rooms: Rooms, membership: Membership, watch: Watch) -> None:
        """Nothing is asked yet."""
        self._rooms = rooms
        self._watch = watch
        self._membership = membership

    # ------------------------------------------------------------ queries that passed

    async def trails(self, start: str) -> tuple[TrailView, ...]:
        """The last queries that passed here whose id begins so, the oldest first."""
        begins = start.lower()

        def work(engine: Engine, now: Micros) -> tuple[tuple[TrailView, ...], list[Effect]]:
            offset = self._rooms.clock.wall() - now
            return tuple(
                _trail(trail, trail.heard_us + offset)
                for trail in engine.trails.all()
                if trail.query_id.hex().startswith(begins)
            ), []

        return await self._rooms.driver.call(work)

    # ------------------------------------------------------------ peers

    async def peers(self) -> tuple[PeerView, ...]:
        """All other members and those suspended, by name."""
        rooms = self._rooms
        standing = rooms.roster.standing
        members = {node: m for node, m in standing.members.items() if node != rooms.node}
        for node in standing.suspended:
            record = rooms.roster.record(node)
            name = record.record.name if record else short(node)
            members[node] = Member(node, name, Role.OBSERVER)
        names = rooms.names()
        members = {node: replace(m, name=names.get(node, m.name)) for node, m in members.items()}
        pulses = await rooms.driver.call(lambda engine, now: self._pulses(engine, now, members))
        views = [
            self._peer(member, pulses[node], suspended=node in standing.suspended)
            for node, member in members.items()
        ]
        return tuple(sorted(views, key=lambda view: (view.name.casefold(), view.node)))

    def _pulses(
        self, engine: Engine, now: Micros, members: dict[NodeId, Member]
    ) -> tuple[dict[NodeId, Pulse], list[Effect]]:
        wall = self._rooms.clock.wall()
        pulses: dict[NodeId, Pulse] = {}
        for node in members:
            heard = engine.attendance.since(node)
            peer = engine.peers.get(node)
            heard_us = 0 if heard is None else heard - now + wall
            if peer is None:
                pulses[node] = Pulse(heard_us)
            elif not peer.rtt_us:
                pulses[node] = Pulse(heard_us, outbound=peer.outbound)
            else:
                pulses[node] = Pulse(heard_us, peer.rtt_us, peer.offset_us, peer.outbound)
        return pulses, []

    def _peer(self, member: Member, pulse: Pulse, *, suspended: bool) -> PeerView:
        rooms = self._rooms
        node = member.node
        meter = rooms.meters.of(node)
        control = rooms.switchboard.control(node)
        lines = [link.meter for link in rooms.switchboard.lines(node)]
        seen_us = max(meter.last_seen_us, pulse.heard_us)
        if suspended:
            state = PeerState.SUSPENDED
        elif control is not None:
            state = PeerState.LINKED
        elif rooms.switchboard.dialling(node):
            state = PeerState.DIALLING
        elif meter.last_error_us > seen_us:
            state = PeerState.UNREACHABLE
        else:
            state = PeerState.IDLE
        if control is not None:
            address = control.address
        else:
            address = member.addresses[0] if member.addresses else ""
        error, mend = meter.last_error, meter.mend
        if suspended:
            error = rooms.roster.why(node)
            mend = "Revoke the one that was not meant, and send the other a new invite."
        return PeerView(
            node=node,
            name=member.name,
            role=member.role,
            state=state,
            address=address,
            addresses=member.addresses,
            outbound=pulse.outbound,
            version=control.version if control is not None else member.version,
            round_trip_us=pulse.round_trip_us,
            last_seen_us=seen_us,
            bytes_in=meter.bytes_in + sum(line.bytes_in for line in lines),
            bytes_out=meter.bytes_out + sum(line.bytes_out for line in lines),
            messages_in=meter.messages_in + sum(line.messages_in for line in lines),
            messages_out=meter.messages_out + sum(line.messages_out for line in lines),
            messages_dropped=meter.dropped,
            clock_offset_us=pulse.offset_us,
            last_error=error,
            mend=mend,
            blamed=meter.blamed,
        )

    # ------------------------------------------------------------ this node

    async def status(self) -> StatusView:
        """Everything that `meshpacs status` tells; never fails, but says what does."""
        rooms = self._rooms
        peers = await self.peers()
        archive, archive_troubles = await self._archive()
        commitments, commitment_troubles = await self._commitments()
        config = rooms.config.view
        own = rooms.roster.members().get(rooms.node)
        advertised = self._membership.advertised
        tls_troubles: list[Trouble] = []
        with trio.move_on_after(TLS_FILES_S):  # a disk that hangs is told by the archive
            tls_troubles = await trio.to_thread.run_sync(self._tls_troubles, abandon_on_cancel=True)
        troubles = sorted(
            [*archive_troubles, *commitment_troubles, *tls_troubles, *self._troubles(peers)],
            key=lambda trouble: -trouble.level,
        )
        founder = rooms.belongings.founder
        return StatusView(
            level=max((trouble.level for trouble in troubles), default=Health.FINE),
            troubles=tuple(troubles),
            node=rooms.node,
            name=rooms.config.config.name,
            version=rooms.version,
            home=rooms.home.folder,
            mesh=rooms.roster.mesh,
            mesh_name=rooms.roster.name,
            role=own.role if own is not None else Role.OBSERVER,
            founder=founder is not None and founder.public in rooms.roster.standing.founders,
            listening=rooms.listening,
            advertised=advertised,
            reach=(
                *(reach("mesh", address) for address in rooms.listening),
                *(reach("http", address) for address in self._opened("http")),
                *(reach("dicom", address) for address in self._opened("dicom")),
                *(reach("dicom_tls", address) for address in self._opened("dicom_tls")),
            ),
            uptime_us=rooms.clock.now(),
            boot=rooms.boot,
            neighbours=sum(peer.state is PeerState.LINKED for peer in peers),
            archive=archive,
            roster=self._roster(),
            config=config,
            commitments=commitments,
        )

    def _tls_troubles(self) -> list[Trouble]:
        rooms = self._rooms
        listening = bool(rooms.config.config.dicom_tls_listen)
        return list(credential_troubles(rooms.home, listening=listening))

    def _opened(self, door: str) -> tuple[str, ...]:
        """Where a front door is, as whoever opened it has announced; it is no room here."""
        told = (self._rooms.home.running() or {}).get(door, ())
        return (told,) if isinstance(told, str) else tuple(map(str, told))

    def _roster(self) -> RosterView:
        roster = self._rooms.roster
        standing = roster.standing
        return RosterView(
            members=len(standing.members),
            head=roster.head(),
            revoked=standing.revoked,
            suspended=tuple(standing.suspended),
            forks=tuple(
                f"The founder {short(fork.founder)} has signed {len(fork.entries)} different "
                f"entries with the number {fork.number}."
                for fork in roster.forks()
            ),
        )

    async def _archive(self) -> tuple[ArchiveView, list[Trouble]]:
        archive = self._rooms.vault.archive
        torn = self._rooms.belongings.torn
        told = archive.repaired.sentences + ((torn,) if torn else ())
        until_s = trio.current_time() + ARCHIVE_S
        disk = await self._watch.look()
        troubles = [disk.trouble] if disk.trouble is not None else []
        counts = Counts(0, 0, 0, 0, 0, 0, 0)
        try:
            with trio.move_on_at(until_s) as scope:
                counts = await self._rooms.vault.read(archive.counts)
            if scope.cancelled_caught:
                troubles.append(
                    Trouble(
                        Health.BROKEN,
                        f"The archive could not be counted within {ARCHIVE_S:.0f} s.",
                        "Look whether its disk answers.",
                    )
                )
        except MeshError as error:
            troubles.append(Trouble(Health.BROKEN, error.what, error.mend))
        if counts.losses:
            troubles.append(
                Trouble(
                    Health.DEGRADED,
                    f"The disk has lost {counts.losses} instances.",
                    "Look after the disk; fetch their studies again from members that hold them.",
                )
            )
        return ArchiveView(
            patients=counts.patients,
            studies=counts.studies,
            series=counts.series,
            instances=counts.instances,
            conflicts=counts.conflicts,
            bytes=counts.bytes,
            disk_free_bytes=disk.free_bytes,
            repaired=told,
            disk=disk.state,
            disk_keep_free_bytes=archive.keep_free_bytes,
            disk_sync_p95_us=disk.sync_p95_us,
        ), troubles

    async def _commitments(self) -> tuple[CommitmentsView, list[Trouble]]:
        try:
            view = await self._rooms.commitments.view()
        except MeshError as error:
            return CommitmentsView(), [Trouble(Health.BROKEN, error.what, error.mend)]
        troubles = [Trouble(Health.DEGRADED, view.repaired)] if view.repaired else []
        # One for a machine and reason, however many of its requests wait.
        alike = Counter(
            (one.calling, one.state, one.what, one.mend) for one in view.transactions if one.what
        )
        for (calling, state, what, mend), count in alike.items():
            fate = "was given up after a day" if state == GIVEN_UP else "waits to be delivered"
            reports = "A report" if count == 1 else f"Each of {count} reports"
            troubles.append(
                Trouble(
                    Health.DEGRADED,
                    f"{reports} of storage commitment for {calling} {fate}. {what}",
                    mend,
                )
            )
        return view, troubles

    def _troubles(self, peers: tuple[PeerView, ...]) -> Iterator[Trouble]:
        rooms = self._rooms
        why = rooms.roster.why(rooms.node)
        if why:
            yield Trouble(
                Health.BROKEN,
                f"This node is no member of the mesh any more. {why}",
                "Ask the mesh's founder; a new invite makes a new node, with another --home.",
            )
        if rooms.ledger.trouble is not None:
            yield Trouble(Health.BROKEN, rooms.ledger.trouble.what, rooms.ledger.trouble.mend)
        config = rooms.config.view
        if config.refused:
            yield Trouble(
                Health.DEGRADED,
                f"A change of the configuration is kept out: {config.refused}",
                config.mend,
            )
        for fork in self._roster().forks:
            yield Trouble(
                Health.DEGRADED, fork, "That founder's key is used in two places, or stolen."
            )
        twins = rooms.twins()
        if twins:
            listed = ", ".join(f"{name} ({short(node)})" for node, name in twins.items())
            yield Trouble(
                Health.DEGRADED,
                f"Members go by the same name: {listed}.",
                "If one pretends to be another, revoke it; else let one take another name.",
            )
        for peer in peers:
            yield from self._peer_troubles(peer)

    def _peer_troubles(self, peer: PeerView) -> Iterator[Trouble]:
        if peer.state is PeerState.UNREACHABLE:
            yield Trouble(
                Health.DEGRADED, f"{peer.name} cannot be reached. {peer.last_error}", peer.mend
            )
        elif peer.state is PeerState.SUSPENDED:
            yield Trouble(
                Health.DEGRADED, f"{peer.name} is suspended. {peer.last_error}", peer.mend
            )
        if only_loopback(self._membership.advertised) and not only_loopback(peer.addresses):
            yield Trouble(
                Health.DEGRADED,
                f"{peer.name} is on another machine, but this node is advertised on loopback only.",
                "Set mesh.listen and mesh.advertise in config.toml and start again.",
            )
        offset = peer.clock_offset_us
        if offset is not None and abs(offset) > SKEW_US:
            way = "ahead of" if offset > 0 else "behind"
            yield Trouble(
                Health.DEGRADED,
                f"The clock of {peer.name} is {abs(offset) // 1_000_000} s {way} this one.",
                "Let both machines set their clocks by NTP.",
            )


def _trail(trail: Trail, heard_us: Micros) -> TrailView:
    passes = tuple(
        PassView(step.parent, step.hops, step.ttl, step.children, tuple(step.unreached))
        for step in trail.passes
    )
    return TrailView(trail.query_id, trail.origin, trail.ball, heard_us, passes)
