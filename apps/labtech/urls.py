"""Addresses under /labtech/."""

from django.urls import path

from apps.labtech import views

app_name = "labtech"
urlpatterns = [
    path("", views.today, name="today"),
    path("search/", views.search, name="search"),
    path("cases/<uuid:public_id>/", views.case, name="case"),
    path("cases/<uuid:public_id>/state/", views.case_state, name="case_state"),
    path("cases/<uuid:public_id>/send/", views.send_to_doctor, name="send"),
    path("cases/<uuid:public_id>/withdraw/", views.withdraw, name="withdraw"),
    path("instances/<uuid:public_id>/tags/", views.tags, name="tags"),
]
