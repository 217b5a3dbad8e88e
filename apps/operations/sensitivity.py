"""How many malignant nodules the suspicion score shall find at each site, and what that costs."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Site
from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.models import ModelVersion


def active_version() -> ModelVersion | None:
    """The suspicion score's active version, whose measured points are offered."""
    return ModelVersion.objects.filter(
        task=ModelVersion.Task.MALIGNANCY, status=ModelVersion.Status.ACTIVE
    ).first()


class SensitivityForm(forms.Form):
    site = forms.ModelChoiceField(Site.objects.all())
    wanted = forms.TypedChoiceField(coerce=float, empty_value=None, required=False)

    def __init__(self, points: list[dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(str(p["wanted"]), f"{p['wanted'] * 100:.0f} %") for p in points]
        self.fields["wanted"].choices = [("", "as shipped"), *offered]


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def sites(request: HttpRequest) -> HttpResponse:
    """Every site's choice beside the measured consequence of each."""
    version = active_version()
    points = _points(version)
    found = Site.objects.all()
    context = {
        "version": version,
        "points": points,
        "shipped": version.meta.get("operating_point", {}) if version else {},
        "how": version.metrics.get("how", "") if version else "",
        "rows": [(site, SensitivityForm(points, initial=_initial(site))) for site in found],
    }
    return render(request, "operations/sensitivity.html", context)


def _points(version: ModelVersion | None) -> list[dict[str, Any]]:
    found = version.meta.get("operating_points", []) if version else []
    return [point | {"benign_called": 100 * (1 - point["specificity"])} for point in found]


def _initial(site: Site) -> dict[str, str]:
    return {"wanted": "" if site.sensitivity_wanted is None else str(site.sensitivity_wanted)}


@require_POST
@require(Permission.MANAGE_MODELS)
def choose(request: HttpRequest) -> HttpResponse:
    """Keep one site's choice. Only points that were measured can be chosen."""
    form = SensitivityForm(_points(active_version()), request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was changed: choose a site and a measured point.")
        return redirect("operations:sensitivity")
    with transaction.atomic():
        site = Site.objects.select_for_update().get(pk=form.cleaned_data["site"].pk)
        before, site.sensitivity_wanted = site.sensitivity_wanted, form.cleaned_data["wanted"]
        if site.sensitivity_wanted != before:
            site.save(update_fields=["sensitivity_wanted"])
            changed = {"sensitivity_wanted": [before, site.sensitivity_wanted]}
            record(AuditEvent.Action.ADMIN_CHANGED, request=request, target=site, **changed)
    messages.success(request, f"{site}: the suspicion score is read at the new point from now on.")
    return redirect("operations:sensitivity")
