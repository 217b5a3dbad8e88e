"""What every view of the API shares: the pages' table of permissions, and bounded lists."""

from typing import Any

from django.http import HttpRequest
from django.views import View
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, ParseError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.accounts.failed_logins import record_refused


class MayUse(BasePermission):
    """Let the user in whose role grants the view's `permission` (or `permissions[method]`).

    A view that names none is closed to everybody.
    """

    message = "Your role may not do this."

    def has_permission(self, request: Request, view: View) -> bool:
        per_method = getattr(view, "permissions", {})
        needed = per_method.get(request.method, getattr(view, "permission", None))
        if request.method == "OPTIONS" and request.user.is_authenticated:
            return True
        return bool(needed and request.user.is_authenticated and request.user.can(needed))


class AuditedTokens(TokenAuthentication):
    """Log-in by token; a wrong one goes to the audit trail, without the token."""

    def authenticate(self, request: Request | HttpRequest) -> tuple | None:
        try:
            return super().authenticate(request)
        except AuthenticationFailed:
            # The API's own request would ask for its user, which is what failed just now.
            record_refused(getattr(request, "_request", request), how="token")
            raise


class BoundedPages(LimitOffsetPagination):
    """Pages by limit and offset, of at most 200 rows whatever is asked for."""

    default_limit = 50
    max_limit = 200


class ShallowJSONParser(JSONParser):
    """JSON that a program would write: a thousand brackets in each other are refused, not tried."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
