"""Every address of the site. All need a login but those in tests/test_access.py's list."""

from allauth.account import views as account_views
from django.contrib import admin
from django.urls import include, path

from apps.accounts.views import ForgetfulLogoutView, admin_login, home

urlpatterns = [
    path("", home, name="home"),
    path("accounts/", include("apps.accounts.urls")),
    path("labtech/", include("apps.labtech.urls")),
    path("doctor/", include("apps.doctor.urls")),
    path("operations/", include("apps.operations.urls")),
    # One way in, one way out and one way to a new password, for admins too.
    path("admin/login/", admin_login),
    path("admin/logout/", ForgetfulLogoutView.as_view()),
    path("admin/password_change/", account_views.password_change),
    path("admin/", admin.site.urls),
    path("api/v1/", include("cancerprediction.api_urls")),
    path("", include("cancerprediction.health")),
]

handler400 = "cancerprediction.errors.bad_request"
handler404 = "cancerprediction.errors.page_not_found"
handler500 = "cancerprediction.errors.server_error"
