"""Answers of others as they come in, part by part: unsealed, put together, verified."""

import hashlib
from dataclasses import dataclass, field

from meshpacs.engine.notary import Notary
from meshpacs.model.answer import Row, Status
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import NodeId, QueryId
from meshpacs.wire.bodies import DONE_CONTEXT, Answer, Done, Piece, Rows
from meshpacs.wire.codec import unpack
from meshpacs.wire.parts import read

UNFINISHED = 4096
"""Answers not yet whole, for one query. A guess: two thousand members, by two ways each."""

UNFINISHED_BYTES = 64 * 1024 * 1024
"""Parts of answers not yet whole, for one query. A guess: 16 full answers at once."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One holder's whole answer, its signature and digest checked."""

    done: Done
    status: Status
    rows: tuple[Row, ...]


@dataclass(slots=True)
class _Unfinished:
    count: int
    pieces: dict[int, bytes] = field(default_factory=dict)


class Reading:
    """The answers to one query of ours.

    Parts are put together by the token they came by as well as by the holder they claim, so that
    a relay that forges parts spoils what passes through it and nothing else: the holder is then
    asked directly.
    """

    def __init__(self, query_id: QueryId, keys: tuple[bytes, bytes], notary: Notary) -> None:
        """Read with the private half of the query's reply key."""
        self._query_id = query_id
        self._public, self._private = keys
        self._notary = notary
        self._unfinished: dict[tuple[int, NodeId], _Unfinished] = {}
        self._bytes = 0
        self.spoiled = False
        """Something came that was no true answer, or there was no room: a member whose answer did
        come may seem not to have answered."""

    def part(self, token: int, sealed: bytes) -> Verified | None:
        """Take in one part; the answer, once it is whole and true.

        Raises:
            PeerFault: the part, or the answer that it completes, is not what it claims to be.
        """
        plain = self._notary.unseal(self._public, self._private, sealed)
        if plain is None:
            raise PeerFault("A part of an answer was not sealed for its query.")
        piece = read(plain)
        whole = self._add(token, piece)
        return None if whole is None else self._verify(piece.responder, whole)

    def _add(self, token: int, piece: Piece) -> bytes | None:
        key = (token, piece.responder)
        unfinished = self._unfinished.setdefault(key, _Unfinished(piece.count))
        if piece.count != unfinished.count or piece.index in unfinished.pieces:
            raise PeerFault("Parts of an answer contradict each other.")
        unfinished.pieces[piece.index] = piece.data
        self._bytes += len(piece.data)
        if self._bytes > UNFINISHED_BYTES or len(self._unfinished) > UNFINISHED:
            self._make_room()
            if key not in self._unfinished:
                raise PeerFault("More unfinished answers came than anybody asked for.")
        if len(unfinished.pieces) < unfinished.count:
            return None
        del self._unfinished[key]
        whole = b"".join(unfinished.pieces[index] for index in range(unfinished.count))
        self._bytes -= len(whole)
        return whole

    def _make_room(self) -> None:
        """Forget what came by the token that takes the most room, and by no other.

        Anybody on a query's path can make up pieces: it spoils its own path with that, not the
        answers that come by others, nor those that are recalled.
        """
        self.spoiled = True
        room: dict[int, int] = {}
        for (token, _), unfinished in self._unfinished.items():
            size = sum(map(len, unfinished.pieces.values()))
            room[token] = room.get(token, 0) + size + UNFINISHED_BYTES // UNFINISHED
        worst = max(room, key=room.__getitem__)
        for key in [key for key in self._unfinished if key[0] == worst]:
            self._bytes -= sum(map(len, self._unfinished.pop(key).pieces.values()))

    def _verify(self, responder: NodeId, whole: bytes) -> Verified:
        answer = unpack(Answer, whole)
        done = unpack(Done, answer.done)
        if done.responder != responder or done.query_id != self._query_id:
            raise PeerFault("An answer belongs to another member or another query.")
        if not self._notary.verify(responder, DONE_CONTEXT, answer.done, answer.signature):
            raise PeerFault("An answer's signature is wrong.")
        rows = unpack(Rows, answer.rows).rows
        if hashlib.sha256(answer.rows).digest() != done.rows or len(rows) != done.row_count:
            raise PeerFault("An answer's rows are not those that were signed.")
        if done.status not in _OF_ITSELF:
            raise PeerFault("An answer's status is none that a holder can have.")
        return Verified(done, Status(done.status), rows)


_OF_ITSELF = frozenset(Status) - {Status.UNREACHABLE, Status.OUTSIDE}
