"""What every view of the API shares: the pages' table of permissions, and bounded lists."""

from django.views import View
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


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


class BoundedPages(LimitOffsetPagination):
    """Pages by limit and offset, of at most 200 rows whatever is asked for."""

    default_limit = 50
    max_limit = 200
