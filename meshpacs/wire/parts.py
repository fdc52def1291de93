"""Answers cut into parts of a few sizes, so that a size says little (PROTOCOL 5.1)."""

from meshpacs.model.ids import NodeId
from meshpacs.model.limits import PARTS_PER_ANSWER
from meshpacs.wire.bodies import Piece
from meshpacs.wire.codec import Malformed, pack, unpack

SIZES = (1024, 4 * 1024, 16 * 1024, 64 * 1024)
"""Bytes of a part before sealing."""

OVERHEAD = 64
"""Of each part: the length, the responder, index and count, and msgpack's marks (at most 58)."""

CAPACITY = SIZES[-1] - OVERHEAD

ANSWER_BYTES = CAPACITY * PARTS_PER_ANSWER
"""The largest answer."""


def cut(responder: NodeId, answer: bytes) -> list[bytes]:
    """The padded clear texts of an answer's parts; the answer is at most `ANSWER_BYTES` long."""
    count = max(1, -(-len(answer) // CAPACITY))
    parts = []
    for index in range(count):
        piece = pack(
            Piece(responder, index, count, answer[index * CAPACITY : (index + 1) * CAPACITY])
        )
        size = next(size for size in SIZES if size >= len(piece) + 4)
        parts.append(len(piece).to_bytes(4, "big") + piece + bytes(size - len(piece) - 4))
    return parts


def read(plain: bytes) -> Piece:
    """One part's clear text.

    Raises:
        Malformed: it is not a part, or its numbers make no sense.
    """
    length = int.from_bytes(plain[:4], "big")
    if length > len(plain) - 4:
        raise Malformed("A part of an answer is shorter than it says.")
    piece = unpack(Piece, plain[4 : 4 + length])
    if not 0 <= piece.index < piece.count <= PARTS_PER_ANSWER:
        raise Malformed("A part of an answer has an impossible number.")
    return piece
