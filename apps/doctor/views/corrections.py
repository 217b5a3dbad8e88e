"""My corrections: what I sent for retraining, and what became of it."""

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.accounts.permissions import Permission, require
from apps.cases.models import Case
from apps.classifier.models import ModelVersion, TrainingExample

PER_PAGE = 40
Status = TrainingExample.Status


@dataclass(frozen=True)
class Row:
    """One correction; `visible` when the doctor may still open its case."""

    example: TrainingExample
    became: str
    live: bool
    visible: bool
    answers: list["Answers"]


@dataclass(frozen=True)
class Answers:
    """What the version before and the one trained since say about the same place, 0 to 1."""

    before_by: str
    before: float
    after_by: str
    after: float


@require_safe
@require(Permission.READ_CASE)
def corrections(request: HttpRequest) -> HttpResponse:
    """The doctor's own training examples, newest first."""
    examples = (
        TrainingExample.objects.filter(sent_by=request.user)
        .select_related("case__study", "finding", "instance")
        .prefetch_related("runs__candidate", "runs__active_version")
        .order_by("-pk")
    )
    page = Paginator(examples, PER_PAGE).get_page(request.GET.get("page"))
    visible = set(
        Case.objects.visible_to(request.user)
        .filter(pk__in={example.case_id for example in page})
        .values_list("pk", flat=True)
    )
    rows = [_row(example, visible) for example in page]
    return render(request, "doctor/corrections.html", {"rows": rows, "page_obj": page})


def _row(example: TrainingExample, visible: set[int]) -> Row:
    versions = [run.candidate for run in example.runs.all() if run.candidate]
    live = any(version.status == ModelVersion.Status.ACTIVE for version in versions)
    visibly = example.case_id in visible
    return Row(example, became(example, versions), live, visibly, _answers(example))


def _answers(example: TrainingExample) -> list[Answers]:
    """Old and new probability, one pair for each finished training that had the correction."""
    pairs = []
    for run in sorted(example.runs.all(), key=lambda run: run.pk):
        said = run.result.get("corrections", {}).get(str(example.pk))
        if said and run.candidate and run.active_version:
            pairs.append(Answers(str(run.active_version), said[0], str(run.candidate), said[1]))
    return pairs


def became(example: TrainingExample, versions: list[ModelVersion]) -> str:
    """What became of a correction, in words."""
    if versions:
        names = ", ".join(str(v) for v in sorted(versions, key=lambda v: v.number))
        return f"tests {names}" if example.side == TrainingExample.Side.TEST else f"is in {names}"
    return {
        Status.QUEUED: "waiting for an admin's look",
        Status.ACCEPTED: "accepted, waits for the next training",
        Status.REJECTED: "not used",
        Status.USED: "used",
    }[example.status]
