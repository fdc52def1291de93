"""Fragments put together to messages (PS3.7 6.3, 9.3; PS3.8 annex E).

A command set is whole before its data set begins, both on one context, one message after another.
Command sets are held until they are whole, within a limit; data sets pass.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from meshpacs.dimse.commands import Command, decode, encode
from meshpacs.dimse.faults import MalformedMessage
from meshpacs.dimse.pdu import DataFragment, data_head
from meshpacs.model.limits import COMMAND_BYTES


@dataclass(frozen=True, slots=True)
class Begun:
    """A command set is whole; if it says so, pieces of a data set follow."""

    context: int
    command: Command


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the data set of the message that was begun last."""

    data: memoryview
    """As valid as the fragment that it was."""
    last: bool


class Assembly:
    """One direction of one association."""

    def __init__(self, contexts: Container[int]) -> None:
        """`contexts`: the ids that were accepted."""
        self._contexts = contexts
        self._held = bytearray()
        self._context = 0
        """Of the message under way; 0 between messages."""
        self._data_due = False

    @property
    def amid(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context != 0

    def take(self, fragment: DataFragment) -> Begun | Piece | None:
        """What a fragment completes; None while a command set is not whole.

        Raises:
            MalformedMessage: the association is to be aborted.
        """
        if fragment.context not in self._contexts:
            raise MalformedMessage(f"Data came on the context {fragment.context}, not accepted.")
        if self._context and fragment.context != self._context:
            raise MalformedMessage("Two messages came mixed.")
        if fragment.command is self._data_due:
            raise MalformedMessage("A command set and a data set came in the wrong order.")
        self._context = fragment.context
        if self._data_due:
            if fragment.last:
                self._context, self._data_due = 0, False
            return Piece(fragment.data, fragment.last)
        if len(self._held) + len(fragment.data) > COMMAND_BYTES:
            raise MalformedMessage(f"A command set has more than {COMMAND_BYTES} bytes.")
        self._held += fragment.data
        if not fragment.last:
            return None
        command = decode(self._held)
        self._held = bytearray()
        self._data_due = command.has_data
        if not self._data_due:
            self._context = 0
        return Begun(fragment.context, command)


def command_pdus(context: int, command: Command, room: int) -> bytes:
    """A command set as P-DATA-TF PDUs, each with at most `room` bytes of it."""
    return b"".join(
        head + data for head, data in data_pdus(context, encode(command), room, command=True)
    )


def data_pdus(
    context: int, data: bytes | memoryview, room: int, *, command: bool = False, last: bool = True
) -> Iterator[tuple[bytes, memoryview]]:
    """Heads and bodies of P-DATA-TF PDUs that carry these bytes; `last`: nothing follows them."""
    view = memoryview(data)
    at = 0
    while True:
        piece = view[at : at + room]
        at += len(piece)
        end = at >= len(view)
        yield data_head(context, command=command, last=last and end, size=len(piece)), piece
        if end:
            return
