"""Pictures: the same bytes for the same numbers, nothing hidden, and the same said in words."""

import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations
from math import inf
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from meshpacs_sim.pictures.beside import Column, Marks, beside
from meshpacs_sim.pictures.curves import Axis, Curve, Shade, curves
from meshpacs_sim.pictures.curves import Panel as Strip
from meshpacs_sim.pictures.distributions import Observed, cumulative, lorenz
from meshpacs_sim.pictures.labels import LETTERS_PT, Named, name_points
from meshpacs_sim.pictures.sheet import Picture, sheet
from meshpacs_sim.pictures.tradeoff import Panel, Way, tradeoff
from meshpacs_sim.statistics.intervals import Estimate, proportion_of

SVG = "{http://www.w3.org/2000/svg}"


def about(value: float) -> Estimate:
    return Estimate(value, value * 0.9, value * 1.1, 20)


def way(name: str, messages: float, hits: int, known: int = 0) -> Way:
    found = proportion_of(hits, 100)
    return Way(name, about(messages), found, proportion_of(max(hits, known), 100))


@cache
def some_tradeoff() -> Picture:
    ways = [way("everyone", 60_000, 100), way("32 walkers", 2_000, 20, 31), way("index", 2, 97)]
    return tradeoff([Panel("Rare", ways), Panel("Popular", ways[:2])])


@cache
def some_curves(name: str = "sweep") -> Picture:
    rising = Curve("everyone", [1, 10, 100], [about(5), about(50), about(400)])
    band = Curve("walkers", list(range(1, 40)), [about(1 + x) for x in range(1, 40)])
    x, y = Axis("nodes", logarithmic=True), Axis("messages", logarithmic=True)
    return curves(name, "Messages", [Strip("", [rising, band])], x, y)


@cache
def some_latencies() -> Picture:
    values = np.arange(1, 2_000) ** 2
    series = [Observed("everyone", values, 4_000), Observed("nobody", [], 10)]
    return cumulative("latency", "Latency", [("", series)], "microseconds", logarithmic=True)


@cache
def some_rows() -> Picture:
    shares = [proportion_of(hits, 100) for hits in (10, 60)]
    known = Marks("rare: a holder known", [proportion_of(90, 100)] * 2, hollow=True)
    columns = [
        Column("found", [Marks("rare", shares), known, Marks("popular", shares[::-1])], share=True),
        Column("messages", [Marks("rare", [about(7), about(9_000)])]),
        Column("upkeep\nan hour", [Marks("", [about(0), about(3)])]),
    ]
    return beside("rows", "Beside", ["flood", "index"], columns)


@cache
def some_loads() -> Picture:
    series = [("all", [5, 5, 5]), ("index", [0, 0, 9])]
    return lorenz("load", "Load", [("", series)], "messages received")


# ---------------------------------------------------------------- bytes


def test_the_same_numbers_give_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib, sys; sys.path[:0] = ['sim', '.'];"
        "import meshpacs_sim.pictures.sheet as sheet, meshpacs_sim.pictures.tradeoff;"
        "import meshpacs_sim.pictures.curves, meshpacs_sim.pictures.distributions;"
        "assert 'matplotlib' not in sys.modules, 'drawing is loaded before it is wanted';"
        "import tests.sim.pictures.test_pictures as these;"
        "print(hashlib.sha256(these.some_loads().svg()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == hashlib.sha256(some_loads().svg()).hexdigest()


@pytest.mark.parametrize("draw", [some_curves, some_latencies, some_rows, some_loads])
def test_the_same_numbers_give_the_same_bytes_twice(draw: Any) -> None:
    picture, other = draw(), draw.__wrapped__()  # drawn before, and drawn anew
    assert picture.svg() == other.svg() == picture.svg()
    assert picture.png(50) == other.png(50)


def test_a_file_names_neither_a_date_nor_a_program() -> None:
    svg = some_curves().svg().decode()
    assert "<dc:" in svg
    assert not re.search(r"<dc:(date|creator|source)", svg)
    assert b"Software" not in some_curves().png(50)


def test_a_row_is_told_across_its_columns_and_what_costs_nothing_is_written() -> None:
    told = some_rows().told
    assert told.startswith(
        "flood: found, rare 10.0 % (5.5 % to 17.4 %); found, rare: a holder known"
    )
    assert "index: found, rare 60.0 %" in told
    assert "upkeep an hour 0. index" in told
    axes = some_rows().figure.axes
    assert [text.get_text() for text in axes[2].texts] == ["0", "3"]
    assert [text.get_text() for text in axes[1].texts] == ["7", "9\N{NARROW NO-BREAK SPACE}000"]


