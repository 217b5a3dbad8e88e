"""Addresses under /labtech/."""

from django.urls import path

from apps.labtech import filing_views, views

app_name = "labtech"
urlpatterns = [
    path("", views.today, name="today"),
    path("search/", views.search, name="search"),
    path("show/", views.show, name="show"),
    path("cases/<uuid:public_id>/", views.case, name="case"),
    path("cases/<uuid:public_id>/state/", views.case_state, name="case_state"),
    path("cases/<uuid:public_id>/keep/", views.keep, name="keep"),
    path("cases/<uuid:public_id>/ask-ai/", views.ask_ai, name="ask_ai"),
    path("cases/<uuid:public_id>/filing/", filing_views.filing, name="filing"),
    path("cases/<uuid:public_id>/move/", filing_views.move, name="move"),
    path("cases/<uuid:public_id>/merge/", filing_views.merge, name="merge"),
    path("cases/<uuid:public_id>/split/", filing_views.split, name="split"),
    path("cases/<uuid:public_id>/send/", views.send_to_doctor, name="send"),
    path("cases/<uuid:public_id>/withdraw/", views.withdraw, name="withdraw"),
    path("instances/<uuid:public_id>/tags/", views.tags, name="tags"),
]
