"""Fragments put together to messages (PS3.7 6.3, PS3.8 annex E)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.dimse.commands import EchoRequest, StoreRequest, encode
from meshpacs.dimse.faults import MalformedMessage
from meshpacs.dimse.messages import Assembly, Begun, Piece, command_pdus, data_pdus
from meshpacs.dimse.pdu import DataFragment
from meshpacs.dimse.reader import PduReader
from meshpacs.model.limits import COMMAND_BYTES

STORE = StoreRequest(has_data=True, message_id=1, sop_class="1.2", sop_uid="1.3")
ECHO = EchoRequest(message_id=2, sop_class="1.2.840.10008.1.1")


def fragment(
    data: bytes, *, context: int = 1, command: bool = False, last: bool = True
) -> DataFragment:
    return DataFragment(context, command, last, memoryview(data))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.binary(max_size=200), st.integers(1, 50))
def test_messages_come_out_as_they_went_in(
    room: int, data_room: int, data: bytes, cut: int
) -> None:
    stream = command_pdus(1, STORE, room)
    stream += b"".join(head + bytes(body) for head, body in data_pdus(1, data, data_room))
    stream += command_pdus(3, ECHO, room)
    reader, assembly = PduReader(), Assembly({1, 3})
    begun, pieces = [], [b""]
    for start in range(0, len(stream), cut):
        for event in reader.feed(memoryview(stream[start : start + cut])):
            assert isinstance(event, DataFragment)
            match assembly.take(event):
                case Begun(context, command):
                    begun.append((context, command))
                case Piece(view, last):
                    pieces[-1] += bytes(view)
                    if last:
                        pieces.append(b"")
                case None:
                    pass
    assert begun == [(1, STORE), (3, ECHO)]
    assert pieces == [data, b""]


def test_data_that_goes_on_has_no_last_pdv() -> None:
    heads = [head for head, _ in data_pdus(1, b"abcdef", 4, last=False)]
    assert [head[-1] for head in heads] == [0, 0]
    heads = [head for head, _ in data_pdus(1, b"abcdef", 4)]
    assert [head[-1] for head in heads] == [0, 2]


def begun() -> Assembly:
    assembly = Assembly({1, 3})
    assembly.take(fragment(encode(STORE), command=True))
    return assembly


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (fragment(b"", context=5), "context 5"),
        (fragment(b"", context=3), "mixed"),
        (fragment(b"", command=True), "wrong order"),
    ],
)
def test_what_does_not_belong_to_a_message_is_refused(wrong: DataFragment, word: str) -> None:
    with pytest.raises(MalformedMessage, match=word):
        begun().take(wrong)


def test_data_before_any_command_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="wrong order"):
        Assembly({1}).take(fragment(b"x"))


def test_a_command_set_has_a_limit() -> None:
    assembly = Assembly({1})
    assembly.take(fragment(b"\0" * COMMAND_BYTES, command=True, last=False))
    with pytest.raises(MalformedMessage, match="more than"):
        assembly.take(fragment(b"\0", command=True, last=False))


def test_a_command_without_a_data_set_ends_its_message() -> None:
    assembly = Assembly({1, 3})
    assert assembly.take(fragment(encode(ECHO), command=True)) == Begun(1, ECHO)
    assert assembly.take(fragment(encode(ECHO), context=3, command=True)) == Begun(3, ECHO)


def test_a_message_is_under_way_from_its_first_fragment_to_its_last() -> None:
    assembly = Assembly({1})
    assert not assembly.amid
    whole = encode(STORE)
    assembly.take(fragment(whole[:9], command=True, last=False))
    assert under_way(assembly)
    assembly.take(fragment(whole[9:], command=True))
    assert under_way(assembly)
    assembly.take(fragment(b"x"))
    assert not under_way(assembly)


def under_way(assembly: Assembly) -> bool:
    """Read anew each time: the type checker does not see that calls change it."""
    return assembly.amid
