"""Who is a member, as far as this node has a hand in it: its record, invites, admissions, removal.

Whatever is added to the roster here is told to the engine in the same breath, and said to the
outside only once it is durable.
"""

import structlog
import trio

from meshpacs.engine.effects import Effect, KeepRoster
from meshpacs.engine.engine import Engine
from meshpacs.links.join import admit_knock, open_to
from meshpacs.links.link import Link
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import Micros, NodeId, short
from meshpacs.model.limits import ADDRESSES
from meshpacs.model.member import Role
from meshpacs.node.reach import advertised, only_loopback
from meshpacs.node.rooms import Rooms
from meshpacs.node.views import InviteView, RevokeView
from meshpacs.wire.entries import Revoke, write_entry
from meshpacs.wire.invite import make_invite, read_invite, write_invite
from meshpacs.wire.keys import FounderKey
from meshpacs.wire.messages import Knock, Welcome
from meshpacs.wire.record import write_record
from meshpacs.wire.roster import News

log = structlog.get_logger()

SHORTEST_ID = 4
"""Hexadecimal digits that name a member at least: fewer are a slip of the finger. A guess."""

INVITE_MOST_S = 366 * 86_400
"""The longest that an invite may live: a year and a day. A guess."""


LOOK_S = 30.0
"""Seconds between two looks whether what the mesh has of us is what we say. A guess."""

ENTER_S = 4.0
"""Seconds that a founder's entry has to reach the engine once it is on the disk, though nobody
waits for it. A guess; a stop of the node may take 5."""


