"""What people do with a case. Each step is one conditional UPDATE: who changed no row lost."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Max, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Notification, ReadingGroup, User
from apps.accounts.notifications import notify
from apps.accounts.permissions import Role
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import (
    AccessGrant,
    Case,
    CaseEvent,
    Instance,
    Presentation,
    Reading,
    Report,
    Series,
    Verdict,
)

BREAK_GLASS_TIME = timedelta(hours=4)
Status = Case.Status
Stage = Case.Stage


class CaseConflict(Exception):
    """The case is no longer in the state that the user saw; `message` says so in plain words."""

    code = "case_changed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class StillArriving(CaseConflict):
    """More images are announced and may be under way, so whoever sends should say they mean it."""

    code = "still_arriving"

    def __init__(self) -> None:
        super().__init__(
            _(
                "Images of this study came a moment ago, and more may follow: its files announce "
                "more than are here. Nothing was sent."
            )
        )


def is_settled(case: Case) -> bool:
    """Whether nothing came for STUDY_SETTLE_SECONDS, or somebody said since that this is all."""
    images = Instance.objects.filter(series__study=case.study_id)
    newest = images.aggregate(newest=Max("received_at"))["newest"]
    quiet_since = timezone.now() - timedelta(seconds=settings.STUDY_SETTLE_SECONDS)
    if newest is None or newest <= quiet_since:
        return True
    return case.events.filter(kind=CaseEvent.Kind.SETTLED, at__gte=newest).exists()


def lacks_announced(case: Case) -> bool:
    """Whether files announce more images than came (Number of Study, of Series Related Instances).

    Where files announce nothing, as most do, nothing is known to be missing.
    """
    series = case.study.series.annotate(here=Count("instances"))
    announced = case.study.number_of_study_related_instances or 0
    return sum(one.here for one in series) < announced or any(
        one.here < (one.number_of_series_related_instances or 0) for one in series
    )


@transaction.atomic
def settle_study(case: Case, *, request: HttpRequest) -> None:
    """Note that no more images are awaited; saying it twice, or of a settled one, adds nothing."""
    if not is_settled(case):
        record_step(case, request, CaseEvent.Kind.SETTLED, AuditEvent.Action.SETTLED)


@transaction.atomic
def send_case(
    case: Case,
    *,
    request: HttpRequest,
    revision: int,
    clinical_question: str = "",
    priority: int = Case.Priority.ROUTINE,
    note: str = "",
    receiver: User | None = None,
    receiver_group: ReadingGroup | None = None,
) -> None:
    """Send a case to a doctor, a group, or (neither given) the open pool.

    It must be a draft, or have been returned or withdrawn.
    """
    _move(
        case,
        Status.SENT,
        revision=revision,
        status__in=[Status.DRAFT, Status.RETURNED, Status.WITHDRAWN],
        changes={
            "clinical_question": clinical_question,
            "priority": priority,
            "note": note,
            "receiver": receiver,
            "receiver_group": receiver_group,
            "sent_by": request.user,
            "sent_at": timezone.now(),
            "claimed_by": None,
            "stage": Stage.FIRST,
            "return_unread": False,
        },
    )
    record_step(case, request, CaseEvent.Kind.SENT, AuditEvent.Action.SENT)
    if priority != Case.Priority.ROUTINE:
        path = reverse("doctor:case", args=[case.public_id])
        key = f"case {case.pk} {case.revision}"
        notify(readers_of(case), Notification.Kind.URGENT, key=key, path=path)


def readers_of(case: Case) -> QuerySet[User]:
    """Who may read a case that waits: its doctor, its group's, or all of its site."""
    doctors = User.objects.filter(role=Role.DOCTOR, is_active=True)
    if case.receiver_id:
        return doctors.filter(pk=case.receiver_id)
    if case.receiver_group_id:
        return doctors.filter(reading_groups=case.receiver_group_id)
    return doctors.filter(site=case.site_id)


@transaction.atomic
def keep_draft(case: Case, *, request: HttpRequest, revision: int, **sending: Any) -> None:
    """Keep what a case would be sent with (see send_case), without sending it."""
    waiting = [Status.DRAFT, Status.RETURNED, Status.WITHDRAWN]
    _move(case, case.status, revision=revision, status__in=waiting, changes=sending)
    record_step(case, request, CaseEvent.Kind.DRAFTED, AuditEvent.Action.DRAFT_CHANGED)


