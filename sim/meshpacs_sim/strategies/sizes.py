"""How many bytes a message of each kind has, frame included.

What the protocol has was measured: an Ask of a patient's studies by PatientID and the messages
that answer it, encoded by `meshpacs.wire.codec` (`tests/sim/strategies/test_sizes.py` measures them
again). The classics are given the same envelope, so that strategies are compared and not
encodings: their question is as long as an Ask, their answer as long as a Part. The rest are
guesses, and say so.
"""

from enum import IntEnum


class Kind(IntEnum):
    """What is sent; the number is the column in `Outcomes.kinds`."""

    ASK = 0
    """A question on its way: signed, with its query in clear."""
    GOT = 1
    """The protocol's acknowledgement of an Ask."""
    CLOSED = 2
    """The protocol's end of a branch. Also how who was asked directly says that it has none."""
    PART = 3
    """An answer, or a hop of it: rows or names, sealed and padded to 1 KiB."""
    PART_4 = 4
    """The same, padded to 4 KiB."""
    PART_16 = 5
    """The same, padded to 16 KiB."""
    PART_64 = 6
    """The same, padded to 64 KiB; names beyond that are cut off."""
    CHECK = 7
    """A walker asks its asker whether to go on, or is told; it names a query, as a Cancel does."""
    NOTICE = 8
    """That a broadcast exists (Plumtree's IHAVE), or is wanted (GRAFT); it names a query."""


SIZES: tuple[int, ...] = (285, 11, 12, 1_086, 4_158, 16_446, 65_600, 24, 24)
"""Bytes of each kind."""

NAME_BYTES = 34
"""One node's name in an answer: a NodeId and msgpack's two bytes before it."""

ENTRY_BYTES = 80
"""What an index is told of one copy: a content's key and a holder's name, 32 bytes each, and what
goes around them. A guess."""

ENVELOPE_BYTES = 110
"""What goes around that: frame, sender, number, signature of 64 bytes. A guess."""

MEMBERSHIP_BYTES = 60
"""That a node has come or gone: its name, an address, a number. A guess."""

PART_NAMES = tuple((size - 64) // NAME_BYTES for size in (1_024, 4_096, 16_384, 65_536))
"""How many names an answer of each size has room for (`meshpacs.wire.parts`: 64 bytes of it are
taken)."""
