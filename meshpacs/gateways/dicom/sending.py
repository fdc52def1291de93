"""C-STORE as SCU: instances as they are stored, leaf by leaf, to whoever agreed to take them; to
others in a transfer syntax that they took, with the same values and UIDs.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from meshpacs.dimse.commands import StoreRequest
from meshpacs.dimse.contexts import Agreement, Context
from meshpacs.dimse.messages import command_pdus, data_pdus
from meshpacs.dimse.syntaxes import DECODED, PLAIN, name_syntax
from meshpacs.gateways.dicom.channel import Channel
from meshpacs.model.content import Entry
from meshpacs.model.errors import MeshError, Unavailable
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.node.mesh import Retrieving


class CannotSend(Exception):
    """This instance cannot be sent, and nothing of it was; the association is as it was."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Whose C-MOVE an instance is sent for (PS3.7 9.1.1.1)."""

    title: str = ""
    message_id: int = 0


def best_sent(decodable: frozenset[str], prefer: str | None) -> tuple[str, ...]:
    """What to accept of what a receiver proposes for one context, before it is known what it will
    be sent there: everything can be turned into the plain ones, if all that is compressed can.
    """
    return ((prefer,) if prefer else ()) + (PLAIN if decodable else ())


def ways_for(entry: Entry, decodable: frozenset[str], prefer: str | None) -> tuple[str, ...]:
    """The transfer syntaxes that an instance can be sent in, the best first.

    `decodable`: compressed ones that are decoded here. `prefer`: what its receiver is best sent.
    """
    stored = entry.transfer_syntax
    made = PLAIN if stored in PLAIN or stored in decodable else ()
    ways = (stored, *made)
    return tuple(dict.fromkeys((prefer, *ways) if prefer and prefer in ways else ways))


def context_for(
    entry: Entry,
    agreement: Agreement,
    *,
    to_scp: bool,
    decodable: frozenset[str] = frozenset(),
    prefer: str | None = None,
) -> Context:
    """The context that an instance can be sent on: as it is stored, else rewritten or decoded.

    `to_scp`: the requestor of the association is to be its SCP (in a C-GET).

    Raises:
        CannotSend: there is none.
    """
    usable = [c for c in agreement.of(entry.sop_class) if c.scp or not to_scp]
    for syntax in ways_for(entry, decodable, prefer):
        for context in usable:
            if context.transfer_syntax == syntax:
                return context
    accepted = sorted({name_syntax(context.transfer_syntax) for context in usable})
    what = (
        f"It is stored in {name_syntax(entry.transfer_syntax)}; for its SOP class "
        f"{entry.sop_class} {', '.join(accepted) or 'nothing'} was accepted."
    )
    if not decodable and entry.transfer_syntax in DECODED:
        what += " `pip install 'meshpacs[pixel]'` on this node: then it decodes such images."
    raise CannotSend(what)


def pairs_for(
    entries: Iterable[Entry], decodable: frozenset[str] = frozenset(), prefer: str | None = None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Abstract syntaxes with the transfer syntaxes of each: what sending these instances needs."""
    pairs: dict[tuple[str, tuple[str, ...]], None] = {}
    for entry in sorted(entries, key=lambda entry: entry.sop_class):
        pairs.update(dict.fromkeys(pairs_of(entry, decodable, prefer)))
    return tuple(pairs)


def pairs_of(
    entry: Entry, decodable: frozenset[str], prefer: str | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Those of one instance, the best first; of several transfer syntaxes the acceptor picks."""
    ways = ways_for(entry, decodable, prefer)
    best: list[tuple[str, ...]] = [(ways[0],), (entry.transfer_syntax,)]
    if len(ways) > 1:
        best.append(PLAIN)
    return tuple((entry.sop_class, syntaxes) for syntaxes in dict.fromkeys(best))


async def send_instance(
    channel: Channel, context: Context, request: StoreRequest, source: Retrieving, entry: Entry
) -> None:
    """Send one C-STORE-RQ with its data set; the answer is for the caller to await.

    Raises:
        CannotSend: its bytes cannot be read; nothing was sent.
        Unavailable: the association is gone.
    """
    if context.transfer_syntax != entry.transfer_syntax:
        await _send_rewritten(channel, context, request, source, entry)
        return
    count = source.leaves(entry)
    try:
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


async def _send_rewritten(
    channel: Channel, context: Context, request: StoreRequest, source: Retrieving, entry: Entry
) -> None:
    """The same, in another transfer syntax than it is stored in."""
    async with AsyncExitStack() as stack:
        rewritten = source.rewritten(entry, context.transfer_syntax)
        try:
            data = memoryview(await stack.enter_async_context(rewritten))
        except MeshError as fault:
            raise CannotSend(str(fault)) from fault
        room = channel.room
        head = command_pdus(context.id, request, room)
        async with channel.sending() as put:
            for at in range(0, max(len(data), 1), LEAF_BYTES):
                piece, last = data[at : at + LEAF_BYTES], at + LEAF_BYTES >= len(data)
                body = data_pdus(context.id, piece, room, last=last)
                await put(head + b"".join(part for pdu in body for part in pdu))
                head = b""
