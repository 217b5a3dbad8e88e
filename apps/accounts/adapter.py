"""allauth: no public sign-up, landing page by role."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts.permissions import Role

LANDING = {
    Role.LABTECH: "labtech:today",
    Role.DOCTOR: "doctor:worklist",
    Role.ADMIN: "operations:home",
}


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Admins create users; nobody signs up."""
        return False

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The start page sends everybody to the landing page of their role."""
        return reverse("home")
