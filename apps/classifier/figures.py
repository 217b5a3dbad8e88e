"""Each watched figure over a window of time, from what predictions and doctors left behind."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.cases.models import Verdict
from apps.classifier.cnn import drift
from apps.classifier.models import Finding, Prediction
from apps.classifier.models.watching import Figure
from apps.classifier.shadow import is_call, operating_points

Status = Prediction.Status
_FINISHED = [Status.DONE, Status.REFUSED, Status.FAILED]
_FIRM = [Verdict.Cancer.YES, Verdict.Cancer.NO]
BINNED = ("hu", "pixel_mm", "slice_mm", "score")


@dataclass(frozen=True)
class Answered:
    """One finished live prediction, as far as figures need it."""

    status: str
    at: datetime
    seconds: float
    inputs: dict[str, Any]
    manufacturer: str
    case: int


@dataclass(frozen=True)
class Compared:
    """A case's last firm verdict beside what the AI had said of it before."""

    at: datetime
    cancer: bool
    called: bool
    version: str


@dataclass(frozen=True)
class Measured:
    """One figure; value is None without data. `chance`: a PSI below it means nothing."""

    name: str
    value: float | None
    n: int
    chance: float = 0.0


@dataclass(frozen=True)
class Shift:
    """A distribution now and in the training, bin by bin."""

    name: str
    bins: list[str]
    expected: list[float]
    actual: list[float] = field(default_factory=list)
    n: int = 0

    def measured(self) -> Measured:
        """Its PSI, with what chance alone explains at so few cases."""
        if not self.n:
            return Measured(self.name, None, 0)
        known = drift.reference()[self.name]["n"]
        chance = drift.psi_by_chance(len(self.bins), self.n, known)
        return Measured(self.name, drift.psi(self.expected, self.actual), self.n, chance)


def answered(since: datetime, until: datetime) -> list[Answered]:
    """Live predictions that finished in the window, oldest first. One query."""
    rows = (
        Prediction.objects.filter(
            shadow=False, status__in=_FINISHED, finished_at__gte=since, finished_at__lt=until
        )
        .order_by("finished_at")
        .values_list(
            "status", "finished_at", "queued_at", "inputs", "series__manufacturer", "case_id"
        )
    )
    return [
        Answered(status, done, (done - asked).total_seconds(), inputs or {}, maker, case)
        for status, done, asked, inputs, maker, case in rows
    ]


def compared(since: datetime, until: datetime) -> list[Compared]:
    """Cases whose last firm verdict was given in the window and that the AI had answered before.

    A case is called when any of its series is, each by the newest answer before the verdict.
    Three queries, however many cases there are.
    """
    given = Verdict.objects.filter(given_at__gte=since, given_at__lt=until).order_by("pk")
    last = {case: (at, said) for case, at, said in given.values_list("case", "given_at", "cancer")}
    firm = {case: one for case, one in last.items() if one[1] in _FIRM}
    answers = Prediction.objects.filter(
        shadow=False, status=Status.DONE, case__verdicts__given_at__gte=since
    ).distinct()
    rows = answers.order_by("pk").values_list(
        "case_id", "series_id", "finished_at", "series_score", "models_key"
    )
    return _compare(firm, rows, operating_points())


def _compare(
    firm: dict[int, tuple[datetime, str]], rows: Iterable[tuple], points: dict[str, float]
) -> list[Compared]:
    newest: dict[int, dict[int, tuple[float | None, str]]] = {}
    for case, series, finished, score, key in rows:
        if case in firm and finished <= firm[case][0]:
            newest.setdefault(case, {})[series] = (score, key)
    found = []
    for case, by_series in newest.items():
        at, said = firm[case]
        leading = max(by_series.values(), key=lambda one: (one[0] is not None, one[0] or 0))
        called = any(is_call(score, key, points) for score, key in by_series.values())
        version = next((name for name in leading[1].split() if name in points), "unknown")
        found.append(Compared(at, said == Verdict.Cancer.YES, called, version))
    return sorted(found, key=lambda one: one.at)


