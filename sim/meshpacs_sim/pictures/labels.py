"""Names beside points, put where they cover neither a point nor another name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""From a point to its name, the best first: to the right, where reading goes on."""

DISTANCES_PT = (8.0, 14.0, 22.0, 34.0, 48.0)
"""From a point's middle to its name, in points of type."""

MARK_PT = 4.5
"""Half of a marker's size."""

LETTERS_PT = 8.5


@dataclass(frozen=True, slots=True)
class Named:
    """A point in the axes' own units, and what it is called."""

    x: float
    y: float
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the sheet, in dots."""

    left: float
    low: float
    right: float
    high: float

    def common(self, other: "Box") -> float:
        """The area of what both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.high, other.high) - max(self.low, other.low)
        return max(0.0, wide) * max(0.0, tall)

    def holds(self, x: float, y: float) -> bool:
        """Whether a place lies within."""
        return self.left < x < self.right and self.low < y < self.high

    @property
    def area(self) -> float:
        """Its own."""
        return (self.right - self.left) * (self.high - self.low)


def name_points(
    axes: "Axes", points: Sequence[Named], bars: Sequence[tuple[float, float, float, float]] = ()
) -> None:
    """Write each point's name near it.

    One after another, each at the place that covers least of what is there already: points, other
    names, `bars` (left, low, right, high in the axes' units) and what lies outside of the panel. A
    name that had to go far is tied to its point by a thin line. Chance has no part in it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = axes.get_figure(root=True)
    assert figure is not None
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # only now the panel has its place on the sheet
    renderer = canvas.get_renderer()
    dot = figure.dpi / 72
    panel = axes.get_window_extent(renderer)
    frame = Box(panel.x0, panel.y0, panel.x1, panel.y1)

    def on_sheet(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y))
        return float(across), float(up)

    taken = [Box(*on_sheet(left, low), *on_sheet(right, high)) for left, low, right, high in bars]
    marks = [on_sheet(point.x, point.y) for point in points]
    mark = MARK_PT * dot
    taken += [Box(x - mark, y - mark, x + mark, y + mark) for x, y in marks]
    for point, middle in zip(points, marks, strict=True):
        note = axes.text(point.x, point.y, point.name, fontsize=LETTERS_PT)
        size = note.get_window_extent(renderer)
        note.remove()
        right, up, distance, box = _place(middle, (size.width, size.height), taken, frame, dot)
        taken.append(box)
        tie = {"arrowstyle": "-", "color": point.colour, "linewidth": 0.7, "shrinkB": MARK_PT}
        written = axes.annotate(
            point.name,
            (point.x, point.y),
            (right * distance, up * distance),
            textcoords="offset points",
            ha=("right", "center", "left")[right + 1],
            va=("top", "center", "bottom")[up + 1],
            fontsize=LETTERS_PT,
            arrowprops=tie if distance > DISTANCES_PT[1] else None,
        )
        written.set_in_layout(False)  # the panel stays where it was when places were found


CROSSED = 20.0
"""What a line over a name costs at each of its `STEPS` places, as square points of cover do.

A guess, as is their number.
"""

STEPS = 12


def _crossed(middle: tuple[float, float], box: Box, taken: Sequence[Box]) -> float:
    """The cost of what a line from a point to its name would go through, its own mark apart."""
    end = ((box.left + box.right) / 2, (box.low + box.high) / 2)
    cost = 0.0
    for step in range(1, STEPS):
        x, y = (
            start + (stop - start) * step / STEPS for start, stop in zip(middle, end, strict=True)
        )
        if not box.holds(x, y):
            cost += CROSSED * any(other.holds(x, y) and not other.holds(*middle) for other in taken)
    return cost


def _place(
    middle: tuple[float, float],
    size: tuple[float, float],
    taken: Sequence[Box],
    frame: Box,
    dot: float,
) -> tuple[int, int, float, Box]:
    """Direction, distance and box of the place that covers least; of equal ones the first."""
    places = []
    for distance in DISTANCES_PT:
        for right, up in DIRECTIONS:
            left = middle[0] + right * distance * dot - size[0] * (1 - right) / 2
            low = middle[1] + up * distance * dot - size[1] * (1 - up) / 2
            box = Box(left, low, left + size[0], low + size[1])
            covered = sum(box.common(other) for other in taken)
            outside = box.area - box.common(frame)
            cost = covered + 4 * outside + dot * dot * _crossed(middle, box, taken)
            places.append((cost, right, up, distance, box))
    return min(places, key=lambda place: place[0])[1:]
