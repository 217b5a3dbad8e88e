"""Everything that the reading page shows of one case, as plain data for the browser."""

import json
from typing import Any

from django.db.models import Count, Prefetch
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.cases.models import AccessGrant, Case, CaseEvent, Reading, Series
from apps.cases.services import has_read
from apps.cases.unaided import WHY_HIDDEN, hides_ai
from apps.classifier.calls import operating_point, operating_words, version_of
from apps.classifier.models import (
    Finding,
    FindingVerdict,
    ModelVersion,
    Prediction,
    TrainingExample,
)
from apps.classifier.services import current_predictions, predictions_of
from apps.classifier.watching import why_off
from apps.doctor.access import is_blind, is_readable, looks_only
from apps.doctor.answers import (
    HIDDEN,
    answering,
    disagrees,
    step_of,
    summarise,
    switched_off,
)
from apps.doctor.reliability import reliability_of
from apps.doctor.services import findings_of, next_number

Label = FindingVerdict.Label
Status = Prediction.Status


def state_of(case: Case, user: User) -> dict[str, Any]:
    """The case as it is now: who has it, what the AI said, the findings and their answers."""
    off, hidden = why_off(), hides_ai(case, user)
    predictions = [] if off or hidden else _predictions(case)
    current = current_predictions(predictions)
    standing = answering(predictions)
    summary = switched_off() if off else HIDDEN if hidden else summarise(predictions)
    looking = looks_only(case, user)
    steps = {
        "may_retry": user.can(Permission.RETRY_PREDICTION) and not looking,
        "may_override": user.can(Permission.OVERRIDE_GATE) and not looking,
    }
    blind = is_blind(case, user)
    read_before = case.waits_for_other_eyes and has_read(case, user)
    return {
        "revision": case.revision,
        "stage": case.stage,
        "stage_label": case.get_stage_display(),
        "blind": blind,
        "ai_hidden": WHY_HIDDEN if hidden else "",
        "read_before": read_before,
        "may_ask_second": case.stage == Case.Stage.FIRST and not case.site.reads_twice,
        "status": case.status,
        "status_label": case.get_status_display(),
        "with_whom": str(case.claimed_by) if case.claimed_by else "",
        "mine": case.claimed_by_id == user.pk,
        "can_read": case.is_open_for_reading and not read_before and is_readable(case, user),
        "late": late_images(case),
        "working": summary.status in {Status.QUEUED, Status.RUNNING},
        "ai": {
            "status": summary.status,
            "words": summary.words,
            "nothing": summary.nothing,
            "off": off,
        },
        "predictions": [
            {**_prediction(p, current, standing), **steps} for p in _shown(current, standing)
        ],
        "findings": _findings(case, standing, user),
        # How high the numbers go would tell how much the AI found.
        "next_number": 1 if hidden else next_number(case),
        "sent_corrections": _sent_corrections(case, user if blind or hidden else None),
        "verdicts": 0 if case.waits_for_other_eyes else case.verdicts.count(),
    }


def _predictions(case: Case) -> list[Prediction]:
    return list(predictions_of(case).select_related("series").prefetch_related("findings"))


def _shown(current: list[Prediction], standing: list[Prediction]) -> list[Prediction]:
    """The newest question of every series, and the earlier answers that still stand."""
    leading = {p.pk: p for p in [*standing, *current]}
    return list(leading.values())


def _prediction(
    prediction: Prediction, current: list[Prediction], standing: list[Prediction]
) -> dict[str, Any]:
    chest = [one.get("answer") for one in prediction.chest]
    place = [str(prediction.public_id)]
    return {
        "id": str(prediction.public_id),
        "series": str(prediction.series.public_id),
        "series_label": str(prediction.series),
        "status": prediction.status,
        "label": prediction.get_status_display(),
        "progress": round(prediction.progress, 2),
        "code": prediction.code,
        "reason": prediction.reason,
        "newest": prediction in current,
        "standing": prediction in standing,
        "override": prediction.override,
        "seconds": _seconds(prediction),
        "warnings": prediction.warnings,
        "air_hu": prediction.air_hu,
        "contrast": prediction.contrast.get("probability"),
        "chest_slices": chest.count("chest"),
        "slices": len(chest),
        "found": len(prediction.findings.all()),
        "profile": prediction.profile,
        "versions": [str(v) for v in prediction.model_versions.all()],
        "operating_point": operating_point(prediction),
        "operating_words": operating_words(prediction),
        "retry_url": reverse("prediction_retry", args=place),
        "override_url": reverse("prediction_override", args=place),
    }


def _seconds(prediction: Prediction) -> float | None:
    if prediction.finished_at is None:
        return None
    return round((prediction.finished_at - prediction.queued_at).total_seconds(), 1)


def _findings(case: Case, standing: list[Prediction], user: User) -> list[dict[str, Any]]:
    """The standing answers' findings, the leading series first, then doctors' own marks."""
    order = {prediction.pk: place for place, prediction in enumerate(standing)}
    shown = [
        finding
        for finding in findings_of(case, user).prefetch_related("verdicts__verdict__doctor")
        if finding.prediction_id in order or finding.source == Finding.Source.DOCTOR
    ]
    shown.sort(key=lambda f: (order.get(f.prediction_id, len(order)), f.number, f.pk))
    return [finding_data(finding, case, user) for finding in shown]