def scores(since: datetime, until: datetime) -> list[tuple[int, float]]:
    """(case, suspicion) of every finding of the AI in the window. One query."""
    found = Finding.objects.filter(
        source=Finding.Source.MODEL,
        prediction__shadow=False,
        prediction__finished_at__gte=since,
        prediction__finished_at__lt=until,
        malignancy_probability__isnull=False,
    )
    return list(found.values_list("case_id", "malignancy_probability"))


def shifts(rows: Sequence[Answered], said: Sequence[tuple[int, float]]) -> list[Shift]:
    """Every watched distribution beside the training's; `n` counts cases, not pixels."""
    known = drift.reference()
    found = [_score_shift(said, known), _hu_shift(rows, known)]
    for name in (Figure.PIXEL, Figure.SLICE):
        values = [row.inputs[name] for row in rows if name in row.inputs]
        now = drift.shares(values, name) if values else []
        found.append(Shift(name, drift.bin_names(name), known[name]["shares"], now, len(values)))
    found.append(_maker_shift(rows, known))
    return found


def _score_shift(said: Sequence[tuple[int, float]], known: dict[str, Any]) -> Shift:
    now = drift.shares([score for _, score in said], "score") if said else []
    cases = len({case for case, _ in said})
    return Shift("score", drift.bin_names("score"), known["score"]["shares"], now, cases)


def _hu_shift(rows: Sequence[Answered], known: dict[str, Any]) -> Shift:
    """Each series counts once, however many slices it has."""
    measured = [row.inputs["hu"] for row in rows if "hu" in row.inputs]
    now = [sum(column) / len(measured) for column in zip(*measured, strict=True)]
    return Shift("hu", drift.bin_names("hu"), known["hu"]["shares"], now, len(measured))


def _maker_shift(rows: Sequence[Answered], known: dict[str, Any]) -> Shift:
    names = known["manufacturer"]["values"]
    makers = [drift.maker(row.manufacturer) for row in rows]
    now = drift.maker_shares(makers, names) if makers else []
    expected = known["manufacturer"]["shares"]
    return Shift("manufacturer", [*names, drift.OTHER], expected, now, len(makers))


def measure(since: datetime, until: datetime) -> list[Measured]:
    """Every figure of the window, in the order in which they are shown."""
    rows, cases = answered(since, until), compared(since, until)
    moved = [one.measured() for one in shifts(rows, scores(since, until))]
    return [*_of_predictions(rows), *of_verdicts(cases), *moved]


def _of_predictions(rows: Sequence[Answered]) -> list[Measured]:
    n = len(rows)
    seconds = [row.seconds for row in rows if row.status != Status.FAILED]
    return [
        Measured(Figure.FAILED, share(row.status == Status.FAILED for row in rows), n),
        Measured(Figure.REFUSED, share(row.status == Status.REFUSED for row in rows), n),
        Measured(Figure.SECONDS, quantile(seconds, 0.95), len(seconds)),
    ]


def of_verdicts(cases: Sequence[Compared]) -> list[Measured]:
    """How verdicts and AI agree. Proxies: the verdict stands for the truth."""
    cancers = [one.called for one in cases if one.cancer]
    others = [one.called for one in cases if not one.cancer]
    agreed = [one.called == one.cancer for one in cases]
    return [
        Measured(Figure.AGREEMENT, share(agreed), len(agreed)),
        Measured(Figure.SENSITIVITY, share(cancers), len(cancers)),
        Measured(Figure.FALSE_POSITIVE, share(others), len(others)),
    ]


def share(flags: Iterable[bool]) -> float | None:
    """The share of true ones; None of none."""
    listed = list(flags)
    return sum(listed) / len(listed) if listed else None


def quantile(values: Sequence[float], part: float) -> float | None:
    """The value that `part` of them do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else None
