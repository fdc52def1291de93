"""Making a query of our own: within our budget, signed, with a reply key of its own."""

import hashlib

from meshpacs.engine.budget import Budget, interval_us
from meshpacs.engine.inquiry import Inquiry
from meshpacs.engine.notary import Notary
from meshpacs.engine.peers import Peers
from meshpacs.engine.reading import Reading
from meshpacs.engine.roll import Roll
from meshpacs.engine.settings import Settings
from meshpacs.engine.wall import Wall
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import MILLISECOND, SECOND, MeshId, Micros, QueryId
from meshpacs.model.limits import BODY_BYTES, HOPS, OWN_QUERIES
from meshpacs.model.query import Ball, Query, Scope
from meshpacs.wire.bodies import ASK_CONTEXT, AskBody
from meshpacs.wire.codec import pack


def query_id_of(body: bytes) -> QueryId:
    """A query's name: its signed body's digest, cut to 16 bytes. PROTOCOL 4.2."""
    return QueryId(hashlib.sha256(body).digest()[:16])


class Asking:
    """Turns queries into signed bodies; counts them against our budget."""

    def __init__(
        self,
        mesh: MeshId,
        boot: int,
        roll: Roll,
        wall: Wall,
        peers: Peers,
        notary: Notary,
        settings: Settings,
    ) -> None:
        """`boot` is higher than at every start before, so that no counter is used twice."""
        self._mesh = mesh
        self._boot = boot
        self._roll = roll
        self._wall = wall
        self._peers = peers
        self._notary = notary
        self._settings = settings
        self._counter = 0
        self._budget = Budget()

    def compose(
        self, query: Query, scope: Scope, now: Micros, budget_us: Micros, *, open_now: int
    ) -> Inquiry:
        """A query, ready to be sent.

        Raises:
            Unavailable: asked too often (the error says how long to wait), or too many are open.
            LocalFault: the scope, the time or the query is beyond the limits.
        """
        ttl = scope.ttl if isinstance(scope, Ball) else 0
        if isinstance(scope, Ball) and not 1 <= ttl <= HOPS:
            raise LocalFault(f"A ball of {ttl} hops was asked for.", f"Ask for 1 to {HOPS} hops.")
        most_us = self._settings.budget_most_us
        if not MILLISECOND <= budget_us <= most_us:
            raise LocalFault(
                f"A query was given {budget_us / SECOND:g} s.",
                f"Give it up to {most_us // SECOND} s.",
            )
        public, private = self._notary.reply_keys()
        body = pack(
            AskBody(
                self._mesh,
                self._roll.node,
                self._boot,
                self._counter + 1,
                self._wall.at(now),
                ttl,
                budget_us // MILLISECOND,
                self._roll.head,
                0,
                query,
                public,
            )
        )
        if len(body) > BODY_BYTES:
            raise LocalFault(
                f"The query is {len(body)} bytes long; {BODY_BYTES} can be sent.",
                "Ask with fewer or shorter values.",
            )
        self._spend(now, open_now)
        self._counter += 1
        query_id = query_id_of(body)
        return Inquiry(
            query_id,
            body,
            self._notary.sign(ASK_CONTEXT, body),
            ttl,
            now,
            now + budget_us,
            Reading(query_id, (public, private), self._notary),
        )

    def _spend(self, now: Micros, open_now: int) -> None:
        if open_now >= OWN_QUERIES:
            raise Unavailable(
                f"{OWN_QUERIES} queries of this node are open.", "Wait until one has ended."
            )
        interval = interval_us(len(self._roll), len(self._peers))
        wait_us = self._budget.wait_us(self._roll.node, now, interval)
        if wait_us:
            raise Unavailable(
                "This node asks the mesh too often.", f"Wait {wait_us / SECOND:.1f} s."
            )
        self._budget.spend(self._roll.node, now, interval)
