"""Who is a member, told onward until every node knows the same (PROTOCOL 1.2, 1.6).

Both sides of a new link send `Heads`. Each is answered with what its sender lacks of the founders'
chains, which can be told from the heads; and where admissions or records differ, with `Digests`
of one's own, which are answered with what is lacking of those. Every answer, also an empty one,
ends with a `RosterNews` that says `last`. A link is `settled` once the neighbour's heads and the
answers to one's own have come.

What a merge has added goes to all other neighbours at once, and new `Heads` after it, so that what
could not be merged yet is found missing. Only a change is told onward, so this ends.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from meshpacs.engine.effects import Effect, KeepRoster, Send
from meshpacs.model.ids import NodeId
from meshpacs.model.limits import ROSTER_DIGESTS
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

    def linked(self, peer: NodeId) -> list[Effect]:
        """A control link is up: say how far the roster is known here, before anything else."""
        self._neighbours[peer] = _Neighbour(due=1)
        return [Send(peer, self.roster.heads())]

    def unlinked(self, peer: NodeId) -> None:
        """The control link is gone."""
        self._neighbours.pop(peer, None)

    def settled(self, peer: NodeId) -> bool:
        """Whether we and this neighbour have caught up with each other since the link came up.

        Until then the engine holds back what else it has to say to it, but not for long: one who
        never answers must not silence the branch behind it.
        """
        neighbour = self._neighbours.get(peer)
        return neighbour is not None and neighbour.settled

    def receive(self, peer: NodeId, message: RosterMessage) -> list[Effect]:
        """Take in what a member says of the roster."""
        match message:
            case Heads():
                return self._compare(peer, message)
            case Digests():
                return [Send(peer, news) for news in self.roster.lacking(message).messages()]
            case RosterNews():
                return self._merge(peer, message)
            case _:
                assert_never(message)

    def learn(self, news: News) -> list[Effect]:
        """Keep and tell what was merged here: an admission, our own record, a founder's entry."""
        return self._spread(news, None)

    def membership_changed(self) -> bool:
        """Whether who is a member may have changed since this was last asked."""
        head = self.roster.head()
        changed, self._told = head != self._told, head
        return changed

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
        return [Send(peer, message) for message in (*answer, *asked)]

    def _merge(self, peer: NodeId, message: RosterNews) -> list[Effect]:
        neighbour = self._neighbours.get(peer)
        if neighbour is not None and message.last:
            neighbour.due = max(0, neighbour.due - 1)
            neighbour.settle()
        return self._spread(
            self.roster.merge(message.entries, message.admissions, message.records), peer
        )

    def _spread(self, news: News, source: NodeId | None) -> list[Effect]:
        if not news:
            return []
        effects: list[Effect] = [KeepRoster(news.entries, news.admissions, news.records)]
        heads = self.roster.heads()
        for peer, neighbour in self._neighbours.items():
            told = news
            if peer == source:
                # It knows all that. But where a founder's chain has forked, the other branch is
                # found to be news to it only now that we know both.
                known = neighbour.heads
                told = News(entries=self.roster.entries_beyond(known)) if known else News()
            if told:
                effects += [Send(peer, replace(part, last=False)) for part in told.messages()]
            effects.append(Send(peer, heads))
            neighbour.due += 1
        return effects