def test_what_is_known_at_once_has_a_place_on_a_logarithmic_axis() -> None:
    series = [Observed("digests", [0, 0, 2], 4), Observed("walkers", [30, 400_000], 4)]
    picture = cumulative("latency", "Latency", [("", series)], "ms", logarithmic=True)
    (axes,) = picture.figure.axes
    zero, two, hundred = (axes.transData.transform((x, 0))[0] for x in (0, 2, 100))
    assert axes.get_xscale() == "symlog"
    assert zero < two < hundred < axes.transData.transform((400_000, 0))[0]


# ---------------------------------------------------------------- in a page


def test_pictures_in_one_page_share_no_name_and_refer_only_to_their_own() -> None:
    pictures = [
        some_tradeoff(),
        some_curves(),
        some_curves("other"),
        some_latencies(),
        some_rows(),
        some_loads(),
    ]
    seen: set[str] = set()
    for picture in pictures:
        element = ET.fromstring(picture.inline())
        names = [each.get("id") for each in element.iter() if each.get("id")]
        assert len(names) == len(set(names))
        assert not seen & set(map(str, names))
        seen.update(map(str, names))
        wanted = re.findall(r'(?:href="|url\()#([^")]+)', picture.inline())
        assert wanted
        assert set(wanted) <= set(map(str, names))


def test_a_picture_in_a_page_has_a_role_a_label_no_size_and_no_rule_for_others() -> None:
    element = ET.fromstring(some_loads().inline())
    assert element.get("role") == "img"
    assert "index: Gini 0.67" in str(element.get("aria-label"))
    assert element.get("width") is None
    (style,) = element.iter(f"{SVG}style")
    assert str(style.text).startswith("#load-figure_1 *{")


def test_names_that_look_like_formulas_or_tags_are_names() -> None:
    nasty = 'a $x_1$ & <b onload="x">--></b>'
    picture = tradeoff([Panel(nasty, [way(nasty, 10, 50), way("$", 12, 60)])], title=nasty)
    element = ET.fromstring(picture.inline())
    assert nasty in str(element.get("aria-label"))
    assert not [each for each in element.iter() if each.tag in {f"{SVG}b", f"{SVG}script"}]


# ---------------------------------------------------------------- words


def test_words_hold_the_numbers_and_their_intervals() -> None:
    told = some_tradeoff().told
    assert (
        "32 walkers: 20.0 % (13.3 % to 28.9 %) found at 2\u202f000 (1\u202f800 to 2\u202f200)"
        in told
    )
    assert "a holder known in 31.0 %" in told
    assert "everyone, messages by nodes: 5 (4.5 to 5.5) at 1;" in some_curves().told
    assert "everyone: 50.0 % of all; half of these by 1\u202f000\u202f000" in some_latencies().told
    assert "nobody: none." in some_latencies().told
    assert "the busiest tenth bears 100 %" in some_loads().told


def test_of_many_points_the_telling_ones_are_said() -> None:
    wave = [about(10 + abs(20 - x)) for x in range(60)]
    many = [Strip("", [Curve("a", list(range(60)), wave)])]
    told = curves("t", "T", many, Axis("x"), Axis("y")).told
    assert [f" at {x}" in told for x in (0, 20, 59, 30)] == [True, True, True, False]


# ---------------------------------------------------------------- what is drawn


def test_a_curve_of_tries_ends_at_the_share_that_succeeded() -> None:
    picture = cumulative("c", "C", [("", [Observed("half", [1, 2, 2, 9], 8)])], "hops")
    (line,) = picture.figure.axes[0].lines
    x, y = (np.asarray(line.get_data()[side]).tolist() for side in (0, 1))
    assert (x, y) == ([1, 1, 2, 9, 9], [0, 12.5, 37.5, 50, 50])


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    (line, *_) = some_latencies().figure.axes[0].lines
    x = np.asarray(line.get_xdata())
    assert len(x) < 500
    assert (x[0], x[-1]) == (1, 1_999**2)


