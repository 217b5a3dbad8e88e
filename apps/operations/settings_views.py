"""The settings, each with what it does: sites' to change, the installation's to see."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Site
from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record


class SiteForm(forms.ModelForm):
    """Whatever a site can choose; each field brings its own explanation."""

    class Meta:
        model = Site
        fields = [one.name for one in Site._meta.fields if one.editable and not one.primary_key]


@never_cache
@require_GET
@require(Permission.USE_ADMIN)
def all_settings(request: HttpRequest) -> HttpResponse:
    sites = [(site, _form(site)) for site in Site.objects.all()]
    return _page(request, sites)


@require_POST
@require(Permission.USE_ADMIN)
def change_site(request: HttpRequest, number: int) -> HttpResponse:
    if number >= 2**63:
        return HttpResponseBadRequest("no such site")
    site = get_object_or_404(Site, pk=number)
    form = _form(site, request.POST)
    if not form.is_valid():
        others = Site.objects.exclude(pk=site.pk)
        return _page(request, [(site, form), *((one, _form(one)) for one in others)], 422)
    values = {name: [form.initial.get(name), form.cleaned_data[name]] for name in form.changed_data}
    with transaction.atomic():
        form.save()
        if values:
            action = AuditEvent.Action.ADMIN_CHANGED
            record(action, request=request, target=site, step="changed", values=_plain(values))
    messages.success(request, f"Saved for {site}.")
    return redirect("operations:settings")


def _form(site: Site, data: dict | None = None) -> SiteForm:
    return SiteForm(data, instance=site, prefix=f"site-{site.pk}")


def _plain(values: dict) -> dict:
    return {name: [getattr(one, "pk", one) for one in pair] for name, pair in values.items()}


def _page(request: HttpRequest, sites: list, status: int = 200) -> HttpResponse:
    context = {"sites": sites, "groups": installation()}
    return render(request, "operations/settings.html", context, status=status)


def installation() -> list[tuple[str, list[tuple[str, str, str]]]]:
    """(group, [(variable, value, what it does)]): what the environment decides; no secret."""
    hours = settings.SESSION_COOKIE_AGE // 3600
    targets = settings.READING_TARGET_MINUTES
    roles = ", ".join(settings.SECOND_FACTOR_ROLES) or "nobody"
    return [
        (
            "Logging in",
            [
                ("SESSION_HOURS", f"{hours} h", "A log-in ends after so long, even in use."),
                (
                    "SESSION_IDLE_MINUTES",
                    f"{settings.SESSION_IDLE_MINUTES} min",
                    "A log-in that nobody uses ends after so long.",
                ),
                (
                    "SECOND_FACTOR_ROLES",
                    roles,
                    "Who must have an app or a passkey besides the password. Admins always, "
                    "except in a demo.",
                ),
                (
                    "EMAIL_URL",
                    settings.EMAIL_BACKEND.rsplit(".", 2)[1],
                    "How mail leaves: “dummy” sends none, so links are shown to you instead.",
                ),
            ],
        ),
        (
            "Reading",
            [
                (
                    f"TARGET_MINUTES_{name.upper()}",
                    f"{minutes} min",
                    f"Within so long a case of priority “{name}” is to be read; the worklist "
                    "turns amber before and red after.",
                )
                for name, minutes in targets.items()
            ],
        ),
        (
            "Uploads and disk",
            [
                (
                    "MAX_UPLOAD_MB",
                    f"{settings.MAX_UPLOAD_MB} MB",
                    "The largest single request. The Ingress must allow it too.",
                ),
                (
                    "MAX_UPLOAD_FILES",
                    f"{settings.MAX_UPLOAD_FILES}",
                    "The most files that are dropped at once or packed in one ZIP.",
                ),
                (
                    "STUDY_SETTLE_SECONDS",
                    f"{settings.STUDY_SETTLE_SECONDS} s",
                    "A study counts as complete when no image came for so long.",
                ),
                (
                    "MIN_FREE_DISK_MB",
                    f"{settings.MIN_FREE_DISK_MB} MB",
                    "Uploads that would leave less room are refused.",
                ),
                (
                    "WARN_FREE_DISK_MB",
                    f"{settings.WARN_FREE_DISK_MB} MB",
                    "Below this the overview warns.",
                ),
            ],
        ),
        (
            "Work in the background",
            [
                (
                    "SWEEP_SECONDS",
                    f"{settings.SWEEP_SECONDS} s",
                    "How often lost work is looked for and queued again.",
                ),
                (
                    "LEASE_SECONDS",
                    f"{settings.LEASE_SECONDS} s",
                    "A worker that was silent for so long has lost its work to another.",
                ),
                ("TIME_ZONE", settings.TIME_ZONE, "The zone in which times are shown."),
            ],
        ),
    ]
