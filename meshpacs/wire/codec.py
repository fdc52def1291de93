"""Messages and bodies to bytes and back, by their type annotations (PROTOCOL 3).

A dataclass is a msgpack array of its fields in order. Reading trusts nothing: every type, length
and range is checked, and what is wrong is named with the message and the field. Writing is
deterministic, because what is written is signed and hashed: arrays are in field order and the
maps of records are sorted by tag.

Known fields nest only as deep as their types do; records, which may contain records, count their
depth. Whatever is unknown (trailing fields) is at most 1,024 deep, msgpack's own bound, and is
dropped unread.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeVar, cast, get_args, get_origin

import msgpack

from meshpacs.model import limits
from meshpacs.model.attributes import Record, Value
from meshpacs.model.errors import LocalFault, PeerFault
from meshpacs.model.ids import Digest, MeshId, NodeId, QueryId
from meshpacs.model.query import Query, beyond_limits
from meshpacs.wire.messages import Chunk, Message

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

Payload = tuple[Buffer, ...]
"""A frame's payload, in pieces that follow each other."""

EXACT_BYTES: Mapping[object, int] = {NodeId: 32, MeshId: 32, Digest: 32, QueryId: 16}
"""The names that are digests have one length. `meshpacs.model.ids`."""

MOST_BYTES: Mapping[str, int] = {
    "body": limits.BODY_BYTES,
    "signature": 64,
    "data": limits.LEAF_BYTES,
}
"""Plain byte fields with a bound of their own; the bytes they come in bound all others."""

SIGNED_FIELDS = frozenset({"skew_us"})
"""The only integers that may be negative: one clock minus another."""

LARGEST_INT = 2**63 - 1
"""So that a number fits SQLite and every other implementation's signed 64 bits."""

RECORD_DEPTH = 5
"""Where a record begins: AskBody, Query, its keys, one pair, its value; rows lie no deeper."""

LARGEST_TAG = 0xFFFF_FFFF


class Malformed(PeerFault):
    """Bytes that are no such message; nothing of them was used."""


class UnknownType(PeerFault):
    """A message type that this version does not know; below 128 it wants `Unsupported`."""

    def __init__(self, number: int) -> None:
        """Name the type."""
        super().__init__(f"Message type {number} is not known here.", "Compare the versions.")
        self.number = number


class _Refused(Exception):
    """Why a value is no good; the fields above put their names in front on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]

# ---------------------------------------------------------------- the four verbs


def pack(value: object) -> bytes:
    """Encode a dataclass.

    Raises:
        LocalFault: it holds something that cannot be written, such as half a surrogate pair.
    """
    cls: Any = type(value)
    try:
        return cast("bytes", msgpack.packb(_class_writer(cls)(value), use_bin_type=True))
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise LocalFault(f"A {cls.__name__} cannot be encoded: {type(error).__name__}.") from error


def unpack(cls: type[T], data: Buffer) -> T:
    """Decode a dataclass of this class, trusting nothing.

    Raises:
        Malformed: naming the class and the field.
    """
    kind: Any = cls
    try:
        return cast("T", _class_reader(kind)(_parse(data)))
    except _Refused as refused:
        where = "".join([cls.__name__, *refused.path])
        raise Malformed(f"{where} {refused.reason}.") from None


def encode(message: Message) -> bytes:
    """A frame's payload: the type in one byte, then the array."""
    return bytes((message.TYPE,)) + pack(message)


def encode_in_place(message: Message) -> Payload:
    """The same payload, but the bytes of a leaf stay where they lie instead of being copied."""
    if type(message) is not Chunk:
        return (encode(message),)
    empty = encode(Chunk(message.request, message.root, message.index, b""))
    return empty[: -len(_bin_head(0))] + _bin_head(len(message.data)), message.data


def _bin_head(length: int) -> bytes:
    """How msgpack begins a string of so many bytes, in as few as it can: bin 8, 16 or 32."""
    for code, width in ((0xC4, 1), (0xC5, 2)):
        if length < 1 << 8 * width:
            return bytes((code,)) + length.to_bytes(width, "big")
    return b"\xc6" + length.to_bytes(4, "big")


def decode(payload: Buffer) -> Message:
    """The message in a frame's payload.

    Raises:
        UnknownType: a newer version's message; the caller answers `Unsupported` below 128.
        Malformed: naming the message and the field.
    """
    if not payload:
        raise Malformed("A frame is empty.")
    view = memoryview(payload)
    cls = MESSAGES.get(view[0])
    if cls is None:
        raise UnknownType(view[0])
    if cls is Chunk and (chunk := _chunk_in_place(view)) is not None:
        return chunk
    return unpack(cls, view[1:])


CHUNK_HEAD_BYTES = 1 + 1 + 9 + 2 + 32 + 9 + 5
"""The most that stands before a leaf's bytes: type, array, two integers, a digest, a length."""


