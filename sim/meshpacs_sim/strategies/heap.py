"""What is under way, the next to arrive first: a binary heap of row numbers.

In the order of the world: by time, then receiver, then sender (PROTOCOL 6.1), then as it was sent.
"""

from meshpacs_sim.kernel.compiled import compiled
from meshpacs_sim.kernel.draws import Word
from meshpacs_sim.strategies.search import Int32s, Int64s

AT, DST, SRC = 0, 1, 2
"""The first columns of a row; what follows them is the owner's."""


@compiled
def _before(rows: Int64s, one: Word, other: Word) -> bool:
    for column in (AT, DST, SRC):
        earlier: bool = rows[one, column] < rows[other, column]
        if earlier or rows[one, column] > rows[other, column]:
            return earlier
    return bool(one < other)


@compiled
def push(heap: Int32s, size: Word, row: Word, rows: Int64s) -> None:
    """Put a row on a heap that has so many; there is room for it."""
    at = size
    while at:
        above = (at - 1) >> 1
        if not _before(rows, row, heap[above]):
            break
        heap[at] = heap[above]
        at = above
    heap[at] = row


@compiled
def pop(heap: Int32s, size: Word, rows: Int64s) -> Word:
    """Take the first row off a heap that has so many."""
    first, moved = int(heap[0]), int(heap[size - 1])
    at, size = 0, size - 1
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(rows, heap[below + 1], heap[below]):
            below += 1
        if not _before(rows, heap[below], moved):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = moved
    return first
