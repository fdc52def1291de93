"""Messages and bodies to bytes and back; nothing but a PeerFault for whatever comes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from typing import Any, NewType, get_args

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.model import limits
from meshpacs.model.answer import Row
from meshpacs.model.attributes import Level, Record
from meshpacs.model.content import Entry, StudyState
from meshpacs.model.errors import LocalFault, PeerFault
from meshpacs.model.ids import Digest, NodeId, QueryId
from meshpacs.model.query import Query, Rules
from meshpacs.wire.bodies import Answer, AskBody, Done, Piece, Rows
from meshpacs.wire.codec import (
    EXACT_BYTES,
    LARGEST_INT,
    MESSAGES,
    MOST_BYTES,
    SIGNED_FIELDS,
    Buffer,
    Malformed,
    UnknownType,
    decode,
    encode,
    encode_in_place,
    pack,
    unpack,
)
from meshpacs.wire.manifest import Manifest, Signed
from meshpacs.wire.messages import (
    Ask,
    Cancel,
    Chunk,
    Closed,
    Digests,
    Hello,
    Manifests,
    Message,
    Ping,
    Pong,
    WantChunks,
)

NODE = NodeId(b"n" * 32)
ROOT = Digest(b"r" * 32)

BODIES: Sequence[type] = (AskBody, Done, Answer, Rows, Piece, Query, Row, Manifest, Signed)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
tags = st.integers(0, 2**32 - 1)
records: st.SearchStrategy[Record] = st.recursive(
    st.dictionaries(tags, st.lists(texts, max_size=3).map(tuple), max_size=4),
    lambda inner: st.dictionaries(tags, st.lists(inner, max_size=2).map(tuple), max_size=2),
    max_leaves=6,
)
values = st.one_of(st.lists(texts, max_size=3).map(tuple), st.lists(records, max_size=1).map(tuple))


def of_type(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of an annotated type, as the codec's own rules would have them."""
    if kind is int:
        return st.integers(-LARGEST_INT if name in SIGNED_FIELDS else 0, LARGEST_INT)
    if kind is str:
        return texts
    if kind is bool:
        return st.booleans()
    if kind in (bytes, Buffer):
        return st.binary(max_size=min(40, MOST_BYTES.get(name, 40)))
    if isinstance(kind, NewType):
        size = EXACT_BYTES[kind]
        return st.binary(min_size=size, max_size=size)
    if kind == Record:
        return records
    if kind == tuple[str | Record, ...]:
        return values
    args = get_args(kind)
    if args and args[-1] is Ellipsis:
        return st.lists(of_type(args[0], name), max_size=3).map(tuple)
    if args:
        return st.tuples(*(of_type(arg, name) for arg in args))
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    return st.builds(kind, *(of_type(field.type, field.name) for field in fields(kind)))


messages: st.SearchStrategy[Message] = st.one_of([of_type(cls) for cls in get_args(Message)])


@settings(max_examples=150, deadline=None)
@given(messages)
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message
    assert b"".join(encode_in_place(message)) == encode(message)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, limits.LEAF_BYTES])
def test_a_leafs_bytes_stay_where_they_are_on_the_way_out_and_in(size: int) -> None:
    data = bytes(size)
    chunk = Chunk(2**62, ROOT, 0, data)
    head, body = encode_in_place(chunk)
    assert body is data
    payload = bytearray(b"".join((head, data)))
    assert payload == encode(chunk)
    again = decode(payload)
    assert again == chunk
    assert isinstance(again, Chunk)
    assert isinstance(again.data, memoryview)
    assert again.data.obj is payload


def test_a_leaf_that_another_version_laid_out_otherwise_is_read_all_the_same() -> None:
    chunk = encode(Chunk(1, ROOT, 2, b"leaf"))
    longer = chunk.replace(b"\xc4\x04leaf", b"\xc6\0\0\0\x04leaf")
    assert decode(longer) == decode(chunk)
    newer = b"\x92\x95".join(chunk.split(b"\x92\x94")) + b"\xc0"
    assert decode(newer) == decode(chunk)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xc4\x04leaf", b"\xc4\x05leaf"),
        (b"\xc4\x04leaf", b"\xc4\x03leaf"),
        (b"\xc4\x04leaf", b"\xa4leaf"),
        (b"\xc4\x04leaf", b""),
        (b"\x92\x94", b"\x92\xc0"),
        (b"\xc4\x04leaf", b"\xc6" + (limits.LEAF_BYTES + 1).to_bytes(4, "big")
         + bytes(limits.LEAF_BYTES + 1)),
    ],
)  # fmt: skip
def test_a_leaf_that_is_not_what_it_says_is_refused(old: bytes, new: bytes) -> None:
    broken = encode(Chunk(1, ROOT, 2, b"leaf")).replace(old, new)
    with pytest.raises(Malformed, match="Chunk"):
        decode(broken)


