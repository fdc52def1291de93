"""PDUs as bytes, and found again in any stream (PS3.8 9.3)."""

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import pdu as theirs

from meshpacs.dimse.faults import MalformedPdu, PduTooLarge, TlsSpoken, UnknownPdu
from meshpacs.dimse.messages import data_pdus
from meshpacs.dimse.pdu import (
    CALLED_TITLE_NOT_RECOGNIZED,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    DataFragment,
    Identity,
    Pdu,
    ProposedContext,
    ReleaseRequest,
    Role,
    User,
    data_head,
    data_room,
    encode,
    reject_words,
)
from meshpacs.dimse.reader import PduReader
from meshpacs.model.errors import PeerFault
from meshpacs.model.limits import (
    ASSOCIATE_BYTES,
    PDU_BYTES,
    PRESENTATION_CONTEXTS,
    TRANSFER_SYNTAXES,
)
from tests.dimse.proposals import Whole, data_pdu, joined, pdus, pdvs, requests

CAPTURES = Path(__file__).parent / "captures"
"""A-ASSOCIATE-RQs as DCMTK 3.6.7's programs sent them, byte for byte."""


def read(stream: bytes, most: int = PDU_BYTES) -> list[Pdu | Whole]:
    return joined(PduReader(most).feed(memoryview(stream)))


@settings(max_examples=300, deadline=None)
@given(pdus)
def test_what_is_written_is_read_as_it_was(pdu: Pdu) -> None:
    assert read(encode(pdu)) == [pdu]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(pdus.map(encode) | st.lists(pdvs, min_size=1, max_size=3).map(data_pdu), max_size=5),
    st.lists(st.integers(1, 30), min_size=1, max_size=30),
)
def test_any_cut_of_the_stream_tells_the_same(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    whole = read(stream)
    reader = PduReader()
    pieces: list[Pdu | Whole] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        turn += 1
        pieces += joined(reader.feed(memoryview(stream[:size])))
        stream = stream[size:]
    assert _united(pieces) == _united(whole)
    assert [p for p in pieces if not isinstance(p, tuple)] == [
        p for p in whole if not isinstance(p, tuple)
    ]


def _united(events: list[Pdu | Whole]) -> list[tuple[bool, ...] | bytes | int | Pdu]:
    """Neighbouring pieces of one context and kind as one, until one that is the last."""
    found: list[Any] = []
    open_: list[Any] | None = None
    for event in events:
        if not isinstance(event, tuple):
            open_ = None
            found.append(event)
            continue
        context, command, last, data = event
        if open_ is not None and open_[:2] == [context, command]:
            open_[3] += data
            open_[2] = last
        else:
            open_ = [context, command, last, data]
            found.append(open_)
        if last:
            open_ = None
    return found


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_gives_only_named_errors(garbage: bytes) -> None:
    with suppress(PeerFault):
        read(garbage)


@settings(max_examples=400, deadline=None)
@given(pdus, st.integers(0, 2**32), st.integers(1, 6))
def test_broken_pdus_give_only_named_errors(pdu: Pdu, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    broken = bytearray(encode(pdu))
    for _ in range(changes):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    with suppress(PeerFault):
        read(bytes(broken))


def test_a_large_pdv_comes_in_pieces_and_only_the_last_piece_is_the_last() -> None:
    stream = data_head(3, command=False, last=True, size=10) + b"0123456789"
    reader = PduReader()
    events = []
    for start in range(0, len(stream), 5):
        events += [
            (bytes(e.data), e.last)
            for e in reader.feed(memoryview(stream[start : start + 5]))
            if isinstance(e, DataFragment)
        ]
    assert events == [(b"012", False), (b"34567", False), (b"89", True)]


def test_pieces_are_views_of_what_was_fed_not_copies() -> None:
    buffer = bytearray(data_head(1, command=False, last=True, size=4) + b"abcd")
    (event,) = PduReader().feed(memoryview(buffer))
    assert isinstance(event, DataFragment)
    buffer[-1] = ord("X")
    assert bytes(event.data) == b"abcX"


def test_an_empty_pdv_is_told_once() -> None:
    assert read(data_head(1, command=True, last=True, size=0)) == [(1, True, True, b"")]


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"GET / HTTP/1.1\r\n", UnknownPdu),
        (b"\x16\3\1\2\0\1\0", TlsSpoken),
        (b"\x15\3\3\0\2\2\x28", TlsSpoken),
        (b"\x08\0\0\0\0\4\0\0\0\0", UnknownPdu),
        (b"\x05\0\0\0\0\5", PduTooLarge),
        (b"\x05\0\0\0\0\3", MalformedPdu),
        (b"\x01\0" + (ASSOCIATE_BYTES + 1).to_bytes(4, "big"), PduTooLarge),
        (b"\x01\0\0\0\0\0", MalformedPdu),
        (b"\x04\0" + (PDU_BYTES + 1).to_bytes(4, "big"), PduTooLarge),
        (b"\x04\0\0\0\0\0", MalformedPdu),
        (b"\x04\0\0\0\0\6\0\0\0\1\1\2", MalformedPdu),
        (b"\x04\0\0\0\0\6\0\0\0\3\1\2", MalformedPdu),
        (b"\x04\0\0\0\0\6\0\0\0\2\2\2", MalformedPdu),
        (b"\x04\0\0\0\0\7\0\0\0\2\1\2\0", MalformedPdu),
    ],
)
def test_what_breaks_the_stream_is_refused_by_its_head(
    stream: bytes, error: type[PeerFault]
) -> None:
    reader = PduReader()
    with pytest.raises(error):
        list(reader.feed(memoryview(stream)))
    with pytest.raises(error):  # and stays refused
        list(reader.feed(memoryview(b"")))


