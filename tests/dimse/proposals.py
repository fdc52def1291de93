"""PDUs and streams for tests: any that the standard allows."""

from collections.abc import Iterable

from hypothesis import strategies as st

from meshpacs.dimse.pdu import (
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    CommonExtended,
    DataFragment,
    Extended,
    Identity,
    Pdu,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    Role,
    User,
    data_head,
)

uids = st.integers(0, 10**40).map(lambda number: f"2.25.{number}")
titles = st.text("ABCXYZ019_-", min_size=1, max_size=16)
ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
bytes_ = st.integers(0, 255)

users = st.builds(
    User,
    max_length=st.integers(0, 2**32 - 1),
    implementation_class=uids,
    implementation_version=titles,
    async_operations=st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    roles=st.lists(st.builds(Role, uids, st.booleans(), st.booleans()), max_size=3).map(tuple),
    extended=st.lists(st.builds(Extended, uids, st.binary(max_size=9)), max_size=3).map(tuple),
    common_extended=st.lists(
        st.builds(CommonExtended, uids, uids, st.lists(uids, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    identity=st.none()
    | st.builds(
        Identity, st.integers(1, 5), st.booleans(), st.binary(max_size=20), st.binary(max_size=9)
    ),
    identity_answer=st.none() | st.binary(max_size=20),
)

requests = st.builds(
    AssociateRequest,
    titles,
    titles,
    st.lists(
        st.builds(
            ProposedContext, ids, uids, st.lists(uids, min_size=1, max_size=3).map(tuple)
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda context: context.id,
    ).map(tuple),
    users,
    application_context=uids,
    version=st.integers(0, 65535),
)  # fmt: skip

accepts = st.builds(
    AssociateAccept,
    titles,
    titles,
    st.lists(
        st.builds(AnsweredContext, ids, st.just(0), uids)
        | st.builds(AnsweredContext, ids, st.integers(1, 4), st.just("")),
        max_size=5,
    ).map(tuple),
    users,
    application_context=uids,
    version=st.integers(0, 65535),
)

small: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(AssociateReject, bytes_, bytes_, bytes_),
    st.just(ReleaseRequest()),
    st.just(ReleaseReply()),
    st.builds(Abort, bytes_, bytes_),
)

pdus: st.SearchStrategy[Pdu] = st.one_of(requests, accepts, small)

Whole = tuple[int, bool, bool, bytes]
"""One PDV: context, whether a command, whether the last, its bytes."""

pdvs: st.SearchStrategy[Whole] = st.tuples(
    ids, st.booleans(), st.booleans(), st.binary(max_size=40)
)


def data_pdu(items: Iterable[Whole]) -> bytes:
    """One P-DATA-TF of several PDVs."""
    body = b"".join(
        data_head(context, command=command, last=last, size=len(data))[6:] + data
        for context, command, last, data in items
    )
    return b"\x04\x00" + len(body).to_bytes(4, "big") + body


def joined(events: Iterable[Pdu | DataFragment | Whole]) -> list[Pdu | Whole]:
    """Events with the pieces of one PDV put together, as no cut of the stream may change them."""
    found: list[Pdu | Whole] = []
    for event in events:
        if not isinstance(event, DataFragment):
            found.append(event)
            continue
        found.append((event.context, event.command, event.last, bytes(event.data)))
    return found
