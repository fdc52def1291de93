"""What is thrown over a link that is up: records, frames in records, messages in frames."""

from random import Random

import trio
import trio.testing

from garbage.doors import against
from garbage.mesh import NOW_S, SECRET, Company
from garbage.messages import CONTENT, ENTRY, ROOT, STUDY, manifest_of, payloads, signed_manifest
from garbage.mutations import LENGTHS, scramble, warp
from meshpacs.archive.archive import Archive
from meshpacs.links.channel import Channel
from meshpacs.links.join import admit_knock, knock, open_to
from meshpacs.links.link import Link
from meshpacs.links.transfer import Taker
from meshpacs.model.errors import MeshError, PeerFault
from meshpacs.model.limits import CONTROL_FRAME_BYTES, FRAME_BYTES
from meshpacs.node.manifests import Contributions
from meshpacs.node.serving import Serving
from meshpacs.wire.chunks import Plan
from meshpacs.wire.codec import decode, encode, pack
from meshpacs.wire.manifest import write_body
from meshpacs.wire.messages import (
    Chunk,
    Knock,
    Leaves,
    Manifests,
    Message,
    Missing,
    Purpose,
    RosterNews,
    WantChunks,
    WantLeaves,
    WantManifests,
    Welcome,
)
from meshpacs.wire.noise import Cipher
from meshpacs.wire.roster import News

KEYS = bytes(32), b"\1" * 32
WANTS = frozenset({WantManifests.TYPE, WantLeaves.TYPE, WantChunks.TYPE})


def framed(payload: bytes) -> bytes:
    """A payload behind its length."""
    return len(payload).to_bytes(4, "big") + payload


def recorded(cipher: Cipher, stream: bytes, draw: Random | None = None) -> list[bytes]:
    """A stream of frames in sealed records, cut anywhere."""
    records = []
    while stream:
        size = 65_519 if draw is None else draw.choice((1, 3, 5, 100, 65_519, 65_519))
        sealed = cipher.encrypt(stream[:size])
        records.append(len(sealed).to_bytes(2, "big") + sealed)
        stream = stream[size:]
    return records


class Member:
    """Bert, linked with the target; each throw is over a link of its own."""

    def __init__(self, company: Company, draw: Random) -> None:
        """All honest payloads at hand."""
        self._company = company
        self._draw = draw
        self.payloads = payloads(company)
        self.thrown = b""

    def link(self, stream: trio.abc.Stream, purpose: Purpose = Purpose.CONTROL) -> Link:
        """The target's end."""
        limit = FRAME_BYTES if purpose is Purpose.BULK else CONTROL_FRAME_BYTES
        channel = Channel(stream, Cipher(KEYS[0]), Cipher(KEYS[1]), limit_bytes=limit)
        return Link(
            channel, peer=self._company.bert.node, purpose=purpose, boot=5, version="1.0",
            address="192.0.2.1:1", outbound=False,
            invite=self._company.invite.public if purpose is Purpose.JOIN else b"",
        )  # fmt: skip

    async def records(self) -> None:
        """Honest records that were changed, cut, repeated or put in another order on the way."""
        draw = self._draw
        some = b"".join(framed(draw.choice(self.payloads)) for _ in range(draw.choice((1, 3))))
        records = recorded(Cipher(KEYS[1]), some, draw)
        match draw.randrange(4):
            case 0:
                draw.shuffle(records)
            case 1:
                records.insert(draw.randrange(len(records)), draw.choice(records))
            case 2:
                del records[draw.randrange(len(records))]
            case _:
                pass
        stream = b"".join(records)
        self.thrown = scramble(stream, draw) if draw.random() < 0.8 else stream
        await self._pour()

    async def frames(self) -> None:
        """Sound records; lengths and types of the frames inside are not sound."""
        draw = self._draw
        payload = draw.choice(self.payloads)
        match draw.randrange(4):
            case 0:
                length = draw.choice((*LENGTHS, 2**31, 2**32 - 1, len(payload) + 1))
                inside = length.to_bytes(4, "big") + payload
            case 1:
                inside = framed(bytes((draw.randrange(256),)) + payload[1:])
            case 2:
                inside = scramble(framed(payload) * 2, draw)
            case _:
                inside = framed(b"") + framed(payload) + framed(draw.randbytes(9))
        self.thrown = b"".join(recorded(Cipher(KEYS[1]), inside, draw))
        await self._pour()

    async def _pour(self) -> None:
        """Into a link that delivers, or one that is read message by message."""
        draw = self._draw

        async def work(stream: trio.abc.Stream) -> Link:
            link = self.link(stream, draw.choice((Purpose.CONTROL, Purpose.BULK)))
            if link.purpose is Purpose.BULK:
                while True:
                    encode(await link.receive())
            await link.run(self._deliver)
            return link

        async def play(stream: trio.abc.Stream) -> None:
            at = 0
            while at < len(self.thrown):
                step = draw.choice((1, 2, 7, 1000, 100_000))
                await stream.send_all(self.thrown[at : at + step])
                at += step

        await against(work, play)

    async def _deliver(self, message: Message) -> None:
        encode(message)

    def payload(self) -> bytes:
        """A frame's payload, well-formed msgpack more often than not."""
        draw = self._draw
        payload = draw.choice(self.payloads)
        if draw.random() < 0.3:
            return scramble(payload, draw, draw.choice(self.payloads))
        return payload[:1] + warp(payload[1:], draw)

    def message(self) -> None:
        """A payload, decoded; what is taken can be written again and means the same."""
        self.thrown = self.payload()
        message = decode(self.thrown)
        again = decode(encode(message))
        assert again == message, "what was read is written as something else"


