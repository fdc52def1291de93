"""An answer is cut into padded parts and read back; what is no part is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import NodeId
from meshpacs.model.limits import PARTS_PER_ANSWER
from meshpacs.wire.bodies import Piece
from meshpacs.wire.codec import Malformed, pack
from meshpacs.wire.parts import CAPACITY, SIZES, cut, read

NORD = NodeId(b"n" * 32)


@pytest.mark.parametrize("length", [0, 1, CAPACITY, CAPACITY + 1, 3 * CAPACITY])
def test_an_answer_comes_back_whole_and_its_parts_have_few_sizes(length: int) -> None:
    answer = bytes(number % 251 for number in range(length))
    parts = cut(NORD, answer)
    pieces = [read(part) for part in parts]
    assert {len(part) for part in parts} <= set(SIZES)
    assert b"".join(piece.data for piece in pieces) == answer
    assert [piece.index for piece in pieces] == list(range(pieces[0].count))


def test_a_part_shorter_than_it_says_is_refused() -> None:
    with pytest.raises(Malformed, match="shorter"):
        read(cut(NORD, b"answer")[0][:40])


@pytest.mark.parametrize(("index", "count"), [(1, 1), (0, 0), (0, PARTS_PER_ANSWER + 1)])
def test_a_part_with_an_impossible_number_is_refused(index: int, count: int) -> None:
    piece = pack(Piece(NORD, index, count, b""))
    with pytest.raises(Malformed, match="impossible"):
        read(len(piece).to_bytes(4, "big") + piece)


@given(st.binary(max_size=200))
def test_garbage_is_never_worse_than_a_peers_fault(garbage: bytes) -> None:
    try:
        read(garbage)
    except PeerFault:
        return
