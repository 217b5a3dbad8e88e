"""The technician's pages: today's cases, one case, the attributes of one file."""

from dataclasses import replace
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage
from apps.cases.anonymous import SESSION_KEY as ANONYMOUS
from apps.cases.anonymous import names_are_hidden
from apps.cases.api import visible_instance
from apps.cases.looks import record_first_look, record_look
from apps.cases.models import Case, CaseEvent, Instance
from apps.cases.pictures import ordered_instances
from apps.cases.services import (
    CaseConflict,
    StillArriving,
    is_settled,
    keep_draft,
    withdraw_case,
)
from apps.classifier.services import current_predictions, predictions_of, request_predictions
from apps.imaging.refusal import Refusal
from apps.imaging.tags import Attribute, list_attributes
from apps.labtech import today as lists
from apps.labtech.checks import ai_checks, checks_of
from apps.labtech.forms import SearchForm, SendForm, WithdrawForm
from apps.labtech.services import send

_SEARCH, _MINE = "labtech_search", "labtech_mine"


@never_cache
@require_GET
@require(Permission.UPLOAD)
def today(request: HttpRequest) -> HttpResponse:
    """Upload, and the site's cases by what is to be done with them."""
    tab = request.GET.get("tab", "drafts")
    if tab not in lists.TABS:
        raise BadRequest("no such tab")
    words = request.session.get(_SEARCH, "")
    mine = bool(request.session.get(_MINE))
    page = lists.page_of(request.user, tab, words, request.GET.get("page", 1), mine)
    context = {
        "tab": tab,
        "tabs": lists.tabs(request.user, words, mine),
        "mine": mine,
        "anonymous": names_are_hidden(),
        "page_obj": page,
        "search": SearchForm(initial={"words": words}),
        "words": words,
        "sample": None if page.object_list else lists.sample_case(request.user),
        "limits": _limits(),
    }
    part = request.headers.get("HX-Target") == "cases"
    return render(request, f"labtech/{'_cases' if part else 'today'}.html", context)


@require_POST
@require(Permission.UPLOAD)
def search(request: HttpRequest) -> HttpResponse:
    """Keep the words in the session: a patient's name never goes into an address."""
    form = SearchForm(request.POST)
    request.session[_SEARCH] = form.cleaned_data["words"].strip() if form.is_valid() else ""
    tab = request.POST.get("tab", "drafts")
    return redirect(f"/labtech/?tab={tab}" if tab in lists.TABS else "labtech:today")


@require_POST
@require(Permission.UPLOAD)
def show(request: HttpRequest) -> HttpResponse:
    """Only my cases, or all; with names, or without. Kept as long as one is logged in."""
    for name, key in (("mine", _MINE), ("anonymous", ANONYMOUS)):
        if name in request.POST:
            request.session[key] = request.POST[name] == "1"
    tab = request.POST.get("tab", "drafts")
    return redirect(f"/labtech/?tab={tab}" if tab in lists.TABS else "labtech:today")


