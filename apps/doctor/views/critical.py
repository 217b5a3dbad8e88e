"""A critical result: who was told what, when, and whether they read it back."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.permissions import Permission, require
from apps.cases.after_report import record_critical_result
from apps.cases.looks import record_look
from apps.doctor.access import critical_results_for, is_readable
from apps.doctor.forms import CriticalResultForm
from apps.doctor.views.reading import visible_case


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require(Permission.READ_CASE)
def critical_result(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The form, with what was told already. It may be told before the report is signed."""
    case = visible_case(request, public_id)
    if not is_readable(case, request.user):
        raise PermissionDenied
    if request.method != "POST":
        record_look(request, case, what="critical results")
        form = CriticalResultForm(initial={"told_at": timezone.localtime()})
    else:
        form = CriticalResultForm(request.POST)
        if form.is_valid():
            record_critical_result(case, request=request, **form.cleaned_data)
            messages.success(request, "Recorded.")
            return redirect("doctor:case", public_id=case.public_id)
    context = {
        "case": case,
        "patient": case.study.patient,
        "form": form,
        "told": critical_results_for(case, request.user),
    }
    status = 400 if form.errors else 200
    return render(request, "doctor/critical.html", context, status=status)