class Taking:
    """A member that takes from the target and asks for anything."""

    def __init__(
        self, company: Company, draw: Random, archive: Archive, contributions: Contributions
    ) -> None:
        """The archive and what is contributed from it are the target's."""
        self._member = Member(company, draw)
        self._draw = draw
        self._breaches: list[str] = []
        members = company.roster().members
        self._serving = Serving(
            archive, contributions, members, lambda _peer, what: self._breaches.append(what)
        )
        self.thrown = b""

    async def request(self) -> None:
        """One request, and an honest one behind it, whose answer shows that both were heard."""
        draw, out, back = self._draw, Cipher(KEYS[1]), Cipher(KEYS[0])
        wants = [p for p in self._member.payloads if p[0] in WANTS]
        request = draw.choice(wants)
        request = request[:1] + warp(request[1:], draw)
        last = encode(WantLeaves(2**40, (ROOT,)))
        self.thrown = request
        self._breaches.clear()

        async def work(stream: trio.abc.Stream) -> Link:
            link = self._member.link(stream, Purpose.BULK)
            await self._serving.serve(link)
            return link

        async def play(stream: trio.abc.Stream) -> None:
            await stream.send_all(b"".join(recorded(out, framed(request) + framed(last))))
            channel = Channel(stream, out, back, limit_bytes=FRAME_BYTES)
            while True:
                try:
                    answer = decode(await channel.receive())
                except MeshError:
                    return
                if isinstance(answer, Leaves) and answer.request == 2**40:
                    return

        await against(work, play)
        if self._breaches:
            raise PeerFault(self._breaches[0])


