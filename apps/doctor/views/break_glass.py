"""Break-glass: open a case that is not yours, for a reason that is kept and shown."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.permissions import Permission, require
from apps.cases.models import Case
from apps.cases.services import break_glass as grant_access
from apps.doctor.access import is_readable, look_up
from apps.doctor.forms import BreakGlassFindForm, BreakGlassForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require(Permission.BREAK_GLASS)
def break_glass(request: HttpRequest) -> HttpResponse:
    """First the number, then the case and the reason. Numbers are posted, never in an address."""
    if request.method != "POST":
        return _page(request, BreakGlassFindForm())
    if "reason" in request.POST:
        return _open(request)
    form = BreakGlassFindForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=400)
    found = look_up(form.cleaned_data["number"], request)
    if not found:
        form.add_error("number", "No case has exactly this Patient ID or accession number.")
        return _page(request, form, status=404)
    return _page(request, BreakGlassForm(initial=form.cleaned_data), found)


def _open(request: HttpRequest) -> HttpResponse:
    form = BreakGlassForm(request.POST)
    found = look_up(_number(form), request)
    if not form.is_valid():
        return _page(request, form, found, status=400)
    chosen = next((c for c in found if c.public_id == form.cleaned_data["case"]), None)
    if chosen is None:
        form.add_error("number", "No case has exactly this Patient ID or accession number.")
        return _page(request, form, found, status=404)
    if is_readable(chosen, request.user):
        messages.info(request, "This case is yours to read; break-glass was not needed.")
    else:
        grant_access(chosen, request=request, reason=form.cleaned_data["reason"])
    return redirect("doctor:case", public_id=chosen.public_id)


def _number(form: BreakGlassForm) -> str:
    form.full_clean()
    return form.cleaned_data.get("number", "")


def _page(
    request: HttpRequest,
    form: BreakGlassFindForm,
    found: list[Case] | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    return render(
        request, "doctor/break_glass.html", {"form": form, "found": found or []}, status=status
    )
