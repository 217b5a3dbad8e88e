"""Pathology or follow-up of a case, recorded when it is known; it outranks every opinion."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.permissions import Permission, require
from apps.cases.looks import record_look
from apps.cases.models import Case
from apps.classifier.adjudication import confirm
from apps.doctor.access import confirmations_for, is_readable, reads_alone
from apps.doctor.forms import WHOLE_CASE, ConfirmationForm
from apps.doctor.reading import state_of
from apps.doctor.services import findings_of
from apps.doctor.views.reading import visible_case


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require(Permission.READ_CASE)
def confirm_case(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The form, with what is recorded already. Closed to a second reader who has not signed."""
    case = visible_case(request, public_id)
    if not is_readable(case, request.user) or reads_alone(case, request.user):
        raise PermissionDenied
    if request.method != "POST":
        record_look(request, case, what="confirmations")
        return _page(request, case, ConfirmationForm(_places(case, request)))
    form = ConfirmationForm(_places(case, request), request.POST)
    if not form.is_valid():
        return _page(request, case, form, status=400)
    given = form.cleaned_data
    place = given.pop("finding")
    finding = findings_of(case, request.user).get(public_id=place) if place != WHOLE_CASE else None
    made = confirm(case, request=request, finding=finding, **given)
    messages.success(request, f"Recorded: {made}.")
    return redirect("doctor:case", public_id=case.public_id)


def _places(case: Case, request: HttpRequest) -> list[tuple[str, str]]:
    """The findings as the reading page shows them."""
    return [
        (
            one["id"],
            f"finding {one['number']}, {one['diameter_mm']:.0f} mm, image {one['image'] or '–'}",
        )
        for one in state_of(case, request.user)["findings"]
    ]


def _page(
    request: HttpRequest, case: Case, form: ConfirmationForm, *, status: int = 200
) -> HttpResponse:
    known = confirmations_for(case, request.user).select_related("finding", "recorded_by")
    context = {"case": case, "patient": case.study.patient, "form": form, "known": known}
    return render(request, "doctor/confirm.html", context, status=status)