class Giving:
    """A holder that gives anything to a target that fetches."""

    def __init__(self, company: Company, draw: Random, contributions: Contributions) -> None:
        """`contributions` are the target's."""
        self._company = company
        self._draw = draw
        self._member = Member(company, draw)
        self._contributions = contributions
        self.thrown = b""

    def _answers(self) -> list[bytes]:
        """What an honest holder would send, one of them wrong."""
        draw = self._draw
        body = write_body(manifest_of(self._company))
        if draw.random() < 0.6:
            body = warp(body, draw)
        manifest = signed_manifest(self._company, body)
        answers: list[Message] = [
            Manifests(1, STUDY, (manifest,), more=False, held=b"\1"),
            Leaves(2, ROOT, b""),
            Chunk(3, ROOT, 0, CONTENT),
        ]
        found = [encode(answer) for answer in answers]
        at = draw.randrange(4)
        if at < 3:
            found[at] = found[at][:1] + warp(found[at][1:], draw)
        elif draw.random() < 0.3:
            found.insert(draw.randrange(3), encode(Missing(3, ROOT)))
        return found

    async def answer(self) -> None:
        """One fetch of one content, as `node/pulling.py` does it."""
        answers = self._answers()
        self.thrown = b"".join(framed(payload) for payload in answers)
        bert = self._company.bert.node

        async def work(stream: trio.abc.Stream) -> Link:
            link = self._member.link(stream, Purpose.BULK)
            taker = Taker(link)
            (known,) = await taker.manifests([STUDY])
            checked = self._contributions.check(STUDY, known, bert)
            self._contributions.keep(STUDY, [known.signed])
            plan = Plan(checked.held or (ENTRY,))
            plan.add_holder(bert, [entry.root for entry in checked.held])
            plan.next_wants(bert)
            await taker.want_leaves([ROOT])
            await taker.want_chunks([(ROOT, 0, 1)])
            while True:
                match await taker.next():
                    case Leaves(root=root, leaves=leaves):
                        plan.leaves(bert, root, leaves)
                    case Chunk(root=root, index=index, data=data):
                        plan.chunk(bert, root, index, data)
                        return link
                    case Missing(root=root):
                        plan.missing(bert, root)
                        return link

        async def play(stream: trio.abc.Stream) -> None:
            cipher = Cipher(KEYS[1])
            await stream.send_all(b"".join(recorded(cipher, self.thrown)))

        await against(work, play)


class Joining:
    """The two sides of a join link, one of which says anything."""

    def __init__(self, company: Company, draw: Random) -> None:
        """Whoever holds the invite, and whoever answers it."""
        self._company = company
        self._draw = draw
        self._member = Member(company, draw)
        self.thrown = b""

    async def talk(self) -> None:
        """A knock or a welcome."""
        await (self._knocking() if self._draw.random() < 0.5 else self._welcoming())

    async def _knocking(self) -> None:
        company, draw = self._company, self._draw
        statement = company.stranger.chain[0]
        honest = encode(
            Knock(pack(company.invite.granted), statement, company.invite.redeem(statement),
                  company.items.records[1])
        )  # fmt: skip
        self.thrown = framed(honest[:1] + warp(honest[1:], draw))

        async def admitting(message: Knock) -> tuple[Welcome, News]:
            return admit_knock(
                message, roster=company.roster(), identity=company.target, secret=SECRET,
                joiner=company.stranger.node, invite=company.invite.public, at_s=NOW_S,
            )  # fmt: skip

        async def work(stream: trio.abc.Stream) -> Link:
            link = self._member.link(stream, Purpose.JOIN)
            await open_to(link, admitting)
            return link

        await against(work, self._send)

    async def _welcoming(self) -> None:
        company, draw = self._company, self._draw
        statement = company.stranger.chain[0]
        welcome, _ = admit_knock(
            Knock(pack(company.invite.granted), statement, company.invite.redeem(statement)),
            roster=company.roster(), identity=company.target, secret=SECRET,
            joiner=company.stranger.node, invite=company.invite.public, at_s=NOW_S,
        )  # fmt: skip
        items = company.items
        pieces = [
            encode(welcome), encode(RosterNews(items.entries, items.admissions, items.records))
        ]  # fmt: skip
        at = draw.randrange(2)
        pieces[at] = pieces[at][:1] + warp(pieces[at][1:], draw)
        self.thrown = b"".join(map(framed, pieces))

        async def work(stream: trio.abc.Stream) -> Link:
            link = self._member.link(stream, Purpose.JOIN)
            await knock(link, company.invite, company.stranger, company.items.records[1])
            return link

        await against(work, self._send)

    async def _send(self, stream: trio.abc.Stream) -> None:
        await stream.send_all(b"".join(recorded(Cipher(KEYS[1]), self.thrown)))
