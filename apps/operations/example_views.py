"""The retrain queue: look at a correction, accept or reject it."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.adjudication import confirmation_of, must_settle, why_not_accept
from apps.classifier.crops import crop_png, ring_radius
from apps.classifier.labels import LearningConflict, label_in_words
from apps.classifier.models import ModelVersion, TrainingExample
from apps.classifier.places import near_duplicates
from apps.imaging.refusal import Refusal
from apps.operations.decisions import carry_out
from apps.operations.forms import DecideForm

PER_PAGE = 12
# Active learning: what the AI got most wrong, then what it was least sure of, teaches most.
ORDERS = {"informative": ["-disagreement", "-uncertainty", "pk"], "oldest": ["pk"]}
Status = TrainingExample.Status


def _all() -> QuerySet[TrainingExample]:
    return TrainingExample.objects.select_related(
        "instance__series__study", "finding__instance", "case__site", "sent_by", "decided_by"
    )


@never_cache
@require_GET
@require(Permission.DECIDE_EXAMPLES)
def examples(request: HttpRequest) -> HttpResponse:
    """Corrections as cards. What waits: first where the AI was furthest off and least sure."""
    status = request.GET.get("status", Status.QUEUED)
    if status not in Status.values:
        status = Status.QUEUED
    found = _all().filter(status=status)
    order = request.GET.get("order", "informative")
    if order not in ORDERS:
        order = "informative"
    found = found.order_by(*(ORDERS[order] if status == Status.QUEUED else ["-decided_at"]))
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": page,
        "cards": [as_card(example) for example in page],
        "status": status,
        "tabs": _tabs(),
        "order": order,
        "query": f"status={status}&order={order}",
    }
    return render(request, "operations/examples.html", context)


def _tabs() -> list[dict[str, Any]]:
    numbers = dict(TrainingExample.objects.order_by().values_list("status").annotate(Count("pk")))
    return [
        {"status": value, "label": label, "number": numbers.get(value, 0)}
        for value, label in Status.choices
    ]


def as_card(example: TrainingExample) -> dict[str, Any]:
    """What a card shows beside the picture."""
    waits = example.status == Status.QUEUED
    return {
        "example": example,
        "label": label_in_words(example),
        "radius": ring_radius(example),
        "forbidden": why_not_accept(example) if waits else "",
        "conflicts": must_settle(example),
        "alike": near_duplicates(example) if waits else [],
        "confirmation": confirmation_of(example),
        "opinions": list(example.opinions.select_related("doctor")),
        "versions": list(ModelVersion.objects.filter(training_run__examples=example)),
    }


@require_POST
@require(Permission.DECIDE_EXAMPLES)
def decide(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Accept, reject with a reason, or take a decision back. Answers with the card."""
    example = get_object_or_404(_all(), public_id=public_id)
    form = DecideForm(request.POST)
    if not form.is_valid():
        words = " ".join(error for errors in form.errors.values() for error in errors)
        return HttpResponse(words, status=422, content_type="text/plain; charset=utf-8")
    try:
        carry_out(example, request=request, **form.cleaned_data)
    except LearningConflict as conflict:
        return HttpResponse(conflict.message, status=409, content_type="text/plain; charset=utf-8")
    if request.headers.get("HX-Request"):
        example = get_object_or_404(_all(), public_id=public_id)
        return render(request, "operations/_example.html", {"card": as_card(example)})
    return redirect(f"{reverse('operations:examples')}?status={Status.QUEUED}")


@never_cache
@require_GET
@require(Permission.DECIDE_EXAMPLES)
def crop(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The picture; each look at it is audited, and browsers keep none."""
    example = get_object_or_404(_all(), public_id=public_id)
    record(AuditEvent.Action.VIEWED, request=request, target=example, site_pk=example.case.site_id)
    try:
        picture = crop_png(example)
    except (OSError, Refusal):
        return HttpResponse("The stored image cannot be read.", status=503)
    return HttpResponse(picture, content_type="image/png")