def finding_data(finding: Finding, case: Case, user: User) -> dict[str, Any]:
    """One finding with the last answer to it and what would disagree with the AI.

    While two doctors read apart from each other, each sees only their own answers.
    """
    by_model = finding.source == Finding.Source.MODEL
    apart = case.is_read_apart
    answers = [
        one for one in finding.verdicts.all() if not apart or one.verdict.doctor_id == user.pk
    ]
    said = max(answers, key=lambda one: one.pk, default=None)
    return {
        "id": str(finding.public_id),
        "number": finding.number,
        "source": finding.source,
        "author": str(finding.author) if finding.author else "",
        "series": str(finding.instance.series.public_id),
        "series_label": str(finding.instance.series),
        "instance_id": str(finding.instance.public_id),
        "image": finding.instance.instance_number,
        "row": finding.row,
        "column": finding.column,
        "diameter_mm": finding.diameter_mm,
        "nodule_probability": finding.nodule_probability,
        "malignancy_probability": finding.malignancy_probability,
        "step": step_of(finding.malignancy_probability),
        "version": (
            version_of(finding.prediction, ModelVersion.Task.MALIGNANCY) if by_model else ""
        ),
        "operating_point": operating_point(finding.prediction) if by_model else None,
        "reliability": (
            reliability_of(finding.prediction, finding.diameter_mm) if by_model else ""
        ),
        "disagrees": {label: disagrees(finding, label) for label in Label.values},
        "label": said.label if said else "",
        "said_by": str(said.verdict.doctor) if said else "",
        "heatmap_url": (
            reverse("finding_heatmap", args=[finding.public_id]) if finding.has_heatmap else ""
        ),
    }


def _sent_corrections(case: Case, only: User | None) -> list[dict[str, str]]:
    """What was already sent for retraining from this case, so that it is not ticked again."""
    sent = case.training_examples.exclude(status=TrainingExample.Status.REJECTED)
    if only:
        sent = sent.filter(sent_by=only)
    return [
        {
            "finding": str(example.finding.public_id) if example.finding else "",
            "task": example.task,
            "label": example.label,
            "status": example.get_status_display(),
        }
        for example in sent.select_related("finding").order_by("pk")
    ]


def late_images(case: Case) -> dict[str, Any] | None:
    """Images that came after the case was sent, or after its verdict; None without any."""
    if case.sent_at is None:
        return None
    late = case.events.filter(kind=CaseEvent.Kind.IMAGES_ADDED, at__gt=case.sent_at)
    newest = late.order_by("-pk").first()
    if newest is None:
        return None
    reported = case.reported_at is not None and newest.at > case.reported_at
    return {
        "at": timezone.localtime(newest.at).strftime("%H:%M on %-d %b %Y"),
        "after_verdict": reported,
    }


def series_of(case: Case) -> list[Series]:
    """The case's series with their number of images; the one with most images is read first."""
    return list(case.study.series.annotate(images=Count("instances")))


def first_series(series: list[Series], state: dict[str, Any]) -> Series | None:
    """The series that the AI's leading answer is about, else the largest."""
    leading = next((p["series"] for p in state["predictions"] if p["standing"]), None)
    by_id = {str(one.public_id): one for one in series}
    return by_id.get(leading) or max(series, key=lambda one: one.images, default=None)


def priors_of(case: Case, user: User) -> list[Case]:
    """Other studies of the same patient at the same site that this user may open, newest first.

    Each gets `series_list` (JSON for the page: label and manifest of every series, the largest
    first) and `first`. A series without images is left out.
    """
    series = Series.objects.annotate(images=Count("instances")).filter(images__gt=0)
    priors = list(
        Case.objects.visible_to(user)
        .filter(study__patient=case.study.patient_id, site=case.site_id)
        .exclude(pk=case.pk)
        .select_related("study")
        .prefetch_related(Prefetch("study__series", series.order_by("-images", "pk")))
        .order_by("-study__study_date", "-pk")[:20]
    )
    for prior in priors:
        found = list(prior.study.series.all())
        prior.first = found[0] if found else None
        prior.series_list = json.dumps([_series_choice(one) for one in found])
    return priors


def _series_choice(series: Series) -> dict[str, str]:
    return {
        "label": f"{series}, {series.images} images",
        "manifest": reverse("series_manifest", args=[series.public_id]),
    }


def grant_of(case: Case, user: User) -> AccessGrant | None:
    """The break-glass grant by which alone this user may look at the case, if so."""
    if is_readable(case, user):
        return None
    return (
        AccessGrant.objects.filter(case=case, user=user, expires_at__gt=timezone.now())
        .order_by("-expires_at")
        .first()
    )


def note_shown(case: Case, request: HttpRequest, state: dict[str, Any]) -> None:
    """Keep when the AI's answer first reached this doctor's browser."""
    if any(p["standing"] for p in state["predictions"]):
        Reading.objects.filter(
            case=case, doctor=request.user, ai_first_shown_at__isnull=True
        ).update(ai_first_shown_at=timezone.now())
