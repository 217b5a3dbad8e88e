"""Bars and lines for monitoring, as points that the templates draw as SVG. No script, no style."""

from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 600, 140


@dataclass(frozen=True)
class Part:
    """One piece of a bar: `kind` is its class in the style sheet."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass
class Chart:
    """A picture with its scale. `columns` label the x axis; the table holds the same numbers."""

    title: str
    columns: list[str]
    head: list[str]
    rows: list[list[str]]
    top: str = ""
    parts: list[Part] = field(default_factory=list)
    lines: list[tuple[str, list[str]]] = field(default_factory=list)
    dots: list[tuple[str, float, float]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    limit_y: float | None = None
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def first(self) -> str:
        return self.columns[0] if self.columns else ""

    @property
    def last(self) -> str:
        return self.columns[-1] if self.columns else ""

    @property
    def is_empty(self) -> bool:
        return not (self.parts or self.dots)


Series = tuple[str, str, Sequence[float | None]]  # (class, words, one value for each column)


def number(value: float | None) -> str:
    """A value for a table: short, and a dash for none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.3g}"


def _table(columns: Sequence[str], series: Sequence[Series]) -> list[list[str]]:
    return [
        [label, *(number(values[index]) for _, _, values in series)]
        for index, label in enumerate(columns)
    ]


def _chart(title: str, columns: list[str], series: Sequence[Series], first: str) -> Chart:
    head = [first, *(words for _, words, _ in series)]
    legend = [(kind, words) for kind, words, _ in series]
    return Chart(title, columns, head, _table(columns, series), legend=legend)


def stacked(title: str, columns: list[str], series: Sequence[Series], first: str = "Day") -> Chart:
    """One bar per column, the series on top of each other."""
    chart = _chart(title, columns, series, first)
    totals = [sum(values[index] or 0 for _, _, values in series) for index in range(len(columns))]
    highest = max(totals, default=0)
    if not highest:
        return chart
    chart.top, wide = number(highest), WIDTH / len(columns)
    for index in range(len(columns)):
        y = float(HEIGHT)
        for kind, _, values in series:
            tall = (values[index] or 0) / highest * HEIGHT
            y -= tall
            if tall:
                chart.parts.append(_part(kind, index * wide, y, wide * 0.8, tall))
    return chart


def beside(title: str, columns: list[str], series: Sequence[Series], first: str) -> Chart:
    """One group of bars per column, the series next to each other."""
    chart = _chart(title, columns, series, first)
    highest = max((value or 0 for _, _, values in series for value in values), default=0)
    if not highest:
        return chart
    chart.top, group = number(highest), WIDTH / len(columns)
    wide = group * 0.8 / len(series)
    for place, (kind, _, values) in enumerate(series):
        for index, value in enumerate(values):
            tall = (value or 0) / highest * HEIGHT
            x = index * group + group * 0.1 + place * wide
            chart.parts.append(_part(kind, x, HEIGHT - tall, wide, tall))
    return chart


def lines(
    title: str,
    columns: list[str],
    series: Sequence[Series],
    *,
    highest: float | None = None,
    limit: float | None = None,
    first: str = "Day",
) -> Chart:
    """A line per series with a dot per value; a column without a value leaves a gap."""
    chart = _chart(title, columns, series, first)
    known = [value for _, _, values in series for value in values if value is not None]
    top = highest or max([*known, limit or 0], default=0)
    if not known or not top:
        return chart
    chart.top = number(top)
    chart.limit_y = None if limit is None else round(HEIGHT - min(limit / top, 1) * HEIGHT, 1)
    step = WIDTH / max(len(columns) - 1, 1)
    for kind, _, values in series:
        points = [
            None if value is None else (round(index * step, 1), _y(value, top))
            for index, value in enumerate(values)
        ]
        chart.dots += [(kind, *point) for point in points if point]
        chart.lines += [(kind, run) for run in _runs(points)]
    return chart


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[str]]:
    """Neighbouring points that there are, as polylines; a lone point has its dot only."""
    runs: list[list[str]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(f"{point[0]},{point[1]}")
    return [run for run in runs if len(run) > 1]


def _y(value: float, top: float) -> float:
    return round(HEIGHT - min(value / top, 1) * HEIGHT, 1)


def _part(kind: str, x: float, y: float, width: float, height: float) -> Part:
    return Part(kind, round(x, 1), round(y, 1), round(width, 1), round(height, 1))
