"""The start page, and the ways in and out that differ from allauth's."""

from allauth.account.views import LogoutView
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.accounts.adapter import LANDING


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Send everybody to the landing page of their role."""
    landing = LANDING.get(request.user.role)
    if landing is None:
        raise PermissionDenied
    return redirect(landing)


@login_not_required
def admin_login(request: HttpRequest) -> HttpResponse:
    """Where Django admin sends whoever it does not let in: to log in, or to a plain refusal."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next", reverse("admin:index")))


class ForgetfulLogoutView(LogoutView):
    """Log out, by POST; the browser forgets the images and whatever pages kept in it."""

    def post(self, *args: object, **kwargs: object) -> HttpResponse:
        response = super().post(*args, **kwargs)
        response["Clear-Site-Data"] = '"cache", "storage"'
        return response