def test_what_came_before_the_break_was_told() -> None:
    events = PduReader().feed(memoryview(encode(ReleaseRequest()) + b"\xff" * 6))
    assert next(events) == ReleaseRequest()
    with pytest.raises(UnknownPdu):
        next(events)


# ---------------------------------------------------------------- associate PDUs

USER = User(16384, "1.2.3")
REQUEST = AssociateRequest(
    "CALLED", "CALLING", (ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),), USER
)


def patched(pdu: Pdu, old: bytes, new: bytes) -> bytes:
    """A PDU with some bytes replaced, its lengths of PDU level made right again."""
    data = encode(pdu)
    assert data.count(old) == 1
    data = data.replace(old, new)
    return data[:2] + (len(data) - 6).to_bytes(4, "big") + data[6:]


CONTEXT_HEAD = b"\x20\0\0\x2e\1\0\0\0"


@pytest.mark.parametrize(
    ("stream", "word"),
    [
        (b"\1\0\0\0\0\3abc", "fixed part"),
        (encode(REQUEST).replace(CONTEXT_HEAD, b"\x20\0\0\x2e\2\0\0\0"), "even"),
        (encode(REQUEST).replace(CONTEXT_HEAD, b"\x99\0\0\x2e\1\0\0\0"), "no presentation"),
        (encode(REQUEST).replace(b"\x30\0\0\x11", b"\x31\0\0\x11"), "lacks a syntax"),
        (encode(REQUEST).replace(b"\x50\0", b"\x5f\0"), "no user information"),
        (encode(REQUEST).replace(b"\x51\0\0\4", b"\x51\0\0\3"), "item's head|longer|maximum"),
        (encode(REQUEST)[:-1].replace(b"\0\xaf", b"\0\xae"), "longer"),
        (patched(REQUEST, CONTEXT_HEAD, b"\x20\0\0\2\1\0" + CONTEXT_HEAD), "fixed part"),
    ],
)
def test_a_broken_request_is_refused_by_name(stream: bytes, word: str) -> None:
    stream = stream[:2] + (len(stream) - 6).to_bytes(4, "big") + stream[6:]
    with pytest.raises(MalformedPdu, match=word):
        read(stream)


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        (b"CALLED\0\0\0\0\0\0\0\0\0\0", "CALLED"),
        (b"CALLED\0\0\x80\xff junk ", "CALLED"),
        (b"  CALLED   \0XYZ ", "CALLED"),
        (b"\0CALLED         ", ""),
        (b"CALL\xe4D          ", "CALL\ufffdD"),
        (b"CALL\nD          ", "CALL\ufffdD"),
    ],
)
def test_a_title_ends_at_a_null_and_what_is_no_title_is_for_the_acceptor_to_reject(
    sent: bytes, title: str
) -> None:
    # C programs copy a string into the field and leave behind its null what was there.
    stream = encode(REQUEST).replace(b"CALLED          ", sent)
    (found,) = read(stream)
    assert isinstance(found, AssociateRequest)
    assert (found.called, found.calling) == (title, "CALLING")


