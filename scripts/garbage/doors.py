"""What is thrown before and during the handshake: at a door, and at who dials."""

from collections.abc import Awaitable, Callable
from random import Random

import trio
import trio.testing

from garbage.mesh import Company
from garbage.mutations import scramble, warp
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.handshake import answer, greet_as_joiner, greet_member
from meshpacs.links.link import Link
from meshpacs.wire.codec import encode, pack
from meshpacs.wire.greeting import (
    JOIN_CONTEXT,
    JOIN_OPENING,
    MEMBER_OPENING,
    Credentials,
    JoinClaim,
    join_tag,
    prologue,
)
from meshpacs.wire.keys import sign
from meshpacs.wire.messages import Hello, Purpose
from meshpacs.wire.noise import Handshake, KeyPair


def behind(message: bytes) -> bytes:
    """A handshake message or a record behind its length, cut to what a length can say."""
    message = message[:65_535]
    return len(message).to_bytes(2, "big") + message


class Dialling:
    """Somebody who dials a door: honest up to a point."""

    def __init__(self, company: Company, draw: Random) -> None:
        """The door is the target's; keys are drawn, so every message is fresh."""
        self._company = company
        self._draw = draw
        self.gate = company.gate(company.target)
        self._bert = company.gate(company.bert, boot=5)
        self.thrown = b""
        """What was sent last."""

    def _shake(self, *, joining: bool) -> tuple[bytes, Handshake, bytes]:
        """An opening, a handshake begun, and the payload of an honest message 1."""
        company, draw = self._company, self._draw
        ephemeral = KeyPair.of(draw.randbytes(32))
        opening, psk, static = MEMBER_OPENING, self._bert.psk, company.bert.link
        claim = self._bert.claim(company.target.node)
        if joining:
            invite = company.invite
            opening, psk = JOIN_OPENING + invite.public, invite.psk
            static = company.stranger.link
            tag = join_tag(invite.public, company.stranger.node)
            proof = sign(invite.key, JOIN_CONTEXT, company.mesh, ephemeral.public + tag)
            claim = pack(JoinClaim(pack(invite.granted), tag, proof))
        shake = Handshake(
            initiator=True, static=static, ephemeral=ephemeral, psk=psk,
            prologue=prologue(company.mesh, opening),
        )  # fmt: skip
        return opening, shake, claim

    async def opening(self) -> Link:
        """First bytes of any kind, then nothing more."""
        opening, shake, claim = self._shake(joining=self._draw.random() < 0.5)
        honest = opening + behind(shake.write(claim))
        self.thrown = scramble(honest, self._draw, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + honest)
        if self._draw.random() < 0.1:
            self.thrown = self._draw.randbytes(self._draw.choice((0, 1, 4, 5, 7, 100, 70_000)))
        return await self._pour()

    async def first(self) -> Link:
        """Message 1: well sealed and wrong inside, or changed in its ciphertext."""
        opening, shake, claim = self._shake(joining=self._draw.random() < 0.5)
        if self._draw.random() < 0.8:
            sealed = shake.write(warp(claim, self._draw)[:65_000])
        else:
            sealed = scramble(shake.write(claim), self._draw)
        self.thrown = opening + behind(sealed)
        return await self._pour()

    async def third(self) -> Link:
        """Messages 1 and 2 honest; message 3 or the greeting is not."""
        draw = self._draw
        joining = draw.random() < 0.4
        opening, shake, claim = self._shake(joining=joining)

        async def play(stream: trio.abc.Stream) -> None:
            await stream.send_all(opening + behind(shake.write(claim)))
            shake.read(await _message(stream))
            who = self._company.stranger if joining else self._company.bert
            purpose = Purpose.JOIN if joining else draw.choice(list(Purpose))
            hello = encode(Hello(int(purpose), draw.choice((5, 5, 5, 6)), "1.0"))
            credentials = pack(Credentials(who.chain))
            kind = draw.randrange(4)
            if kind == 0:
                credentials = warp(credentials, draw)[:65_000]
            third = shake.write(credentials)
            if kind == 1:
                third = scramble(third, draw)
                self.thrown = behind(third)
                await stream.send_all(self.thrown)
                return
            if kind == 2:
                hello = draw.choice((scramble(hello, draw), hello[:1] + warp(hello[1:], draw)))
            record = shake.split()[0].encrypt(len(hello).to_bytes(4, "big") + hello)
            if kind == 3:
                record = scramble(record, draw)
            self.thrown = behind(third) + behind(record)
            await stream.send_all(self.thrown)

        return await against(self._answer, play)

    async def _answer(self, stream: trio.abc.Stream) -> Link:
        return await answer(stream, self.gate, "192.0.2.1:1", lambda: None)

    async def _pour(self) -> Link:
        async def play(stream: trio.abc.Stream) -> None:
            await stream.send_all(self.thrown)

        return await against(self._answer, play)


