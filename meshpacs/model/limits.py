"""Every limit on what comes from outside, in one table.

Checked before anything is buffered. A number's source stands beside it; "a guess" is a guess.
"""

# ---------------------------------------------------------------- links (protocol 2, 3)

RECORD_BYTES = 65_535
"""One Noise record, ciphertext and tag. Noise specification, section 3."""

FRAME_BYTES = 2 * 1024 * 1024 + 64 * 1024
"""One frame on a bulk link: the leaf list of the largest instance is 2 MiB, and it has a head."""

CONTROL_FRAME_BYTES = 512 * 1024
"""One frame on a control link. The largest is a batch of roster entries. A guess."""

NESTING = 16
"""How deep a message's arrays may nest; a query with a sequence key reaches 9. A guess."""

OUTBOX_SLOTS = 1024
"""Messages waiting for one peer; a full outbox costs that peer the message. A guess."""

OUTBOX_CONTROL_SLOTS = 256
"""Of these, kept free for everything but rows, so that answers never crowd out Closed."""

OUTBOX_BYTES = 16 * 1024 * 1024
"""Bytes waiting for one peer, whatever their number. A guess."""

STRANGERS = 128
"""Connections at a node's mesh port that have not sent a good first message. A guess: with the
links and all else it stays below the 1,024 files that many systems allow a process."""

HANDSHAKES = 64
"""Handshakes whose first message was good, under way at once. A guess."""

ADMIN_STRANGERS = 32
"""Connections at the admin API that have not shown the token. A guess."""

ADMIN_STRANGER_S = 10
"""Seconds in which such a connection must have shown it. A guess."""

ADMIN_CALLERS = 64
"""Connections at the admin API that have shown the token. A guess."""

HANDSHAKE_S = 10
"""Seconds from the first byte to the end of a handshake. A guess: a satellite link needs 3."""

HANDSHAKE_BYTES = 16 * 1024
"""One handshake message. The largest carries a member's proof to a joiner: about 2 KiB with one
founder, and 1 KiB for each founder added later. A guess."""

LINKS = 512
"""Links held at once, of every purpose. A guess."""

LINKS_OF_ONE = 32
"""Of these, with one member: a few fetches at once, and no member shuts out the others. A guess."""

# ---------------------------------------------------------------- roster (protocol 1)

INVITE_CHARACTERS = 300
MEMBERS = 10_000
ADDRESSES = 8
"""Addresses in one node's record."""
ADDRESS_CHARACTERS = 262
"""A DNS name of 253 (RFC 1035), brackets, colon and port."""
DESTINATIONS = 128
"""Shared DICOM destinations in one node's record: 2 KiB. A guess."""
NAME_CHARACTERS = 64
VERSION_CHARACTERS = 32

STATEMENTS = 16
"""Key statements of one node: its keys change at most so often. A guess."""

FOUNDERS = 16
"""Founders of one mesh, past ones and recovery keys among them. A guess."""

ENTRIES_OF_ONE = 20_000
"""Entries of one founder, all branches: two acts on each member of the largest mesh. A guess. Each
has room of its own, so that a founder whose key was stolen cannot use up that of the others."""

GRANTS_OF_ONE = MEMBERS
"""Grants of one founder that were redeemed, each by at most two nodes that are kept. A guess."""

ROSTER_ITEM_BYTES = 16 * 1024
"""One signed entry, admission or node record; a record with eight addresses and 16 key
statements has 7 KiB. A guess."""

ROSTER_NEWS_BYTES = 256 * 1024
"""Signed bytes in one message of roster news, well within a control frame."""

ROSTER_DIGESTS = 2_048
"""Digests in one message that asks for what is lacking: 150 KiB, within a control frame."""

# ---------------------------------------------------------------- queries (protocol 4, 5)

BODY_BYTES = 32 * 1024
"""One signed query body. A list of 400 UIDs fits. A guess."""

QUERY_KEYS = 128
"""Matching keys and return keys of one query, together and at all depths."""

VALUES_PER_KEY = 512
"""Values of one key: a list of UIDs (PS3.4 C.2.2.2.2 sets no limit). A guess."""

VALUE_CHARACTERS = 1024
"""Characters of one value. LO is 64, UI 64, PN 3 x 64; LT and UT keys are cut to this."""

ROWS_PER_HOLDER = 2_000
"""Rows one holder returns to one query, unless the query asks for fewer. A guess."""

HOPS = 16
"""The largest TTL a query may carry. Protocol 4.3."""

REMEMBERED_QUERIES = 65_536
"""Query ids remembered for deduplication, oldest forgotten first. A guess."""

TRAILS = 256
"""Queries of which a node remembers by whom they came and to whom they went. A guess: 0.14 MB with
six neighbours (measured)."""

OPEN_QUERIES = 1_024
"""Queries of others in flight through one node; more are answered busy. A guess."""

OWN_QUERIES = 256
"""Queries of its own that one node keeps open at once. A guess."""

