"""How long a log-in lasts, what it may do before its second factor, and in whose words."""

import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.accounts import second_factor
from apps.accounts.models import User

LOGGED_IN_AT, SEEN_AT = "logged_in_at", "seen_at"
# A page that looks for news by itself says so; nobody need sit before it.
BY_ITSELF = "X-By-Itself"
_NOTED_EVERY = 60
# Setting a second factor up, one's password, and the way out.
_OPEN_WITHOUT = "/accounts/"

Answer = Callable[[HttpRequest], HttpResponse]


class SessionLimits:
    """Ends a session that nobody used for SESSION_IDLE_MINUTES, or that is SESSION_HOURS old."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = int(time.time())
        over = request.user.is_authenticated and _over(request.session, now)
        if over:
            request.logged_out_because = over  # for the audit row that the log-out writes
            logout(request)
        elif request.user.is_authenticated and BY_ITSELF not in request.headers:
            _note(request, now)
        response = _to_log_in(request, self.get_response(request))
        if over:  # the images go; what was typed stays for whoever logs in again
            response["Clear-Site-Data"] = '"cache"'
        return response


def _to_log_in(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """A part of a page asked for after the log-in ended: the page stays, with what is in it."""
    log_in = reverse(settings.LOGIN_URL)
    if "HX-Request" not in request.headers or not response.get("Location", "").startswith(log_in):
        return response
    return HttpResponse(
        _(
            "You are logged out. What was saved is kept. Log in again in another tab, "
            "then repeat the last step."
        ),
        status=401,
        content_type="text/plain; charset=utf-8",
    )


def _over(session: dict, now: int) -> str:
    """Why the session ends here: its age, nobody there, or (empty) it does not."""
    if now - session.get(LOGGED_IN_AT, now) >= settings.SESSION_COOKIE_AGE:
        return "too old"
    idle = settings.SESSION_IDLE_MINUTES * 60
    return "not used" if now - session.get(SEEN_AT, now) >= idle else ""


def _note(request: HttpRequest, now: int) -> None:
    """Remember, at most once a minute, that somebody was here."""
    session = request.session
    session.setdefault(LOGGED_IN_AT, now)
    if now - session.get(SEEN_AT, 0) < _NOTED_EVERY:
        return
    known = UserSession.objects.filter(session_key=session.session_key)
    if not known.update(last_seen_at=timezone.now()):  # it began under an older version
        UserSession.objects.create_from_request(request)
    session[SEEN_AT] = now


class SecondFactor:
    """Whoever must have a second factor sets one up first. Tokens of the API need none."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _lacks_it(request.user) and not request.path.startswith(_OPEN_WITHOUT):
            return _first_the_factor(request)
        return self.get_response(request)


def _lacks_it(user: User | AnonymousUser) -> bool:
    must = user.is_authenticated and second_factor.must_have(user)
    return must and not second_factor.has_one(user)


def _first_the_factor(request: HttpRequest) -> HttpResponse:
    words = "Your role needs a second factor for logging in. Set it up first."
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": words, "code": "second_factor_needed"}, status=403)
    return redirect("mfa_index")


class OwnWays:
    """Pages in the language, and times in the zone, that the person chose."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = getattr(request.user, "time_zone", "")
        language = getattr(request.user, "language", "") or settings.LANGUAGE_CODE
        in_zone = timezone.override(ZoneInfo(zone) if zone else timezone.get_default_timezone())
        with in_zone, translation.override(language):
            return self.get_response(request)
