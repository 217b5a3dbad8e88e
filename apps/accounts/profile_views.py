"""One's own profile, and where one is logged in."""

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.forms import ProfileForm
from apps.accounts.models import Theme
from apps.accounts.second_factor import DEVICES, must_have
from apps.accounts.sessions import end_sessions
from apps.audit.models import AuditEvent
from apps.audit.services import record


@never_cache
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Name, time zone, display and keyboard; and the ways to password, factor and sessions."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            if form.changed_data:
                action = AuditEvent.Action.PROFILE_CHANGED
                record(action, request=request, target=request.user, fields=form.changed_data)
        messages.success(request, _("Saved."))
        return redirect("profile")
    mine = Authenticator.objects.filter(user=request.user)
    context = {
        "form": form,
        "factors": mine.filter(type__in=DEVICES).count(),
        "must_have_factor": must_have(request.user),
        "sessions": len(UserSession.objects.purge_and_list(request.user)),
    }
    return render(request, "account/profile.html", context, status=422 if form.errors else 200)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep what was chosen in the menu, so that it is there after the next log-in too."""
    if request.POST.get("theme") not in Theme.values:
        return HttpResponseBadRequest("no such display")
    request.user.theme = request.POST["theme"]
    request.user.save(update_fields=["theme"])
    return HttpResponse(status=204)


@never_cache
@require_http_methods(["GET", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """Where one is logged in; by POST, log out everywhere else."""
    if request.method == "POST":
        number = end_sessions(request.user, request=request)
        words = f"Logged out in {number} other place{'' if number == 1 else 's'}."
        messages.success(request, words if number else "You were logged in nowhere else.")
        return redirect("usersessions_list")
    found = sorted(UserSession.objects.purge_and_list(request.user), key=lambda s: -s.pk)
    for one in found:
        one.browser = _browser(one.user_agent)
    context = {"sessions": found, "here": request.session.session_key}
    return render(request, "account/sessions.html", context)


_BROWSERS = {"Edg": "Edge", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad"}
_SYSTEMS |= {"Mac OS": "Mac", "Linux": "Linux"}


def _browser(user_agent: str) -> str:
    """The browser and its system in two words; what is not known, as it says."""
    name = next((words for sign, words in _BROWSERS.items() if sign in user_agent), "")
    system = next((words for sign, words in _SYSTEMS.items() if sign in user_agent), "")
    return ", ".join(filter(None, [name, system])) or user_agent[:40]


@require_POST
def end_session(request: HttpRequest, number: int) -> HttpResponse:
    """Log out one's browser elsewhere; one that has ended meanwhile is no mistake."""
    if number >= 2**63:
        return HttpResponseBadRequest("no such session")
    ended = end_sessions(request.user, request=request, only=number)
    words = "That place is logged out." if ended else "It had ended already. Nothing was changed."
    messages.success(request, words)
    return redirect("usersessions_list")
