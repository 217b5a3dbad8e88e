"""Addresses under /api/v1/."""

from django.urls import path

from apps.operations import api

urlpatterns = [
    path("models/", api.ModelListView.as_view(), name="model_list"),
    path("models/<slug:task>/rollback/", api.RollbackView.as_view(), name="model_rollback"),
    path("models/<slug:task>/<int:number>/", api.ModelDetailView.as_view(), name="model_detail"),
    path(
        "models/<slug:task>/<int:number>/activate/",
        api.ActivateView.as_view(),
        name="model_activate",
    ),
    path("training-examples/", api.ExampleListView.as_view(), name="training_example_list"),
    path(
        "training-examples/<uuid:public_id>/",
        api.ExampleDetailView.as_view(),
        name="training_example_detail",
    ),
    path(
        "training-examples/<uuid:public_id>/crop.png",
        api.ExampleCropView.as_view(),
        name="training_example_crop",
    ),
    path(
        "training-examples/<uuid:public_id>/decide/",
        api.ExampleDecideView.as_view(),
        name="training_example_decide",
    ),
    path("training-runs/", api.RunListView.as_view(), name="training_run_list"),
    path(
        "training-runs/<uuid:public_id>/", api.RunDetailView.as_view(), name="training_run_detail"
    ),
    path(
        "training-runs/<uuid:public_id>/cancel/",
        api.RunCancelView.as_view(),
        name="training_run_cancel",
    ),
]
