"""First messages that were heard before are not answered again (PROTOCOL 2.1)."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from meshpacs.model.ids import NodeId
from meshpacs.model.limits import REPLAY_WINDOW

EPHEMERALS = 16_384
"""Ephemeral keys remembered, 2 MB: the dials of 500 members in half an hour. A guess."""


@dataclass(slots=True)
class _Window:
    boot: int
    highest: int
    bits: int
    """Bit i is set if dial highest - i has been completed."""


class Freshness:
    """What a recorded first message is recognised by.

    Within one run: by its ephemeral key. Across runs, for members: by a boot below the highest
    that was kept, or a dial that was completed. What was recorded but never answered, and is
    replayed after we were started again, is answered with a message that only the key's owner can
    read (docs/SECURITY.md).
    """

    def __init__(self, boots: Mapping[NodeId, int] | None = None) -> None:
        """Begin with the boots that were kept durably."""
        self._windows = {node: _Window(boot, -1, 0) for node, boot in (boots or {}).items()}
        self._ephemerals: OrderedDict[bytes, None] = OrderedDict()

    def first_time(self, ephemeral: bytes) -> bool:
        """Whether this ephemeral key is new; it is not, from here on."""
        if ephemeral in self._ephemerals:
            return False
        self._ephemerals[ephemeral] = None
        if len(self._ephemerals) > EPHEMERALS:
            self._ephemerals.popitem(last=False)
        return True

    def fresh(self, node: NodeId, boot: int, dial: int) -> bool:
        """Whether this dial has not been completed before; nothing is remembered."""
        window = self._windows.get(node)
        if window is None or boot > window.boot:
            return True
        age = window.highest - dial
        return boot == window.boot and (
            age < 0 or (age < REPLAY_WINDOW and not window.bits >> age & 1)
        )

    def completed(self, node: NodeId, boot: int, dial: int) -> None:
        """Remember a dial whose node has proven that it made it."""
        window = self._windows.get(node)
        if window is None or boot > window.boot:
            self._windows[node] = _Window(boot, dial, 1)
            return
        age = window.highest - dial
        if age < 0:
            # The jump is the member's choice, up to 2^63: nobody shifts by that.
            shift = min(-age, REPLAY_WINDOW)
            window.bits = (window.bits << shift | 1) & ((1 << REPLAY_WINDOW) - 1)
            window.highest = dial
        else:
            window.bits |= 1 << age
