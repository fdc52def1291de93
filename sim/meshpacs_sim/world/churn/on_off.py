"""Nodes that come and go by chance: sessions and absences one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import Micros
from meshpacs_sim.world.churn.lengths import Lengths
from meshpacs_sim.world.churn.schedule import Span

_STATE, _LEFT, _ANYWHERE = word(b"churn state"), word(b"churn left"), word(b"churn anywhere")
_UP, _DOWN = word(b"churn up"), word(b"churn down")
_UP_MEAN, _DOWN_MEAN = word(b"churn up mean"), word(b"churn down mean")


@dataclass(frozen=True, slots=True)
class OnOff:
    """Alternating sessions and absences, which have gone on for ever when the world begins.

    So at time 0, and ever after, a node is up with the probability that its share of time is, and
    the first span or pause is what is left of one. With `spread` every node has means of its own,
    as in the heterogeneous model of Yao, Leonard, Wang and Loguinov (ICNP 2006): both are the
    common ones times a factor that is drawn for each from that distribution, whatever its mean.
    """

    up: Lengths
    down: Lengths
    spread: Lengths | None = None

    def means_us(self, seed: int, node: int) -> tuple[Micros, Micros]:
        """How long this node's sessions and absences last on average."""
        if self.spread is None:
            return self.up.mean_us, self.down.mean_us
        return (
            self.spread.length(draw(seed, node, _UP_MEAN, 0), self.up.mean_us),
            self.spread.length(draw(seed, node, _DOWN_MEAN, 0), self.down.mean_us),
        )

    def spans(self, seed: int, node: int) -> Iterator[Span]:
        """When this node is up; it goes on for ever."""
        up_us, down_us = self.means_us(seed, node)
        is_up = draw(seed, node, _STATE, 0) * (up_us + down_us) >> 64 < up_us
        now, mean_us = (self.up, up_us) if is_up else (self.down, down_us)
        left = now.left(draw(seed, node, _LEFT, 0), draw(seed, node, _ANYWHERE, 0), mean_us)
        if is_up:
            yield Span(0, left)
            left += self.down.length(draw(seed, node, _DOWN, 0), down_us)
        start, turn = left, 1
        while True:
            end = start + self.up.length(draw(seed, node, _UP, turn), up_us)
            yield Span(start, end)
            start = end + self.down.length(draw(seed, node, _DOWN, turn), down_us)
            turn += 1
