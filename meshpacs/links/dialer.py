"""Dialling: a member's addresses in order, the next one before the last has failed (PROTOCOL 2)."""

import os
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.handshake import greet_as_joiner, greet_member
from meshpacs.links.link import Link
from meshpacs.model.address import parse_address
from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.limits import HANDSHAKE_S
from meshpacs.model.member import Member
from meshpacs.wire.invite import Invite
from meshpacs.wire.keys import Identity
from meshpacs.wire.messages import Purpose

STAGGER_S = 0.25
"""Seconds after which the next address is tried beside the last. RFC 8305, section 8."""

Attempt = Callable[[trio.SocketStream, str], Awaitable[Link]]
"""A handshake over a connection to this address."""


class Dialer:
    """Makes links with members."""

    def __init__(self, gate: Gatekeeper) -> None:
        """As the node whose keys the gatekeeper has."""
        self._gate = gate

    async def __call__(self, member: Member, purpose: Purpose) -> Link:
        """A link with this member, greetings exchanged.

        Raises:
            Unavailable: none of its addresses could be reached, or none answered.
            PeerFault: somebody answered who is not this member.
        """

        async def greet(stream: trio.SocketStream, address: str) -> Link:
            try:
                return await greet_member(stream, self._gate, member.node, purpose, address)
            except Unavailable as error:
                raise Unavailable(
                    f"{address} was reached but does not answer this node.",
                    f"Perhaps another node has this address now, or {member.name} has not heard "
                    "of this node yet, or has heard that it was revoked: its log says which.",
                ) from error

        return await _first(member.addresses, greet, member.name)


async def dial_invite(invite: Invite, identity: Identity, version: str) -> Link:
    """A join link with whichever member answers an invite first.

    Raises:
        Unavailable: none of its addresses could be reached, or none answered.
        PeerFault: somebody answered who is no member of that mesh.
    """

    async def greet(stream: trio.SocketStream, address: str) -> Link:
        try:
            return await greet_as_joiner(stream, invite, identity, version, address)
        except Unavailable as error:
            raise Unavailable(
                f"{address} was reached but does not answer to this invite.",
                "Perhaps it was used before or withdrawn, or has expired by the clock there, whose "
                "log says which. Ask for a new invite.",
            ) from error

    return await _first(invite.addresses, greet, "the mesh")


async def _first(addresses: Sequence[str], greet: Attempt, name: str) -> Link:
    """The first link that comes about."""
    made: list[Link] = []
    failures: dict[str, MeshError] = {}

    async def attempt(address: str, failed: trio.Event) -> None:
        try:
            made.append(await _reach(address, greet))
        except MeshError as error:
            failures[address] = error
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for address in dict.fromkeys(addresses):
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(STAGGER_S):
                    await failed.wait()
    except BaseException:
        # Cancelled in the very moment in which a link came about: nobody else knows of it.
        with trio.CancelScope(shield=True):  # closing a socket does not wait
            for link in made:
                await link.aclose()
        raise
    for spare in made[1:]:  # two were ready in the same moment
        await spare.aclose()
    if not made:
        raise _nobody(failures, name)
    return made[0]


async def _reach(address: str, greet: Attempt) -> Link:
    """Connect to one address and shake hands there, within the deadline."""
    host, port = parse_address(address)
    with trio.move_on_after(HANDSHAKE_S):
        try:
            stream = await trio.open_tcp_stream(host, port, happy_eyeballs_delay=STAGGER_S)
        except OSError as error:
            raise Unavailable(
                f"{address} cannot be reached: {_cause(error)}.",
                "Is the node up, and is its port open in the firewall?",
            ) from error
        except UnicodeError as error:  # what a member advertises is checked by nobody but IDNA
            raise Unavailable(
                f"{address} is no name that can be looked up.",
                "Set mesh.advertise at that member to a name or an IP address.",
            ) from error
        try:
            return await greet(stream, address)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
    raise Unavailable(
        f"{address} did not answer within {HANDSHAKE_S} s.",
        "Is the node up, and is its port open in the firewall?",
    )


def _cause(error: OSError) -> str:
    """One cause, where several addresses of one name have failed."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    chosen = cause if isinstance(cause, OSError) else error
    # A name that cannot be resolved has a number of another kind (EAI), and its own words.
    if chosen.errno is None or isinstance(chosen, socket.gaierror):
        return chosen.strerror or str(chosen)
    return os.strerror(chosen.errno)


def _nobody(failures: dict[str, MeshError], name: str) -> MeshError:
    """One error for all addresses; somebody else's answer weighs more than silence."""
    if not failures:
        return Unavailable(
            f"No address of {name} is known.", "It may still dial this node; else advertise one."
        )
    for error in failures.values():
        if isinstance(error, PeerFault):
            return error
    last = list(failures.values())[-1]
    return Unavailable(" ".join(error.what for error in failures.values()), last.mend)
