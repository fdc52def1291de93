"""Mutated traces at a running door: every one ends alone, and a transfer beside them goes on."""

import random
from collections.abc import Callable

import trio

from meshpacs.dimse.commands import EchoRequest, FindRequest, StoreRequest
from meshpacs.dimse.identifiers import write_query
from meshpacs.dimse.messages import command_pdus, data_pdus
from meshpacs.dimse.pdu import (
    AssociateRequest,
    ProposedContext,
    ReleaseRequest,
    User,
    encode,
)
from meshpacs.dimse.services import STUDY_ROOT_FIND, VERIFICATION
from meshpacs.model.attributes import Level
from tests.dimse.test_pdu import CAPTURES
from tests.gateways.dicom.doors import CT, PLAIN, Opened, opened
from tests.gateways.dicom.test_door import store
from tests.gateways.dicom.test_finding import ALL
from tests.gateways.fake_mesh import FakeMesh

STREAMS = 400
"""At about 500 a second."""

REQUEST = encode(
    AssociateRequest(
        "MESHPACS",
        "TEST",
        (
            ProposedContext(1, VERIFICATION, PLAIN),
            ProposedContext(3, CT, PLAIN),
            ProposedContext(5, STUDY_ROOT_FIND, PLAIN),
        ),
        User(16384, "1.2.3"),
    )
)


def pdus(context: int, data: bytes, room: int) -> bytes:
    return b"".join(head + bytes(body) for head, body in data_pdus(context, data, room))


MESSAGES = (
    command_pdus(1, EchoRequest(message_id=1, sop_class=VERIFICATION), 1000),
    command_pdus(3, StoreRequest(has_data=True, message_id=2, sop_class=CT, sop_uid="1.2.3"), 1000)
    + pdus(3, b"x" * 500, 200),
    command_pdus(5, FindRequest(has_data=True, message_id=3, sop_class=STUDY_ROOT_FIND), 1000)
    + pdus(5, write_query(Level.STUDY, ALL, explicit=True), 60),
)
END = encode(ReleaseRequest())
LENGTHS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\1\0")


def flip(chance: random.Random, data: bytearray, at: int) -> None:
    data[at] ^= 1 << chance.randrange(8)


def overwrite(chance: random.Random, data: bytearray, at: int) -> None:
    data[at] = chance.randrange(256)


def cut(chance: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + chance.randint(1, 20)]


def fill(chance: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = chance.randbytes(chance.randint(1, 20))


def lie(chance: random.Random, data: bytearray, at: int) -> None:
    data[at : at + 4] = chance.choice(LENGTHS)


CHANGES: tuple[Callable[[random.Random, bytearray, int], None], ...] = (
    flip, overwrite, cut, fill, lie,
)  # fmt: skip


def mutated(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if changed:
            chance.choice(CHANGES)(chance, changed, chance.randrange(len(changed)))
    return bytes(changed)


def stream(seed: int) -> bytes:
    """A request for an association that is broken, or a sound one and then something broken."""
    chance = random.Random(seed)
    if chance.randrange(4) == 0:
        names = ("echoscu", "findscu", "movescu")
        return mutated(chance, (CAPTURES / f"{chance.choice(names)}.bin").read_bytes())
    said = chance.choice(MESSAGES) * chance.randint(1, 2) + END
    return REQUEST + mutated(chance, said)


async def say(door: Opened, seed: int) -> None:
    """Say it and hang up; an answer that does not end shows its seed."""
    async with door.socket() as line:
        try:
            await line.send_all(stream(seed))
            await line.send_eof()
            with trio.fail_after(30):
                while await line.receive_some():
                    pass
        except trio.BrokenResourceError:
            pass  # it has hung up first, as it may
        except trio.TooSlowError:
            raise AssertionError(f"seed {seed} is not let go") from None


async def test_no_garbage_does_more_than_end_its_own_association() -> None:
    seeds = iter(range(STREAMS))
    async with opened(FakeMesh()) as door, door.called() as other, trio.open_nursery() as nursery:

        async def speak() -> None:
            for seed in seeds:
                await say(door, seed)

        async with trio.open_nursery() as speakers:
            for _ in range(8):
                speakers.start_soon(speak)
            for _ in range(20):
                assert (await store(other, b"z" * 300_000)).status == 0
        with trio.fail_after(10):
            while door.door._callers._strangers or len(door.door._admitted) > 1:
                await trio.sleep(0.01)
        assert (await store(other, b"z")).status == 0
        nursery.cancel_scope.cancel()