def repeated(kind: int, size: int) -> bytes:
    """The request with one of its items twice."""
    data = encode(REQUEST)
    start = data.index(bytes((kind, 0)) + size.to_bytes(2, "big"), 74)
    item = data[start : start + 4 + size]
    data += item
    return data[:2] + (len(data) - 6).to_bytes(4, "big") + data[6:]


@pytest.mark.parametrize(
    ("kind", "size", "word"),
    [(0x10, 21, "application"), (0x20, 46, "two of one id"), (0x50, 17, "user information")],
)
def test_what_may_stand_once_may_not_stand_twice(kind: int, size: int, word: str) -> None:
    with pytest.raises(MalformedPdu, match=word):
        read(repeated(kind, size))


def test_counts_are_limited() -> None:
    many = tuple(f"1.{n}" for n in range(TRANSFER_SYNTAXES + 1))
    pdu = AssociateRequest("A", "B", (ProposedContext(1, "1.2", many),), USER)
    with pytest.raises(MalformedPdu, match=f"more than {TRANSFER_SYNTAXES}"):
        read(encode(pdu))


def test_there_are_no_more_contexts_than_odd_bytes() -> None:
    pdu = AssociateRequest("A", "B", REQUEST.contexts * (PRESENTATION_CONTEXTS + 1), USER)
    with pytest.raises(MalformedPdu, match="more than 128 presentation contexts"):
        read(encode(pdu))


def lengthened(pdu: Pdu, more: bytes) -> bytes:
    """A PDU with more bytes at its end."""
    data = encode(pdu) + more
    return data[:2] + (len(data) - 6).to_bytes(4, "big") + data[6:]


def test_an_answer_passes_over_what_it_does_not_know() -> None:
    answer = AssociateAccept("A", "B", (), USER)
    assert read(lengthened(answer, b"\x77\0\0\3abc")) == [answer]


def test_an_item_whose_head_is_cut_off_is_refused() -> None:
    with pytest.raises(MalformedPdu, match="item's head"):
        read(lengthened(REQUEST, b"\x77\0"))


def test_a_user_item_of_a_wrong_size_is_refused() -> None:
    pdu = AssociateRequest(
        "A", "B", REQUEST.contexts, User(0, "1.2", roles=(Role("1.2.3", scu=True, scp=False),))
    )
    with pytest.raises(MalformedPdu, match="role selection"):
        read(encode(pdu).replace(b"\x54\0\0\x09\0\x05", b"\x54\0\0\x09\0\x06"))
    with pytest.raises(MalformedPdu, match="cut off"):
        read(encode(pdu).replace(b"\x54\0\0\x09\0\x05", b"\x54\0\0\x09\0\x0a"))


