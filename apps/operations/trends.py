"""How the last two weeks went: volumes, waiting times, agreement, as bars for a page."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from statistics import median, quantiles
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from apps.cases.models import Case, Instance
from apps.classifier.models import Finding, FindingVerdict, ModelVersion, Prediction

DAYS = 14
BAR, GAP, HEIGHT = 28, 8, 96
GIGABYTE = 1024**3


def trends() -> dict[str, Any]:
    """What the charts show; counts of cases only, nobody is named."""
    today = timezone.localdate()
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    since = timezone.now() - timedelta(days=DAYS)
    return {
        "volumes": [
            _chart("Studies received", "received", days, _per_day(Case, "created_at", since)),
            _chart("Cases reported", "reported", days, _per_day(Case, "reported_at", since)),
            _chart("Predictions", "predictions", days, _per_day(Prediction, "finished_at", since)),
        ],
        "waiting": waiting_times(),
        "agreement": agreement(),
        "stored": round((Instance.objects.aggregate(n=Sum("file_size"))["n"] or 0) / GIGABYTE, 2),
        "versions": ModelVersion.objects.filter(status="active").order_by("task"),
    }


def _per_day(model: type, field: str, since: Any) -> Counter[date]:
    moments = model.objects.filter(**{f"{field}__gte": since}).values_list(field, flat=True)
    return Counter(timezone.localdate(moment) for moment in moments.iterator())


def _chart(label: str, name: str, days: Sequence[date], counts: Counter[date]) -> dict[str, Any]:
    highest = max([counts[day] for day in days] + [1])
    bars = [
        {
            "day": day,
            "number": counts[day],
            "x": index * (BAR + GAP),
            "height": round(counts[day] / highest * HEIGHT, 1),
            "y": round(HEIGHT - counts[day] / highest * HEIGHT, 1),
        }
        for index, day in enumerate(days)
    ]
    total = sum(counts[day] for day in days)
    return {"label": label, "name": name, "bars": bars, "total": total, "highest": highest}


def waiting_times() -> list[dict[str, Any]]:
    """Per priority: minutes from sending to the report, of the last two weeks; None where none."""
    since = timezone.now() - timedelta(days=DAYS)
    done = Case.objects.filter(reported_at__gte=since, sent_at__isnull=False)
    found: dict[int, list[float]] = {}
    for priority, sent, reported in done.values_list("priority", "sent_at", "reported_at"):
        found.setdefault(priority, []).append((reported - sent).total_seconds() / 60)
    return [
        {"label": label, "number": len(found.get(value, [])), **_spread(found.get(value, []))}
        for value, label in Case.Priority.choices
    ]


def _spread(minutes: list[float]) -> dict[str, float | None]:
    if not minutes:
        return {"median": None, "p90": None}
    ninth = quantiles(minutes, n=10, method="inclusive")[8] if len(minutes) > 1 else minutes[0]
    return {"median": median(minutes), "p90": ninth}


def agreement() -> dict[str, Any]:
    """What doctors said to the AI's own marks; `share` called the place a nodule too."""
    said = FindingVerdict.objects.filter(finding__source=Finding.Source.MODEL)
    answers = Counter(said.values_list("label", flat=True))
    total = sum(answers.values())
    nodules = total - answers[FindingVerdict.Label.NOT_A_NODULE]
    rows = [(label, answers[value]) for value, label in FindingVerdict.Label.choices]
    return {"answers": total, "share": nodules / total if total else None, "rows": rows}