def _chunk_in_place(view: memoryview) -> Chunk | None:
    """A Chunk as `encode_in_place` writes it, its data left where it lies.

    None for any other layout: `unpack` copies, and judges what is wrong.
    """
    head = msgpack.Unpacker(use_list=False, max_buffer_size=CHUNK_HEAD_BYTES)
    head.feed(view[1:CHUNK_HEAD_BYTES])
    try:
        fields_come = head.read_array_header()
        request, root, index = (head.unpack() for _ in range(3))
        chunk = cast("Chunk", _class_reader(Chunk)((request, root, index, b"")))
    except (ValueError, msgpack.UnpackException, _Refused):
        return None
    at = 1 + head.tell()
    width = {0xC4: 1, 0xC5: 2, 0xC6: 4}.get(view[at], 0) if at < len(view) else 0
    begin = at + 1 + width
    length = int.from_bytes(view[at + 1 : begin], "big")
    if not width or fields_come != 4 or begin + length != len(view) or length > limits.LEAF_BYTES:
        return None
    return Chunk(chunk.request, chunk.root, chunk.index, view[begin:])


MESSAGES: Mapping[int, type[Message]] = {cls.TYPE: cls for cls in get_args(Message)}

# ---------------------------------------------------------------- reading


def _parse(data: Buffer) -> object:
    """Msgpack to tuples (arrays) and lists of pairs (maps), within the limits.

    Maps become lists of pairs so that a tag that comes twice is seen, and can never be mistaken
    for an array. Memory is bounded by the frame: an empty map, one byte, costs 64 here.
    """
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            use_list=False,
            strict_map_key=False,
            object_pairs_hook=list,
            max_bin_len=limits.MANIFESTS_BYTES,
            max_str_len=4 * limits.ATTRIBUTE_BYTES,
            max_array_len=limits.STUDY_INSTANCES,
            max_map_len=limits.RECORD_ATTRIBUTES,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise _Refused(f"is no msgpack within the limits ({type(error).__name__})") from error


@cache
def _class_reader(cls: type) -> Reader:
    """What reads one dataclass; made once, since the annotations do not change."""
    names = tuple(f.name for f in fields(cls))
    readers = tuple(_reader(f.type, f.name) for f in fields(cls))
    needed = sum(f.default is MISSING and f.default_factory is MISSING for f in fields(cls))

    def read(raw: object) -> object:
        if type(raw) is not tuple:
            raise _Refused("is no array")
        if len(raw) < needed:
            raise _Refused(f"has {len(raw)} fields and needs {needed}")
        values: list[object] = []
        try:
            # Not strict: fields that a newer version appended are ignored (PROTOCOL 3.1).
            for read_field, item in zip(readers, raw, strict=False):
                values.append(read_field(item))
        except _Refused as refused:
            refused.path.insert(0, f".{names[len(values)]}")
            raise
        return cls(*values)

    if cls is not Query:
        return read

    def read_query(raw: object) -> object:
        query = read(raw)
        excess = beyond_limits(cast("Query", query))
        if excess:
            raise _Refused(f"has {excess}")
        return query

    return read_query


