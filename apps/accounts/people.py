"""What admins do to accounts: invite, switch off and on, take a lost second factor away."""

from allauth.account.adapter import get_adapter
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts import second_factor
from apps.accounts.models import Site, User
from apps.accounts.permissions import Role
from apps.accounts.sessions import end_sessions
from apps.audit.models import AuditEvent
from apps.audit.services import record


class LastAdmin(Exception):
    """Nobody would be left who can let people in."""


@transaction.atomic
def invite(
    *, email: str, first_name: str, last_name: str, role: str, site: Site, request: HttpRequest
) -> User:
    """Make an account without a password; its owner sets one by the link of `link_for`."""
    user = User.objects.create_user(
        email, None, first_name=first_name, last_name=last_name, role=role, site=site
    )
    record(AuditEvent.Action.INVITED, request=request, target=user, role=role, site=site.pk)
    return user


def link_for(user: User, *, request: HttpRequest) -> str:
    """The address under which this person sets a password, once, within three days."""
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    path = reverse("account_reset_password_from_key", args=["x", "x"]).replace("x-x", key)
    return request.build_absolute_uri(path)


def mail_link(user: User, *, request: HttpRequest) -> None:
    """Send the link to its owner."""
    context = {"user": user, "link": link_for(user, request=request), "by": request.user}
    get_adapter(request).send_mail("account/email/invitation", user.email, context)


@transaction.atomic
def switch_off(user: User, *, request: HttpRequest) -> None:
    """Close the account and end its sessions. Raises LastAdmin."""
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True)
    if {one.pk for one in admins.order_by("pk")} == {user.pk}:
        raise LastAdmin
    _set_active(user, False, request)
    end_sessions(user, request=request)


@transaction.atomic
def switch_on(user: User, *, request: HttpRequest) -> None:
    """Open the account again."""
    _set_active(user, True, request)


@transaction.atomic
def reset_second_factor(user: User, *, request: HttpRequest) -> int:
    """Forget a lost factor, and end the sessions that it had opened; how many were forgotten."""
    number = second_factor.reset(user, request=request)
    end_sessions(user, request=request)
    return number


def _set_active(user: User, active: bool, request: HttpRequest) -> None:
    if User.objects.filter(pk=user.pk, is_active=not active).update(is_active=active):
        values = {"is_active": [not active, active]}
        action = AuditEvent.Action.ADMIN_CHANGED
        record(action, request=request, target=user, step="changed", values=values)
