"""Versions per task: their history, their cards, activation and the way back."""

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.classifier.activation import activate, previous_version, rollback, why_not_activate
from apps.classifier.labels import LearningConflict
from apps.classifier.learning import TRAINABLE
from apps.classifier.models import ModelVersion, Prediction, TrainingRun
from apps.classifier.shadow import (
    agreement,
    history_of,
    start_shadow,
    stop_shadow,
    why_not_shadow,
)
from apps.operations.cards import render_card
from apps.operations.charts import figures_of, pictures_of
from apps.operations.forms import ActivateForm, ShadowForm

SHOWN_PER_TASK = 12


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def models(request: HttpRequest) -> HttpResponse:
    """A timeline of versions for each task."""
    tasks = [_timeline(task) for task in ModelVersion.Task]
    return render(request, "operations/models.html", {"tasks": tasks})


def _timeline(task: ModelVersion.Task) -> dict[str, Any]:
    found = ModelVersion.objects.filter(task=task).select_related("activated_by", "training_run")
    versions = [_row(version) for version in found[:SHOWN_PER_TASK]]
    active = next((v["version"] for v in versions if v["version"].status == "active"), None)
    return {
        "task": task,
        "versions": versions,
        "more": max(0, found.count() - SHOWN_PER_TASK),
        "active": active or found.filter(status="active").first(),
        "previous": previous_version(task),
        "trainable": task in TRAINABLE,
    }


def _row(version: ModelVersion) -> dict[str, Any]:
    return {
        "version": version,
        "figures": figures_of(version.metrics),
        "how": version.metrics.get("how", ""),
        "run": getattr(version, "training_run", None),
        "why_not": why_not_activate(version),
    }


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def model(request: HttpRequest, task: str, number: int) -> HttpResponse:
    """One version: its card, its figures, where it came from, and activation."""
    version = get_object_or_404(ModelVersion, task=task, number=number)
    return _model_page(request, version, ActivateForm())


def _model_page(
    request: HttpRequest, version: ModelVersion, form: ActivateForm, status: int = 200
) -> HttpResponse:
    context = {
        **_row(version),
        "card": render_card(version.card),
        "pictures": pictures_of(version.metrics),
        "drawings": version.meta.get("drawings", []),
        "form": form,
        "active": ModelVersion.objects.filter(task=version.task, status="active").first(),
        "run": TrainingRun.objects.filter(candidate=version).first(),
        "predictions": version.predictions.filter(shadow=False).count(),
        "shadow": _shadow(version),
    }
    return render(request, "operations/model.html", context, status=status)


def _shadow(version: ModelVersion) -> dict[str, Any]:
    """What a version did unseen beside the active ones; the table once it has answered."""
    answered = version.predictions.filter(shadow=True)
    numbers = dict(answered.order_by().values_list("status").annotate(Count("pk")))
    return {
        "why_not": why_not_shadow(version),
        "history": history_of(version),
        "numbers": [(label, numbers.get(value, 0)) for value, label in Prediction.Status.choices],
        "agreement": agreement(version) if numbers.get(Prediction.Status.DONE) else None,
    }


@require_POST
@require(Permission.MANAGE_MODELS)
def shadow(request: HttpRequest, task: str, number: int) -> HttpResponse:
    """Let a version run beside the active one on live cases, unseen, or end that."""
    version = get_object_or_404(ModelVersion, task=task, number=number)
    form = ShadowForm(request.POST)
    if not form.is_valid():
        words = " ".join(error for errors in form.errors.values() for error in errors)
        messages.error(request, f"Nothing was changed. {words}")
        return redirect("operations:model", version.task, version.number)
    step = start_shadow if form.cleaned_data["step"] == "start" else stop_shadow
    try:
        step(version, request=request, note=form.cleaned_data["note"])
    except LearningConflict as conflict:
        messages.error(request, conflict.message)
    else:
        done = "runs in shadow from now on" if version.shadow_since else "left the shadow"
        messages.success(request, f"{version} {done}. Doctors see nothing of it.")
    return redirect("operations:model", version.task, version.number)


@require_POST
@require(Permission.MANAGE_MODELS)
def activate_it(request: HttpRequest, task: str, number: int) -> HttpResponse:
    version = get_object_or_404(ModelVersion, task=task, number=number)
    form = ActivateForm(request.POST)
    if not form.is_valid():
        return _model_page(request, version, form, status=422)
    try:
        activate(version, request=request, note=form.cleaned_data["note"])
    except LearningConflict as conflict:
        messages.error(request, conflict.message)
    else:
        messages.success(request, f"{version} is active. New predictions use it from now on.")
    return redirect("operations:model", version.task, version.number)


@require_POST
@require(Permission.MANAGE_MODELS)
def roll_back(request: HttpRequest, task: str) -> HttpResponse:
    if task not in ModelVersion.Task.values:
        raise Http404
    form = ActivateForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was changed: say in a few words why you roll back.")
        return redirect("operations:models")
    try:
        version = rollback(task, request=request, note=form.cleaned_data["note"])
    except LearningConflict as conflict:
        messages.error(request, conflict.message)
    else:
        messages.success(request, f"{version} is active again. Old predictions keep their version.")
    return redirect("operations:models")
