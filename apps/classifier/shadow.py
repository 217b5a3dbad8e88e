"""A version that runs beside the active one on live cases, unseen by doctors.

A shadow prediction never waits in front of a real one: the training worker answers it, at low
priority, and only while no real prediction waits (`sweep.nudge_shadows`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import comb
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Verdict
from apps.classifier.activation import damage_of
from apps.classifier.calls import DEFAULT_OPERATING_POINT, threshold_of
from apps.classifier.cnn.intervals import wilson
from apps.classifier.labels import LearningConflict
from apps.classifier.models import ModelVersion, Prediction
from apps.classifier.services import PREDICTION_TASKS

Status = Prediction.Status
NEWEST = 5000  # pairs that an agreement is counted over


def why_not_shadow(version: ModelVersion) -> str:
    """Why this version cannot run in shadow; empty when it may."""
    if version.status == ModelVersion.Status.ACTIVE:
        return "It is active: doctors see its answers."
    if version.task not in PREDICTION_TASKS:
        return "Predictions do not use versions of this task."
    if version.shadow_since:
        return "It runs in shadow already."
    other = ModelVersion.objects.filter(task=version.task, shadow_since__isnull=False).first()
    return f"{other} runs in shadow; stop it first." if other else ""


def start_shadow(version: ModelVersion, *, request: HttpRequest | None, note: str) -> None:
    """Let a version answer every new live question too, unseen. Raises LearningConflict."""
    version.refresh_from_db()
    forbidden = why_not_shadow(version) or damage_of(version)
    if forbidden:
        raise LearningConflict(f"{version} was not put in shadow. {forbidden}")
    try:
        with transaction.atomic():
            changed = ModelVersion.objects.filter(
                pk=version.pk, status=version.status, shadow_since=None
            ).update(shadow_since=timezone.now())
            if not changed:
                raise IntegrityError("the version changed in the meantime")
            _note(version, request, "started", note)
    except IntegrityError:
        raise LearningConflict(
            "Another admin changed the shadow at the same moment. Nothing of yours was stored; "
            "reload to see which one runs."
        ) from None
    version.refresh_from_db()


@transaction.atomic
def stop_shadow(version: ModelVersion, *, request: HttpRequest | None, note: str) -> None:
    """End it; what it has not answered yet is cancelled. Raises LearningConflict."""
    stopped = ModelVersion.objects.filter(pk=version.pk, shadow_since__isnull=False).update(
        shadow_since=None
    )
    version.refresh_from_db()
    if not stopped:
        raise LearningConflict(f"{version} does not run in shadow any more.")
    waiting = Prediction.objects.filter(model_versions=version, shadow=True, status=Status.QUEUED)
    waiting.update(status=Status.CANCELLED, finished_at=timezone.now())
    _note(version, request, "stopped", note)


def _note(version: ModelVersion, request: HttpRequest | None, step: str, note: str) -> None:
    record(
        AuditEvent.Action.SHADOWED,
        request=request,
        actor="" if request else "command line",
        target=version,
        version=str(version),
        step=step,
        note=note,
    )


def history_of(version: ModelVersion) -> list[AuditEvent]:
    """When it was put in shadow and taken out, by whom and why; newest first."""
    return list(
        AuditEvent.objects.filter(
            action=AuditEvent.Action.SHADOWED,
            target_type=version._meta.label_lower,
            target_id=str(version.pk),
        )
    )


@dataclass
class Agreement:
    """How a shadow's calls and those that doctors saw compare, over series and over cases."""

    both: int = 0
    only_shadow: int = 0
    only_live: int = 0
    neither: int = 0
    differences: list[float] = field(default_factory=list)
    cases: int = 0
    shadow_right: int = 0
    live_right: int = 0
    shadow_alone_right: int = 0
    live_alone_right: int = 0

    @property
    def n(self) -> int:
        return self.both + self.only_shadow + self.only_live + self.neither

    @property
    def share(self) -> float | None:
        """Share of series called alike."""
        return (self.both + self.neither) / self.n if self.n else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Its 95 % bounds."""
        return wilson(self.both + self.neither, self.n)

    @property
    def mean_difference(self) -> float | None:
        """Mean of shadow minus live over the series where both gave a score."""
        return sum(self.differences) / len(self.differences) if self.differences else None

    @property
    def p(self) -> float:
        """Exact two-sided McNemar test: are the cases that only one of them got right balanced?"""
        n = self.shadow_alone_right + self.live_alone_right
        fewer = min(self.shadow_alone_right, self.live_alone_right)
        return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)


def agreement(version: ModelVersion) -> Agreement:
    """The shadow's finished answers beside the live ones, and both beside the doctors' verdicts."""
    answered = Prediction.objects.filter(
        shadow=True, status=Status.DONE, model_versions=version, beside__status=Status.DONE
    ).order_by("-pk")
    pairs = answered.values_list(
        "case_id", "series_score", "models_key", "beside__series_score", "beside__models_key"
    )
    points = operating_points()
    found = Agreement()
    by_case: dict[int, list[tuple[bool, bool]]] = {}
    for case, score, key, live_score, live_key in pairs[:NEWEST]:
        calls = (is_call(score, key, points), is_call(live_score, live_key, points))
        _count(found, calls)
        if score is not None and live_score is not None:
            found.differences.append(score - live_score)
        by_case.setdefault(case, []).append(calls)
    _compare_with_verdicts(found, by_case)
    return found


def operating_points() -> dict[str, float]:
    """The operating point of every version of the suspicion score, by its name."""
    versions = ModelVersion.objects.filter(task=ModelVersion.Task.MALIGNANCY)
    return {str(one): threshold_of(one.meta) for one in versions.only("task", "number", "meta")}


def is_call(score: float | None, models_key: str, points: dict[str, float]) -> bool:
    """Whether a series score is a call at the operating point of the version that gave it."""
    named = (points[name] for name in models_key.split() if name in points)
    return score is not None and score >= next(named, DEFAULT_OPERATING_POINT)


def _count(found: Agreement, calls: tuple[bool, bool]) -> None:
    shadow, live = calls
    found.both += shadow and live
    found.only_shadow += shadow and not live
    found.only_live += live and not shadow
    found.neither += not (shadow or live)


def _compare_with_verdicts(found: Agreement, by_case: dict[int, list[tuple[bool, bool]]]) -> None:
    for case, cancer in last_verdicts(by_case).items():
        shadow = any(call for call, _ in by_case[case]) == cancer
        live = any(call for _, call in by_case[case]) == cancer
        found.cases += 1
        found.shadow_right += shadow
        found.live_right += live
        found.shadow_alone_right += shadow and not live
        found.live_alone_right += live and not shadow


def last_verdicts(cases: Iterable[int]) -> dict[int, bool]:
    """Of these cases those with a firm last verdict: whether it is cancer."""
    given = Verdict.objects.filter(case__in=list(cases)).order_by("pk")
    last: dict[int, Any] = dict(given.values_list("case_id", "cancer"))
    firm = {Verdict.Cancer.YES: True, Verdict.Cancer.NO: False}
    return {case: firm[cancer] for case, cancer in last.items() if cancer in firm}