def _reader(kind: Any, name: str) -> Reader:
    """What reads one field of this annotated type; `name` picks its limits."""
    if kind is int:
        return _read_signed if name in SIGNED_FIELDS else _read_int
    if kind is str:
        return _read_str
    if kind is bool:
        return _read_bool
    if kind in (bytes, Buffer):
        return _bytes_reader(0, MOST_BYTES.get(name, limits.MANIFESTS_BYTES))
    if isinstance(kind, NewType):
        exact = EXACT_BYTES.get(kind)
        return _bytes_reader(exact, exact) if exact else _reader(kind.__supertype__, name)
    if kind == Record:
        return _read_record
    if kind == Value:
        return _read_value
    if get_origin(kind) is tuple:
        return _tuple_reader(get_args(kind), name)
    if isinstance(kind, types.UnionType):
        return _optional_reader(kind, name)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_reader(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _class_reader(kind)
    raise TypeError(f"the codec knows no {kind!r} (field {name})")


def _read_int(raw: object) -> object:
    if type(raw) is not int or not 0 <= raw <= LARGEST_INT:
        raise _Refused("is no integer from 0 to 2^63 - 1")
    return raw


def _read_signed(raw: object) -> object:
    if type(raw) is not int or not -LARGEST_INT <= raw <= LARGEST_INT:
        raise _Refused("is no integer of 64 bits")
    return raw


def _read_str(raw: object) -> object:
    if type(raw) is not str or len(raw) > limits.VALUE_CHARACTERS:
        raise _Refused(f"is no text of at most {limits.VALUE_CHARACTERS} characters")
    return raw


def _read_bool(raw: object) -> object:
    if type(raw) is not bool:
        raise _Refused("is neither true nor false")
    return raw


@cache
def _bytes_reader(least: int, most: int) -> Reader:
    """What reads bytes of a length within these bounds."""

    def read(raw: object) -> object:
        if type(raw) is not bytes or not least <= len(raw) <= most:
            raise _Refused(f"is no string of {least} to {most} bytes")
        return raw

    return read


def _enum_reader(kind: type[Enum]) -> Reader:
    known = {member.value: member for member in kind}

    def read(raw: object) -> object:
        if type(raw) not in {str, int} or raw not in known:
            raise _Refused(f"is no {kind.__name__}")
        return known[raw]

    return read


def _optional_reader(kind: types.UnionType, name: str) -> Reader:
    """`X | None`, the only union a field may be."""
    chosen = [arg for arg in get_args(kind) if arg is not types.NoneType]
    if len(chosen) != 1:
        raise TypeError(f"the codec knows no {kind!r} (field {name})")
    read_some = _reader(chosen[0], name)
    return lambda raw: None if raw is None else read_some(raw)


def _tuple_reader(args: tuple[Any, ...], name: str) -> Reader:
    """`tuple[X, ...]`, or a fixed one, which is exact: it cannot grow fields."""
    if len(args) == 2 and args[1] is Ellipsis:
        one = _reader(args[0], name)

        def read_many(raw: object) -> object:
            if type(raw) is not tuple:
                raise _Refused("is no array")
            values = []
            try:
                for item in raw:
                    values.append(one(item))  # noqa: PERF401  its length names the bad element
            except _Refused as refused:
                refused.path.insert(0, f"[{len(values)}]")
                raise
            return tuple(values)

        return read_many

    readers = tuple(_reader(arg, name) for arg in args)

    def read_fixed(raw: object) -> object:
        if type(raw) is not tuple or len(raw) != len(readers):
            raise _Refused(f"is no array of {len(readers)}")
        return tuple(read(item) for read, item in zip(readers, raw, strict=True))

    return read_fixed


def _read_record(raw: object, depth: int = RECORD_DEPTH) -> object:
    """A record: a map from tags, each once and in order, to values."""
    if type(raw) is not list:
        raise _Refused("is no map")
    if depth > limits.NESTING:
        raise _Refused(f"nests more than {limits.NESTING} deep")
    record: dict[int, object] = {}
    last = -1
    for tag, value in raw:
        # One order only: two encodings of one record would have two digests.
        if type(tag) is not int or not last < tag <= LARGEST_TAG:
            raise _Refused("has a tag that is none, comes twice or is out of order")
        record[tag] = _read_value(value, depth + 1)
        last = tag
    return record


def _read_value(raw: object, depth: int = RECORD_DEPTH) -> object:
    """An attribute's value: texts, or one record per item."""
    if type(raw) is not tuple or len(raw) > limits.VALUES_PER_ATTRIBUTE:
        raise _Refused(f"has a value that is no array of at most {limits.VALUES_PER_ATTRIBUTE}")
    for item in raw:
        if type(item) is list:
            break
        if type(item) is not str or len(item) > limits.ATTRIBUTE_BYTES:
            raise _Refused("has a value that is neither text within the limits nor an item")
    else:
        return raw
    return tuple(_read_record(item, depth + 1) for item in raw)


# ---------------------------------------------------------------- writing


@cache
def _class_writer(cls: type) -> Writer:
    """What turns one dataclass into what msgpack can write; made once."""
    plan = tuple((f.name, _writer(f.type)) for f in fields(cls))
    if all(write is None for _, write in plan):
        names = tuple(name for name, _ in plan)
        return lambda value: [getattr(value, name) for name in names]

    def write_all(value: object) -> list[object]:
        return [
            getattr(value, name) if write is None else write(getattr(value, name))
            for name, write in plan
        ]

    return write_all


def _writer(kind: Any) -> Writer | None:
    """What prepares one field, or None where msgpack writes it as it stands."""
    if kind == Record:
        return _write_record
    if kind == Value:
        return _write_value
    if get_origin(kind) is tuple:
        return _tuple_writer(get_args(kind))
    if isinstance(kind, types.UnionType):
        some = next(filter(None, (_writer(arg) for arg in get_args(kind))), None)
        return some and (lambda value: None if value is None else some(value))
    if isinstance(kind, type) and is_dataclass(kind):
        return _class_writer(kind)
    return None


def _tuple_writer(args: tuple[Any, ...]) -> Writer | None:
    if len(args) == 2 and args[1] is Ellipsis:
        one = _writer(args[0])
        return one and (lambda value: [one(item) for item in value])
    writers = tuple(_writer(arg) for arg in args)
    if not any(writers):
        return None
    return lambda value: [
        item if write is None else write(item) for write, item in zip(writers, value, strict=True)
    ]


def _write_record(record: Record) -> dict[int, object]:
    return {tag: _write_value(record[tag]) for tag in sorted(record)}


def _write_value(value: Value) -> object:
    return [item if isinstance(item, str) else _write_record(item) for item in value]
