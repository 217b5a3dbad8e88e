"""Addresses under /api/v1/."""

from django.urls import path

from apps.cases import api, measurement_api

urlpatterns = [
    path("cases/", api.CaseListView.as_view(), name="case_list"),
    path("cases/search/", api.CaseSearchView.as_view(), name="case_search"),
    path("cases/<uuid:public_id>/", api.CaseDetailView.as_view(), name="case_detail"),
    path("series/<uuid:public_id>/manifest/", api.ManifestView.as_view(), name="series_manifest"),
    path(
        "series/<uuid:public_id>/presentation/",
        api.PresentationView.as_view(),
        name="series_presentation",
    ),
    path(
        "series/<uuid:public_id>/measurements/",
        measurement_api.SeriesMeasurementsView.as_view(),
        name="series_measurements",
    ),
    path(
        "measurements/<uuid:public_id>/",
        measurement_api.MeasurementView.as_view(),
        name="measurement",
    ),
    path(
        "series/<uuid:public_id>/thumbnail.png",
        api.ThumbnailView.as_view(),
        name="series_thumbnail",
    ),
    path("instances/<uuid:public_id>/hu/", api.HounsfieldView.as_view(), name="instance_hu"),
    path(
        "instances/<uuid:public_id>/voi-lut/",
        api.VoiLutView.as_view(),
        name="instance_voi_lut",
    ),
    path("instances/<uuid:public_id>/image.png", api.ImageView.as_view(), name="instance_image"),
    path(
        "instances/<uuid:public_id>/attributes/",
        api.AttributesView.as_view(),
        name="instance_attributes",
    ),
]
