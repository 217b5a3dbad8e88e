"""A doctor's worklist: which cases, in which order, and what each row says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Case as Choose
from django.db.models import Count, IntegerField, Min, Prefetch, Q, QuerySet, Value, When
from django.utils import timezone

from apps.accounts.models import User
from apps.cases.api import with_image_counts
from apps.cases.models import Case, Reading
from apps.cases.pictures import text_of_age
from apps.cases.search import matching
from apps.cases.unaided import hidden_among
from apps.classifier.models import Finding, Prediction
from apps.classifier.watching import why_off
from apps.doctor.answers import HIDDEN, Answer, summarise, switched_off

Status = Case.Status
TO_READ = Q(status__in=[Status.SENT, Status.IN_REVIEW])
SHOWN_FIRST = "to_read"
MOST_COUNTED = 1000
PAST = ("reported", "all")
SOON = 0.75


def filters_for(user: User) -> dict[str, tuple[str, Q]]:
    """Each chip's word and what it lets through, for this doctor."""
    mine = TO_READ & (
        Q(claimed_by=user) | Q(receiver=user, status=Status.SENT, claimed_by__isnull=True)
    )
    return {
        "to_read": ("To read", TO_READ),
        "mine": ("Mine", mine),
        "urgent": ("Urgent", TO_READ & Q(priority__lte=Case.Priority.URGENT)),
        "returned": ("Returned", Q(status=Status.RETURNED)),
        "reported": ("Reported", Q(status=Status.REPORTED)),
        "all": ("All", Q()),
    }


def counts_for(user: User) -> dict:
    """How many cases each chip holds, and since when the longest waiting one waits.

    The open ones are few and counted all. Of what is done no more than MOST_COUNTED + 1 are:
    nobody pages through more, and a hospital's past is not counted every few seconds.
    """
    chips = filters_for(user)
    mine = Case.objects.readable_by(user).order_by()
    done = {name: mine.filter(chips[name][1])[: MOST_COUNTED + 1].count() for name in PAST}
    numbers = {name: Count("pk", filter=q) for name, (_, q) in chips.items() if name not in PAST}
    # Named first, so that PostgreSQL reads the small index of open cases and nothing else.
    still_open = mine.filter(status__in=[Status.SENT, Status.IN_REVIEW, Status.RETURNED])
    return done | still_open.aggregate(**numbers, oldest=Min("sent_at", filter=TO_READ))


def count_in_words(number: int) -> str:
    """A number of cases as the page shows it: exact, or "1,000+"."""
    return f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"


def cases_for(user: User, *, show: str = SHOWN_FIRST, search: str = "") -> QuerySet[Case]:
    """The chosen cases: unread first, then by priority, then the longest waiting.

    Of everything, and of what a search finds, the newest come first: that needs no sorting of
    all that ever was.
    """
    cases = matching(Case.objects.readable_by(user).filter(filters_for(user)[show][1]), search)
    cases = with_image_counts(cases.annotate(turn=_turn(user)))
    if show == "reported":
        return cases.order_by("-reported_at", "-pk")
    if show == "all":
        return cases.order_by("-pk")
    return cases.order_by("turn", "priority", "sent_at", "pk")


def _turn(user: User) -> Choose:
    """Unread cases and one's own first, then what another doctor reads, then what is done."""
    return Choose(
        When(status=Status.SENT, then=Value(0)),
        When(status=Status.IN_REVIEW, claimed_by=user, then=Value(0)),
        When(status=Status.IN_REVIEW, then=Value(1)),
        When(status=Status.RETURNED, then=Value(2)),
        default=Value(3),
        output_field=IntegerField(),
    )


def next_unclaimed(user: User) -> QuerySet[Case]:
    """What nobody reads yet, in the order of the list."""
    return Case.objects.claimable_by(user).order_by("priority", "sent_at", "pk")


@dataclass(frozen=True)
class Waiting:
    """How long a case waits, against the target of its priority."""

    words: str
    target: str
    target_minutes: int
    step: str
    """ "", "soon" from three quarters of the target, "late" after it."""


@dataclass(frozen=True)
class Row:
    """One line of the worklist."""

    case: Case
    answer: Answer
    waiting: Waiting | None
    others: int
    """Other studies of the same patient that this doctor may open."""
    opened: bool
    mine: bool

    @property
    def age(self) -> str:
        """The patient's age as the study says it."""
        return text_of_age(self.case.study.patient_age)


def rows_for(cases: Iterable[Case], user: User) -> list[Row]:
    """Rows for one page of cases, in a number of queries that does not grow with the page."""
    cases = list(cases)
    off = why_off()
    answers = {} if off else answers_for(cases)
    hidden = hidden_among(cases, user)
    others = _other_studies(cases, user)
    opened = set(
        Reading.objects.filter(doctor=user, case__in=cases).values_list("case_id", flat=True)
    )
    return [
        Row(
            case=case,
            answer=_answer(case, answers.get(case.pk, []), off, hidden),
            waiting=waiting_of(case),
            others=others.get(case.study.patient_id, 1) - 1,
            opened=case.pk in opened,
            mine=case.claimed_by_id == user.pk,
        )
        for case in cases
    ]


def _answer(case: Case, said: list[Prediction], off: str, hidden: set[int]) -> Answer:
    if off:
        return switched_off()
    return HIDDEN if case.pk in hidden else summarise(said)


def answers_for(cases: list[Case]) -> dict[int, list[Prediction]]:
    """The cases' predictions with their findings, without the long columns."""
    predictions = (
        Prediction.objects.filter(case__in=cases, shadow=False)
        .defer("chest", "profile", "warnings")
        .prefetch_related(Prefetch("findings", Finding.objects.order_by("number")))
    )
    by_case: dict[int, list[Prediction]] = {}
    for prediction in predictions:
        by_case.setdefault(prediction.case_id, []).append(prediction)
    return by_case


def _other_studies(cases: list[Case], user: User) -> dict[int, int]:
    return dict(
        Case.objects.visible_to(user)
        .filter(study__patient__in={case.study.patient_id for case in cases})
        .order_by()
        .values_list("study__patient")
        .annotate(Count("pk"))
    )


def waiting_of(case: Case) -> Waiting | None:
    """The waiting time of a case that is still to be read, else None."""
    if case.sent_at is None or case.status not in {Status.SENT, Status.IN_REVIEW}:
        return None
    minutes = max(0, int((timezone.now() - case.sent_at) / timedelta(minutes=1)))
    target = settings.READING_TARGET_MINUTES[Case.Priority(case.priority).name.lower()]
    step = "late" if minutes > target else "soon" if minutes >= target * SOON else ""
    words = spell(minutes) + (f", over {spell(target)}" if step == "late" else "")
    return Waiting(words, _target(target), target, step)


def _target(minutes: int) -> str:
    return f"{minutes} min" if minutes <= 90 else f"{minutes // 60} h"


def spell(minutes: int) -> str:
    """Minutes as people say them: "52 min", "2 h 10 min", "3 days"."""
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest:02d} min"
    return f"{hours // 24} days"
