"""Training runs: start, watch, cancel, and what came out."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.classifier.activation import active_version, why_not_activate
from apps.classifier.adjudication import OPEN_RUN
from apps.classifier.calls import threshold_of
from apps.classifier.labels import LearningConflict, is_positive, label_in_words
from apps.classifier.learning import TRAINABLE, cancel_run, start_run
from apps.classifier.models import TrainingExample, TrainingRun
from apps.operations.charts import loss_curves, paired_figures, side_by_side
from apps.operations.forms import ActivateForm, StartRunForm

PER_PAGE = 25


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def runs(request: HttpRequest) -> HttpResponse:
    """All trainings, newest first, and the form that starts one."""
    return _runs_page(request, StartRunForm(initial={"task": request.GET.get("task")}))


def _runs_page(request: HttpRequest, form: StartRunForm, status: int = 200) -> HttpResponse:
    found = TrainingRun.objects.select_related("candidate", "active_version", "requested_by")
    found = found.defer("dataset", "result", "candidate__card", "active_version__card")
    context = {
        "form": form,
        "page_obj": Paginator(found, PER_PAGE).get_page(request.GET.get("page")),
        "waiting": _waiting(),
    }
    return render(request, "operations/runs.html", context, status=status)


def _waiting() -> list[dict[str, Any]]:
    """Accepted corrections that no version has learnt yet, per task."""
    fresh = TrainingExample.objects.filter(status=TrainingExample.Status.ACCEPTED, side="train")
    return [{"task": task, "number": fresh.filter(task=task).count()} for task in TRAINABLE]


@require_POST
@require(Permission.MANAGE_MODELS)
def start(request: HttpRequest) -> HttpResponse:
    form = StartRunForm(request.POST)
    if not form.is_valid():
        return _runs_page(request, form, status=422)
    try:
        started = start_run(request=request, **form.cleaned_data)
    except LearningConflict as conflict:
        messages.error(request, conflict.message)
        return redirect("operations:runs")
    return redirect("operations:run", started.public_id)


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def run(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One training: live while it runs, then candidate against active."""
    return render(request, "operations/run.html", _context(public_id))


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def state(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The part of a run's page that changes by itself."""
    return render(request, "operations/_run.html", _context(public_id))


def _context(public_id: UUID) -> dict[str, Any]:
    found = TrainingRun.objects.select_related("candidate", "active_version", "requested_by")
    run = get_object_or_404(found, public_id=public_id)
    result = run.result
    return {
        "run": run,
        "is_open": run.status in OPEN_RUN,
        "curves": loss_curves(run.progress),
        "figures": side_by_side(result["active"], result["candidate"]) if result else [],
        "proofs": _proofs(result),
        "corrections": _corrections(run),
        "active": active_version(run.task),
        "why_not": why_not_activate(run.candidate) if run.candidate else "",
        "form": ActivateForm(),
    }


def _proofs(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What the gate decided by: each set with every figure's paired gain, interval and p."""
    sets = [
        ("Frozen test patients", result.get("proof")),
        ("This site's test patients", result.get("site")),
    ]
    return [
        {"on": words, "proof": proof, "figures": paired_figures(proof["figures"])}
        for words, proof in sets
        if proof and proof.get("figures")
    ]


def _corrections(run: TrainingRun) -> list[dict[str, Any]]:
    """Each correction with both answers; first those that the active version got wrong."""
    answers = run.result.get("corrections", {})
    rows = [_correction(run, one, answers.get(str(one.pk))) for one in run.examples.order_by("pk")]
    return sorted(rows, key=lambda row: row["was_right"] is not False)


def _correction(
    run: TrainingRun, example: TrainingExample, answers: list[float] | None
) -> dict[str, Any]:
    """Right or wrong is told at each version's own operating point; None before the test."""
    right: list[bool | None] = [None, None]
    if answers and run.active_version and run.candidate:
        points = [threshold_of(one.meta) for one in (run.active_version, run.candidate)]
        calls = [answer >= point for answer, point in zip(answers, points, strict=True)]
        right = [call == is_positive(example.label) for call in calls]
    return {
        "example": example,
        "label": label_in_words(example),
        "answers": answers,
        "was_right": right[0],
        "is_right": right[1],
    }


@require_POST
@require(Permission.MANAGE_MODELS)
def again(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """A new training like this one, with the corrections that are accepted by now."""
    ended = get_object_or_404(TrainingRun, public_id=public_id)
    try:
        started = start_run(ended.task, request=request, seed=ended.seed, epochs=ended.epochs)
    except LearningConflict as conflict:
        messages.error(request, conflict.message)
        return redirect("operations:run", public_id)
    return redirect("operations:run", started.public_id)


@require_POST
@require(Permission.MANAGE_MODELS)
def cancel(request: HttpRequest, public_id: UUID) -> HttpResponse:
    found = get_object_or_404(TrainingRun, public_id=public_id)
    try:
        cancel_run(found, request=request)
    except LearningConflict as conflict:
        messages.error(request, conflict.message)
    else:
        messages.success(request, "Cancelled. Nothing of it is kept; the active version stays.")
    return redirect("operations:run", public_id)
