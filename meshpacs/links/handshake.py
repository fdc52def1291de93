"""Handshakes over a trio stream, both sides, members' and joiners' (PROTOCOL 2.1, 2.3).

A door that refuses sends nothing and closes. Who dials is told no more than that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio
from nacl.utils import random as random_bytes

from meshpacs.links.channel import Channel
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.link import Link
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.ids import NodeId, short
from meshpacs.model.limits import (
    CONTROL_FRAME_BYTES,
    FRAME_BYTES,
    HANDSHAKE_BYTES,
    VERSION_CHARACTERS,
)
from meshpacs.wire.codec import decode, encode, pack, unpack
from meshpacs.wire.entries import readable
from meshpacs.wire.greeting import (
    INVITE_KEY_BYTES,
    JOIN_CONTEXT,
    JOIN_OPENING,
    MEMBER_OPENING,
    OPENING_BYTES,
    Credentials,
    JoinClaim,
    Proof,
    Refused,
    join_tag,
    prologue,
)
from meshpacs.wire.invite import Invite
from meshpacs.wire.keys import Identity, read_chain, sign
from meshpacs.wire.messages import Hello, Purpose
from meshpacs.wire.noise import MESSAGE_BYTES, Forged, Handshake, KeyPair
from meshpacs.wire.roster import Roster

HELLO_BYTES = 1024
"""The largest frame before the greetings are over."""

READ_BYTES = 4096


@dataclass(slots=True)
class _Line:
    """A stream during the handshake: u16 lengths and messages."""

    stream: trio.abc.Stream
    buffer: bytes = b""

    async def take(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self.buffer) < count:
            data = await self._read()
            if not data:
                raise Unavailable("It hung up before the handshake was over.")
            self.buffer += data
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    async def _read(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def read(self, most: int = MESSAGE_BYTES) -> bytes:
        """The next handshake message."""
        length = int.from_bytes(await self.take(2), "big")
        if length > most:
            raise PeerFault(f"A handshake message of {length} bytes; {most} are the most.")
        return await self.take(length)

    async def write(self, *parts: bytes) -> None:
        """Send at once."""
        try:
            await self.stream.send_all(b"".join(parts))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Unavailable("It hung up before the handshake was over.") from error


def _behind_length(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def _ephemeral() -> KeyPair:
    return KeyPair.of(random_bytes(32))


def _channel(line: _Line, shake: Handshake) -> Channel:
    send, receive = shake.split()
    return Channel(line.stream, send, receive, limit_bytes=HELLO_BYTES, received=line.buffer)


def _fit(channel: Channel, purpose: Purpose) -> None:
    """Have a channel carry what its purpose needs, now that the greetings are over."""
    if purpose is Purpose.BULK:
        channel.limit(FRAME_BYTES)
        channel.widen()
    else:
        channel.limit(CONTROL_FRAME_BYTES)


async def _hear_hello(channel: Channel) -> Hello:
    hello = decode(await channel.receive())
    if not isinstance(hello, Hello):
        raise PeerFault(f"A {type(hello).__name__} came where a Hello was due.")
    if hello.version and not readable(hello.version, VERSION_CHARACTERS):
        raise PeerFault("A Hello names a version that cannot be shown.")
    return hello


# ---------------------------------------------------------------- dialling


async def greet_member(
    stream: trio.abc.Stream, gate: Gatekeeper, target: NodeId, purpose: Purpose, address: str
) -> Link:
    """Shake hands with a member that was dialled. The caller sets the deadline and closes.

    Raises:
        Unavailable: it hung up, which is all that who is refused is told.
        PeerFault: it is not who was dialled.
    """
    line = _Line(stream)
    shake = Handshake(
        initiator=True,
        static=gate.identity.link,
        ephemeral=_ephemeral(),
        psk=gate.psk,
        prologue=prologue(gate.mesh, MEMBER_OPENING),
    )
    await line.write(MEMBER_OPENING, _behind_length(shake.write(gate.claim(target))))
    credentials = shake.read(await line.read())
    gate.recognise(credentials, shake.remote_static, target)
    third = _behind_length(shake.write(gate.credentials()))
    return await _finish(line, shake, third, target, purpose, gate.boot, gate.version, address)


async def greet_as_joiner(
    stream: trio.abc.Stream, invite: Invite, identity: Identity, version: str, address: str
) -> Link:
    """Shake hands with whoever answers an invite, once it is proven to be a member.

    Raises:
        Unavailable: it hung up: the invite is not honoured there, or it is no member.
        PeerFault: it is no member of the invite's mesh.
    """
    line = _Line(stream)
    public, ephemeral = invite.public, _ephemeral()
    opening = JOIN_OPENING + public
    shake = Handshake(
        initiator=True,
        static=identity.link,
        ephemeral=ephemeral,
        psk=invite.psk,
        prologue=prologue(invite.mesh, opening),
    )
    tag = join_tag(public, identity.node)
    proof = sign(invite.key, JOIN_CONTEXT, invite.mesh, ephemeral.public + tag)
    claim = pack(JoinClaim(pack(invite.granted), tag, proof))
    await line.write(opening, _behind_length(shake.write(claim)))
    # Message 3 shows who we are, so it is not written before message 2 has been believed.
    member = _believe(invite, shake.read(await line.read()), shake.remote_static)
    third = _behind_length(shake.write(pack(Credentials(identity.chain))))
    return await _finish(line, shake, third, member, Purpose.JOIN, 0, version, address)


def _believe(invite: Invite, payload: bytes, static: bytes) -> NodeId:
    """Follow a proof from the mesh's id to the node that holds this static key."""
    proof = unpack(Proof, payload)
    keys = read_chain(proof.chain)
    roster = Roster(invite.mesh, gaps=True)
    roster.merge(proof.entries, proof.admissions, proof.records)
    known = roster.keys(keys.node)
    if keys.link != static or known is None or known.signing not in keys.signers:
        raise Refused("Who answers the invite does not hold the keys that it shows.")
    if keys.node not in roster.members() or roster.founder(invite.founder) is None:
        raise Refused("Who answers the invite cannot show that it is a member of that mesh.")
    return keys.node


