"""One honest example of everything that travels, and readers of what lies inside it."""

import hashlib
from collections.abc import Callable

from garbage.mesh import NOW_S, Company, entropy
from meshpacs.model.answer import Row
from meshpacs.model.attributes import Level
from meshpacs.model.content import Entry, StudyState, content_root, leaf
from meshpacs.model.delivery import Ending, Order
from meshpacs.model.ids import Digest, NodeId, QueryId
from meshpacs.model.query import Query, Rules
from meshpacs.wire.admission import read_admission
from meshpacs.wire.bodies import Answer, AskBody, Done, Piece, Rows
from meshpacs.wire.codec import encode, pack, unpack
from meshpacs.wire.entries import Assign, Close, Founder, Remove, Revoke, read_entry, write_entry
from meshpacs.wire.greeting import Claim, Credentials, JoinClaim, Proof
from meshpacs.wire.invite import write_invite
from meshpacs.wire.keys import Signed, read_chain
from meshpacs.wire.manifest import (
    MANIFEST_CONTEXT,
    Manifest,
    draft,
    read_body,
    read_signed,
    write_body,
    write_signed,
)
from meshpacs.wire.manifest import Signed as SignedManifest
from meshpacs.wire.messages import (
    Ask,
    Cancel,
    Chunk,
    Closed,
    Deliver,
    Delivered,
    Delivering,
    Digests,
    Got,
    Hello,
    Knock,
    Leaves,
    Manifests,
    Message,
    Missing,
    Part,
    Ping,
    Pong,
    Purpose,
    Recall,
    RosterNews,
    Sorry,
    StopDelivering,
    Unsupported,
    WantChunks,
    WantLeaves,
    WantManifests,
    Welcome,
)
from meshpacs.wire.parts import read as read_piece
from meshpacs.wire.record import read_record

STUDY = "1.2.826.0.1.3680043.10.1"
CONTENT = b"one content of one leaf"
ROOT = content_root(len(CONTENT), leaf(CONTENT))
QUERIES = (
    Query(Level.STUDY, ((0x00080060, ("CT",)),)),
    Query(Level.PATIENT, ((0x00100010, ("MEI*^ANNA",)), (0x00100030, ("19500101-20001231",)))),
    Query(
        Level.SERIES,
        ((0x00080020, ("20200101-",)), (0x00080030, ("0800-1200",)), (0x0020000D, (STUDY, "1.2"))),
        returns=(0x00080060, 0x0020000E),
        rules=Rules(True, True, True, True),
    ),
    Query(
        Level.IMAGE,
        ((0x00080018, ()), (0x00400275, ({0x00321060: ("CHEST",), 0x00400007: ("*",)},))),
        limit=3,
    ),
)
ROWS = Rows(
    (
        Row({0x00080052: ("STUDY",), 0x0020000D: (STUDY,), 0x00100010: ("Mei^Anna=梅^安娜",)},
            (StudyState(STUDY, ROOT, 7),)),
        Row({0x00400275: ({0x00321060: ("CHEST",)},)}, ()),
    )
)  # fmt: skip
ENTRY = Entry(
    "1.2.826.0.1.3680043.10.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.826.0.1.3680043.10.2", "CT",
    "1.2.840.10008.1.2.1", len(CONTENT), ROOT,
)  # fmt: skip


def ask_body(company: Company, query: Query, counter: int = 1, *, ttl0: int = 0) -> AskBody:
    """A query as Bert signs it."""
    return AskBody(
        company.mesh, company.bert.node, 5, counter, NOW_S * 1_000_000, ttl0, 5_000,
        company.roster().head(), 0, query, entropy("reply", 32),
    )  # fmt: skip


def done_of(query_id: QueryId, responder: NodeId, rows: bytes, count: int) -> Done:
    """What a holder says of its answer."""
    digest = Digest(hashlib.sha256(rows).digest())
    return Done(query_id, responder, "answered", 1, count, digest, NOW_S * 1_000_000)


def manifest_of(company: Company) -> Manifest:
    """Bert's contribution to the study."""
    return draft(company.bert.node, STUDY, (ENTRY,), roster_head=company.roster().head())


def signed_manifest(company: Company, body: bytes) -> bytes:
    """Whatever the body is, Bert stands for it."""
    signature = company.bert.sign(MANIFEST_CONTEXT, company.mesh, body)
    return write_signed(SignedManifest(body, signature))