@settings(max_examples=100, deadline=None)
@given(st.one_of([of_type(cls) for cls in BODIES]))
def test_every_body_comes_back_as_it_was_and_has_one_encoding(body: object) -> None:
    data = pack(body)
    again = unpack(type(body), data)
    assert again == body
    assert pack(again) == data


def test_every_message_has_a_type_of_its_own() -> None:
    assert len(MESSAGES) == len(get_args(Message))
    assert all(0 < number < 256 for number in MESSAGES)


def test_records_are_written_in_the_order_of_their_tags() -> None:
    one = Row({2: ("b",), 1: ("a",)}, ())
    other = Row({1: ("a",), 2: ("b",)}, ())
    assert pack(one) == pack(other)


def test_an_unknown_type_is_named_so_that_it_can_be_answered() -> None:
    with pytest.raises(UnknownType) as caught:
        decode(b"\x7f\x90")
    assert caught.value.number == 127


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(Malformed):
        decode(b"")


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert unpack(Ping, msgpack.packb([7, "new", [1, [2]]])) == Ping(7)


def test_trailing_fields_that_are_missing_take_their_default() -> None:
    assert unpack(Closed, msgpack.packb([7])) == Closed(7, ())


def refuse(cls: type, raw: object, *words: str) -> None:
    data = raw if isinstance(raw, bytes) else msgpack.packb(raw)
    with pytest.raises(Malformed) as caught:
        unpack(cls, data)
    for word in (cls.__name__, *words):
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("cls", "raw", "words"),
    [
        (Ping, 7, "array"),
        (Ping, {}, "array"),
        (Ping, [], "0 fields and needs 1"),
        (Ping, [-1], ".nonce"),
        (Ping, [2**63], ".nonce"),
        (Ping, [1.5], ".nonce"),
        (Ping, [True], ".nonce"),
        (Ping, ["7"], ".nonce"),
        (Ping, [None], ".nonce"),
        (Hello, [1, 2, b"v"], ".version"),
        (Hello, [1, 2, "v" * 1025], ".version"),
        (Cancel, [b"q" * 15], ".query_id"),
        (Cancel, [b"q" * 17], ".query_id"),
        (Cancel, ["q" * 16], ".query_id"),
        (Closed, [1, 2], ".unreached"),
        (Closed, [1, [b"n" * 32, b"n"]], ".unreached[1]"),
        (Digests, [[], [[b"n" * 32]]], ".records[0]"),
        (Digests, [[], [[b"n" * 32, -1]]], ".records[0]"),
        (Digests, [[], [7]], ".records[0]"),
        (Ask, [1, 0, 1, 1, b"b" * (limits.BODY_BYTES + 1), b"s"], ".body"),
        (Ask, [1, 0, 1, 1, b"b", b"s" * 65], ".signature"),
        (Manifests, [1, "1.2", [b"x"], 1], ".more"),
        (Query, ["GALAXY"], ".level"),
        (Query, [["STUDY"]], ".level"),
        (Row, [[], []], ".record"),
        (Row, [{"a": ["x"]}, []], ".record"),
        (Row, [{-1: ["x"]}, []], ".record"),
        (Row, [{2**32: ["x"]}, []], ".record"),
        (Row, [{2: ["x"], 1: ["x"]}, []], ".record"),
        (Row, [{1: "x"}, []], ".record"),
        (Row, [{1: [7]}, []], ".record"),
        (Row, [{1: ["x", {}]}, []], ".record"),
        (Row, [{1: [{}, "x"]}, []], ".record"),
        (Row, [{1: ["x" * (limits.ATTRIBUTE_BYTES + 1)]}, []], ".record"),
        (Row, [{1: [""] * (limits.VALUES_PER_ATTRIBUTE + 1)}, []], ".record"),
        (Row, [{}, [["1.2", b"short", 1]]], ".studies[0].root"),
        (Query, ["STUDY", [[1, [["x"]]]]], ".keys[0]"),
        (Query, ["STUDY", [[n, []] for n in range(129)]], "128 keys"),
        (Query, ["STUDY", [[1, ["1"] * 513]]], "512 values"),
        (Query, ["STUDY", [[1, [{2: ["x" * 1025]}]]]], "1024 characters"),
        (Ping, b"\xc1", "msgpack"),
        (Ping, b"", "msgpack"),
        (Ping, b"\x91", "msgpack"),
        (Ping, b"\x91\x01\x01", "msgpack"),
        (Ping, b"\x91\xd6\xff\x00\x00\x00\x00", "msgpack"),
        (Hello, b"\x93\x01\x02\xa1\xff", "msgpack"),
        (Ping, b"\x91" * 2000, "msgpack"),
        (Ping, b"\xdd\xff\xff\xff\xff", "msgpack"),
    ],
)
def test_what_breaks_the_rules_is_refused_by_name(cls: type, raw: object, words: str) -> None:
    refuse(cls, raw, words)


