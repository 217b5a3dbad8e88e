"""The worklist page, its refreshed rows, search, and the next case."""

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.permissions import Permission, require
from apps.cases.api import with_image_counts
from apps.cases.models import Case
from apps.classifier.adjudication import opinions_waiting
from apps.classifier.watching import why_off
from apps.doctor.assigning import assign, receivers_of
from apps.doctor.forms import AssignForm, SearchForm
from apps.doctor.services import claim_next
from apps.doctor.worklist import (
    MOST_COUNTED,
    SHOWN_FIRST,
    cases_for,
    count_in_words,
    counts_for,
    filters_for,
    rows_for,
    spell,
)

ROWS_PER_PAGE = 40
SEARCH, SHOW = "worklist_search", "worklist_show"


@require_safe
@require(Permission.READ_CASE)
def worklist(request: HttpRequest) -> HttpResponse:
    """The doctor's cases. The filter and the search survive a reload in the session."""
    asked = request.GET.get("show")
    if asked in filters_for(request.user):
        request.session[SHOW] = asked
    opinions = opinions_waiting(request.user).count()
    return render(request, "doctor/worklist.html", {**_context(request), "opinions": opinions})


@require_safe
@require(Permission.READ_CASE)
def rows(request: HttpRequest) -> HttpResponse:
    """The parts of the page that change by themselves."""
    return render(request, "doctor/worklist_live.html", _context(request))


@require_POST
@require(Permission.READ_CASE)
def search(request: HttpRequest) -> HttpResponse:
    """Keep the search; it looks through all of the doctor's cases."""
    form = SearchForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The search is too long or has unreadable signs in it.")
        return redirect("doctor:worklist")
    words = form.cleaned_data["search"]
    request.session[SEARCH] = words
    request.session[SHOW] = "all" if words else SHOWN_FIRST
    return redirect("doctor:worklist")


@require_POST
@require(Permission.READ_CASE)
def next_case(request: HttpRequest) -> HttpResponse:
    """Claim the first case that nobody reads, and open it."""
    case = claim_next(request)
    if case is None:
        messages.info(request, "No case is waiting for you. New ones appear here by themselves.")
        return redirect("doctor:worklist")
    return redirect("doctor:case", public_id=case.public_id)


@require_POST
@require(Permission.READ_CASE)
def assign_cases(request: HttpRequest) -> HttpResponse:
    """Give the ticked cases to a doctor of a group that this doctor leads."""
    form = AssignForm(receivers_of(request.user), request.POST)
    if not form.is_valid():
        words = " ".join(error for errors in form.errors.values() for error in errors)
        messages.error(request, f"{words} Nothing was changed.")
        return redirect("doctor:worklist")
    doctor, cases = form.cleaned_data["doctor"], form.cleaned_data["cases"]
    given = assign(cases, doctor=doctor, request=request)
    left = len(cases) - given
    words = f"{given} given to {doctor}."
    if left:
        words += f" {left} stayed where they are: somebody was faster, or they have read it before."
    (messages.success if given else messages.warning)(request, words)
    return redirect("doctor:worklist")


def _context(request: HttpRequest) -> dict:
    user = request.user
    show = request.session.get(SHOW, SHOWN_FIRST)
    words = request.session.get(SEARCH, "")
    counts = counts_for(user)
    page = _page(request, cases_for(user, show=show, search=words), counts[show], words)
    oldest = counts["oldest"]
    return {
        "ai_off": why_off(),
        "rows": rows_for(page.object_list, user),
        "page_obj": page,
        "chips": [
            {"name": name, "label": label, "count": count_in_words(counts[name])}
            for name, (label, _) in filters_for(user).items()
        ],
        "may_be_given_to": receivers_of(user),
        "show": show,
        "search": words,
        "to_read": counts["to_read"],
        "to_read_words": count_in_words(counts["to_read"]),
        "urgent": count_in_words(counts["urgent"]) if counts["urgent"] else "",
        "capped": page.paginator.count >= MOST_COUNTED,
        "most": MOST_COUNTED,
        "longest": spell(int((timezone.now() - oldest).total_seconds() // 60)) if oldest else "",
        "statuses": Case.Status,
    }


def _page(request: HttpRequest, cases: QuerySet[Case], known: int, words: str) -> Page:
    """One page of cases; without a search the chip's count is known already.

    First the keys of the page alone, then what its rows show: the database joins forty rows, not
    all that it sorted. What a search finds is not counted, only whether there is a page more.
    """
    keys = cases.values_list("pk", flat=True)
    paginator = Paginator(keys, ROWS_PER_PAGE)
    asked = request.GET.get("page", "")
    if words:
        number = max(1, int(asked)) if asked.isdecimal() and len(asked) < 6 else 1
        before = min(number - 1, MOST_COUNTED // ROWS_PER_PAGE) * ROWS_PER_PAGE
        known = before + len(keys[before : before + ROWS_PER_PAGE + 1])
    paginator.count = min(known, MOST_COUNTED)
    page = paginator.get_page(asked)
    rows = {case.pk: case for case in with_image_counts(Case.objects.filter(pk__in=list(page)))}
    page.object_list = [rows[pk] for pk in page if pk in rows]
    return page
