"""Frames out of a stream that comes in any pieces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.wire.frames import AT_ONCE_BYTES, LENT_BYTES, FrameReader, FrameTooLarge, frame

payloads = st.lists(st.binary(max_size=50), max_size=8)


@settings(max_examples=200, deadline=None)
@given(payloads, st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_frames_come_whole_and_in_order_however_the_stream_is_cut(
    sent: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(frame, sent))
    reader = FrameReader(50)
    found: list[bytes] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        turn += 1
        found += map(bytes, reader.feed(bytearray(stream[:size])))
        stream = stream[size:]
    assert found == sent
    assert reader.buffered_bytes == 0


def test_byte_by_byte() -> None:
    reader = FrameReader(10)
    found = [bytes(p) for b in frame(b"hello") + frame(b"") for p in reader.feed(bytes([b]))]
    assert found == [b"hello", b""]


def test_frames_before_a_length_beyond_the_limit_still_count() -> None:
    reader = FrameReader(5)
    frames = reader.feed(frame(b"12345") + frame(b"123456"))
    assert next(frames) == b"12345"
    with pytest.raises(FrameTooLarge) as caught:
        next(frames)
    assert (caught.value.length_bytes, caught.value.limit_bytes) == (6, 5)
    assert "6 bytes" in str(caught.value)


def test_a_length_beyond_the_limit_is_refused_at_once_and_for_ever() -> None:
    reader = FrameReader(100)
    with pytest.raises(FrameTooLarge):
        list(reader.feed(b"\xff\xff\xff\xff" + b"x" * 50))
    assert reader.buffered_bytes <= 4
    with pytest.raises(FrameTooLarge):
        list(reader.feed(b"x"))


def test_a_declared_length_reserves_a_leaf_and_no_more() -> None:
    reader = FrameReader(2**30)
    assert list(reader.feed((2**30).to_bytes(4, "big") + b"x")) == []
    assert reader.buffered_bytes == 1
    assert len(reader._body) == AT_ONCE_BYTES


def test_a_frame_longer_than_a_leaf_grows_as_it_comes() -> None:
    sent = bytes(range(256)) * 12_000
    stream = frame(sent)
    reader = FrameReader(2**22)
    found = []
    for at in range(0, len(stream), 100_000):
        assert len(reader._body) <= max(AT_ONCE_BYTES, 2 * at + 200_000)
        found += list(reader.feed(stream[at : at + 100_000]))
    assert found == [sent]


def test_a_large_frame_is_put_where_the_reader_is_lent_room_and_others_are_not() -> None:
    lent: list[bytearray] = []

    def lend(size: int) -> memoryview:
        lent.append(bytearray(b"?" * (size + 9)))
        return memoryview(lent[-1])[:size]

    reader = FrameReader(AT_ONCE_BYTES + 1)
    reader.lend = lend

    def pass_on(size: int) -> memoryview:
        wire = frame(bytes((size % 251,)) * size)
        assert not list(reader.feed(wire[:100]))
        (payload,) = reader.feed(wire[100:])
        assert payload == wire[4:]
        return memoryview(payload)

    assert pass_on(AT_ONCE_BYTES).obj is lent[0]
    assert pass_on(LENT_BYTES).obj is lent[1]
    pass_on(LENT_BYTES - 1)  # a small one is not worth it
    pass_on(AT_ONCE_BYTES + 1)  # one that grows as it comes has its own
    assert len(lent) == 2


def test_what_lies_within_one_frame_may_be_made_where_it_goes() -> None:
    reader = FrameReader(100)
    assert reader.room(1) is None  # no frame has begun
    assert list(reader.feed(frame(b"0123456789")[:6])) == []
    assert reader.room(9) is None  # the last byte would be the next frame's
    for at, more in ((2, b"234"), (5, b"56789")):
        room = reader.room(len(more))
        assert room is not None
        with room:
            room[:] = more
        payload = reader.filled(len(more))
        assert payload == (None if at == 2 else b"0123456789")
    assert reader.buffered_bytes == 0
    assert list(reader.feed(frame(b"next"))) == [b"next"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_garbage_is_never_anything_but_too_large(pieces: list[bytes]) -> None:
    reader = FrameReader(64)
    try:
        for piece in pieces:
            for payload in reader.feed(piece):
                assert len(payload) <= 64
            assert reader.buffered_bytes <= 64 + 4
    except FrameTooLarge:
        pass
