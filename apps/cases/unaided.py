"""Doctor-first reading: the AI's answer is kept from a doctor until their opinion is recorded.

The rule is here, in one place; every page and API that shows an answer of the AI asks it.
"""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import Site, User
from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.cases.models import Case, CaseEvent, Reading, UnaidedOpinion
from apps.cases.services import CaseConflict, hold_or_refuse, open_reading, record_step

DOCTOR_FIRST = Site.ReadingMode.DOCTOR_FIRST
WHY_HIDDEN = (
    "Your site reads doctor first: what the AI said of this case is shown after you have "
    "recorded your own opinion."
)


def hidden_among(cases: Iterable[Case], user: User) -> set[int]:
    """The keys of those cases whose AI answer this user must not see yet. One query.

    A reported case hides nothing. An opinion counts for the case as it was sent the last time;
    so does an answer that was shown before the site chose to read doctor first.
    """
    if not user.can(Permission.READ_CASE):
        return set()
    saw = Reading.objects.filter(case=OuterRef("pk"), doctor=user).filter(
        Q(unaided_opinions__given_at__gte=OuterRef("sent_at"))
        | Q(ai_first_shown_at__gte=OuterRef("sent_at"))
    )
    waiting = Case.objects.filter(
        pk__in=[case.pk for case in cases], site__reading_mode=DOCTOR_FIRST
    )
    waiting = waiting.exclude(status=Case.Status.REPORTED).exclude(Exists(saw))
    return set(waiting.values_list("pk", flat=True))


def hides_ai(case: Case, user: User) -> bool:
    """Whether what the AI said of this case is kept from this user for now."""
    return bool(hidden_among([case], user))


@transaction.atomic
def record_opinion(
    case: Case, *, request: HttpRequest, cancer: str, diagnoses: list[str], text: str
) -> UnaidedOpinion:
    """Keep what the doctor thinks before the AI is shown. It is written once and stays.

    Raises CaseConflict where it would not be unaided, or where another doctor has the case.
    """
    hold_or_refuse(case, request.user)
    reading = open_reading(case, request.user)
    # Of two clicks at once the second waits here, and then sees that nothing is hidden any more.
    Reading.objects.filter(pk=reading.pk).update(opened_at=F("opened_at"))
    if not hides_ai(case, request.user):
        raise CaseConflict(
            "The AI's answer is open to you already, so an opinion before it cannot be recorded. "
            "Nothing was changed; reload the page."
        )
    opinion = UnaidedOpinion.objects.create(
        reading=reading, cancer=cancer, diagnoses=diagnoses, text=text
    )
    record_step(
        case,
        request,
        CaseEvent.Kind.OPINION,
        AuditEvent.Action.OPINION,
        opinion.get_cancer_display(),
    )
    return opinion


def times_of(reading: Reading) -> str:
    """The opinion and the AI's first showing with their times, for the report; else empty."""
    opinion = reading.unaided_opinions.last()
    if opinion is None:
        return ""
    given = timezone.localtime(opinion.given_at)
    words = f"Opinion before the AI was shown: {opinion.get_cancer_display()}, {given:%H:%M:%S}"
    if reading.ai_first_shown_at is None:
        return f"{words}; AI not shown."
    return f"{words}; AI shown {timezone.localtime(reading.ai_first_shown_at):%H:%M:%S}."