KEPT_ANSWER_BYTES = 64 * 1024 * 1024
"""Sealed answers kept for recall until their deadline, over all queries. A guess."""

REPLAY_WINDOW = 1_024
"""Counters remembered per member and boot. Protocol 4.5."""

RECALLS_AT_ONCE = 32
"""Members asked directly at the same time. Protocol 5.3."""

PARTS_PER_ANSWER = 64
"""Parts of at most 64 KiB in one answer: 4 MiB. A guess."""

UNREACHED_HINTS = 32
"""Members that one Closed may name as unreached."""

# ---------------------------------------------------------------- content (protocol 9)

LEAF_BYTES = 1024 * 1024
"""One leaf of a content's digest, and one chunk. Protocol 9.1."""

INSTANCE_BYTES = 64 * 1024**3
"""One instance's data set: 64 GiB. A guess; whole-slide images reach a few GiB."""

STUDY_INSTANCES = 100_000
"""Instances in one manifest. A guess; the largest CT studies have 10,000."""

MANIFESTS_BYTES = 64 * 1024 * 1024
"""All manifests of one study as one holder tells them. A guess: two of the largest fit."""

WANTS_PER_REQUEST = 4_096
"""Contents or studies asked for in one message on a bulk link. A guess."""

BULK_SERVED = 32
"""Bulk links answered at once; each holds a few megabytes. More are closed. A guess."""

BULK_OF_ONE = 16
"""Of these, with one member: what a question with many differing holdings opens, and no member
takes the places of all. A guess."""

DELIVERY_UIDS = 4_096
"""Studies, series and instances named in one order to another member: 270 KiB. A guess."""

DELIVERY_INSTANCES = 200_000
"""Instances that one such order may come to: two of the largest studies. A guess: all of them named
as failed take 20 MB where the order came from."""

DELIVERY_FAILED = 2_048
"""Failed instances named in one message on the way of such an order; more take further ones."""

DELIVERIES = 16
"""Orders of other members that are carried out at once; more are refused. A guess."""

DELIVERIES_OF_ONE = 4
"""Of these, by one member. A guess."""

HEADER_BYTES = 64 * 1024 * 1024
"""Bytes of one data set that are scanned for indexed attributes, before pixels. A guess."""

SCANNED_ELEMENTS = 4_000_000
"""Elements walked in one header: 10,000 frames of an enhanced MR have 600,000. A guess."""

PREFACE_BYTES = 1024 * 1024
"""Preamble and file meta information of one Part 10 file; real ones have 400 bytes. A guess."""

SEQUENCE_DEPTH = 32
"""Nested sequences in one data set; real ones reach 8. A guess."""

ATTRIBUTE_BYTES = 64 * 1024
"""One indexed attribute's value; a longer one is refused as absurd. A guess."""

HEADER_KEPT_BYTES = 1024 * 1024
"""Of all indexed attributes of one instance, and 64 for each item of a sequence; real ones have
4 KiB. A guess: answers carry 4 MiB."""

VALUES_PER_ATTRIBUTE = ATTRIBUTE_BYTES // 2
"""Values of one attribute in a row: each takes a character and a backslash."""

RECORD_ATTRIBUTES = 1_024
"""Attributes of one record or item in a row; the index knows about a hundred. A guess."""

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""Room on the archive's disk that instances may not use, unless the configuration says otherwise,
so that index, roster and deletion have some. A guess: the index's log grows to 32 MiB and is then
copied into the index, arrivals under way may overrun it by some tens, the rest is for others."""

DISK_RESERVE_LEAST_BYTES = 16 * 1024 * 1024
"""The least that may be configured. A guess: a small index, whose log is cut when room is short."""

RESERVE_BYTES = 32 * 1024 * 1024
"""The file that a deletion gives up on a disk that is full to the last byte. An instance takes 0.5
KiB of the index's log (measured, 4,000 of one study in a small archive); in a large one three pages
of 4 KiB may change for each, so this is enough for a study of 2,700 at the worst."""

HTTP_BODY_BYTES = 4 * 1024 * 1024
"""A request's body on the admin API. A guess."""

ZIP_MEMBERS = 1_000_000
"""Files in one zip file or DICOMDIR. A guess."""

ZIP_DIRECTORY_BYTES = 16 * 1024 * 1024
"""A zip file's list of files: 150,000 of them. Python makes six times as much of it. A guess."""

ZIP_RATIO = 200
"""Uncompressed over compressed size of one member, and of a whole zip file, above which it is
refused as a bomb if it has more than `HEADER_BYTES`. A guess."""

# ---------------------------------------------------------------- DICOM's front door (PS3.7, PS3.8)

ASSOCIATE_BYTES = 1024 * 1024
"""One A-ASSOCIATE-RQ or -AC: 128 contexts of 40 transfer syntaxes each have 350 KiB. A guess."""

