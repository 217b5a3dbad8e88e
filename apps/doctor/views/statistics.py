"""My statistics; colleagues' too where the site shows them."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts.permissions import Permission, require
from apps.doctor.statistics import colleagues_of, work_of

PERIODS = {"7": "7 days", "30": "30 days", "365": "a year"}


@require_safe
@require(Permission.READ_CASE)
def statistics(request: HttpRequest) -> HttpResponse:
    """Cases, times and agreement in the last week, month or year."""
    asked = request.GET.get("days")
    days = asked if asked in PERIODS else "30"
    since = timezone.now() - timedelta(days=int(days))
    rows = [work_of(doctor, since) for doctor in colleagues_of(request.user)]
    context = {"rows": rows, "periods": PERIODS, "days": days}
    return render(request, "doctor/statistics.html", context)
