"""A doctor's absences and who reads for them meanwhile."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import Absence
from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.doctor.forms import AbsenceForm


@require_http_methods(["GET", "HEAD", "POST"])
@require(Permission.READ_CASE)
def absences(request: HttpRequest) -> HttpResponse:
    """Mine, with the form for another one; and for whom I read."""
    form = AbsenceForm(request.user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        form.instance.doctor = request.user
        absence = form.save()
        _audit(request, absence, "named")
        messages.success(request, f"{absence.deputy} reads for you on these days.")
        return redirect("doctor:absences")
    today = timezone.localdate()
    context = {
        "form": form,
        "mine": request.user.absences.filter(last_day__gte=today).select_related("deputy"),
        "for_others": request.user.deputising.filter(last_day__gte=today).select_related("doctor"),
    }
    return render(request, "doctor/absences.html", context, status=400 if form.errors else 200)


@require_POST
@require(Permission.READ_CASE)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """I am back, or stay: nobody reads for me any more."""
    absence = get_object_or_404(Absence, pk=pk, doctor=request.user)
    _audit(request, absence, "ended")
    absence.delete()
    messages.success(request, "Removed. Your cases are yours alone again.")
    return redirect("doctor:absences")


def _audit(request: HttpRequest, absence: Absence, what: str) -> None:
    record(
        AuditEvent.Action.DEPUTY,
        request=request,
        target=absence,
        site_pk=request.user.site_id,
        what=what,
        deputy=str(absence.deputy),
        days=f"{absence.first_day} to {absence.last_day}",
    )
