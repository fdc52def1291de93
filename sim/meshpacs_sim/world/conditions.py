"""What the roads of a world can carry, and how well: lines, links and losses, in plain fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import MILLISECOND, Micros


@dataclass(frozen=True, slots=True)
class Line:
    """A host's access: all that it takes in, and all that it sends, goes over it."""

    down_bps: int = 0
    """Bits a second to the host; 0 for no limit."""
    up_bps: int = 0
    """Bits a second from the host; 0 for no limit."""
    share: int = 1
    """Where lines are drawn for hosts, the weight of this one among all."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("down_bps", "up_bps", "share"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is less than 0")


LINES = {
    "adsl": Line(16_000_000, 1_000_000),
    "vdsl": Line(50_000_000, 10_000_000),
    "cable": Line(250_000_000, 25_000_000),
    "mobile": Line(30_000_000, 8_000_000),
    "fibre": Line(1_000_000_000, 1_000_000_000),
}
"""Lines as clinics buy them, by name. ADSL2+ ends at 24 and 1.4 Mbit/s (ITU-T G.992.5); all numbers
are guesses at what a site some way from the exchange gets."""


@dataclass(frozen=True, slots=True)
class Road:
    """One direction of one link that is unlike the others: asymmetric, narrow or bad."""

    src: int
    dst: int
    bps: int = 0
    """Bits a second; 0 for no limit."""
    loss_ppm: int = 0
    """Segments that are lost, in a million."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all roads can carry, and how often they lose something."""

    lines: tuple[Line, ...] = ()
    """Accesses, drawn for hosts by their shares; none: nobody's access has a limit."""
    line_of: tuple[int, ...] = ()
    """For each host the number of its line among `lines`, in the place of drawing it."""
    link_bps: int = 0
    """Bits a second that each direction of each link carries by itself; 0 for no limit."""
    loss_ppm: int = 0
    """Segments that a road loses, in a million. Links are streams: the message is not lost, it
    comes late, and all that is behind it on the same link waits."""
    roads: tuple[Road, ...] = ()
    """Directions to which other numbers than the two above apply."""
    rto_us: Micros = 200 * MILLISECOND
    """The shortest wait before a segment is sent again: Linux's (RFC 6298 says 1 s)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.link_bps < 0 or any(road.bps < 0 for road in self.roads):
            raise ValueError("link_bps, roads: bits a second are 0 or more")
        for ppm in (self.loss_ppm, *(road.loss_ppm for road in self.roads)):
            if not 0 <= ppm <= LOSS_PPM:
                raise ValueError(f"loss_ppm: {ppm} is not between 0 and {LOSS_PPM}")
        if self.rto_us <= 0:
            raise ValueError(f"rto_us: {self.rto_us} is not more than 0")
        if any(not 0 <= number < len(self.lines) for number in self.line_of):
            raise ValueError(f"line_of: there are lines 0 to {len(self.lines) - 1}")
        if self.lines and not any(line.share for line in self.lines):
            raise ValueError("lines: no line has a share")

    def access(self, seed: int, size: int) -> list[Line]:
        """Each host's line.

        Raises:
            ValueError: `line_of` does not name one for each host.
        """
        if self.line_of:
            if len(self.line_of) != size:
                raise ValueError(f"line_of: {len(self.line_of)} lines for {size} hosts")
            return [self.lines[number] for number in self.line_of]
        if not self.lines:
            return [Line()] * size
        return [_drawn(self.lines, draw(seed, host, _LINE, 0)) for host in range(size)]


LOSS_PPM = 500_000
"""Beyond half of all segments nothing works that TCP carries."""

_LINE = word(b"line")


def _drawn(lines: Sequence[Line], bits: int) -> Line:
    left = bits * sum(line.share for line in lines) >> 64
    for line in lines:
        left -= line.share
        if left < 0:
            return line
    raise AssertionError("a draw lies below the sum")
