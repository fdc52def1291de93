"""Command sets as nouns and as bytes (PS3.7 6.3.1, 9.3, annex E)."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from meshpacs.dimse.commands import (
    COMMANDS,
    ActionRequest,
    CancelRequest,
    Command,
    EchoRequest,
    EchoResponse,
    EventReportRequest,
    FindResponse,
    GetResponse,
    MoveRequest,
    StoreRequest,
    StoreResponse,
    UnknownRequest,
    UnknownResponse,
    decode,
    encode,
)
from meshpacs.dimse.faults import MalformedMessage
from meshpacs.dimse.services import (
    QUERY_RETRIEVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    Service,
    service_of,
    takes_extensions,
)
from meshpacs.dimse.statuses import (
    CANCELLED,
    PENDING,
    PENDING_IGNORED_KEYS,
    STORE_OUT_OF_RESOURCES,
    SUB_OPERATIONS_WARNING,
    SUCCESS,
    is_pending,
    is_warning,
)

UIDS = st.integers(0, 10**30).map(lambda number: f"2.25.{number}")
SHORTS = st.integers(0, 65535)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "sop_class": UIDS,
    "requested_sop_class": UIDS,
    "sop_uid": UIDS,
    "requested_sop_uid": UIDS,
    "message_id": SHORTS,
    "responded_id": SHORTS,
    "priority": st.integers(0, 2),
    "status": SHORTS,
    "offending": st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
    "comment": st.text("abc ~", max_size=64).map(str.strip),
    "destination": st.just("STORESCP"),
    "originator": st.just("MOVER"),
    "originator_id": SHORTS,
    "event_type": st.integers(1, 2),
    "action_type": st.just(1),
    "remaining": st.none() | SHORTS,
    "completed": SHORTS,
    "failed": SHORTS,
    "warning": SHORTS,
}


@st.composite
def commands(draw: st.DrawFn) -> Command:
    kind = draw(st.sampled_from(sorted(COMMANDS.values(), key=lambda kind: kind.FIELD)))
    names = [name for name in kind.__dataclass_fields__ if name in FIELDS]
    values = {name: draw(FIELDS[name]) for name in names}
    return kind(has_data=kind.CARRIES or draw(st.booleans()), **values)


@settings(max_examples=300, deadline=None)
@given(commands())
def test_what_is_written_is_read_as_it_was(command: Command) -> None:
    assert decode(encode(command)) == command


@settings(max_examples=100, deadline=None)
@given(commands())
def test_pydicom_reads_what_we_write(command: Command) -> None:
    data = encode(command)
    found = read_dataset(io.BytesIO(data), is_implicit_VR=True, is_little_endian=True)
    assert found.CommandGroupLength == len(data) - 12
    assert found.CommandField == command.FIELD
    assert (found.CommandDataSetType != 0x0101) is command.has_data
    assert [e.tag for e in found] == sorted(e.tag for e in found)
    if hasattr(command, "message_id"):
        assert found.MessageID == command.message_id
    if hasattr(command, "status"):
        assert found.Status == command.status


def by_pydicom(**fields: object) -> bytes:
    data = Dataset()
    for name, value in fields.items():
        setattr(data, name, value)
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, True
    write_dataset(out, data)
    return out.getvalue()


def test_a_command_set_of_pydicom_is_understood() -> None:
    data = by_pydicom(
        AffectedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        CommandField=1,
        MessageID=7,
        Priority=2,
        CommandDataSetType=0,
        AffectedSOPInstanceUID="1.2.3",
        MoveOriginatorApplicationEntityTitle="WS",
        MoveOriginatorMessageID=9,
    )
    assert decode(data) == StoreRequest(
        has_data=True,
        message_id=7,
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        sop_uid="1.2.3",
        priority=2,
        originator="WS",
        originator_id=9,
    )


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=80))
def test_garbage_gives_only_named_errors(garbage: bytes) -> None:
    with suppress(MalformedMessage):
        decode(garbage)


@settings(max_examples=400, deadline=None)
@given(commands(), st.data())
def test_broken_command_sets_give_only_named_errors(command: Command, data: st.DataObject) -> None:
    broken = bytearray(encode(command))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedMessage):
        decode(broken)


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


STORE = (
    element(0x0002, b"1.2.3\0") + element(0x0100, b"\1\0") + element(0x0110, b"\1\0")
    + element(0x0800, b"\1\0") + element(0x1000, b"1.2.4\0")
)  # fmt: skip


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\0\0\0\1", "within an element's head"),
        (element(0x0100, b"\1\0", group=8), r"\(0008,0100\)"),
        (struct.pack("<HHL", 0, 0x100, 9) + b"\1\0", r"0000,0100\) is longer"),
        (b"", "Command Field"),
        (element(0x0100, b"\1"), "Command Field"),
        (element(0x0100, b"\1\0"), "Data Set Type"),
        (STORE.replace(b"1.2.4\0", b"1.2\n4\0"), r"0000,1000\) is no UI"),
        (STORE.replace(b"1.2.4\0", b"1.2\xe44\0"), r"0000,1000\) is no UI"),
        (STORE[:44], r"StoreRequest lacks \(0000,1000\)"),
        (STORE.replace(b"\0\x08\2\0\0\0\1\0", b"\0\x08\2\0\0\0\1\1"), "no data set"),
        (element(0x0100, b"\x40\x81") + element(0x0800, b"\1\1"), "kind 8140"),
    ],
)
def test_a_broken_command_set_is_refused_by_name(data: bytes, word: str) -> None:
    with pytest.raises(MalformedMessage, match=word):
        decode(data)


def test_what_a_message_does_not_name_is_passed_over() -> None:
    assert decode(element(0, b"\1\0\0\0") + element(1, b"\0\0\0\0") + STORE) == decode(STORE)


def test_a_request_that_is_not_served_can_be_answered() -> None:
    found = decode(
        element(0x0100, b"\x40\x01") + element(0x0110, b"\7\0") + element(0x0800, b"\1\1")
    )
    assert found == UnknownRequest(field=0x0140, message_id=7)
    answer = encode(UnknownResponse(field=0x8140, responded_id=7, status=0x0211))
    assert element(0x0100, b"\x40\x81") in answer


def test_counts_that_are_not_told_are_not_written() -> None:
    done = GetResponse(responded_id=1, status=SUCCESS, completed=3, failed=0, warning=0)
    assert element(0x1020, b"\0\0") not in encode(done)
    assert element(0x1022, b"\0\0") in encode(done)


def test_a_comment_is_cut_to_what_its_vr_can_hold() -> None:
    found = decode(encode(FindResponse(responded_id=1, status=0xA900, comment="é" + "x" * 99)))
    assert isinstance(found, FindResponse)
    assert found.comment == "?" + "x" * 63


def test_an_originator_is_told_with_its_message_or_not_at_all() -> None:
    alone = StoreRequest(has_data=True, message_id=1, sop_class="1.2", sop_uid="1.3")
    assert b"\x31\x10" not in encode(alone)


def test_every_kind_has_a_field_of_its_own_and_answers_have_the_high_bit() -> None:
    for request, answer in ((EchoRequest, EchoResponse), (StoreRequest, StoreResponse)):
        assert request.FIELD | 0x8000 == answer.FIELD
    assert {CancelRequest, MoveRequest, ActionRequest, EventReportRequest} <= set(COMMANDS.values())


def test_elements_behind_those_of_the_command_are_passed_over() -> None:
    """Orthanc sends (0008,0058) so, at the end of a C-GET of which something failed."""
    answer = GetResponse(responded_id=3, status=0xB000, completed=1, failed=1)
    behind = element(0x0000, b"\x0c\0\0\0", group=8) + element(0x0058, b"1.2\0", group=8)
    assert decode(encode(answer) + behind) == answer
    with pytest.raises(MalformedMessage, match=r"\(0008,0058\) is longer"):
        decode(encode(answer) + behind[:-1])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (SUCCESS, ""), (CANCELLED, ""), (PENDING, "pending"), (PENDING_IGNORED_KEYS, "pending"),
        (SUB_OPERATIONS_WARNING, "warning"), (0x0107, "warning"), (0xB007, "warning"),
        (STORE_OUT_OF_RESOURCES, ""), (0x0110, ""), (0xC001, ""),
    ],
)  # fmt: skip
def test_a_status_is_of_one_kind(status: int, kind: str) -> None:
    kinds = {"pending": is_pending, "warning": is_warning}
    assert [name for name, test in kinds.items() if test(status)] == ([kind] if kind else [])


def test_sop_classes_belong_to_services() -> None:
    assert service_of(VERIFICATION) is Service.ECHO
    assert service_of(STUDY_ROOT_FIND) is Service.FIND
    assert service_of("1.2.840.10008.5.1.4.1.1.2") is Service.STORE
    assert service_of("1.2.840.10008.5.1.4.39.1") is Service.STORE
    assert service_of("1.2.840.10008.5.1.4.31") is Service.WORKLIST
    assert service_of("1.2.840.10008.5.1.4.33") is None
    private = "1.2.276.0.19.55.1.5.1.1.1"
    assert service_of(private) is None
    assert service_of(private, {private}) is Service.STORE
    from pydicom.uid import UID

    for uid, found in QUERY_RETRIEVE.items():
        assert found.service.upper() in UID(uid).name.upper()
        assert ("Patient" in UID(uid).name) is (len(found.levels) == 4)


def test_every_storage_class_that_pydicom_knows_is_one() -> None:
    from pynetdicom.sop_class import _STORAGE_CLASSES

    missing = [
        name for name, uid in _STORAGE_CLASSES.items() if service_of(uid) is not Service.STORE
    ]
    assert missing == []


def test_only_queries_take_the_extensions_of_queries() -> None:
    """Of C-MOVE and C-GET the same bytes mean other things (PS3.4 C.5.2.1, C.5.3.1)."""
    assert takes_extensions(STUDY_ROOT_FIND)
    assert not takes_extensions(STUDY_ROOT_MOVE)
    assert not takes_extensions(STUDY_ROOT_GET)
