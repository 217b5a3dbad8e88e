"""Monitoring: how the models do on live cases, and the switch that hides the AI from doctors."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.classifier.labels import LearningConflict
from apps.classifier.watching import set_display
from apps.operations.forms import DisplayForm
from apps.operations.monitoring import PERIODS, monitoring


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def page(request: HttpRequest) -> HttpResponse:
    """Figures against their limits, charts, versions, alerts. No patient is named in it."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked.isdecimal() and int(asked) in PERIODS else PERIODS[0]
    return render(request, "operations/monitoring.html", monitoring(days))


@require_POST
@require(Permission.MANAGE_MODELS)
def display(request: HttpRequest) -> HttpResponse:
    """Hide the AI from doctors, or show it again; with a note, which doctors read."""
    form = DisplayForm(request.POST)
    if not form.is_valid():
        words = " ".join(error for errors in form.errors.values() for error in errors)
        messages.error(request, f"Nothing was changed. {words}")
        return redirect("operations:monitoring")
    on = form.cleaned_data["show"] == "on"
    try:
        set_display(on=on, request=request, note=form.cleaned_data["note"])
    except LearningConflict as conflict:
        messages.error(request, f"{conflict.message} Nothing was changed.")
    else:
        words = "Doctors see the AI again." if on else "Doctors see no AI from now on, and why."
        messages.success(request, words)
    return redirect("operations:monitoring")