@transaction.atomic
def withdraw_case(case: Case, *, request: HttpRequest, revision: int, reason: str) -> None:
    """Take back a case that no doctor reads, or whose doctor has left."""
    only = {"status__in": [Status.DRAFT, Status.SENT, Status.RETURNED]}
    if case.is_orphaned:
        only = {"status__in": [Status.IN_REVIEW], "claimed_by__is_active": False}
    _move(case, Status.WITHDRAWN, revision=revision, changes={"claimed_by": None}, **only)
    record_step(case, request, CaseEvent.Kind.WITHDRAWN, AuditEvent.Action.WITHDRAWN, reason)


@transaction.atomic
def claim_case(case: Case, *, request: HttpRequest) -> None:
    """Take a waiting case for reading; the first of two doctors gets it."""
    _move(
        case,
        Status.IN_REVIEW,
        status__in=[Status.SENT],
        # It may have been sent again to somebody else since the page was opened.
        pk__in=Case.objects.claimable_by(request.user).values("pk"),
        changes={"claimed_by": request.user},
    )
    record_step(case, request, CaseEvent.Kind.CLAIMED, AuditEvent.Action.CLAIMED)


@transaction.atomic
def release_case(case: Case, *, request: HttpRequest) -> None:
    """Put a case that one has claimed back on the list."""
    _move(
        case,
        Status.SENT,
        status__in=[Status.IN_REVIEW],
        claimed_by=request.user,
        changes={"claimed_by": None},
    )
    record_step(case, request, CaseEvent.Kind.RELEASED, AuditEvent.Action.RELEASED)


@transaction.atomic
def take_over_case(case: Case, *, request: HttpRequest, revision: int) -> None:
    """Take a case that another doctor holds (they are absent, or asked for it)."""
    _refuse_same_eyes(case, request.user)
    _move(
        case,
        Status.IN_REVIEW,
        revision=revision,
        status__in=[Status.IN_REVIEW],
        changes={"claimed_by": request.user},
    )
    record_step(case, request, CaseEvent.Kind.CLAIMED, AuditEvent.Action.CLAIMED, "taken over")


@transaction.atomic
def return_case(case: Case, *, request: HttpRequest, revision: int, reason: str) -> None:
    """Give the case back to the technician with the reason."""
    _refuse_same_eyes(case, request.user)
    _hold(case, request.user)
    _move(
        case,
        Status.RETURNED,
        revision=revision,
        status__in=[Status.SENT, Status.IN_REVIEW],
        changes={"claimed_by": None, "return_unread": True},
    )
    record_step(case, request, CaseEvent.Kind.RETURNED, AuditEvent.Action.RETURNED, reason)
    path = reverse("labtech:case", args=[case.public_id])
    key = f"case {case.pk} {case.revision}"
    notify(filter(None, [case.sent_by]), Notification.Kind.RETURNED, key=key, path=path)


@transaction.atomic
def record_verdict(
    case: Case,
    *,
    request: HttpRequest,
    revision: int,
    cancer: str,
    diagnoses: list[str],
    text: str,
    report_body: str,
    second_read: bool = False,
    structured: dict[str, Any] | None = None,
) -> Verdict:
    """Write a verdict and its signed report; on a reported case it is a correction by anybody.

    A first reading that is to be read twice (`second_read`, or the site's rule) sends the case on
    to another doctor instead of reporting it; readings that differ send it to a third.
    `structured` holds the verdict's nodules and its Lung-RADS category, rule and reason.
    """
    corrects = case.status == Status.REPORTED
    if not corrects:
        _hold(case, request.user)
        _refuse_same_eyes(case, request.user)
    stage = case.stage
    following = None if corrects else _following_stage(case, cancer, second_read)
    _move(
        case,
        Status.SENT if following else Status.REPORTED,
        revision=revision,
        status__in=[Status.SENT, Status.IN_REVIEW, Status.REPORTED],
        changes=_handed_on(case, following) if following else _reported_by(request.user),
    )
    verdict = Verdict.objects.create(
        case=case,
        reading=_finish_reading(case, request.user, None if corrects else stage),
        doctor=request.user,
        cancer=cancer,
        diagnoses=diagnoses,
        text=text,
        **(structured or {}),
    )
    Report.objects.create(case=case, verdict=verdict, signed_by=request.user, body=report_body)
    kind = CaseEvent.Kind.CORRECTED if corrects else CaseEvent.Kind.VERDICT
    record_step(
        case,
        request,
        CaseEvent.Kind.READ if following else kind,
        AuditEvent.Action.VERDICT,
        verdict.get_cancer_display(),
    )
    return verdict


def _following_stage(case: Case, cancer: str, second_read: bool) -> str | None:
    """Which reading must follow this one; None when the case is reported with it."""
    if case.stage == Stage.FIRST:
        return Stage.SECOND if second_read or case.site.reads_twice else None
    if case.stage == Stage.ARBITRATION:
        return None
    return None if reading_before(case).cancer == cancer else Stage.ARBITRATION