class Membership:
    """This node's dealings with the roster."""

    def __init__(self, rooms: Rooms) -> None:
        """Nothing is changed yet."""
        self._rooms = rooms
        self._entering = trio.Lock()
        """Held while a founder's entry is made, so that no two have one number."""
        self._shared: tuple[str, ...] | None = None
        """AE titles of shared destinations; None until the AE book was read."""

    # ------------------------------------------------------------ this node's own record

    @property
    def advertised(self) -> tuple[str, ...]:
        """What other members are told to dial."""
        rooms = self._rooms
        return advertised(rooms.listening, rooms.config.config.advertise)[:ADDRESSES]

    async def share(self, titles: tuple[str, ...]) -> None:
        """Tell the mesh which destinations this node sends to for others, if they have changed."""
        self._shared = titles
        await self.publish()

    async def run(self) -> None:
        """Say it again whenever the mesh has another word of ours, until cancelled (PROTOCOL 12.1).

        A home that was restored from a copy hears from others what it had said after the copy was
        made; its own book and configuration are right.
        """
        while True:
            await trio.sleep(LOOK_S)
            await self.publish()

    async def publish(self) -> bool:
        """Tell the mesh this node's name, addresses and version, if they have changed.

        So long as the AE book was not read, what was shared before stays so: a node that starts
        does not withdraw it for a moment.
        """
        rooms = self._rooms
        name, addresses = rooms.config.config.name, self.advertised

        def work(engine: Engine, now: Micros) -> tuple[bool, list[Effect]]:
            known = rooms.roster.record(rooms.node)
            number = rooms.clock.wall() // 1_000_000
            shared = self._shared or ()
            if known is not None:
                before = known.record
                if self._shared is None:
                    shared = before.destinations
                told = (before.name, before.addresses, before.version, before.chain)
                now_is = (name, addresses, rooms.version, rooms.belongings.identity.chain)
                if told == now_is and before.destinations == shared:
                    return False, []
                number = max(number, before.number + 1)
            record = write_record(
                rooms.belongings.identity,
                rooms.roster.mesh,
                number=number,
                name=name,
                addresses=addresses,
                version=rooms.version,
                destinations=shared,
            )
            news = rooms.roster.merge(records=[record])
            return bool(news), engine.learnt(news, now)

        changed = await rooms.driver.call(work)
        if changed:
            shares = len(self._shared or ())
            log.info("record_published", name=name, addresses=list(addresses), shares=shares)
        return changed

    # ------------------------------------------------------------ invites

    def invite(self, role: Role, expires_s: int, *, local: bool) -> InviteView:
        """An invite that any member can honour.

        Raises:
            LocalFault: no founder's key is here, or nobody elsewhere could use it.
        """
        rooms = self._rooms
        founder = self._founder()
        if not 60 <= expires_s <= INVITE_MOST_S:
            raise LocalFault(
                f"An invite cannot be good for {expires_s / 86_400:g} days.",
                "Choose 1 minute to 1 year.",
            )
        addresses = self.advertised
        if not addresses:
            raise LocalFault(
                "This node knows no address under which others can reach it.",
                "Set mesh.advertise in config.toml, or start it with --advertise HOST:PORT.",
            )
        if only_loopback(addresses) and not local:
            raise LocalFault(
                f"This node is reached from this machine only ({', '.join(addresses)}), so nobody "
                "elsewhere could use an invite.",
                "Set mesh.listen and mesh.advertise in config.toml (or --mesh-listen and "
                "--advertise) and start it again; with --local the invite is for further nodes "
                "on this machine.",
            )
        addresses += self._others_addresses(local=local)
        now_s = rooms.clock.wall() // 1_000_000
        made = make_invite(
            founder,
            rooms.roster.mesh,
            rooms.belongings.secret,
            role=role,
            expires_s=now_s + expires_s,
            addresses=addresses[:ADDRESSES],
        )
        log.info("invite_made", invite=short(made.public), role=role.value, expires_s=expires_s)
        text = write_invite(made)
        return InviteView(
            text=text,
            mesh_name=rooms.roster.name,
            role=role,
            expires_us=made.expires_s * 1_000_000,
            addresses=read_invite(text).addresses,
        )

    def _others_addresses(self, *, local: bool) -> tuple[str, ...]:
        """Where else the invite can be used, neighbours first: the founder may be off then.

        The text has room for a few; what does not fit is left out from the end.
        """
        rooms = self._rooms
        members = [m for m in rooms.roster.members().values() if m.node != rooms.node]
        members.sort(key=lambda member: rooms.switchboard.control(member.node) is None)
        return tuple(
            member.addresses[0]
            for member in members
            if member.addresses and (local or not only_loopback(member.addresses[:1]))
        )

    async def admit(self, link: Link) -> None:
        """Serve a join link: admit who knocks, durably, before it is told so."""
        rooms = self._rooms

        async def admitting(knock: Knock) -> tuple[Welcome, News]:
            def work(engine: Engine, now: Micros) -> tuple[tuple[Welcome, News], list[Effect]]:
                welcome, news = admit_knock(
                    knock,
                    roster=rooms.roster,
                    identity=rooms.belongings.identity,
                    secret=rooms.belongings.secret,
                    joiner=link.peer,
                    invite=link.invite,
                    at_s=rooms.clock.wall() // 1_000_000,
                )
                return (welcome, rooms.roster.everything()), engine.learnt(news, now)

            admitted = await rooms.driver.call(work)
            await rooms.ledger.settled()
            log.info("member_admitted", peer=short(link.peer), invite=short(link.invite))
            return admitted

        await open_to(link, admitting)

    # ------------------------------------------------------------ removal

    async def revoke(self, who: str) -> RevokeView:
        """Take a member's membership, for good.

        Raises:
            LocalFault: no founder's key here, or `who` names none or more than one, or ourselves.
        """
        rooms = self._rooms
        founder = self._founder()
        node = self._named(who)
        name = rooms.names().get(node, short(node))

        async with self._entering:
            news = await self._enter(founder, Revoke(node))
        if not news:
            raise LocalFault(
                f"The roster did not take the entry: {' '.join(news.refused)}",
                "Is the founder's key in this home still one of the mesh's founders?",
            )
        log.info("member_revoked", peer=short(node))
        return RevokeView(node, name)

    async def _enter(self, founder: FounderKey, terms: Revoke) -> News:
        """Write the founder's next entry; on the disk before any other node hears of it.

        A founder that a power cut has made forget what others know would write another entry of
        the same number: a fork (PROTOCOL 1.2).
        """
        rooms = self._rooms
        number, previous = rooms.roster.next_entry(founder.public)
        entry = write_entry(founder, rooms.roster.mesh, number, previous, terms)

        def work(engine: Engine, now: Micros) -> tuple[News, list[Effect]]:
            news = rooms.roster.merge(entries=[entry])
            effects = engine.learnt(news, now)
            return news, [effect for effect in effects if not isinstance(effect, KeepRoster)]

        # What is on the disk must be in the roster too, though who asked for it has gone, and
        # however long the disk has taken, which nothing can cut short: the next entry would have
        # its number.
        with trio.CancelScope(shield=True):
            await rooms.ledger.keep_first("entry", entry)
            with trio.move_on_after(ENTER_S):
                return await rooms.driver.call(work)
        raise Unavailable("The node is too busy.", "Look at `meshpacs status`, and try again.")

    def _founder(self) -> FounderKey:
        founder = self._rooms.belongings.founder
        if founder is None:
            raise LocalFault(
                "There is no founder's key in this home.",
                "Only the node that founded the mesh can do this; ask its operator.",
            )
        if founder.public not in self._rooms.roster.standing.founders:
            raise LocalFault(
                "The founder's key in this home is one no more.", "Ask another founder."
            )
        return founder

    def _named(self, who: str) -> NodeId:
        rooms = self._rooms
        standing = rooms.roster.standing
        names = rooms.chosen_names()
        nodes = [*standing.members, *standing.suspended]
        wanted = who.strip()
        found = [node for node in nodes if names.get(node, "").casefold() == wanted.casefold()]
        if not found and len(wanted) >= SHORTEST_ID:
            found = [node for node in nodes if node.hex().startswith(wanted.lower())]
        if len(found) != 1:
            known = ", ".join(f"{names.get(node, '?')} ({short(node)})" for node in found or nodes)
            how = "more than one member" if found else "no member"
            raise LocalFault(f"{who!r} names {how}.", f"Use the beginning of an id: {known}.")
        if found[0] == rooms.node:
            raise LocalFault(
                "A node cannot revoke itself.", "Stop it with `meshpacs down`, or ask a founder."
            )
        return found[0]
