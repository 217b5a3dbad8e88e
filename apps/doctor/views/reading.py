"""The reading page, its state for the browser, and its history."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.models import User
from apps.accounts.permissions import Permission, require
from apps.cases.drafts import draft_of
from apps.cases.looks import record_first_look, record_look
from apps.cases.models import Case, Verdict
from apps.cases.pictures import text_of_age
from apps.cases.services import open_reading
from apps.cases.unaided import hides_ai
from apps.classifier.models import FindingVerdict
from apps.classifier.watching import why_off
from apps.doctor.access import (
    confirmations_for,
    critical_results_for,
    is_readable,
    opinions_for,
    reads_alone,
    verdicts_for,
    visible_predictions,
)
from apps.doctor.comparison import compared, last_verdicts
from apps.doctor.phrases import TEXTS, suggestions
from apps.doctor.reading import (
    first_series,
    grant_of,
    note_shown,
    priors_of,
    series_of,
    state_of,
)
from apps.doctor.structured import CHOICES, nodules_before
from apps.doctor.worklist import waiting_of

# Doctors and admins hold BREAK_GLASS; whether this very case is theirs, or was opened for them
# with a reason, is what visible_to decides.
LOOK = Permission.BREAK_GLASS


def visible_case(request: HttpRequest, public_id: UUID) -> Case:
    """The case if this user may look at it, else 404."""
    cases = Case.objects.visible_to(request.user).select_related(
        "study__patient", "site", "claimed_by", "receiver", "receiver_group", "sent_by"
    )
    return get_object_or_404(cases, public_id=public_id)


@never_cache
@require_safe
@require(LOOK)
def case(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The reading page. Opening it begins the doctor's reading and is audited."""
    shown = visible_case(request, public_id)
    state = state_of(shown, request.user)
    grant = grant_of(shown, request.user)
    how = "break-glass" if grant else "own"
    record_look(request, shown, how=how)
    if state["can_read"]:
        open_reading(shown, request.user)
        note_shown(shown, request, state)
    series = series_of(shown)
    priors = priors_of(shown, request.user)
    return render(
        request,
        "doctor/case.html",
        {
            "case": shown,
            "study": shown.study,
            "patient": shown.study.patient,
            "age": text_of_age(shown.study.patient_age),
            "state": state,
            "draft": kept_draft(shown, request.user),
            "grant": grant,
            "series": series,
            "first": first_series(series, state),
            "priors": priors,
            "waiting": waiting_of(shown),
            "choices": CHOICES,
            "nodules_before": nodules_before(shown, priors),
            "suggestions": suggestions(),
            "texts": TEXTS,
            "newest_verdict": newest_verdict(shown, state),
        },
    )


def kept_draft(case: Case, user: User) -> dict[str, Any]:
    """The doctor's unsigned verdict, as the page takes it up again."""
    kept = draft_of(case, user)
    return {"version": kept.version, "data": kept.data, "saved_at": kept.saved_at}


def newest_verdict(case: Case, state: dict[str, Any]) -> Verdict | None:
    """What the form begins with; nothing where the reader must not know it."""
    if case.waits_for_other_eyes or state["ai_hidden"]:
        return None
    return case.verdicts.first()


@never_cache
@require_safe
@require(LOOK)
def state(request: HttpRequest, public_id: UUID) -> JsonResponse:
    """The case as it is now, asked every few seconds; audited only if the case was never opened."""
    shown = visible_case(request, public_id)
    record_first_look(request, shown, what="state")
    now = state_of(shown, request.user)
    if now["can_read"]:
        note_shown(shown, request, now)
    return JsonResponse(now)


@never_cache
@require_safe
@require(LOOK)
def history(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Events, verdicts with their reports, and predictions by version. Every look is audited."""
    shown = visible_case(request, public_id)
    record_look(request, shown, what="history")
    alone, off = reads_alone(shown, request.user), why_off()
    verdicts = (
        verdicts_for(shown, request.user)
        .select_related("doctor", "report", "reading")
        .prefetch_related(
            "report__addenda__signed_by",
            Prefetch(
                "finding_verdicts", FindingVerdict.objects.select_related("finding").order_by("pk")
            ),
        )
    )
    return render(
        request,
        "doctor/history.html",
        {
            "case": shown,
            "blind": alone,
            "hidden": hides_ai(shown, request.user),
            "opinions": opinions_for(shown, request.user),
            "events": shown.events.order_by("-pk"),
            "verdicts": verdicts,
            "off": off,
            "predictions": visible_predictions(shown, request.user).select_related("series"),
            "known": confirmations_for(shown, request.user).select_related(
                "finding", "recorded_by"
            ),
            "told": critical_results_for(shown, request.user),
            "may_tell": is_readable(shown, request.user),
            "may_confirm": is_readable(shown, request.user) and not alone,
        },
    )


@never_cache
@require_safe
@require(LOOK)
def compare(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """What each reader said, side by side; closed to a second reader who has not signed."""
    shown = visible_case(request, public_id)
    if reads_alone(shown, request.user):
        raise PermissionDenied
    record_look(request, shown, what="comparison")
    verdicts = last_verdicts(shown)
    context = {"case": shown, "verdicts": verdicts, "rows": compared(verdicts)}
    return render(request, "doctor/compare.html", context)
