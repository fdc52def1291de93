"""C-STORE as SCU: instances as they are stored, leaf by leaf, to whoever agreed to take them."""

from collections.abc import Iterable
from dataclasses import dataclass

from meshpacs.dimse.commands import StoreRequest
from meshpacs.dimse.contexts import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Agreement,
    Context,
)
from meshpacs.dimse.messages import command_pdus, data_pdus
from meshpacs.gateways.dicom.channel import Channel
from meshpacs.model.content import Entry
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.node.mesh import Retrieving

PLAIN = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""What can be written of what holds no compressed pixels."""

UNCOMPRESSED = frozenset({EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})


class CannotSend(Exception):
    """This instance cannot be sent, and nothing of it was; the association is as it was."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Whose C-MOVE an instance is sent for (PS3.7 9.1.1.1)."""

    title: str = ""
    message_id: int = 0


def context_for(entry: Entry, agreement: Agreement, *, to_scp: bool) -> Context:
    """The context that an instance can be sent on: as it is stored, else with its values rewritten.

    `to_scp`: the requestor of the association is to be its SCP (in a C-GET).

    Raises:
        CannotSend: there is none.
    """
    usable = [c for c in agreement.of(entry.sop_class) if c.scp or not to_scp]
    for context in usable:
        if context.transfer_syntax == entry.transfer_syntax:
            return context
    for context in usable:
        if entry.transfer_syntax in UNCOMPRESSED and context.transfer_syntax in PLAIN:
            return context
    raise CannotSend(f"No context was accepted for {entry.sop_class}, {entry.transfer_syntax}.")


def pairs_for(entries: Iterable[Entry]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Abstract syntaxes with the transfer syntax of each: what sending these instances needs."""
    pairs: dict[tuple[str, tuple[str, ...]], None] = {}
    for entry in sorted(entries, key=lambda entry: entry.sop_class):
        pairs[entry.sop_class, (entry.transfer_syntax,)] = None
        if entry.transfer_syntax in UNCOMPRESSED:
            pairs[entry.sop_class, PLAIN] = None
    return tuple(pairs)


async def send_instance(
    channel: Channel, context: Context, request: StoreRequest, source: Retrieving, entry: Entry
) -> None:
    """Send one C-STORE-RQ with its data set; the answer is for the caller to await.

    Raises:
        CannotSend: its bytes cannot be read; nothing was sent.
        Unavailable: the association is gone.
    """
    count = source.leaves(entry)
    try:
        if context.transfer_syntax != entry.transfer_syntax:
            piece, count = await source.rewritten(entry, context.transfer_syntax), 1
        else:
            piece = await source.leaf(entry, 0) if count else b""
    except MeshError as fault:
        raise CannotSend(fault.what) from fault
    room = channel.room
    head = command_pdus(context.id, request, room)
    async with channel.sending() as put:
        for index in range(max(count, 1)):
            if index:
                try:
                    piece = await source.leaf(entry, index)
                except MeshError as fault:
                    # A message cannot be taken back; what was begun must not look whole.
                    what = f"An instance could not be read to its end: {fault.what}"
                    raise Unavailable(what) from fault
            last = index >= count - 1
            body = data_pdus(context.id, piece, room, last=last)
            await put(b"".join((head, *(part for pdu in body for part in pdu))))
            head = b""