def reading_before(case: Case) -> Verdict:
    """The newest verdict: for a second reading, what the first reader said."""
    return case.verdicts.select_related("doctor").latest("pk")


def _handed_on(case: Case, stage: str) -> dict[str, Any]:
    """A case meant for one doctor goes to their site's open list; a group keeps its cases."""
    return {"stage": stage, "claimed_by": None, "receiver": None}


def _reported_by(doctor: User) -> dict[str, Any]:
    return {"claimed_by": doctor, "reported_at": timezone.now()}


def _finish_reading(case: Case, doctor: User, stage: str | None) -> Reading:
    """The doctor's look, finished now; a correction (no stage) leaves as whom it was made."""
    reading = open_reading(case, doctor)
    reading.kind = stage or reading.kind
    reading.finished_at = timezone.now()
    reading.save(update_fields=["kind", "finished_at"])
    return reading


def has_read(case: Case, doctor: User) -> bool:
    """Whether this doctor has finished a reading of the case."""
    return case.readings.filter(doctor=doctor, finished_at__isnull=False).exists()


def _refuse_same_eyes(case: Case, doctor: User) -> None:
    """Refuse a second reading, or an arbitration, by somebody who has read the case."""
    if case.waits_for_other_eyes and has_read(case, doctor):
        raise CaseConflict(
            _(
                "You have read this case already; the {stage} is another doctor's. Nothing was "
                "changed."
            ).format(stage=case.get_stage_display())
        )


def open_reading(case: Case, doctor: User) -> Reading:
    """The doctor's look at this case, begun now if it is the first."""
    return Reading.objects.get_or_create(case=case, doctor=doctor)[0]


@transaction.atomic
def break_glass(case: Case, *, request: HttpRequest, reason: str) -> AccessGrant:
    """Open a case that is not the user's for a few hours; audited, and shown on the case."""
    grant = AccessGrant.objects.create(
        user=request.user,
        case=case,
        reason=reason,
        expires_at=timezone.now() + BREAK_GLASS_TIME,
    )
    record_step(case, request, CaseEvent.Kind.BREAK_GLASS, AuditEvent.Action.BREAK_GLASS, reason)
    return grant


def save_presentation(series: Series, *, request: HttpRequest, **values: Any) -> Presentation:
    """Keep how this user wants the series shown. The file stays as it is."""
    presentation, _ = Presentation.objects.update_or_create(
        series=series, author=request.user, defaults=values
    )
    return presentation


def presentation_for(series: Series, user: User) -> Presentation | None:
    """The user's own saved view, else the newest that anybody saved."""
    saved = sorted(series.presentations.all(), key=lambda p: (p.author_id == user.pk, p.saved_at))
    return saved[-1] if saved else None


def hold_or_refuse(case: Case, doctor: User) -> None:
    """Refuse a reading of a case that is not open for it, or not to this doctor."""
    if not case.is_open_for_reading:
        raise CaseConflict(
            f"This case is {case.get_status_display()}, so it cannot be read now. "
            "Nothing was changed."
        )
    _hold(case, doctor)
    _refuse_same_eyes(case, doctor)


def _hold(case: Case, doctor: User) -> None:
    """Refuse when another doctor has the case."""
    if case.claimed_by_id not in {None, doctor.pk}:
        raise CaseConflict(
            _(
                "{claimed_by} has this case, so nothing was changed. Ask them to release it, or "
                "take it over."
            ).format(claimed_by=case.claimed_by)
        )


def _move(
    case: Case,
    status: str,
    *,
    revision: int | None = None,
    changes: dict | None = None,
    **only: Any,
) -> None:
    """Change the state if the row is as `only` and `revision` say, else raise CaseConflict."""
    if revision is not None:
        only["revision"] = revision
    values = {"status": status, **(changes or {})}
    row = Case.objects.filter(pk=case.pk, **only)
    if not row.update(revision=F("revision") + 1, **values):
        case.refresh_from_db()
        with_whom = f" It is with {case.claimed_by}." if case.claimed_by else ""
        raise CaseConflict(
            _(
                "This case changed in the meantime: it is now {state}.{with_whom} Nothing of yours "
                "was stored; reload to see it."
            ).format(state=case.get_status_display(), with_whom=with_whom)
        )
    case.refresh_from_db()


def record_step(
    case: Case,
    request: HttpRequest,
    kind: CaseEvent.Kind,
    action: AuditEvent.Action,
    text: str = "",
) -> None:
    """The case's own history and the audit row, in the same transaction."""
    CaseEvent.objects.create(
        case=case, kind=kind, actor=str(request.user), actor_pk=request.user.pk, text=text
    )
    record(action, request=request, target=case, site_pk=case.site_id)