@pytest.mark.parametrize("kind", [0x54, 0x58, 0x59])
def test_a_user_item_that_is_cut_off_is_refused(kind: int) -> None:
    data = patched(REQUEST, b"\x50\0\0\x11", b"\x50\0\0\x16")
    data += bytes((kind, 0, 0, 1, 7))
    data = data[:2] + (len(data) - 6).to_bytes(4, "big") + data[6:]
    with pytest.raises(MalformedPdu, match="cut off"):
        read(data)


def test_unknown_items_are_passed_over() -> None:
    data = encode(REQUEST) + b"\x77\0\0\3abc"
    data = data[:2] + (len(data) - 6).to_bytes(4, "big") + data[6:]
    assert read(data) == [REQUEST]
    inner = patched(REQUEST, CONTEXT_HEAD, b"\x20\0\0\x33\1\0\0\0\x78\0\0\1x")
    assert read(inner) == [REQUEST]
    user = patched(REQUEST, b"\x50\0\0\x11", b"\x50\0\0\x16") + b"\x7a\0\0\1x"
    user = user[:2] + (len(user) - 6).to_bytes(4, "big") + user[6:]
    assert read(user) == [REQUEST]


def test_a_uid_may_be_padded_and_may_not_be_empty_or_long() -> None:
    old = b"\x30\0\0\x111.2.840.10008.1.1"
    padded = patched(
        REQUEST, b"\0\x2e\1\0\0\0" + old, b"\0\x2f\1\0\0\0\x30\0\0\x121.2.840.10008.1.1\0"
    )
    assert read(padded) == [REQUEST]
    for uid in (b"\0", b"1" * 65):
        size = len(uid).to_bytes(2, "big")
        whole = (46 - 17 + len(uid)).to_bytes(2, "big")
        bad = patched(REQUEST, b"\0\x2e\1\0\0\0" + old, whole + b"\1\0\0\0\x30\0" + size + uid)
        with pytest.raises(MalformedPdu, match="abstract syntax"):
            read(bad)


def test_an_accepted_context_needs_its_transfer_syntax() -> None:
    data = (
        b"\2\0\0\0\0\x60\0\1\0\0" + b" " * 32 + bytes(32)
        + b"\x21\0\0\4\1\0\0\0" + b"\x50\0\0\x10\x51\0\0\4\0\0\x40\0\x52\0\0\4\x31.23"
    )  # fmt: skip
    data = data[:2] + (len(data) - 6).to_bytes(4, "big") + data[6:]
    with pytest.raises(MalformedPdu, match="context 1 has no transfer"):
        read(data)


def test_an_identity_never_shows() -> None:
    assert "secret" not in repr(User(0, "1", identity=Identity(2, True, b"anna", b"secret")))


def test_rejections_have_the_standards_words() -> None:
    assert reject_words(CALLED_TITLE_NOT_RECOGNIZED) == "permanent: called AE title not recognized"
    assert reject_words(AssociateReject(2, 9, 9)) == "transient: source 9, reason 9"


def test_the_room_for_data_is_the_smaller_maximum_without_the_head() -> None:
    assert data_room(0, 1000) == 994
    assert data_room(500, 1000) == 494
    assert data_room(5000, 1000) == 994


def test_fragments_are_even_though_a_peers_maximum_is_odd() -> None:
    # PS3.8 annex E.2: the fragment of a PDV shall have an even number of bytes.
    assert data_room(501, 1000) == 494
    assert data_room(0, 1001) == 994
    heads = [head for head, _ in data_pdus(1, bytes(10_000), data_room(4097, 16_384))]
    assert {int.from_bytes(head[2:6], "big") % 2 for head in heads} == {0}


# ---------------------------------------------------------------- others as judges


