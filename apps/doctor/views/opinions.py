"""Second opinions: a colleague's correction on which this doctor was asked."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record, record_each
from apps.cases.models import Case
from apps.classifier.adjudication import give_opinion, opinions_asked_of, opinions_waiting
from apps.classifier.crops import crop_png, ring_radius
from apps.classifier.labels import LABELS, LearningConflict, label_in_words, words_of
from apps.classifier.models import Opinion, TrainingExample
from apps.doctor.forms import OpinionForm
from apps.imaging.refusal import Refusal

PER_PAGE = 12
ANSWERED_SHOWN = 20


@never_cache
@require_safe
@require(Permission.READ_CASE)
def opinions(request: HttpRequest) -> HttpResponse:
    """What waits for this doctor's answer, and what they answered lately."""
    page = Paginator(opinions_waiting(request.user), PER_PAGE).get_page(request.GET.get("page"))
    asked = list(page)
    looks = [(one, {"what": "second opinion"}) for one in asked]
    record_each(AuditEvent.Action.VIEWED, looks, request=request)
    context = {
        "page_obj": page,
        "cards": _cards(asked, request),
        "answered": _answered(request),
    }
    return render(request, "doctor/opinions.html", context)


def _cards(asked: list[TrainingExample], request: HttpRequest) -> list[dict[str, Any]]:
    """What a card shows beside the picture; the case is linked when it is theirs to open."""
    cases = Case.objects.visible_to(request.user).filter(pk__in={one.case_id for one in asked})
    open_to_them = set(cases.values_list("pk", flat=True))
    return [
        {
            "example": one,
            "label": label_in_words(one),
            "radius": ring_radius(one),
            "choices": LABELS[one.task].items(),
            "may_open": one.case_id in open_to_them,
        }
        for one in asked
    ]


def _answered(request: HttpRequest) -> list[dict[str, Any]]:
    given = Opinion.objects.filter(doctor=request.user).select_related("example__sent_by")
    return [
        {
            "opinion": one,
            "said": words_of(one.example.task, one.label) if one.label else "cannot tell",
            "first": label_in_words(one.example),
        }
        for one in given.order_by("-pk")[:ANSWERED_SHOWN]
    ]


@require_POST
@require(Permission.READ_CASE)
def answer(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Store the answer; the card says what came of it."""
    example = get_object_or_404(opinions_asked_of(request.user), public_id=public_id)
    form = OpinionForm(example.task, request.POST)
    if not form.is_valid():
        words = " ".join(error for errors in form.errors.values() for error in errors)
        return HttpResponse(words, status=422, content_type="text/plain; charset=utf-8")
    try:
        said = give_opinion(example, request=request, **form.cleaned_data)
    except LearningConflict as conflict:
        return HttpResponse(conflict.message, status=409, content_type="text/plain; charset=utf-8")
    if request.headers.get("HX-Request"):
        words = words_of(example.task, said.label) if said.label else "cannot tell"
        context = {"example": example, "said": words}
        return render(request, "doctor/_opinion_given.html", context)
    return redirect("doctor:opinions")


@never_cache
@require_safe
@require(Permission.READ_CASE)
def crop(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The picture of the place; each look at it is audited, and browsers keep none."""
    example = get_object_or_404(opinions_asked_of(request.user), public_id=public_id)
    record(AuditEvent.Action.VIEWED, request=request, target=example, site_pk=example.case.site_id)
    try:
        picture = crop_png(example)
    except (OSError, Refusal):
        return HttpResponse("The stored image cannot be read.", status=503)
    return HttpResponse(picture, content_type="image/png")
