"""How long roads are, beyond the uniform model of `network.Latency`.

Every model is a frozen dataclass of plain fields and gives a table of one-way latencies for each
direction between two hosts, which messages take in turn. All is integer microseconds, drawn from
the seed; nothing comes from a floating point function.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import MILLISECOND, Micros
from meshpacs_sim.world.king import Delays, read
from meshpacs_sim.world.network import TABLE, Latency
from meshpacs_sim.world.quantiles import lognormal, pick


@dataclass(frozen=True, slots=True)
class Constant:
    """Every message takes equally long, on every road."""

    one_way_us: Micros = 10 * MILLISECOND

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _none_below_zero(one_way_us=self.one_way_us)

    def table(self, seed: int, src: int, dst: int) -> tuple[Micros, ...]:  # noqa: ARG002
        """The same for all."""
        return (self.one_way_us,) * TABLE


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Most roads are short and a few are long: a base drawn for each direction, and a jitter."""

    median_us: Micros = 15 * MILLISECOND
    """One way: half of all roads are shorter. A guess."""
    sigma_percent: int = 60
    """Of the logarithm, in hundredths: 60 makes one road in 20 longer than 2.7 medians. A guess."""
    jitter_us: Micros = 5 * MILLISECOND

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _none_below_zero(
            median_us=self.median_us, sigma_percent=self.sigma_percent, jitter_us=self.jitter_us
        )
        if self.sigma_percent > SIGMA_PERCENT:
            raise ValueError(f"sigma_percent: {self.sigma_percent} is more than {SIGMA_PERCENT}")

    def table(self, seed: int, src: int, dst: int) -> tuple[Micros, ...]:
        """One quantile, jittered."""
        bits = draw(seed, _place(src, dst), _BASE, 0)
        base = lognormal(self.median_us, self.sigma_percent)[pick(bits)]
        return _jittered(base, self.jitter_us, seed, src, dst)


SIGMA_PERCENT = 300
"""The widest: its longest road is 90,000 medians long."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Hosts on a plane: light in fibre along a detour, and each host's access to the network.

    A road takes as long as the access at both ends and the distance between them, both ways alike.
    """

    side_m: int = 500_000
    """Hosts whose place is not told stand anywhere in a square of this side, drawn evenly."""
    sites_m: tuple[tuple[int, int], ...] = ()
    """Places as (east, north) in metres: host i stands at number i, those beyond begin anew."""
    detour_percent: int = 200
    """The length of fibre between two places, of the straight line. A guess: routes are commonly
    found to be one and a half to three times as long as the line."""
    access_low_us: Micros = 500
    access_high_us: Micros = 8 * MILLISECOND
    """One way from a host to the network, drawn for each host: fibre takes below 1 ms, an
    interleaved ADSL line 5 to 15. A guess."""
    jitter_us: Micros = 2 * MILLISECOND

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _none_below_zero(
            side_m=self.side_m,
            detour_percent=self.detour_percent,
            access_low_us=self.access_low_us,
            jitter_us=self.jitter_us,
        )
        if self.access_high_us < self.access_low_us:
            raise ValueError("access_high_us: is less than access_low_us")

    def place(self, seed: int, host: int) -> tuple[int, int]:
        """Where a host stands, in metres."""
        if self.sites_m:
            return self.sites_m[host % len(self.sites_m)]
        side = self.side_m + 1
        return (
            draw(seed, host, _PLACE, 0) * side >> 64,
            draw(seed, host, _PLACE, 1) * side >> 64,
        )

    def table(self, seed: int, src: int, dst: int) -> tuple[Micros, ...]:
        """Both accesses and the way between, jittered."""
        (x, y), (u, v) = self.place(seed, src), self.place(seed, dst)
        metres = isqrt((x - u) ** 2 + (y - v) ** 2)
        fibre_us = metres * self.detour_percent * FIBRE_PS_PER_M // (100 * 1_000_000)
        base = fibre_us + self._access(seed, src) + self._access(seed, dst)
        return _jittered(base, self.jitter_us, seed, src, dst)

    def _access(self, seed: int, host: int) -> Micros:
        width = self.access_high_us - self.access_low_us + 1
        return self.access_low_us + (draw(seed, host, _ACCESS, 0) * width >> 64)


FIBRE_PS_PER_M = 4_897
"""Picoseconds that light takes for a metre of fibre: 1.468 / 299,792,458 m/s, the group index of
standard single-mode fibre (ITU-T G.652) at 1,550 nm as makers give it."""


@dataclass(frozen=True, slots=True)
class King:
    """Measured round trips between real machines, from a file; half of one is one way.

    `world/king.py` describes the files. Each host stands in the place of one machine; where there
    are more hosts than machines, several share one.
    """

    file: str
    unit: str = "us"
    """What a number in the file is: "us", as in the published files, or "ms"."""
    shuffled: bool = True
    """Which host stands for which machine is drawn; otherwise host i stands for machine i."""
    same_us: Micros = 500
    """One way between two hosts that stand for the same machine. A guess: one city."""
    jitter_us: Micros = 5 * MILLISECOND

    def __post_init__(self) -> None:
        """Read the file.

        Raises:
            LocalFault: it cannot be read, or is not such a file; says in which line.
        """
        _none_below_zero(same_us=self.same_us, jitter_us=self.jitter_us)
        read(self.file, self.unit)

    @property
    def delays(self) -> Delays:
        """What the file says."""
        return read(self.file, self.unit)

    def table(self, seed: int, src: int, dst: int) -> tuple[Micros, ...]:
        """Half of the round trip, jittered."""
        here, there = self._machine(seed, src), self._machine(seed, dst)
        base = self.same_us if here == there else self.delays.rtt_us(here, there) // 2
        return _jittered(base, self.jitter_us, seed, src, dst)

    def _machine(self, seed: int, host: int) -> int:
        number = host % self.delays.size
        return _shuffled(seed, self.delays.size)[number] if self.shuffled else number


MODELS: dict[str, type[Constant | Latency | Lognormal | Plane | King]] = {
    "constant": Constant,
    "uniform": Latency,
    "lognormal": Lognormal,
    "plane": Plane,
    "king": King,
}
"""By the names that scenarios use."""


@lru_cache(maxsize=4)
def _shuffled(seed: int, size: int) -> tuple[int, ...]:
    return tuple(sorted(range(size), key=lambda machine: draw(seed, machine, _MACHINE, 0)))


def _jittered(base: Micros, jitter_us: Micros, seed: int, src: int, dst: int) -> tuple[Micros, ...]:
    place = _place(src, dst)
    return tuple(
        base + (draw(seed, place, _JITTER, turn) * (jitter_us + 1) >> 64) for turn in range(TABLE)
    )


def _place(src: int, dst: int) -> int:
    return (src << 32) + dst


def _none_below_zero(**fields: int) -> None:
    for name, value in fields.items():
        if value < 0:
            raise ValueError(f"{name}: {value} is less than 0")


_BASE = word(b"latency base")
_JITTER = word(b"latency jitter")
_PLACE = word(b"latency place")
_ACCESS = word(b"latency access")
_MACHINE = word(b"latency machine")