@pytest.mark.parametrize(
    ("name", "calling", "contexts", "roles"),
    [
        ("echoscu", "CT1", 1, 0),
        ("findscu", "FINDSCU", 1, 0),
        ("movescu", "MOVESCU", 2, 0),
        ("getscu", "GETSCU", 121, 120),
    ],
)
def test_requests_of_dcmtk_are_understood(
    name: str, calling: str, contexts: int, roles: int
) -> None:
    (pdu,) = read((CAPTURES / f"{name}.bin").read_bytes())
    assert isinstance(pdu, AssociateRequest)
    assert (pdu.called, pdu.calling) == ("MESHPACS", calling)
    assert (len(pdu.contexts), len(pdu.user.roles)) == (contexts, roles)
    assert pdu.user.max_length == 16384
    assert pdu.user.implementation_version == "OFFIS_DCMTK_367"
    assert read(encode(pdu)) == [pdu]


@settings(max_examples=60, deadline=None)
@given(requests.filter(lambda request: request.version < 65536))
def test_pynetdicom_reads_what_we_write(request_: AssociateRequest) -> None:
    found = theirs.A_ASSOCIATE_RQ()
    found.decode(encode(request_))
    assert found.called_ae_title == request_.called
    assert found.calling_ae_title == request_.calling
    assert [c.context_id for c in found.presentation_context] == [c.id for c in request_.contexts]
    assert [c.abstract_syntax for c in found.presentation_context] == [
        c.abstract_syntax for c in request_.contexts
    ]
    assert [tuple(c.transfer_syntax) for c in found.presentation_context] == [
        c.transfer_syntaxes for c in request_.contexts
    ]
    user = found.user_information
    assert user is not None
    assert user.maximum_length == request_.user.max_length
    assert [(r.uid, bool(r.scu), bool(r.scp)) for r in user.role_selection.values()] == list(
        {r.sop_class: (r.sop_class, r.scu, r.scp) for r in request_.user.roles}.values()
    )


def test_pynetdicom_writes_what_we_read() -> None:
    for name in ("echoscu", "getscu"):
        data = (CAPTURES / f"{name}.bin").read_bytes()
        found = theirs.A_ASSOCIATE_RQ()
        found.decode(data)
        assert read(found.encode()) == read(data)
    abort = theirs.A_ABORT_RQ()
    abort.source, abort.reason_diagnostic = 2, 6
    assert read(abort.encode()) == [Abort(2, 6)]
    reject = theirs.A_ASSOCIATE_RJ()
    reject.result, reject.source, reject.reason_diagnostic = 1, 1, 7
    assert read(reject.encode()) == [CALLED_TITLE_NOT_RECOGNIZED]
    assert read(theirs.A_RELEASE_RQ().encode()) == [ReleaseRequest()]
    assert encode(ReleaseRequest()) == theirs.A_RELEASE_RQ().encode()


def test_an_acceptance_of_pynetdicom_is_understood() -> None:
    from pydicom.uid import UID
    from pynetdicom.acse import ACSE  # noqa: F401  (the primitive below needs the package whole)
    from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
    from pynetdicom.pdu_primitives import ImplementationClassUIDNotification as ClassUid
    from pynetdicom.presentation import PresentationContext

    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")
    primitive.calling_ae_title, primitive.called_ae_title = "A", "B"
    primitive.result, primitive.result_source = 0, 1
    context = PresentationContext()
    context.context_id, context.result = 1, 0
    context.add_transfer_syntax("1.2.840.10008.1.2")
    refused = PresentationContext()
    refused.context_id, refused.result = 3, 3
    refused.add_transfer_syntax("1.2.840.10008.1.2.1")
    primitive.presentation_context_definition_results_list = [context, refused]
    most, implementation = MaximumLengthNotification(), ClassUid()
    most.maximum_length_received = 4096
    implementation.implementation_class_uid = UID("1.2.3")
    primitive.user_information = [most, implementation]
    pdu = theirs.A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    (found,) = read(pdu.encode())
    assert isinstance(found, AssociateAccept)
    assert [(c.id, c.result) for c in found.contexts] == [(1, 0), (3, 3)]
    assert found.contexts[0].transfer_syntax == "1.2.840.10008.1.2"
    assert found.user == User(4096, "1.2.3")