@never_cache
@require_GET
@require(Permission.UPLOAD)
def case(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One case: its images, what was checked, and the step that comes next."""
    found = _case(request, public_id)
    record_look(request, found)
    if found.return_unread and found.sent_by_id == request.user.pk:
        Case.objects.filter(pk=found.pk, revision=found.revision).update(return_unread=False)
    return _case_page(request, found, SendForm.of(found))


@never_cache
@require_GET
@require(Permission.UPLOAD)
def case_state(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The part of the page that changes by itself."""
    found = _case(request, public_id)
    record_first_look(request, found, what="state")
    context = {
        **_state(found),
        "seen_revision": request.GET.get("revision", ""),
        "seen_images": request.GET.get("images", ""),
    }
    return render(request, "labtech/_state.html", context)


@require_POST
@require(Permission.SEND_CASE)
def send_to_doctor(request: HttpRequest, public_id: UUID) -> HttpResponse:
    found = _case(request, public_id)
    form = SendForm(request.POST, site=found.site)
    if not form.is_valid():
        return _case_page(request, found, form, status=422)
    try:
        send(found, request=request, **form.sending())
    except StillArriving as arriving:
        return _case_page(request, found, form, status=409, ask=arriving.message)
    except CaseConflict as conflict:
        messages.error(request, conflict.message)
        return _case_page(request, found, form, status=409)
    whom = found.receiver or found.receiver_group or "the doctors' open list"
    messages.success(request, _("Sent to {whom}.").format(whom=whom))
    return redirect("labtech:case", public_id)


@require_POST
@require(Permission.SEND_CASE)
def keep(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Keep receiver, priority, question and note with the draft; nothing is sent."""
    found = _case(request, public_id)
    form = SendForm(request.POST, site=found.site)
    if not form.is_valid():
        return _case_page(request, found, form, status=422)
    sending = form.sending()
    sending.pop("despite_arriving")
    try:
        keep_draft(found, request=request, **sending)
    except CaseConflict as conflict:
        messages.error(request, conflict.message)
        return _case_page(request, found, form, status=409)
    messages.success(request, _("Kept. It stands among the drafts, and no doctor sees it yet."))
    return redirect("labtech:case", public_id)


@require_POST
@require(Permission.SEND_CASE)
def ask_ai(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Let the AI read a draft, so that its checks stand there before it is sent."""
    found = _case(request, public_id)
    if found.can_be_withdrawn:  # while a doctor reads it, nobody need ask
        request_predictions(found)
        record(AuditEvent.Action.PREDICTION_REQUESTED, request=request, target=found)
    return HttpResponse(status=204)


@require_POST
@require(Permission.SEND_CASE)
def withdraw(request: HttpRequest, public_id: UUID) -> HttpResponse:
    found = _case(request, public_id)
    form = WithdrawForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Nothing was changed: say in a few words why you take it back."))
        return redirect("labtech:case", public_id)
    try:
        withdraw_case(found, request=request, **form.cleaned_data)
    except CaseConflict as conflict:
        messages.error(request, conflict.message)
    else:
        messages.success(request, _("Taken back. No doctor sees it any more; the images are kept."))
    return redirect("labtech:case", public_id)


@never_cache
@require_GET
@require(Permission.UPLOAD)
def tags(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Every attribute of one file, as a page or (for htmx) as the inside of the drawer."""
    instance = visible_instance(request, public_id)
    record_look(request, instance.series.study.case, target=instance, what="attributes")
    context = {
        "case": instance.series.study.case,
        "instance": instance,
        "instances": ordered_instances(instance.series),
        **_attributes(instance),
    }
    part = request.headers.get("HX-Target") == "tags"
    return render(request, f"labtech/{'_tags' if part else 'tags'}.html", context)


def _attributes(instance: Instance) -> dict:
    try:
        rows = list_attributes(storage.path_of(instance))
        return {"attributes": [_hidden(row) for row in rows] if names_are_hidden() else rows}
    except (OSError, Refusal):
        return {"unreadable": True}


def _hidden(row: Attribute) -> Attribute:
    """In anonymous mode: people, patients, places and whatever private tags hold, without value."""
    names = row.vr == "PN" or row.private_creator or row.keyword.startswith(_IDENTIFYING)
    return replace(row, value="(hidden)") if names and row.value else row


_IDENTIFYING = (
    *("Patient", "OtherPatient", "Accession", "Institution", "StudyID", "Issuer", "Station"),
    *("Operator", "Performing", "Physician", "Referring", "Requesting", "Admission", "Medical"),
)


def _case(request: HttpRequest, public_id: UUID) -> Case:
    cases = lists.case_with_facts(Case.objects.visible_to(request.user))
    return get_object_or_404(cases, public_id=public_id)


def _case_page(
    request: HttpRequest, found: Case, form: SendForm, status: int = 200, ask: str = ""
) -> HttpResponse:
    """`ask` is what the technician must confirm before the form is sent again."""
    series = list(found.study.series.prefetch_related("instances"))
    chosen = next(
        (one for one in series if str(one.public_id) == request.GET.get("series")),
        max(series, key=lambda one: len(one.instances.all()), default=None),
    )
    context = {
        **_state(found),
        "series": series,
        "chosen": chosen,
        "first_instance": ordered_instances(chosen)[0] if chosen else None,
        "checks": checks_of(found, series, request.user),
        "form": form,
        "ask": ask,
        "withdraw_form": WithdrawForm(initial={"revision": found.revision}),
        "limits": _limits(),
        "seen_revision": str(found.revision),
        "seen_images": str(found.images),
    }
    return render(request, "labtech/case.html", context, status=status)


def _limits() -> dict[str, int]:
    """What one upload may hold, for the page that sends it."""
    return {
        "request_mb": settings.MAX_UPLOAD_MB,
        "files": settings.MAX_UPLOAD_FILES,
        "total_mb": settings.MAX_UPLOAD_TOTAL_MB,
    }


def _state(found: Case) -> dict:
    events = list(found.events.all())
    returned = [one for one in events if one.kind == CaseEvent.Kind.RETURNED]
    predictions = current_predictions(predictions_of(found).defer("chest", "profile"))
    states = Case.Status
    can_send = found.status in {states.DRAFT, states.RETURNED, states.WITHDRAWN}
    return {
        "case": found,
        "events": events[::-1],
        "returned": returned[-1] if returned and found.status == states.RETURNED else None,
        "ai_checks": ai_checks(predictions),
        "can_send": can_send,
        "can_ask_ai": can_send and not predictions,
        "arriving": can_send and not is_settled(found),
        "settle_seconds": settings.STUDY_SETTLE_SECONDS,
        "can_withdraw": found.can_be_withdrawn,
    }
