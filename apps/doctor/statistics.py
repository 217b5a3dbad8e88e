"""What a doctor did in a period, and how often they and the AI or a colleague said the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import F

from apps.accounts.models import User
from apps.accounts.permissions import Role
from apps.cases.models import Reading, UnaidedOpinion, Verdict
from apps.classifier.models import Finding, FindingVerdict, TrainingExample
from apps.doctor.answers import disagrees


@dataclass(frozen=True)
class Agreement:
    """So many of so many; none where nothing could be compared."""

    same: int
    compared: int

    @property
    def words(self) -> str:
        if not self.compared:
            return "nothing to compare"
        share = round(100 * self.same / self.compared)
        return f"{self.same} of {self.compared} ({share} %)"


@dataclass(frozen=True)
class Work:
    """One doctor's period. Times are from opening a case to signing it, breaks included."""

    doctor: User
    cases: int
    median_minutes: float | None
    with_ai: Agreement
    with_colleagues: Agreement
    kept_opinion: Agreement
    corrections: int


def work_of(doctor: User, since: datetime) -> Work:
    """The doctor's finished readings since then."""
    readings = Reading.objects.filter(doctor=doctor, finished_at__gte=since)
    minutes = [
        took / timedelta(minutes=1)
        for took in readings.annotate(took=F("finished_at") - F("opened_at")).values_list(
            "took", flat=True
        )
    ]
    return Work(
        doctor=doctor,
        cases=len(minutes),
        median_minutes=round(median(minutes), 1) if minutes else None,
        with_ai=_with_ai(doctor, since),
        with_colleagues=_with_colleagues(doctor, since),
        kept_opinion=_kept_opinion(doctor, since),
        corrections=TrainingExample.objects.filter(sent_by=doctor, sent_at__gte=since).count(),
    )


def colleagues_of(user: User) -> Iterable[User]:
    """Whose statistics this doctor sees: their own, and the site's if it shows them."""
    if not user.site.shows_statistics:
        return [user]
    return User.objects.filter(site=user.site, role=Role.DOCTOR, is_active=True)


def _with_ai(doctor: User, since: datetime) -> Agreement:
    """Answers to findings of the AI, against its call at the operating point used."""
    answers = FindingVerdict.objects.filter(
        verdict__doctor=doctor,
        verdict__given_at__gte=since,
        finding__source=Finding.Source.MODEL,
    ).select_related("finding__prediction")
    answers = answers.prefetch_related("finding__prediction__model_versions")
    same = [not disagrees(one.finding, one.label) for one in answers]
    return Agreement(sum(same), len(same))


def _with_colleagues(doctor: User, since: datetime) -> Agreement:
    """Cases that somebody else read too: the last word of each on cancer."""
    mine = _last_words(Verdict.objects.filter(doctor=doctor, given_at__gte=since))
    others = _last_words(Verdict.objects.filter(case__in=mine).exclude(doctor=doctor))
    same = [others[case] == cancer for case, cancer in mine.items() if case in others]
    return Agreement(sum(same), len(same))


def _last_words(verdicts: Iterable[Verdict]) -> dict[int, str]:
    return dict(verdicts.order_by("pk").values_list("case_id", "cancer"))


def _kept_opinion(doctor: User, since: datetime) -> Agreement:
    """Where the site reads doctor first: verdicts that still say what the opinion said."""
    before = dict(
        UnaidedOpinion.objects.filter(reading__doctor=doctor, given_at__gte=since)
        .order_by("pk")
        .values_list("reading__case_id", "cancer")
    )
    after = _last_words(Verdict.objects.filter(doctor=doctor, case__in=before))
    same = [before[case] == cancer for case, cancer in after.items()]
    return Agreement(sum(same), len(same))
