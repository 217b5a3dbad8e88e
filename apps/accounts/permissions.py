"""The whole access policy by role. What belongs to whom is in `Case.objects.visible_to`."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps

from django.core.exceptions import PermissionDenied
from django.db.models import TextChoices
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    LABTECH = "labtech", _("technician")
    DOCTOR = "doctor", _("doctor")
    ADMIN = "admin", _("admin")


class Permission(StrEnum):
    UPLOAD = "upload"
    SEND_CASE = "send_case"
    VIEW_CASE = "view_case"
    SAVE_PRESENTATION = "save_presentation"
    MEASURE = "measure"
    OVERRIDE_GATE = "override_gate"
    RETRY_PREDICTION = "retry_prediction"
    READ_CASE = "read_case"
    BREAK_GLASS = "break_glass"
    DECIDE_EXAMPLES = "decide_examples"
    MANAGE_MODELS = "manage_models"
    USE_ADMIN = "use_admin"


# Every case page also asks whether this very case is visible to the user. An admin holds
# VIEW_CASE but sees no case until break-glass opens one.
ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    Role.LABTECH: frozenset(
        {
            Permission.UPLOAD,
            Permission.SEND_CASE,
            Permission.VIEW_CASE,
            Permission.SAVE_PRESENTATION,
            Permission.MEASURE,
            Permission.OVERRIDE_GATE,
            Permission.RETRY_PREDICTION,
        }
    ),
    Role.DOCTOR: frozenset(
        {
            Permission.VIEW_CASE,
            Permission.SAVE_PRESENTATION,
            Permission.MEASURE,
            Permission.OVERRIDE_GATE,
            Permission.RETRY_PREDICTION,
            Permission.READ_CASE,
            Permission.BREAK_GLASS,
        }
    ),
    Role.ADMIN: frozenset(
        {
            Permission.VIEW_CASE,
            Permission.BREAK_GLASS,
            Permission.DECIDE_EXAMPLES,
            Permission.MANAGE_MODELS,
            Permission.RETRY_PREDICTION,
            Permission.USE_ADMIN,
        }
    ),
}


def require(permission: Permission) -> Callable[[Callable], Callable]:
    """Let only users whose role grants `permission` into the view; others get 403."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if not request.user.can(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.permission = permission
        return guarded

    return decorate
