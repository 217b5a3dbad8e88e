"""People: who has an account, and what admins do about it."""

from collections.abc import Callable

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import people
from apps.accounts.models import User
from apps.accounts.notifications import mail_is_sent
from apps.accounts.permissions import Permission, Role, require
from apps.accounts.second_factor import DEVICES
from apps.accounts.sessions import end_sessions
from apps.operations.forms import InviteForm

PEOPLE_PER_PAGE = 50
_WORDS = "operations_people"


@never_cache
@require_http_methods(["GET", "POST"])
@require(Permission.USE_ADMIN)
def all_people(request: HttpRequest) -> HttpResponse:
    """Everybody with an account; by POST, those whom the words name (kept in the session)."""
    if request.method == "POST":
        request.session[_WORDS] = request.POST.get("words", "")[:200].strip()
        return redirect("operations:people")
    words = request.session.get(_WORDS, "")
    page = Paginator(_found(words), PEOPLE_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": page, "words": words, "roles": Role.choices}
    return render(request, "operations/people.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@require(Permission.USE_ADMIN)
def invite(request: HttpRequest) -> HttpResponse:
    """Make an account. Its owner gets a link by mail; without mail the admin passes it on."""
    form = InviteForm(request.POST or None, initial={"site": request.user.site_id})
    if request.method == "GET" or not form.is_valid():
        status = 422 if form.errors else 200
        context = {"form": form, "mail": mail_is_sent()}
        return render(request, "operations/invite.html", context, status=status)
    user = people.invite(request=request, **form.cleaned_data)
    return _hand_over(request, user)


def _hand_over(request: HttpRequest, user: User) -> HttpResponse:
    if mail_is_sent():
        people.mail_link(user, request=request)
        messages.success(request, f"{user.email} gets a mail with a link to choose a password.")
        return redirect("operations:people")
    context = {"person": user, "link": people.link_for(user, request=request)}
    return render(request, "operations/invited.html", context)


@require_POST
@require(Permission.USE_ADMIN)
def act(request: HttpRequest, number: int, step: str) -> HttpResponse:
    """One step on one account: see STEPS."""
    if number >= 2**63:
        return HttpResponseBadRequest("no such account")
    user = get_object_or_404(User, pk=number)
    if step not in {"link", *STEPS}:
        raise Http404
    if step == "link":
        return _hand_over(request, user)
    if user == request.user:
        messages.error(request, "That is your own account. Another admin can do this to it.")
        return redirect("operations:people")
    try:
        messages.success(request, STEPS[step](request, user))
    except people.LastAdmin:
        messages.error(request, "This is the last active admin. Make somebody else one first.")
    return redirect("operations:people")


def _switch_off(request: HttpRequest, user: User) -> str:
    people.switch_off(user, request=request)
    return f"{user} is logged out and cannot log in any more. What they did keeps their name."


def _switch_on(request: HttpRequest, user: User) -> str:
    people.switch_on(user, request=request)
    return f"{user} can log in again."


def _reset_factor(request: HttpRequest, user: User) -> str:
    number = people.reset_second_factor(user, request=request)
    if not number:
        return f"{user} has no second factor. Nothing was changed."
    return f"{user} is logged out, and logs in with the password alone until a new one is set up."


def _log_out(request: HttpRequest, user: User) -> str:
    number = end_sessions(user, request=request)
    return f"{user} was logged out in {number} place{'' if number == 1 else 's'}."


STEPS: dict[str, Callable[[HttpRequest, User], str]] = {
    "switch-off": _switch_off,
    "switch-on": _switch_on,
    "reset-factor": _reset_factor,
    "log-out": _log_out,
}


def _found(words: str) -> QuerySet[User]:
    """Everybody, or those whom each of the words names; with what the list shows of them."""
    users = User.objects.select_related("site", "auth_token").annotate(
        sessions=Count("usersession"),
        has_factor=Exists(Authenticator.objects.filter(user=OuterRef("pk"), type__in=DEVICES)),
    )
    for word in words.split():
        users = users.filter(
            Q(email__icontains=word)
            | Q(first_name__icontains=word)
            | Q(last_name__icontains=word)
            | Q(site__name__icontains=word)
        )
    return users.order_by("-is_active", "last_name", "first_name", "email")