def test_one_tag_twice_in_a_record_is_refused() -> None:
    refuse(Row, b"\x92\x82\x01\x90\x01\x90\x90", ".record")


def test_records_nest_only_so_deep() -> None:
    record: Record = {1: ("x",)}
    for _ in range(5):
        record = {1: (record,)}
    assert unpack(Row, pack(Row(record, ()))) == Row(record, ())
    refuse(Row, pack(Row({1: (record,)}, ())), "nests more than")


def test_clocks_may_differ_both_ways() -> None:
    done = Done(QueryId(b"q" * 16), NODE, "answered", 1, 0, ROOT, 5, skew_us=-3)
    assert unpack(Done, pack(done)) == done
    refuse(Done, [b"q" * 16, NODE, "a", 1, 0, ROOT, 5, -(2**63)], ".skew_us")
    refuse(Pong, [1, -5], ".wall_us")


def test_what_cannot_be_written_is_our_fault() -> None:
    with pytest.raises(LocalFault):
        pack(Hello(1, 2, "\ud800"))
    with pytest.raises(LocalFault):
        pack(Ping(2**64))
    with pytest.raises(LocalFault):
        pack("no dataclass")


def test_a_whole_row_survives() -> None:
    row = Row(
        {0x0010_0010: ("Müller^Hans=山田",), 0x0040_0275: ({0x0040_0009: ("7",)},)},
        (StudyState("1.2.3", ROOT, 5),),
    )
    assert unpack(Rows, pack(Rows((row,)))) == Rows((row,))
    assert unpack(Rows, memoryview(bytearray(pack(Rows((row,)))))) == Rows((row,))


def test_ranges_keep_their_numbers() -> None:
    wanted = WantChunks(1, ((ROOT, 0, 4), (ROOT, 8, 1)))
    assert decode(encode(wanted)) == wanted


class Colour(Enum):
    RED = 1


Name = NewType("Name", str)


@dataclass(frozen=True, slots=True)
class Everything:
    """Kinds of fields that the messages do not use yet but may."""

    name: Name
    colour: Colour | None
    entry: Entry | None = None
    inner: tuple[Entry, ...] | None = None
    pair: tuple[Rules, int] | None = None


def test_optional_fields_enumerations_and_new_names_of_texts_work() -> None:
    entry = Entry("1", "2", "3", "CT", "4", 5, ROOT)
    whole = Everything(Name("x"), None, entry, (entry,), (Rules(relational=True), 3))
    for thing in (whole, Everything(Name("x"), None), Everything(Name("x"), None, None, ())):
        assert unpack(Everything, pack(thing)) == thing
    assert unpack(Everything, msgpack.packb(["x", 1])) == Everything(Name("x"), Colour.RED)
    refuse(Everything, ["x", 2], ".colour")
    refuse(Everything, ["x", None, None, None, [[], 3, 4]], ".pair")


@dataclass(frozen=True, slots=True)
class Strange:
    field: float


@dataclass(frozen=True, slots=True)
class Torn:
    field: int | str


@pytest.mark.parametrize("cls", [Strange, Torn])
def test_types_that_the_codec_does_not_know_are_a_mistake_of_ours(cls: type) -> None:
    with pytest.raises(TypeError):
        unpack(cls, msgpack.packb([1]))


nested = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        texts,
        st.binary(max_size=40),
        st.just(b"x" * 32),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.one_of(tags, texts), inner, max_size=4),
    ),
    max_leaves=20,
)


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=80))
def test_garbage_is_never_anything_but_a_peers_fault(data: bytes) -> None:
    with suppress(PeerFault):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(MESSAGES)), st.lists(nested, max_size=8))
def test_well_formed_nonsense_is_never_anything_but_a_peers_fault(
    number: int, raw: list[object]
) -> None:
    try:
        message = decode(bytes([number]) + msgpack.packb(raw))
    except PeerFault:
        return
    assert type(message) is MESSAGES[number]


@settings(max_examples=300, deadline=None)
@given(messages, st.data())
def test_a_changed_byte_is_another_message_or_a_peers_fault(
    message: Message, data: st.DataObject
) -> None:
    payload = bytearray(encode(message))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    with suppress(PeerFault):
        decode(payload)


@settings(max_examples=150, deadline=None)
@given(st.one_of([of_type(cls) for cls in BODIES]), st.data())
def test_a_body_cut_off_is_refused(body: object, data: st.DataObject) -> None:
    whole = pack(body)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Malformed):
        unpack(type(body), cut)


def test_every_field_with_a_default_comes_after_those_without() -> None:
    for cls in (*get_args(Message), *BODIES):
        defaults = [f.default is not MISSING for f in fields(cls)]
        assert defaults == sorted(defaults)


def test_level_is_read_as_a_level() -> None:
    assert unpack(Query, msgpack.packb(["SERIES"])).level is Level.SERIES
