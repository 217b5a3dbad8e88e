"""What was filed wrongly: a study under another patient's ID, split, or mixed with another."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.cases.api import with_image_counts
from apps.cases.grouping import MOVABLE, find_patient, merge_cases, split_case
from apps.cases.looks import record_look
from apps.cases.models import Case, Patient
from apps.cases.services import CaseConflict
from apps.labtech.forms import MergeForm, MoveForm, SplitForm
from apps.labtech.services import move_study

_MERGES_INTO = [Case.Status.DRAFT, Case.Status.RETURNED, Case.Status.WITHDRAWN]


@never_cache
@require_GET
@require(Permission.SEND_CASE)
def filing(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The three ways to put right how the study is filed."""
    case = _case(request, public_id)
    record_look(request, case, what="filing")
    return _page(request, case)


@require_POST
@require(Permission.SEND_CASE)
def move(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show whose the study would be; once that was seen, move it."""
    case = _case(request, public_id)
    form = MoveForm(request.POST)
    if not form.is_valid():
        return _page(request, case, 422, move=form)
    said = form.cleaned_data
    patient = find_patient(case.site, said["patient_id"], said["issuer"])
    if patient is None and not said["family_name"]:
        form.add_error("family_name", _("No patient has this ID yet. Give the name for a new one."))
        return _page(request, case, 422, move=form)
    if patient and said["seen"] != patient.pk:
        return _page(request, case, move=form, found=patient)
    patient = patient or _new_patient(case, said)
    why = {"revision": said["revision"], "reason": said["reason"]}
    words = _("Moved. The study is {display_name}'s now; the files are as they were.").format(
        display_name=patient.display_name
    )
    return _done(request, case, words, lambda: move_study(case, patient, request=request, **why))


@require_POST
@require(Permission.SEND_CASE)
def merge(request: HttpRequest, public_id: UUID) -> HttpResponse:
    case = _case(request, public_id)
    form = MergeForm(request.POST, others=_others(request, case))
    if not form.is_valid():
        return _page(request, case, 422, merge=form)
    said = form.cleaned_data
    into = form.others[said["into"]]
    why = {"revision": said["revision"], "into_revision": into.revision, "reason": said["reason"]}
    words = _("Merged. All series are in one case now; the empty one was withdrawn.")
    return _done(request, into, words, lambda: merge_cases(case, into, request=request, **why))


@require_POST
@require(Permission.SEND_CASE)
def split(request: HttpRequest, public_id: UUID) -> HttpResponse:
    case = _case(request, public_id)
    form = SplitForm(request.POST, series=list(case.study.series.all()))
    if not form.is_valid():
        return _page(request, case, 422, split=form)
    said = form.cleaned_data
    why = {"revision": said["revision"], "reason": said["reason"]}
    words = _("Split. The chosen series are a draft of their own now.")
    return _done(
        request, case, words, lambda: split_case(case, form.chosen(), request=request, **why)
    )


def _done(request: HttpRequest, case: Case, words: str, step: Any) -> HttpResponse:
    try:
        step()
    except CaseConflict as conflict:
        messages.error(request, conflict.message)
        return redirect("labtech:filing", request.resolver_match.kwargs["public_id"])
    messages.success(request, words)
    return redirect("labtech:case", case.public_id)


def _new_patient(case: Case, said: dict[str, Any]) -> Patient:
    """The patient of an ID that nothing was stored under; twice at once makes one."""
    name = f"{said['family_name']}^{said['given_name']}".strip("^")
    return Patient.objects.get_or_create(
        site=case.site,
        patient_id=said["patient_id"],
        issuer_of_patient_id=said["issuer"],
        defaults={"name": name},
    )[0]


def _case(request: HttpRequest, public_id: UUID) -> Case:
    cases = Case.objects.visible_to(request.user).select_related("study__patient", "site")
    return get_object_or_404(cases, public_id=public_id)


def _others(request: HttpRequest, case: Case) -> list[Case]:
    """The patient's other cases that can take more series."""
    same = Case.objects.visible_to(request.user).filter(study__patient=case.study.patient_id)
    found = with_image_counts(same.filter(status__in=_MERGES_INTO).exclude(pk=case.pk))
    return list(found.filter(study__series__isnull=False).distinct().select_related("study"))


def _page(
    request: HttpRequest,
    case: Case,
    status: int = 200,
    *,
    move: MoveForm | None = None,
    merge: MergeForm | None = None,
    split: SplitForm | None = None,
    found: Patient | None = None,
) -> HttpResponse:
    """`found` is whom the study would be moved to, to be looked at first."""
    series = list(case.study.series.all())
    others = _others(request, case)
    seen = {"initial": {"revision": case.revision}}
    context = {
        "case": case,
        "found": found,
        "move_form": move or MoveForm(**seen),
        "merge_form": merge or MergeForm(others=others, **seen),
        "split_form": split or SplitForm(series=series, **seen),
        "can_move": case.status in MOVABLE,
        "can_merge": bool(others) and not case.sent_at,
        "can_split": len(series) > 1 and not case.sent_at,
        "decided": case.study.patient_assignments.select_related("author").order_by("-pk"),
    }
    return render(request, "labtech/filing.html", context, status=status)