async def _finish(
    line: _Line,
    shake: Handshake,
    third: bytes,
    peer: NodeId,
    purpose: Purpose,
    boot: int,
    version: str,
    address: str,
) -> Link:
    """Message 3 and both greetings."""
    await line.write(third)
    channel = _channel(line, shake)
    await channel.send([(encode(Hello(int(purpose), boot, version)),)])
    hello = await _hear_hello(channel)
    if hello.purpose != purpose:
        raise PeerFault(f"{short(peer)} answers a link of another purpose.")
    _fit(channel, purpose)
    return Link(
        channel,
        peer=peer,
        purpose=purpose,
        boot=hello.boot,
        version=hello.version,
        address=address,
        outbound=True,
    )


# ---------------------------------------------------------------- answering


async def answer(
    stream: trio.abc.Stream, gate: Gatekeeper, address: str, heard: Callable[[], None]
) -> Link:
    """Answer whoever has dialled, if that is a member or holds an invite.

    `heard` is called once message 1 was found good, which nobody can make without a secret.

    Raises:
        PeerFault: whoever it is, is not let in, and has not been told why.
        Unavailable: it hung up.
    """
    line = _Line(stream)
    opening = await line.take(OPENING_BYTES)
    if opening == JOIN_OPENING:
        return await _answer_joiner(line, gate, address, heard)
    if opening != MEMBER_OPENING:
        raise Refused("Something that does not speak this protocol has dialled.")
    shake = _responder(gate, gate.psk, opening)
    payload = _read_first(shake, await line.read(HANDSHAKE_BYTES))
    claim = gate.weigh(payload, shake.remote_ephemeral)
    heard()
    await line.write(_behind_length(shake.write(gate.credentials())))
    credentials = shake.read(await line.read(HANDSHAKE_BYTES))
    gate.recognise(credentials, shake.remote_static, claim.node)
    gate.completed(claim)
    channel = _channel(line, shake)
    hello = await _hear_hello(channel)
    if hello.purpose not in {Purpose.CONTROL, Purpose.BULK, Purpose.DIRECT, Purpose.DELIVERY}:
        raise PeerFault(f"{short(claim.node)} dials for a purpose that this version does not know.")
    if hello.boot != claim.boot:
        raise PeerFault(f"{short(claim.node)} gives two boot numbers.")
    return await _greet_back(channel, gate, claim.node, hello, address)


async def _answer_joiner(
    line: _Line, gate: Gatekeeper, address: str, heard: Callable[[], None]
) -> Link:
    invite = await line.take(INVITE_KEY_BYTES)
    shake = _responder(gate, gate.invite_psk(invite), JOIN_OPENING + invite)
    payload = _read_first(shake, await line.read(HANDSHAKE_BYTES))
    claim = gate.weigh_join(invite, payload, shake.remote_ephemeral)
    heard()
    await line.write(_behind_length(shake.write(gate.proof())))
    credentials = shake.read(await line.read(HANDSHAKE_BYTES))
    keys = gate.recognise_joiner(credentials, shake.remote_static, invite, claim.tag)
    channel = _channel(line, shake)
    hello = await _hear_hello(channel)
    if hello.purpose != Purpose.JOIN:
        raise PeerFault("A joiner dials for another purpose than to join.")
    return await _greet_back(channel, gate, keys.node, hello, address, invite)


def _responder(gate: Gatekeeper, psk: bytes, opening: bytes) -> Handshake:
    return Handshake(
        initiator=False,
        static=gate.identity.link,
        ephemeral=_ephemeral(),
        psk=psk,
        prologue=prologue(gate.mesh, opening),
    )


def _read_first(shake: Handshake, message: bytes) -> bytes:
    try:
        return shake.read(message)
    except Forged as error:
        raise Refused(
            "A stranger has dialled: it has not this mesh's secret, or its message was changed."
        ) from error


async def _greet_back(
    channel: Channel,
    gate: Gatekeeper,
    peer: NodeId,
    hello: Hello,
    address: str,
    invite: bytes = b"",
) -> Link:
    await channel.send([(encode(Hello(hello.purpose, gate.boot, gate.version)),)])
    purpose = Purpose(hello.purpose)
    _fit(channel, purpose)
    return Link(
        channel,
        peer=peer,
        purpose=purpose,
        boot=hello.boot,
        version=hello.version,
        address=address,
        outbound=False,
        invite=invite,
    )
