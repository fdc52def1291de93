"""What has gone over this node's links since it started, by purpose and type of message.

The identities of PROTOCOL 4.7 are sums over all nodes, so a count may not be lost with its link.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from meshpacs.links.link import Link
from meshpacs.node.views import CounterView
from meshpacs.wire.frames import LENGTH_BYTES
from meshpacs.wire.messages import Message, Purpose

NAMES: dict[int, str] = {kind.TYPE: kind.__name__ for kind in get_args(Message)}


@dataclass(slots=True)
class Traffic:
    """Messages of one type over links of one purpose, and the bytes of their frames."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0


Kind = tuple[int, int]
"""Purpose and type. A link counts only types that it knows, so there are few."""


class Counters:
    """The sum over links that have ended; those that are up bring their own."""

    def __init__(self) -> None:
        """Nothing has gone anywhere."""
        self._ended: dict[Kind, Traffic] = {}

    def ended(self, link: Link) -> None:
        """Keep what a link has counted; once for each link, when it ends."""
        _add(self._ended, link)

    def views(self, up: Iterable[Link]) -> tuple[CounterView, ...]:
        """All there is, with the links that are up; by purpose and type."""
        total = {
            kind: Traffic(t.messages_in, t.bytes_in, t.messages_out, t.bytes_out)
            for kind, t in self._ended.items()
        }
        for link in up:
            _add(total, link)
        return tuple(
            CounterView(
                Purpose(purpose).name.lower(),
                NAMES[number],
                t.messages_in,
                t.bytes_in,
                t.messages_out,
                t.bytes_out,
            )
            for (purpose, number), t in sorted(total.items())
        )


def _add(total: dict[Kind, Traffic], link: Link) -> None:
    # A link counts payloads; a frame has its length in front (PROTOCOL 3.1).
    for number, count in link.meter.by_type_in.items():
        traffic = total.setdefault((link.purpose, number), Traffic())
        traffic.messages_in += count.messages
        traffic.bytes_in += count.bytes + LENGTH_BYTES * count.messages
    for number, count in link.meter.by_type_out.items():
        traffic = total.setdefault((link.purpose, number), Traffic())
        traffic.messages_out += count.messages
        traffic.bytes_out += count.bytes + LENGTH_BYTES * count.messages
