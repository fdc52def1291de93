"""What becomes of honest bytes and honest trees of msgpack under a seeded draw."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgpack

from meshpacs.model.limits import FRAME_BYTES

LENGTHS = (0, 1, 2, 3, 7, 8, 15, 16, 17, 127, 128, 255, 256, 4095, 65_535, 65_536, 2**24)
NUMBERS = (
    0, 1, -1, 2, 15, 16, 17, 127, 128, 255, 256, 1000, 10_000, 65_535, 65_536, 2**31 - 1, 2**31,
    2**32 - 1, 2**32, 2**48, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63),
)  # fmt: skip
"""Where counters, lengths and other implementations' integers end."""

TEXTS = (
    "", " ", "*", "?", "**********?*", "\\", "\0", "\n", "\x1b[2J", "/", "..", "../../etc/passwd",
    "\ufeff", "\u202e", "\U0001f9b4", "İıſß", "e\u0301", "=", "^", "==", "^^^^^", "-", "20260230",
    "99999999-", "19000101-18990101", "1e999", "nan", "1.2.3", "1." * 40, "x" * 65, "x" * 1024,
    "x" * 1025, '""', "a" * 300 + "*" * 300,
)  # fmt: skip
"""What trips readers of names, dates, wild cards, paths and UIDs."""


def scramble(data: bytes, draw: Random, other: bytes = b"") -> bytes:
    """The bytes after one to four of the usual accidents; `other` may be spliced in."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        draw.choice(_ACCIDENTS)(changed, draw, other)
    return bytes(changed)


def _flip(data: bytearray, draw: Random, _other: bytes) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _set(data: bytearray, draw: Random, _other: bytes) -> None:
    if data:
        data[draw.randrange(len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xC1, 0xFE, 0xFF))


def _number(data: bytearray, draw: Random, _other: bytes) -> None:
    width = draw.choice((1, 2, 4, 8))
    if len(data) >= width:
        at = draw.randrange(len(data) - width + 1)
        number = draw.choice(NUMBERS) % (1 << 8 * width)
        data[at : at + width] = number.to_bytes(width, draw.choice(("big", "little")))


def _cut(data: bytearray, draw: Random, _other: bytes) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _drop(data: bytearray, draw: Random, _other: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    del data[at : at + draw.choice((1, 2, 4, 16, 256))]


def _insert(data: bytearray, draw: Random, _other: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = draw.randbytes(draw.choice((1, 2, 4, 16, 256)))


def _repeat(data: bytearray, draw: Random, _other: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    piece = data[at : at + draw.choice((1, 4, 16, 256))]
    data[at:at] = piece * draw.choice((1, 2, 100))


def _zero(data: bytearray, draw: Random, _other: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    end = min(len(data), at + draw.choice((1, 4, 16, 256)))
    data[at:end] = bytes((draw.choice((0, 0xFF)),)) * (end - at)


def _splice(data: bytearray, draw: Random, other: bytes) -> None:
    data[draw.randrange(len(data) + 1) :] = other[draw.randrange(len(other) + 1) :]


_ACCIDENTS: Sequence[Callable[[bytearray, Random, bytes], None]] = (
    _flip, _flip, _set, _number, _number, _cut, _drop, _insert, _repeat, _zero, _splice,
)  # fmt: skip


# ---------------------------------------------------------------- msgpack


def warp(packed: bytes, draw: Random) -> bytes:
    """A well-formed message that is wrong somewhere: a field of another type, size or number."""
    tree = msgpack.unpackb(packed, raw=False, strict_map_key=False)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        tree = _distort(tree, draw)
    try:
        written: bytes = msgpack.packb(tree)
    except (ValueError, OverflowError, UnicodeEncodeError):
        return scramble(packed, draw)
    return written if len(written) <= FRAME_BYTES else scramble(packed, draw)


def _distort(tree: Any, draw: Random) -> Any:
    """The tree with one node replaced, found by walking down at random."""
    if isinstance(tree, list) and tree and draw.random() < 0.9:
        at = draw.randrange(len(tree))
        if draw.random() < 0.85:
            tree[at] = _distort(tree[at], draw)
        else:
            _rearrange(tree, at, draw)
        return tree
    if isinstance(tree, dict) and tree and draw.random() < 0.9:
        key = draw.choice(list(tree))
        if draw.random() < 0.7:
            tree[key] = _distort(tree[key], draw)
        else:
            tree[draw.choice((key + 1 if isinstance(key, int) else 0, *NUMBERS))] = tree.pop(key)
        return tree
    return _instead(tree, draw)


def _rearrange(tree: list[Any], at: int, draw: Random) -> None:
    match draw.randrange(6):
        case 0:
            del tree[at]
        case 1:
            tree.insert(at, tree[at])
        case 2:
            tree.append(_instead(None, draw))
        case 3:
            tree[at:] = tree[at:] * draw.choice((2, 10, 500))
        case 4:
            tree.reverse()
        case _:
            tree.clear()


def _instead(leaf: Any, draw: Random) -> Any:
    """Something else in the place of a leaf: mostly of its own type."""
    if draw.random() < 0.15:
        return draw.choice((None, True, 0, -1, 1.5, float("nan"), "", b"", [], {}, [[]], {0: []}))
    match leaf:
        case bool():
            return not leaf
        case int():
            near = draw.random() < 0.4
            return leaf + draw.choice((-1, 1, 2, 1000)) if near else draw.choice(NUMBERS)
        case str():
            return draw.choice((*TEXTS, leaf + draw.choice(TEXTS), leaf[:-1], leaf * 2))
        case bytes():
            if draw.random() < 0.3:
                return draw.randbytes(min(draw.choice(LENGTHS), 70_000))
            return scramble(leaf, draw)
        case _:
            return draw.choice((deep(draw.choice((2, 15, 16, 17, 600, 1100))), [b""] * 3000, "x"))


def deep(levels: int) -> Any:
    """Arrays in arrays."""
    tree: Any = []
    for _ in range(levels):
        tree = [tree]
    return tree
