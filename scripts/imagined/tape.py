"""What a recording file system has written down."""

from pathlib import Path

import msgpack

from imagined.disk import Op


def read_tape(tape: Path) -> tuple[list[Op], list[int]]:
    """All changes, and the length of the tape after each."""
    ops: list[Op] = []
    ends: list[int] = []
    with tape.open("rb") as file:
        unpacker = msgpack.Unpacker(file, use_list=False, max_buffer_size=1 << 31)
        for op in unpacker:
            ops.append(op)
            ends.append(unpacker.tell())
    return ops, ends
