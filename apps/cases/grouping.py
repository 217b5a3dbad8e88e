"""Moving what was filed wrongly: a study to its patient, series to their study.

Only the assignment changes, and a row says who changed it and why; files and their facts stay.
Each step holds the rows of its cases, so of two people at once the second is told.
"""

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.accounts.models import Site
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import (
    Case,
    CaseEvent,
    Patient,
    PatientAssignment,
    Series,
    SeriesAssignment,
    Study,
)
from apps.cases.services import CaseConflict, Status

# While a doctor reads it, or once a report names the patient, it is not the technician's to move.
MOVABLE = {Status.DRAFT, Status.SENT, Status.RETURNED, Status.WITHDRAWN}
_COPIED = [
    "accession_number",
    "study_date",
    "study_time",
    "study_description",
    "referring_physician_name",
    "institution_name",
    "patient_age",
    "patient_name",
    "filed_patient",
]


def find_patient(site: Site, patient_id: str, issuer: str = "") -> Patient | None:
    """The site's patient of this ID; an empty ID is nobody's."""
    known = Patient.objects.filter(site=site, issuer_of_patient_id=issuer)
    return known.filter(patient_id=patient_id).first() if patient_id else None


@transaction.atomic
def move_study(
    case: Case, patient: Patient, *, request: HttpRequest, revision: int, reason: str
) -> None:
    """Count the case's study to another patient of its site."""
    (case_row,) = _held([(case, revision)])
    if case_row.status not in MOVABLE:
        raise CaseConflict(
            _(
                "This case is {state}, so its patient is not changed here. Tell the doctor; "
                "nothing was changed."
            ).format(state=case_row.get_status_display())
        )
    study, before = case_row.study, case_row.study.patient
    if patient.pk == study.patient_id:
        raise CaseConflict(_("The study is this patient's already. Nothing was changed."))
    PatientAssignment.objects.create(
        study=study,
        from_patient=before,
        to_patient=patient,
        author=request.user,
        reason=reason,
    )
    study.filed_patient = study.filed_patient or before
    study.patient = patient
    study.save(update_fields=["patient", "filed_patient"])
    _noted(case_row, request, CaseEvent.Kind.MOVED, reason)
    record(
        AuditEvent.Action.STUDY_MOVED,
        request=request,
        target=study,
        site_pk=case_row.site_id,
        from_patient=before.pk,
        to_patient=patient.pk,
        reason=reason,
    )
    case.refresh_from_db()


@transaction.atomic
def merge_cases(
    case: Case,
    into: Case,
    *,
    request: HttpRequest,
    revision: int,
    into_revision: int,
    reason: str,
) -> None:
    """Put all series of a draft that was never sent into another study of the same patient."""
    gone, kept = _held([(case, revision), (into, into_revision)])
    _refuse_sent(gone)
    if kept.status not in {Status.DRAFT, Status.RETURNED, Status.WITHDRAWN}:
        raise CaseConflict(
            _(
                "The other case is {state}; only one that waits here can take more series. Nothing "
                "was changed."
            ).format(state=kept.get_status_display())
        )
    if gone.study.patient_id != kept.study.patient_id:
        raise CaseConflict(
            _(
                "The two studies belong to different patients. Move one of them to the right "
                "patient first. Nothing was changed."
            )
        )
    series = list(gone.study.series.all())
    _regroup(series, kept.study, request, reason)
    _noted(gone, request, CaseEvent.Kind.MERGED, reason, status=Status.WITHDRAWN)
    _noted(kept, request, CaseEvent.Kind.MERGED, reason)
    record(
        AuditEvent.Action.STUDIES_MERGED,
        request=request,
        target=kept.study,
        site_pk=kept.site_id,
        from_study=gone.study_id,
        series=[one.pk for one in series],
        reason=reason,
    )


@transaction.atomic
def split_case(
    case: Case, series: Sequence[Series], *, request: HttpRequest, revision: int, reason: str
) -> Case:
    """Take series out of a draft that was never sent, as a case of their own."""
    (whole,) = _held([(case, revision)])
    _refuse_sent(whole)
    own = {one.pk for one in whole.study.series.all()}
    taken = [one for one in series if one.pk in own]
    if not taken or len(taken) == len(own):
        raise CaseConflict(
            _("Choose some of the series, and leave at least one. Nothing was changed.")
        )
    part = Case.objects.create(
        site=whole.site, study=_study_like(whole.study), created_by=request.user
    )
    _regroup(taken, part.study, request, reason)
    _noted(whole, request, CaseEvent.Kind.SPLIT, reason)
    _noted(part, request, CaseEvent.Kind.SPLIT, reason)
    record(
        AuditEvent.Action.STUDY_SPLIT,
        request=request,
        target=whole.study,
        site_pk=whole.site_id,
        to_study=part.study_id,
        series=[one.pk for one in taken],
        reason=reason,
    )
    return part


def _held(wanted: list[tuple[Case, int]]) -> list[Case]:
    """The cases as they are now, held until the transaction ends; refused if they changed."""
    keys = [case.pk for case, _ in wanted]
    rows = Case.objects.select_for_update(of=("self",)).filter(pk__in=keys).order_by("pk")
    now = {row.pk: row for row in rows.select_related("study__patient", "study__filed_patient")}
    if any(now[case.pk].revision != revision for case, revision in wanted):
        raise CaseConflict(
            _("This case changed in the meantime. Nothing was changed; reload to see it.")
        )
    return [now[key] for key in keys]


def _refuse_sent(case: Case) -> None:
    if case.sent_at or case.status not in {Status.DRAFT, Status.WITHDRAWN}:
        raise CaseConflict(
            _(
                "This case was sent already, and what doctors and the AI said is about it as it "
                "is. Its series are not moved; nothing was changed."
            )
        )


def _regroup(series: list[Series], study: Study, request: HttpRequest, reason: str) -> None:
    there = set(study.series.values_list("series_instance_uid", flat=True))
    if there & {one.series_instance_uid for one in series}:
        raise CaseConflict(
            _("A series of this kind is in that study already. Nothing was changed.")
        )
    for one in series:
        SeriesAssignment.objects.create(
            series=one, from_study=one.study, to_study=study, author=request.user, reason=reason
        )
        one.filed_under = one.filed_under or one.study.study_instance_uid
        one.study = study
        one.save(update_fields=["study", "filed_under"])


def _study_like(study: Study) -> Study:
    """A study of its own with the same facts; its UID is made up (PS3.5 annex B.2)."""
    facts = {name: getattr(study, name) for name in _COPIED}
    uid = f"2.25.{uuid.uuid4().int}"
    return Study.objects.create(
        site=study.site, patient=study.patient, study_instance_uid=uid, **facts
    )


def _noted(
    case: Case, request: HttpRequest, kind: CaseEvent.Kind, text: str, status: str = ""
) -> None:
    """The event, and a new revision, so that open pages of the case are told."""
    changes = {"status": status} if status else {}
    Case.objects.filter(pk=case.pk).update(revision=F("revision") + 1, **changes)
    actor = {"actor": str(request.user), "actor_pk": request.user.pk}
    CaseEvent.objects.create(case=case, kind=kind, text=text, **actor)
