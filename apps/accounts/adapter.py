"""allauth: no public sign-up, landing page by role."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts.failed_logins import record_refused
from apps.accounts.permissions import Role
from apps.audit.services import client_address

LANDING = {
    Role.LABTECH: "labtech:today",
    Role.DOCTOR: "doctor:worklist",
    Role.ADMIN: "operations:home",
}


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Admins create users; nobody signs up."""
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """After too many attempts the password is not looked at, so no signal tells of it."""
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            record_refused(request, how="throttled", actor=str(credentials.get("email") or ""))
            raise

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The start page sends everybody to the landing page of their role."""
        return reverse("home")

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address as the audit trail knows it; "::" where nobody can tell."""
        return client_address(request) or "::"
