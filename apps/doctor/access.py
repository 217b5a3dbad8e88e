"""Who may act on a case, who may only look, and how break-glass finds one."""

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case, CriticalResult, UnaidedOpinion, Verdict
from apps.cases.unaided import hides_ai
from apps.classifier.models import Confirmation, Prediction
from apps.classifier.services import predictions_of
from apps.classifier.watching import why_off

MOST_MATCHES = 20


def is_readable(case: Case, user: User) -> bool:
    """Whether the case is this doctor's to work on, not only to look at by break-glass."""
    return (
        user.can(Permission.READ_CASE)
        and Case.objects.readable_by(user).filter(pk=case.pk).exists()
    )


def looks_only(case: Case, user: User) -> bool:
    """Whether this is a doctor who sees the case by break-glass alone."""
    return user.can(Permission.READ_CASE) and not is_readable(case, user)


def is_blind(case: Case, user: User) -> bool:
    """Whether this doctor must not see what others said: until the second reading is signed."""
    return case.is_read_apart and is_readable(case, user)


def reads_alone(case: Case, user: User) -> bool:
    """Whether this doctor must form an opinion first: in a second read, or before the AI's."""
    return is_blind(case, user) or hides_ai(case, user)


def verdicts_for(case: Case, user: User) -> QuerySet[Verdict]:
    """The case's verdicts that this user may see, newest first."""
    return case.verdicts.filter(doctor=user) if reads_alone(case, user) else case.verdicts.all()


def opinions_for(case: Case, user: User) -> QuerySet[UnaidedOpinion]:
    """The opinions before the AI that this user may see, the oldest first."""
    given = UnaidedOpinion.objects.filter(reading__case=case).select_related("reading__doctor")
    return given.filter(reading__doctor=user) if reads_alone(case, user) else given


def visible_predictions(case: Case, user: User) -> QuerySet[Prediction]:
    """The case's predictions, newest first; none while they are kept from this doctor, or the
    AI is switched off."""
    asked = predictions_of(case)
    return asked.none() if why_off() or hides_ai(case, user) else asked


def critical_results_for(case: Case, user: User) -> QuerySet[CriticalResult]:
    """Who was told what, newest first; to who must read alone first only what they told."""
    told = case.critical_results.select_related("told_by")
    return told.filter(told_by=user) if reads_alone(case, user) else told


def confirmations_for(case: Case, user: User) -> QuerySet[Confirmation]:
    """What pathology or follow-up showed, newest first; none to who must read alone first."""
    return case.confirmations.none() if reads_alone(case, user) else case.confirmations.all()


def look_up(number: str, request: HttpRequest) -> list[Case]:
    """`cases_by_number`, audited: that a number exists is already something told."""
    found = cases_by_number(number)
    record(AuditEvent.Action.VIEWED, request=request, what="break-glass search", found=len(found))
    return found


def cases_by_number(number: str) -> list[Case]:
    """The cases with exactly this Patient ID or accession number, newest study first.

    Part of a number or a name finds nothing: break-glass is for somebody who knows whom.
    """
    number = number.strip()
    if not number:
        return []
    same = Q(study__patient__patient_id=number) | Q(study__accession_number=number)
    found = Case.objects.filter(same).exclude(status=Case.Status.WITHDRAWN)
    return list(
        found.select_related("study", "site").order_by("-study__study_date", "-pk")[:MOST_MATCHES]
    )
