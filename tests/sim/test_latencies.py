"""Latency models: integers from the seed, the same on every machine."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist, mean, median

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import MILLISECOND
from meshpacs_sim.graphs import topologies
from meshpacs_sim.world import quantiles
from meshpacs_sim.world.king import LONGEST_US, MACHINES, read
from meshpacs_sim.world.latencies import MODELS, Constant, King, Lognormal, Plane
from meshpacs_sim.world.network import TABLE, Latencies, Latency
from meshpacs_sim.world.trace import Trace
from meshpacs_sim.world.world import World

MATRIX = "0 10000 20000\n10400 0 -1\n20200 0 0\n"


@pytest.fixture
def matrix(tmp_path: Path) -> str:
    file = tmp_path / "matrix"
    file.write_text(MATRIX)
    return str(file)


def bases(model: Latencies, seed: int = 7, hosts: int = 40) -> list[int]:
    return [
        model.table(seed, src, dst)[0]
        for src in range(hosts)
        for dst in range(hosts)
        if src != dst
    ]  # fmt: skip


# ---------------------------------------------------------------- tables


def test_quantiles_are_those_of_the_normal_distribution_to_the_last_integer() -> None:
    table, normal = quantiles.lognormal(1_000_000, 100), NormalDist()
    assert len(table) == quantiles.SLOTS
    assert list(table) == sorted(table)
    for slot in range(0, quantiles.SLOTS, 97):
        z = normal.inv_cdf((2 * slot + 1) / (2 * quantiles.SLOTS))
        assert table[slot] == pytest.approx(1_000_000 * 2.718281828459045**z, rel=1e-9, abs=1)


def test_tables_are_the_same_bytes_everywhere() -> None:
    """What no machine may change: a digest of the tables, computed with decimal arithmetic."""
    text = repr((quantiles.exponential(), quantiles.lognormal(15_000, 60))).encode()
    assert hashlib.sha256(text).hexdigest()[:16] == "73fadf3abac7efdf"


def test_exponential_gaps_have_mean_one() -> None:
    table = quantiles.exponential()
    assert mean(table) == pytest.approx(quantiles.SCALE, rel=2e-4)
    assert quantiles.pick(0) == 0
    assert quantiles.pick((1 << 64) - 1) == quantiles.SLOTS - 1


# ---------------------------------------------------------------- models


@pytest.mark.parametrize("model", [Constant(), Latency(), Lognormal(), Plane()])
def test_a_table_is_integers_from_the_seed_and_the_direction(model: Latencies) -> None:
    one, again, other = model.table(5, 0, 1), model.table(5, 0, 1), model.table(6, 0, 1)
    assert one == again
    assert (one != other) == (model != Constant())
    assert len(one) == TABLE
    assert all(type(each) is int and each >= 0 for each in one)


def test_half_of_all_lognormal_roads_are_shorter_than_the_median_and_a_few_are_long() -> None:
    roads = bases(Lognormal(10 * MILLISECOND, 60, 0))
    assert median(roads) == pytest.approx(10 * MILLISECOND, rel=0.05)
    longer = sum(road > 26_830 for road in roads) / len(roads)  # exp(0.6 x 1.645) medians
    assert longer == pytest.approx(0.05, abs=0.015)


def test_a_road_on_the_plane_takes_its_way_in_fibre_and_both_accesses() -> None:
    plane = Plane(sites_m=((0, 0), (300_000, 400_000)), detour_percent=150,
                  access_low_us=1_000, access_high_us=1_000, jitter_us=0)  # fmt: skip
    fibre_us = 500_000 * 150 * 4_897 // 100_000_000
    assert plane.table(1, 0, 1) == plane.table(9, 1, 0) == (2_000 + fibre_us,) * TABLE
    assert plane.table(1, 0, 2) == (2_000,) * TABLE  # number 2 stands where 0 does


def test_hosts_without_sites_stand_all_over_the_square_and_see_each_other_both_ways_alike() -> None:
    plane = Plane(side_m=1_000, jitter_us=0)
    places = [plane.place(3, host) for host in range(200)]
    assert all(0 <= each <= 1_000 for place in places for each in place)
    assert mean(x for x, _ in places) == pytest.approx(500, abs=80)
    assert plane.table(3, 4, 5) == plane.table(3, 5, 4)


def test_models_have_names_and_run_a_world(matrix: str) -> None:
    digests = {}
    for name, kind in MODELS.items():
        make: Callable[..., Latencies] = kind
        model = make(matrix) if kind is King else make()
        seen = []
        for _ in range(2):
            trace = Trace()
            world = World(4, topologies.ring(6), latency=model, observers=[trace])
            world.finish(world.ask(0))
            assert world.askings[0].report is not None
            seen.append(trace.digest)
        assert seen[0] == seen[1]
        digests[name] = seen[0]
    assert len(set(digests.values())) == len(MODELS)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Constant(one_way_us=-1), "one_way_us"),
        (lambda: Latency(low_us=2, high_us=1), "high_us"),
        (lambda: Lognormal(sigma_percent=301), "sigma_percent"),
        (lambda: Lognormal(median_us=-1), "median_us"),
        (lambda: Plane(access_low_us=2, access_high_us=1), "access_high_us"),
        (lambda: Plane(side_m=-1), "side_m"),
    ],
)
def test_an_impossible_value_is_refused_by_its_field(make: object, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make()  # type: ignore[operator]


# ---------------------------------------------------------------- King files


def test_a_matrix_gives_half_of_its_round_trips_in_both_directions(matrix: str) -> None:
    king = King(matrix, shuffled=False, jitter_us=0)
    assert king.table(1, 0, 1) == (5_000,) * TABLE
    assert king.table(1, 1, 0) == (5_200,) * TABLE
    assert king.table(1, 0, 3) == (500,) * TABLE  # number 3 stands for machine 0 again


def test_what_nobody_measured_is_the_median_and_counted(matrix: str) -> None:
    delays = read(matrix)
    assert (delays.size, delays.filled) == (3, 1)
    assert delays.rtt_us(1, 2) == delays.rtt_us(2, 1) == 20_000
    assert [delays.rtt_us(each, each) for each in range(3)] == [0, 0, 0]


def test_three_forms_say_the_same(tmp_path: Path) -> None:
    forms = {
        "matrix": "# ms\n0 10 20.5\n10 0 30\n20.5 30 0",
        "topology": "topology E2EGraph 3\nnode 1\nnode 2\nnode 3\n1,2 10\n1,3 20.5\n2,3 30\n",
        "triples": "4 5 10\n4 9 20.5\n5 9 30\n9 5 30\n",
    }
    told = []
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        delays = read(str(tmp_path / name), "ms")
        told.append([delays.rtt_us(here, there) for here in range(3) for there in range(3)])
        assert delays.filled == 0
    assert told[0] == told[1] == told[2] == [0, 10000, 20500, 10000, 0, 30000, 20500, 30000, 0]


def test_hosts_stand_for_machines_that_are_drawn_each_for_one(tmp_path: Path) -> None:
    size = 50
    rows = ("".join(f"{100 * abs(a - b)} " for b in range(size)) for a in range(size))
    (tmp_path / "m").write_text("\n".join(rows))
    king = King(str(tmp_path / "m"), jitter_us=0)
    roads = sorted(king.table(3, 0, dst)[0] for dst in range(1, size))
    assert roads != sorted(king.table(4, 0, dst)[0] for dst in range(1, size))
    assert 0 not in roads


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "holds no round trips"),
        ("0 1\n1 0 3\n", "line 2: has 3 numbers, and the first line 2"),
        ("0 1\n1 0\n2 1\n", "has 3 lines of 2 numbers"),
        ("1 2 3\n1 2\n", "line 2: has 2 words"),
        ("1 two 3\n", "line 1: 'two' is no machine's number"),
        ("1 2 3\n\n# so\n2 3 x\n", "line 4: 'x' is no round trip"),
        (f"1 2 3.{'0' * 5000}\n", "line 1: .* is no round trip"),
        ("0 1e3\n1 0\n", "line 1: '1e3' is no round trip"),
        (f"1 2 {LONGEST_US + 1}\n", "line 1: .* longer than a minute"),
        ("5\n", "one machine"),
        ("0 0\n0 0\n", "no round trip of more than 0"),
        ("".join(f"{i} {i + 1} 5\n" for i in range(MACHINES)), f"line {MACHINES}: .* more than"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_name_and_line(
    tmp_path: Path, text: str, what: str
) -> None:
    file = tmp_path / "delays"
    file.write_text(text)
    with pytest.raises(LocalFault, match=what) as refused:
        King(str(file))
    assert str(file) in str(refused.value)


def test_a_missing_file_and_a_wrong_unit_are_refused(tmp_path: Path, matrix: str) -> None:
    with pytest.raises(LocalFault, match="cannot be read"):
        King(str(tmp_path / "none"))
    with pytest.raises(LocalFault, match="furlongs is no unit"):
        King(matrix, "furlongs")
