"""The lists of a technician's day: which cases, in which tab, in which order."""

from django.core.paginator import Page, Paginator
from django.db.models import Case as When
from django.db.models import (
    Count,
    Exists,
    IntegerField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models import When as If
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.cases.api import with_image_counts
from apps.cases.models import Case, CaseEvent, Instance, Series
from apps.cases.search import matching
from apps.classifier.models import Prediction
from apps.classifier.services import leading_prediction

ROWS_PER_PAGE = 25
Status = Case.Status
TABS = {
    "drafts": (_("Drafts"), [Status.DRAFT, Status.WITHDRAWN]),
    "returned": (_("Returned to me"), [Status.RETURNED]),
    "sent": (_("Sent"), [Status.SENT, Status.IN_REVIEW]),
    "reported": (_("Reported"), [Status.REPORTED]),
}
_ORDER = {
    "drafts": ["-id"],
    "returned": ["colleagues", "-sent_at", "-id"],
    "sent": ["-sent_at", "-id"],
    "reported": ["-reported_at", "-id"],
}
SYNTHETIC = "SYNTHETIC PHANTOM"


def tabs(user: User, words: str, mine: bool = False) -> list[dict]:
    """The tabs with how many cases each holds; of the returned ones only the user's own count."""
    wanted = {name: Q(status__in=states) for name, (_, states) in TABS.items()}
    wanted["returned"] &= Q(sent_by=user)
    wanted["unread"] = wanted["returned"] & Q(return_unread=True)
    counts = _shown(user, words, mine).aggregate(
        **{name: Count("pk", filter=condition) for name, condition in wanted.items()}
    )
    found = [{"name": name, "label": TABS[name][0], "count": counts[name]} for name in TABS]
    found[list(TABS).index("returned")]["unread"] = counts["unread"]
    return found


def _shown(user: User, words: str, mine: bool) -> QuerySet[Case]:
    """The cases of the board; one that was emptied by a merger has nothing left to show."""
    cases = matching(Case.objects.visible_to(user), words).filter(
        ~Q(status=Status.WITHDRAWN) | Exists(Series.objects.filter(study__case=OuterRef("pk")))
    )
    return cases.filter(Q(created_by=user) | Q(sent_by=user)) if mine else cases


def page_of(user: User, tab: str, words: str, number: str | int, mine: bool = False) -> Page:
    """One page of a tab. Colleagues' returned cases stand below the user's own."""
    cases = _shown(user, words, mine).filter(status__in=TABS[tab][1])
    rows = (
        with_image_counts(cases)
        .annotate(
            series_count=_series_count(),
            newest_image=_newest_image(),
            colleagues=_sent_by_colleagues(user),
        )
        .select_related("sent_by")
        .prefetch_related(
            Prefetch("predictions", Prediction.objects.defer("chest", "profile")),
            Prefetch(
                "events",
                CaseEvent.objects.filter(kind=CaseEvent.Kind.RETURNED).order_by("-id"),
                to_attr="returns",
            ),
        )
        .order_by(*_ORDER[tab])
    )
    page = Paginator(rows, ROWS_PER_PAGE).get_page(number)
    for case in page:
        case.prediction = leading_prediction(case)
    return page


def sample_case(user: User) -> Case | None:
    """A synthetic case to try things on, where one was seeded."""
    synthetic = Case.objects.visible_to(user).filter(study__series__manufacturer=SYNTHETIC)
    return synthetic.order_by("id").first()


def _series_count() -> Subquery:
    of_case = Series.objects.filter(study__case=OuterRef("pk")).order_by()
    return Subquery(of_case.values("study").annotate(number=Count("pk")).values("number"))


def _newest_image() -> Subquery:
    of_case = Instance.objects.filter(series__study__case=OuterRef("pk"))
    return Subquery(of_case.order_by("-received_at").values("received_at")[:1])


def _sent_by_colleagues(user: User) -> When:
    mine = If(sent_by=user, then=Value(0))
    return When(mine, default=Value(1), output_field=IntegerField())


def case_with_facts(cases: QuerySet) -> QuerySet:
    """What the page of one case shows."""
    return with_image_counts(cases).select_related("sent_by", "created_by")
