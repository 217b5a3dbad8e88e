"""Addresses under /operations/."""

from django.urls import path

from apps.operations import (
    example_views,
    model_views,
    monitoring_views,
    people_views,
    run_views,
    sensitivity,
    settings_views,
    views,
)

app_name = "operations"
urlpatterns = [
    path("", views.home, name="home"),
    path("state/", views.state, name="state"),
    path("monitoring/", monitoring_views.page, name="monitoring"),
    path("monitoring/display/", monitoring_views.display, name="display"),
    path("audit/", views.audit, name="audit"),
    path("audit/export/", views.export_audit, name="export_audit"),
    path("people/", people_views.all_people, name="people"),
    path("people/invite/", people_views.invite, name="invite"),
    path("people/<int:number>/<slug:step>/", people_views.act, name="person_act"),
    path("settings/", settings_views.all_settings, name="settings"),
    path("settings/<int:number>/", settings_views.change_site, name="change_site"),
    path("predictions/<uuid:public_id>/retry/", views.retry, name="retry"),
    path("models/", model_views.models, name="models"),
    path("models/<slug:task>/rollback/", model_views.roll_back, name="rollback"),
    path("models/<slug:task>/<int:number>/", model_views.model, name="model"),
    path("models/<slug:task>/<int:number>/activate/", model_views.activate_it, name="activate"),
    path("models/<slug:task>/<int:number>/shadow/", model_views.shadow, name="shadow"),
    path("sensitivity/", sensitivity.sites, name="sensitivity"),
    path("sensitivity/choose/", sensitivity.choose, name="choose_sensitivity"),
    path("examples/", example_views.examples, name="examples"),
    path("examples/<uuid:public_id>/decide/", example_views.decide, name="decide"),
    path("examples/<uuid:public_id>/crop.png", example_views.crop, name="crop"),
    path("runs/", run_views.runs, name="runs"),
    path("runs/start/", run_views.start, name="start_run"),
    path("runs/<uuid:public_id>/", run_views.run, name="run"),
    path("runs/<uuid:public_id>/state/", run_views.state, name="run_state"),
    path("runs/<uuid:public_id>/again/", run_views.again, name="train_again"),
    path("runs/<uuid:public_id>/cancel/", run_views.cancel, name="cancel_run"),
]