def entries_of(company: Company) -> list[bytes]:
    """Entries that the founder may still make, each next in its chain."""
    roster = company.roster()
    number, previous = roster.next_entry(company.founder.public)
    terms = (
        Founder(entropy("another founder", 32)),
        Assign(company.carl.node, "relay"),
        Revoke(company.carl.node),
        Remove(entropy("another founder", 32), 1),
        Close(company.invite.public),
    )
    return [write_entry(company.founder, company.mesh, number, previous, one) for one in terms]


def messages(company: Company) -> list[Message]:
    """One of each type at least."""
    heads, items, bert = company.roster().heads(), company.items, company.bert
    body = pack(ask_body(company, QUERIES[0]))
    statement = company.stranger.chain[0]
    manifest = signed_manifest(company, write_body(manifest_of(company)))
    return [
        Hello(int(Purpose.CONTROL), 5, "1.0"),
        Ask(1, 0, 1, 5_000, body, bytes(64)),
        Ask(2, 3, 2, 5_000, pack(ask_body(company, QUERIES[1], ttl0=5)), bytes(64)),
        Recall(3, 5_000, body, bytes(64)),
        Ping(4),
        Got(1),
        Closed(1, (bert.node,)),
        Part(1, bytes(1072)),
        Pong(4, NOW_S * 1_000_000),
        Unsupported(99),
        Cancel(QueryId(bytes(16))),
        heads,
        Digests((Digest(bytes(32)),), ((bert.node, 1 << 48 | 2),), 0, 2),
        RosterNews(tuple(entries_of(company)), items.admissions, items.records),
        Knock(pack(company.invite.granted), statement, company.invite.redeem(statement), b""),
        Welcome(entropy("secret", 32), items.admissions[0]),
        Sorry("no"),
        WantManifests(1, (STUDY, "1.2")),
        Manifests(1, STUDY, (manifest,), more=False, held=b"\1"),
        WantLeaves(1, (ROOT,)),
        Leaves(1, ROOT, leaf(CONTENT)),
        WantChunks(1, ((ROOT, 0, 1), (Digest(bytes(32)), 5, 2**62))),
        Chunk(1, ROOT, 0, CONTENT),
        Missing(1, ROOT),
        Deliver(Order("CT1", (STUDY,), (f"{STUDY}.1",), (f"{STUDY}.1.1",), "VIEWER", 7, 1)),
        Delivering(3, 1, 0, (f"{STUDY}.1.1",)),
        Delivered(Ending(0xA702, "it is off")),
        StopDelivering(),
    ]


def payloads(company: Company) -> list[bytes]:
    """The same as they stand in frames."""
    return [encode(message) for message in messages(company)]


def bodies(company: Company) -> list[tuple[bytes, Callable[[bytes], object]]]:
    """What is signed, sealed or kept inside messages, each with what reads it."""
    mesh, items, gate = company.mesh, company.items, company.gate(company.bert)
    rows = pack(ROWS)
    done = pack(done_of(QueryId(bytes(16)), company.bert.node, rows, 2))
    piece = pack(Piece(company.bert.node, 0, 1, pack(Answer(done, bytes(64), rows))))
    manifest = manifest_of(company)
    proof = company.roster().proof(company.bert.node)
    found: list[tuple[bytes, Callable[[bytes], object]]] = [
        (pack(ask_body(company, query)), lambda data: unpack(AskBody, data)) for query in QUERIES
    ]
    found += [(entry, lambda data: read_entry(data, mesh)) for entry in entries_of(company)]
    found += [
        (rows, lambda data: unpack(Rows, data)),
        (done, lambda data: unpack(Done, data)),
        (pack(Answer(done, bytes(64), rows)), lambda data: unpack(Answer, data)),
        (len(piece).to_bytes(4, "big") + piece + bytes(99), read_piece),
        (items.admissions[0], lambda data: read_admission(data, mesh)),
        (items.records[0], lambda data: read_record(data, mesh)),
        (company.bert.chain[0], lambda data: read_chain((data,))),
        (write_body(manifest), read_body),
        (signed_manifest(company, write_body(manifest)), read_signed),
        (gate.claim(company.target.node), lambda data: unpack(Claim, data)),
        (gate.credentials(), lambda data: read_chain(unpack(Credentials, data).chain)),
        (pack(JoinClaim(pack(company.invite.granted), Digest(bytes(32)), bytes(64))),
         lambda data: unpack(JoinClaim, data)),
        (pack(Proof(company.bert.chain, proof.entries, proof.admissions, proof.records)),
         lambda data: unpack(Proof, data)),
        (pack(company.invite.granted), lambda data: unpack(Signed, data)),
    ]  # fmt: skip
    return found


def invite_text(company: Company) -> str:
    """The line that a joiner is sent."""
    return write_invite(company.invite)
