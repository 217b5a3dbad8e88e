"""The pages of allauth that this system offers: no sign-up, and no changing of one's address.

The names are allauth's own, because its views look each other up by them.
"""

from allauth.account import views
from django.urls import include, path, re_path

from apps.accounts import notification_views, profile_views
from apps.accounts.views import ForgetfulLogoutView

urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("logout/", ForgetfulLogoutView.as_view(), name="account_logout"),
    path("second-factor/", include("allauth.mfa.urls")),
    path("profile/", profile_views.profile, name="profile"),
    path("profile/theme/", profile_views.theme, name="profile_theme"),
    path("news/", notification_views.news, name="news"),
    path("news/count/", notification_views.count, name="news_count"),
    path("news/<int:number>/", notification_views.open_one, name="open_news"),
    path("sessions/", profile_views.sessions, name="usersessions_list"),
    path("sessions/<int:number>/end/", profile_views.end_session, name="end_session"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("signup/", views.signup, name="account_signup"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/set/", views.password_set, name="account_set_password"),
    path("password/reset/", views.password_reset, name="account_reset_password"),
    path("password/reset/done/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        views.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
]