def test_what_costs_nothing_and_ends_that_are_unknown_are_drawn_all_the_same() -> None:
    free = Way("free", Estimate(0, 0, 0, 9), Estimate(0.5, -inf, inf, 1), Estimate(0.5, 0, 1, 9))
    assert (
        "free: 50.0 % (interval unknown) found at 0 messages" in tradeoff([Panel("", [free])]).told
    )
    unknown = Curve("a", [1, 2], [Estimate(1, -inf, inf, 1), Estimate(2, 0, 3, 2)])
    single = Curve("b", [5], [about(3)])
    for logarithmic in (False, True):
        x, y = Axis("x", logarithmic=logarithmic), Axis("y", logarithmic=logarithmic)
        assert "interval unknown" in curves("u", "U", [Strip("", [unknown, single])], x, y).told
        assert curves("v", "V", [Strip("", [single])], x, y).svg()


def test_a_weaker_sense_has_the_colour_of_the_stronger_one() -> None:
    ones = [about(0.5), about(0.6)]
    series = [
        Curve("a", [1, 2], ones),
        Curve("b", [1, 2], ones, hollow=True),
        Curve("c", [1, 2], ones),
    ]
    shade = Shade(1, 1.2, "warm-up")
    picture = curves("s", "S", [Strip("", series)], Axis("x"), Axis("y", share=True), shade)
    inks = [
        line.get_color() for line in picture.figure.axes[0].lines if line.get_linestyle() != "None"
    ]
    assert inks[0] == inks[1] != inks[2]


def test_names_of_points_cover_neither_points_nor_each_other() -> None:
    chance = np.random.default_rng(3)
    points = [
        Named(float(10 ** chance.uniform(0, 5)), float(chance.uniform(0, 100)), f"way {n}", "#000")
        for n in range(14)
    ]
    with sheet() as (figure, (axes,)):
        axes.set_xscale("log")
        axes.set_ylim(0, 100)
        axes.plot([point.x for point in points], [point.y for point in points], "o")
        name_points(axes, points)
        figure.draw_without_rendering()
        boxes = [Text.get_window_extent(each) for each in axes.texts]  # without the line
        assert len(boxes) == 14
        assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]
        marks = [axes.transData.transform((point.x, point.y)) for point in points]
        assert not [1 for box in boxes for mark in marks if box.contains(*mark)]
        assert {text.get_fontsize() for text in axes.texts} == {LETTERS_PT}
        assert figure.axes == [axes]


def test_names_go_where_other_names_are_not_even_if_points_coincide() -> None:
    with sheet() as (figure, (axes,)):
        axes.plot([1, 2], [1, 2])
        name_points(axes, [Named(1.5, 1.5, f"the {n}th of all", "#000") for n in range(10)])
        figure.draw_without_rendering()
        boxes = [Text.get_window_extent(each) for each in axes.texts]  # without the line
        assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]


def test_a_series_looks_the_same_in_every_panel_and_a_long_legend_makes_the_sheet_higher() -> None:
    names = [f"a way to search with a long name, number {n}" for n in range(12)]
    both = [Strip("one", [Curve(name, [1, 2], [about(1), about(2)]) for name in names])]
    both.append(Strip("other", both[0].series[3:5]))
    picture = curves("p", "P", both, Axis("x"), Axis("y"))
    inks = [
        dict(
            zip(labels, [bar.get_children()[0].properties()["color"] for bar in bars], strict=True)
        )
        for bars, labels in (axes.get_legend_handles_labels() for axes in picture.figure.axes)
    ]
    assert picture.figure.get_figheight() > 8
    assert [axes.get_title(loc="left") for axes in picture.figure.axes] == ["one", "other"]
    assert picture.told.startswith("one. a way")
    panels = [axes.get_position().height for axes in picture.figure.axes]
    assert min(panels) * picture.figure.get_figheight() > 1.8
    assert {name: inks[0][name] for name in inks[1]} == inks[1]
    assert (len(inks[0]), len(inks[1])) == (12, 2)


def test_loads_of_several_meshes_stand_beside_each_other() -> None:
    panels = [(f"mesh {n}", [("all", [1, 2, n])]) for n in range(3)]
    picture = lorenz("l", "L", panels, "messages")
    assert len(picture.figure.axes) == 3
    assert "mesh 2. all: Gini" in picture.told
    one, other = (picture.figure.axes[n].get_position() for n in (0, 1))
    assert (one.y0, one.x0 < other.x0) == (pytest.approx(other.y0), True)


@pytest.mark.parametrize("count", [0, 41])
def test_nothing_and_too_much_are_refused(count: int) -> None:
    series = [Curve(str(n), [1], [about(1)]) for n in range(count)]
    with pytest.raises(ValueError, match=r"nothing to draw|at most 40 series"):
        curves("n", "N", [Strip("", series)], Axis("x"), Axis("y"))
