"""What the monitoring page shows: figures against their limits, and how they moved."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from apps.classifier import figures
from apps.classifier.cnn.intervals import wilson
from apps.classifier.figures import Answered, Compared, Measured, Shift
from apps.classifier.models import Alert, WatchSettings, WatchState
from apps.classifier.models.watching import Figure
from apps.classifier.watching import AT_LEAST, beyond
from apps.operations.pictures import Chart, beside, lines, stacked

PERIODS = (30, 90, 365)
ALERTS_SHOWN = 20
MOST_COLUMNS = 60
_IS_SECONDS = {Figure.SECONDS}
_PSI = {Figure.SCORE, Figure.HU, Figure.PIXEL, Figure.SLICE, Figure.MANUFACTURER}


def monitoring(days: int) -> dict[str, Any]:
    """Everything on the page; the number of queries does not grow with the data."""
    limits, now = WatchSettings.current(), timezone.now()
    since = now - timedelta(days=max(days, limits.window_days))
    rows, cases = figures.answered(since, now), figures.compared(since, now)
    window = now - timedelta(days=limits.window_days)
    shifts = figures.shifts([row for row in rows if row.at >= window], figures.scores(window, now))
    shown = now - timedelta(days=days)
    rows, cases = [r for r in rows if r.at >= shown], [c for c in cases if c.at >= shown]
    days_shown = _days(shown, now)
    return {
        "days": days,
        "periods": PERIODS,
        "limits": limits,
        "figures": _against_limits(limits, window, now),
        "charts": [
            _per_day(rows, days_shown),
            _seconds(rows, days_shown, limits),
            _verdicts(cases, days_shown),
        ],
        "shifts": [_shift(one, limits) for one in shifts],
        "versions": _by_version(cases),
        "alerts": Alert.objects.all()[:ALERTS_SHOWN],
        "display": WatchState.objects.select_related("changed_by").filter(pk=1).first(),
    }


def _against_limits(
    limits: WatchSettings, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    measured = figures.measure(since, until)
    return [_against_limit(one, limits) for one in measured]


def _against_limit(one: Measured, limits: WatchSettings) -> dict[str, Any]:
    limit = limits.limit_of(one.name)
    enough = one.value is not None and one.n >= limits.least_cases
    return {
        "name": Figure(one.name).label,
        "value": _value(one),
        "n": one.n,
        "limit": _limit_in_words(one.name, limit),
        "chance": f"up to {one.chance:.2f} by chance" if one.n and one.name in _PSI else "",
        "state": _state(one, limit, enough),
        "stops": one.name in limits.stop_on,
    }


def _value(one: Measured) -> str:
    if one.value is None:
        return "–"
    if one.name in _IS_SECONDS:
        return f"{one.value:.0f} s"
    return f"{one.value:.2f}" if one.name in _PSI else f"{one.value:.0%}"


def _limit_in_words(name: str, limit: float | None) -> str:
    if limit is None:
        return "none"
    side = "at least" if name in AT_LEAST else "at most"
    if name in _IS_SECONDS:
        return f"{side} {limit:g} s"
    return f"{side} {limit:g}" if name in _PSI else f"{side} {limit:.0%}"


def _state(one: Measured, limit: float | None, enough: bool) -> str:
    if not enough:
        return "too few"
    if limit is None:
        return "watched"
    return "beyond" if beyond(one, limit) else "within"


def _days(since: datetime, until: datetime) -> list[tuple[date, date]]:
    """The days (or runs of days, to at most MOST_COLUMNS) of a period, as [first, last]."""
    first, last = timezone.localtime(since).date(), timezone.localtime(until).date()
    count = (last - first).days + 1
    step = -(-count // MOST_COLUMNS)
    starts = [first + timedelta(days=index) for index in range(0, count, step)]
    return [(start, min(start + timedelta(days=step - 1), last)) for start in starts]


def _sorted_in(days: Sequence[tuple[date, date]], items: Sequence[Any]) -> list[list[Any]]:
    """The items (each with `at`) of each column."""
    step = (days[0][1] - days[0][0]).days + 1
    columns: list[list[Any]] = [[] for _ in days]
    for one in items:
        place = (timezone.localtime(one.at).date() - days[0][0]).days // step
        columns[min(max(place, 0), len(days) - 1)].append(one)
    return columns


def _labels(days: Sequence[tuple[date, date]]) -> list[str]:
    return [
        f"{first:%-d %b}" if first == last else f"{first:%-d %b} to {last:%-d %b}"
        for first, last in days
    ]


def _per_day(rows: Sequence[Answered], days: list[tuple[date, date]]) -> Chart:
    columns = _sorted_in(days, rows)

    def count(status: str) -> list[int]:
        return [sum(one.status == status for one in column) for column in columns]

    series = [
        ("good", "answered", count("done")),
        ("middle", "refused", count("refused")),
        ("bad", "failed", count("failed")),
    ]
    return stacked("Predictions", _labels(days), series)


def _seconds(
    rows: Sequence[Answered], days: list[tuple[date, date]], limits: WatchSettings
) -> Chart:
    waited = [
        [one.seconds for one in column if one.status != "failed"]
        for column in _sorted_in(days, rows)
    ]
    series = [
        ("good", "half within", [figures.quantile(one, 0.5) for one in waited]),
        ("middle", "95 of 100 within", [figures.quantile(one, 0.95) for one in waited]),
    ]
    return lines("Seconds until an answer", _labels(days), series, limit=limits.limit_seconds)


def _verdicts(cases: Sequence[Compared], days: list[tuple[date, date]]) -> Chart:
    measured = [figures.of_verdicts(column) for column in _weeks(cases, days)]
    names = [("good", "agreement"), ("middle", "cancers called"), ("bad", "others called")]
    series = [
        (kind, words, [column[place].value for column in measured])
        for place, (kind, words) in enumerate(names)
    ]
    labels = _labels(_seven(days))
    return lines("Verdict and AI", labels, series, highest=1.0, first="Days")


def _seven(days: Sequence[tuple[date, date]]) -> list[tuple[date, date]]:
    """Verdicts are few: weeks, or longer runs where the columns are longer already."""
    width = (days[0][1] - days[0][0]).days + 1
    together = max(1, round(7 / width))
    return [
        (days[index][0], days[min(index + together, len(days)) - 1][1])
        for index in range(0, len(days), together)
    ]


def _weeks(cases: Sequence[Compared], days: Sequence[tuple[date, date]]) -> list[list[Compared]]:
    return _sorted_in(_seven(days), cases)


def _shift(one: Shift, limits: WatchSettings) -> dict[str, Any]:
    """The distribution beside the training's as a chart, with its PSI in words."""
    measured = one.measured()
    label = Figure(one.name).label.removeprefix("shift of the ")
    series = [("before", "training", one.expected), ("good", "now", one.actual)]
    chart = beside(label[0].upper() + label[1:], one.bins, series if one.n else series[:1], "Bin")
    return {"chart": chart, "n": one.n, **_against_limit(measured, limits)}


def _by_version(cases: Sequence[Compared]) -> list[dict[str, Any]]:
    """The same figures for each version of the suspicion score, with 95 % bounds."""
    found = []
    for version in sorted({one.version for one in cases}):
        own = [one for one in cases if one.version == version]
        found.append({"version": version, "figures": _with_bounds(own), "n": len(own)})
    return found


def _with_bounds(cases: Sequence[Compared]) -> list[dict[str, Any]]:
    pick: list[Callable[[Compared], bool]] = [
        lambda _: True,
        lambda one: one.cancer,
        lambda one: not one.cancer,
    ]
    right: list[Callable[[Compared], bool]] = [
        lambda one: one.called == one.cancer,
        lambda one: one.called,
        lambda one: one.called,
    ]
    found = []
    for chosen, counts in zip(pick, right, strict=True):
        own = [one for one in cases if chosen(one)]
        number = sum(counts(one) for one in own)
        low, high = wilson(number, len(own))
        found.append(
            {
                "number": number,
                "n": len(own),
                "low": low,
                "high": high,
                "share": number / len(own) if own else None,
            }
        )
    return found
