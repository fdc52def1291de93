"""One sheet of paper: its size, its letters, its colours, and the same bytes for the same numbers.

matplotlib's figures are used without pyplot: nothing is global, and no screen is looked for.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from meshpacs_sim.pictures.numerals import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Told apart by people who see no red or no green (Okabe & Ito 2008, jfly.uni-koeln.de/color).
Their yellow is left out: it is not seen on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
"""Eleven shapes, seven colours: 77 series look different, in black and white 11."""

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

INK, FAINT = "#222222", "#8A8A8A"

WIDTH_IN, HEIGHT_IN, MORE_IN = 7.2, 4.0, 2.9
"""Inches: the width of a printed page between its margins, 691 pixels on a screen; the height of
one panel with its axes; of each panel more."""

SERIES = 40
"""Series in one picture at most. A guess: beyond, nobody finds one again."""

STYLE: Any = {
    # Letters become outlines of the font that matplotlib brings: the same on any machine.
    "svg.fonttype": "path",
    "svg.hashsalt": "meshpacs",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.parse_math": False,  # a name with two $ in it is a name
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.7,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
    "path.simplify": False,  # it depends on how a line lies on a screen's dots
}


@dataclass(frozen=True, eq=False)
class Picture:
    """Something drawn."""

    name: str
    """The file's stem; letters, digits and dashes."""
    title: str
    told: str
    """The same in words, with the numbers: for who does not see it."""
    figure: "Figure"

    def svg(self) -> bytes:
        """A file of its own; the same bytes for the same picture and version of matplotlib."""
        return self._saved("svg", {"Date": None, "Creator": None})

    def png(self, dots_per_inch: int = 200) -> bytes:
        """For programs that take no SVG."""
        return self._saved("png", {"Software": None}, dpi=dots_per_inch)

    def inline(self) -> str:
        """The SVG element alone, to stand in a page beside others.

        As wide as it is given room, with its words as its label, and no name in it that another
        picture has.
        """
        text = self.svg().decode()
        element = text[text.index("<svg") :]
        prefix = f"{self.name}-"
        element = re.sub(r'(\bid=")', rf"\g<1>{prefix}", element)
        element = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}", element)
        element = re.sub(r"<!--.*?-->\n?|<metadata>.*?</metadata>\n?", "", element, flags=re.DOTALL)
        element = element.replace("*{stroke-linejoin", f"#{prefix}figure_1 *{{stroke-linejoin", 1)
        found = re.match(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', element)
        assert found is not None
        label = escape(f"{self.title}. {self.told}")
        head = (
            f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{found[1]}" role="img"'
            f' aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
        )
        return head + element[found.end() :].rstrip()

    def _saved(self, kind: str, metadata: dict[str, None], **options: Any) -> bytes:
        from matplotlib import rc_context

        held = io.BytesIO()
        with rc_context(STYLE):
            self.figure.savefig(held, format=kind, metadata=metadata, **options)
        return held.getvalue()


@contextmanager
def sheet(
    rows: int = 1, columns: int = 1, *, height_in: float = HEIGHT_IN, **options: Any
) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure with its panels, in the house's style while the block lasts."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        yield figure, [each for row in axes for each in row]
        # Laid out once: a second time, for a second file, moves everything by a hair.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def panels_in(count: int) -> float:
    """How high a sheet with so many panels above each other is, its legend apart."""
    return HEIGHT_IN + MORE_IN * (count - 1)


def refuse_too_many(series: Sequence[object]) -> None:
    """A picture of too many series, or of none, is not drawn.

    Raises:
        ValueError: there are more than `SERIES`, or none.
    """
    if not series:
        raise ValueError("there is nothing to draw")
    if len(series) > SERIES:
        raise ValueError(
            f"one picture shows at most {SERIES} series, not {len(series)}; draw fewer at once"
        )


def colour(index: int) -> str:
    """Of the series with this number, in every picture the same."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Its shape."""
    return MARKERS[index % len(MARKERS)]


def dash(index: int) -> Any:
    """Its line: whole for the first seven, so that every pair differs in colour or in line."""
    return DASHES[index // len(COLOURS) % len(DASHES)]


def powers_of_ten(axis: "Axis") -> None:
    """A logarithmic axis, its steps written out as people write numbers.

    To be called when its limits are known: over few powers of ten twos and fives are written too.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    steps = (1.0, 2.0, 5.0) if high < SHORT * low else (1.0,)
    axis.set_major_locator(LogLocator(10, subs=steps, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


SHORT = 100
"""An axis from one value to less than so many times it."""


def percents(axis: "Axis") -> None:
    """An axis from nothing to all, of shares times 100."""
    axis.set_ticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])


def legend_in(labels: Sequence[str]) -> float:
    """How high a legend of these will be, in inches: a sheet is made higher by it."""
    columns = _columns(labels)
    return LEGEND_LINE_IN * -(-len(labels) // columns) if len(labels) > 1 else 0.0


def legend_below(figure: "Figure", axes: "Axes") -> None:
    """What each series is called, below all panels, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        columns = _columns(labels)
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)


def _columns(labels: Sequence[str]) -> int:
    return max(1, min(4, LEGEND_LETTERS // (max(map(len, labels), default=0) + 8)))


LEGEND_LETTERS = 105
"""Letters of a legend's size that fit beside each other on a sheet."""

LEGEND_LINE_IN = 0.19
"""Of a legend, in inches."""