PRESENTATION_CONTEXTS = 128
"""Odd one-byte ids (PS3.8 9.3.2.2)."""

TRANSFER_SYNTAXES = 256
"""Transfer syntaxes proposed in one context; the standard names 60. A guess."""

NEGOTIATIONS = 1024
"""Roles and extended negotiations in one A-ASSOCIATE: the standard names 300 SOP classes, a
requestor proposes at most 128 contexts. A guess."""

PDU_BYTES = 1024 * 1024
"""The largest P-DATA-TF that we offer to receive (PS3.8 D.1). DCMTK sends 128 KiB at most."""

PDU_BYTES_LEAST = 4096
"""The smallest maximum that we honour; a peer that takes less is rejected. PS3.8 D.1 sets no least;
DCMTK's is 4,096."""

COMMAND_BYTES = 64 * 1024
"""One command set (PS3.7 6.3.1); a list of 128 attribute tags has 512 bytes. A guess."""

IDENTIFIER_BYTES = 1024 * 1024
"""One identifier of a C-FIND, C-MOVE or C-GET: a list of 10,000 UIDs fits. A guess."""

IDENTIFIER_DEPTH = 8
"""Nested sequences in an identifier; ours reach 2. A guess."""

WORKLIST_STEPS = 10_000
"""Scheduled steps that one modality is told of, and that a worklist's folder may hold. A guess: a
large hospital schedules 2,000 a day."""

WORKLIST_FILE_BYTES = 1024 * 1024
"""One file of a worklist; an entry has 2 KiB. A guess."""

COMMITMENT_BYTES = 8 * 1024 * 1024
"""One data set of storage commitment, whether asked or reported."""

COMMITMENT_INSTANCES = 50_000
"""Instances in one request for commitment: with UIDs of 64 characters they have 7.6 MiB. A guess;
modalities ask study by study, and the largest CT studies have 10,000."""

COMMITMENTS_OPEN = 4_096
"""Requests for commitment that are not reported yet, of all callers: 24 hours of them, if every
caller is unreachable. A guess."""

COMMITMENTS_OF_ONE = 2_048
"""Of these, of one AE title, so that none takes the places of all. A guess."""

COMMITMENT_REFERENCES = 2_000_000
"""Instances in all of them together: some 100 MB on the disk, since UIDs are compressed."""

COMMITMENTS_KEPT = 1_024
"""Requests that were reported or given up and are still remembered. A guess."""

REWRITTEN_BYTES = 1024**3
"""One data set that is rewritten in another byte order or with other VRs, or the decoded pixels of
one; it is then three times in memory. A guess: CT, MR and US without compression stay below."""

REWRITTEN_AT_ONCE = 4
"""Data sets that are being rewritten or decoded, or were, are large and not sent yet. A guess."""

REWRITTEN_FREE_BYTES = 4 * 1024 * 1024
"""Up to so many bytes a rewritten data set takes no place while it is sent: 64 associations have
256 MiB of them. A guess: most CT and MR are below."""

DECODERS = 2
"""Processes that decode compressed pixels at once, each on one processor. A guess."""

DECODE_S = 300
"""Seconds that one instance may take to decode, then its process is killed. A guess: JPEG 2000 has
23 MB of pixels a second of a processor's time (measured), 45 s for the largest."""

DECODER_IDLE_S = 300
"""Seconds without work after which such a process ends, and gives its memory back. A guess."""

DECODER_SPARE_BYTES = 512 * 1024 * 1024
"""Memory that a decoder may take for one instance beside `DECODER_COPIES` of its pixels. A guess:
OpenJPEG holds a frame four times as wide."""

DECODER_COPIES = 4
"""How often decoded pixels may be in a decoder's memory: as frames, as one value, as a data set and
once in between. Measured: 3.2 GB at the most for a GiB of them."""

DECODED_BYTES = REWRITTEN_BYTES + 4 * HEADER_BYTES
"""One data set as a decoder gives it: the pixels, and before and behind them a header as large as
may be stored, grown by other VRs. A guess."""

DECODER_ANSWER_BYTES = 4096
"""Why a decoder could not decode. A guess: a sentence."""

DICOM_ASSOCIATIONS = 64
"""Associations of all callers at once; more are rejected as beyond a local limit. A guess."""

DICOM_ASSOCIATIONS_OF_ONE = 16
"""Of these, from one address; this machine itself may have all. A guess: workstations open up to
ten at once, and no machine that runs wild shuts out the others."""

DICOM_STRANGERS = 64
"""Connections that have not asked for an association and been let in. A guess: it takes one packet,
over TLS four. A newcomer never waits: of the address with the most the oldest goes."""

TLS_HANDSHAKE_S = 10
"""Seconds from a connection to the end of its TLS handshake. As for links."""

TLS_HANDSHAKES = 2
"""Steps of TLS handshakes that are computed at once, each in a thread: signing takes 0.75 ms
(RSA 3072, measured), so this is some thousand a second. A guess."""
