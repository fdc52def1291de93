"""Who is a member, told onward until every node knows the same (PROTOCOL 1.2, 1.6).

Both sides of a new link send `Heads`. Each is answered with what its sender lacks of the founders'
chains, which can be told from the heads; and where admissions or records differ, with `Digests`
of one's own, which are answered with what is lacking of those. Every answer, also an empty one,
ends with a `RosterNews` that says `last`. A link is `settled` once the neighbour's heads and the
answers to one's own have come.

What a merge has added goes to all other neighbours at once, and new `Heads` after it, so that what
could not be merged yet is found missing. Only a change is told onward, so this ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from meshpacs.engine.effects import Effect, KeepRoster, Send
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.limits import ROSTER_DIGESTS
from meshpacs.model.member import Member
from meshpacs.wire.messages import Digests, Heads, RosterNews
from meshpacs.wire.roster import News, Roster

RosterMessage = Heads | Digests | RosterNews


@dataclass(slots=True)
class _Neighbour:
    heads: Heads | None = None
    """Theirs, as last heard."""
    due: int = 0
    """Answers of theirs that have not ended yet."""
    settled: bool = False

    def settle(self) -> None:
        """Once is enough: later changes are pushed."""
        self.settled = self.settled or (self.heads is not None and not self.due)


class RosterGossip:
    """The roster's own conversation with the neighbours."""

    def __init__(self, roster: Roster) -> None:
        """Others may merge into the roster, too, and say so by `learn`."""
        self.roster = roster
        self._neighbours: dict[NodeId, _Neighbour] = {}
        self._told = roster.head()

    def members(self) -> Mapping[NodeId, Member]:
        """Who is a member now."""
        return self.roster.members()

    def head(self) -> Digest:
        """The roster's digest: who is a member, as far as is known here."""
        return self.roster.head()

    def linked(self, peer: NodeId) -> list[Effect]:
        """A control link is up: say how far the roster is known here, before anything else."""
        self._neighbours[peer] = _Neighbour(due=1)
        return [Send(peer, self.roster.heads())]

    def settled(self, peer: NodeId) -> bool:
        """Whether we and this neighbour have caught up with each other since the link came up."""
        neighbour = self._neighbours.get(peer)
        return neighbour is not None and neighbour.settled

    def receive(
        self, peer: NodeId, message: RosterMessage, neighbours: Sequence[NodeId]
    ) -> tuple[list[Effect], bool]:
        """Take in what a member says of the roster; also whether members or head have changed.

        `neighbours` are those with a control link now.
        """
        match message:
            case Heads():
                return self._compare(peer, message), False
            case Digests():
                lacking = self.roster.lacking(message)
                return [Send(peer, news) for news in lacking.messages()], False
            case RosterNews():
                known = self._neighbours.get(peer)
                if known is not None and message.last:
                    known.due = max(0, known.due - 1)
                    known.settle()
                news = self.roster.merge(message.entries, message.admissions, message.records)
                return self._spread(news, neighbours, peer)
            case _:
                assert_never(message)

    def learn(self, news: News, neighbours: Sequence[NodeId]) -> tuple[list[Effect], bool]:
        """Keep and tell what was merged here: an admission, our own record, a founder's entry."""
        return self._spread(news, neighbours, None)

    # ------------------------------------------------------------ inside

    def _compare(self, peer: NodeId, heads: Heads) -> list[Effect]:
        ours = self.roster.heads()
        answer = News(entries=self.roster.entries_beyond(heads)).messages()
        asked: tuple[Digests, ...] = ()
        if (heads.admissions, heads.records) != (ours.admissions, ours.records):
            asked = self.roster.digests(ROSTER_DIGESTS)
        neighbour = self._neighbours.get(peer)
        if neighbour is not None:
            neighbour.heads = heads
            neighbour.due += len(asked)
            neighbour.settle()
        effects: list[Effect] = [Send(peer, news) for news in answer]
        effects += [Send(peer, digests) for digests in asked]
        return effects

    def _spread(
        self, news: News, neighbours: Sequence[NodeId], source: NodeId | None
    ) -> tuple[list[Effect], bool]:
        if not news:
            return [], False
        effects: list[Effect] = [KeepRoster(news.entries, news.admissions, news.records)]
        heads, head = self.roster.heads(), self.roster.head()
        for peer in neighbours:
            neighbour = self._neighbours.setdefault(peer, _Neighbour())
            told = self._other_branch(neighbour, news) if peer == source else news
            if told:
                # No answer to anything, so not the last of one.
                effects += [Send(peer, replace(part, last=False)) for part in told.messages()]
            effects.append(Send(peer, heads))
            neighbour.due += 1
        changed, self._told = head != self._told, head
        return effects, changed

    def _other_branch(self, source: _Neighbour, news: News) -> News:
        """What is news even to who brought these.

        Where a founder's chain has forked that is the other branch: the source's heads alone did
        not tell that it lacks it.
        """
        if source.heads is None:
            return News()
        beyond = self.roster.entries_beyond(source.heads)
        return News(entries=tuple(entry for entry in beyond if entry not in news.entries))