class Answering:
    """Somebody who was dialled and answers with anything: message 2, and the greeting."""

    def __init__(self, company: Company, draw: Random) -> None:
        """The dialer is the target, or a stranger with an invite."""
        self._company = company
        self._draw = draw
        self._gate = company.gate(company.target)
        self._bert: Gatekeeper = company.gate(company.bert, boot=5)
        self.thrown = b""

    async def second(self) -> Link:
        """One dial."""
        company, draw = self._company, self._draw
        joining = draw.random() < 0.5

        async def play(stream: trio.abc.Stream) -> None:
            head = await _exactly(stream, 37 if joining else 5)
            psk = company.invite.psk if joining else self._bert.psk
            shake = Handshake(
                initiator=False, static=company.bert.link,
                ephemeral=KeyPair.of(draw.randbytes(32)), psk=psk,
                prologue=prologue(company.mesh, head),
            )  # fmt: skip
            shake.read(await _message(stream))
            payload = self._bert.proof() if joining else self._bert.credentials()
            kind = draw.randrange(4)
            second = shake.write(warp(payload, draw)[:65_000] if kind == 0 else payload)
            if kind == 1:
                second = scramble(second, draw)
            self.thrown = behind(second)
            await stream.send_all(self.thrown)
            if kind < 2:
                return
            shake.read(await _message(stream))
            hello = encode(Hello(int(Purpose.JOIN if joining else Purpose.CONTROL), 5, "1.0"))
            hello = draw.choice((scramble(hello, draw), hello[:1] + warp(hello[1:], draw)))
            record = shake.split()[0].encrypt(len(hello).to_bytes(4, "big") + hello)
            self.thrown = behind(scramble(record, draw) if kind == 3 else record)
            await stream.send_all(self.thrown)

        async def dial(stream: trio.abc.Stream) -> Link:
            if joining:
                return await greet_as_joiner(stream, company.invite, company.stranger, "1.0", "x")
            return await greet_member(
                stream, self._gate, company.bert.node, Purpose.CONTROL, "192.0.2.1:1"
            )

        return await against(dial, play)


async def against(
    target: Callable[[trio.abc.Stream], Awaitable[Link]],
    play: Callable[[trio.abc.Stream], Awaitable[None]],
) -> Link:
    """The target at one end of a stream, and at the other who says no more after its play."""
    ours, theirs = trio.testing.memory_stream_pair()
    made: list[Link] = []
    failed: list[Exception] = []

    async def work() -> None:
        try:
            made.append(await target(ours))
        except Exception as error:  # noqa: BLE001  it is raised again below, out of the nursery
            failed.append(error)
        finally:
            await trio.aclose_forcefully(ours)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        try:
            await play(theirs)
            await theirs.send_eof()
            while await theirs.receive_some():
                pass
        except (_HungUp, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(theirs)
    if failed:
        raise failed[0]
    return made[0]


class _HungUp(Exception):
    """The target has closed."""


async def _exactly(stream: trio.abc.Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = await stream.receive_some(count - len(data))
        if not piece:
            raise _HungUp
        data += bytes(piece)
    return data


async def _message(stream: trio.abc.Stream) -> bytes:
    return await _exactly(stream, int.from_bytes(await _exactly(stream, 2), "big"))
