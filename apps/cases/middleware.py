"""Says no to an upload before a byte of its body is read."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework.exceptions import AuthenticationFailed

from apps.accounts.api import AuditedTokens
from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage

# Forms and JSON stay far below; only uploaded files are larger.
LARGE = 1024 * 1024


class UploadGuard:
    """Refuses bodies that are too large, that the disk has no room for, or from strangers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        size = _declared_size(request)
        is_upload = request.content_type == "multipart/form-data"
        if size <= LARGE and not is_upload:
            return self.get_response(request)
        return self._refusal(request, size) or self.get_response(request)

    def _refusal(self, request: HttpRequest, size: int) -> HttpResponse | None:
        user = _sender(request)
        if size > LARGE and user is None:
            return _answer(request, 401, "login_needed", "Log in before you send files.")
        if size > LARGE and not user.can(Permission.UPLOAD):
            return _answer(request, 403, "not_allowed", "Your role may not send files.")
        if size > settings.MAX_UPLOAD_MB * 1024 * 1024:
            return _noted(
                _answer(
                    request,
                    413,
                    "too_large",
                    f"This file is too large: at most {settings.MAX_UPLOAD_MB} MB can be sent at "
                    "once. Nothing of it was stored.",
                ),
                request,
                user,
                "too_large",
                size,
            )
        try:
            storage.ensure_room(size)
        except storage.DiskNearlyFull as full:
            answer = _answer(request, 507, "disk_full", full.message)
            return _noted(answer, request, user, "disk_full", size)
        return None


def _declared_size(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _sender(request: HttpRequest) -> User | None:
    """Who sends this, by session or by token; the body is not needed to know."""
    if request.user.is_authenticated:
        return request.user
    try:
        found = AuditedTokens().authenticate(request)
    except AuthenticationFailed:
        return None
    return found[0] if found else None


def _noted(
    answer: HttpResponse, request: HttpRequest, user: User | None, code: str, size: int
) -> HttpResponse:
    if user is not None:
        record(AuditEvent.Action.UPLOAD_REFUSED, request=request, user=user, code=code, size=size)
    return answer


def _answer(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    """JSON for programs and scripts, a page for a form sent by a browser."""
    if request.path.startswith("/api/") or not request.accepts("text/html"):
        told = {"outcome": "refused", "code": code, "message": message, "detail": message}
        return JsonResponse(told, status=status)
    return render(request, "upload_refused.html", {"message": message}, status=status)
