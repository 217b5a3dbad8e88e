"""Addresses under /api/v1/."""

from django.urls import path

from apps.doctor import api, correction_api, opinion_api, place_api, reading_api, structured_api

urlpatterns = [
    path("worklist/", api.WorklistView.as_view(), name="worklist"),
    path(
        "cases/<uuid:public_id>/predictions/",
        api.PredictionsView.as_view(),
        name="case_predictions",
    ),
    path("cases/<uuid:public_id>/findings/", api.FindingsView.as_view(), name="case_findings"),
    path(
        "findings/<uuid:public_id>/heatmap/",
        api.HeatmapView.as_view(),
        name="finding_heatmap",
    ),
    path("cases/<uuid:public_id>/verdicts/", api.VerdictsView.as_view(), name="case_verdicts"),
    path("cases/<uuid:public_id>/draft/", reading_api.DraftView.as_view(), name="case_draft"),
    path(
        "cases/<uuid:public_id>/unaided-opinion/",
        reading_api.UnaidedOpinionView.as_view(),
        name="case_unaided_opinion",
    ),
    path(
        "cases/<uuid:public_id>/lung-rads/",
        structured_api.LungRadsView.as_view(),
        name="case_lung_rads",
    ),
    path("text-templates/", structured_api.TextTemplatesView.as_view(), name="text_templates"),
    path(
        "text-templates/<uuid:public_id>/",
        structured_api.TextTemplateView.as_view(),
        name="text_template",
    ),
    path("cases/<uuid:public_id>/places/", place_api.PlacesView.as_view(), name="case_places"),
    path("places/<uuid:public_id>/", place_api.PlaceView.as_view(), name="place"),
    path(
        "places/<uuid:public_id>/heatmap/",
        place_api.PlaceHeatmapView.as_view(),
        name="place_heatmap",
    ),
    path(
        "cases/<uuid:public_id>/verdicts/preview/",
        api.VerdictPreviewView.as_view(),
        name="case_verdict_preview",
    ),
    path("cases/<uuid:public_id>/addenda/", api.AddendaView.as_view(), name="case_addenda"),
    path("cases/<uuid:public_id>/claim/", api.ClaimView.as_view(), name="case_claim"),
    path("cases/<uuid:public_id>/release/", api.ReleaseView.as_view(), name="case_release"),
    path("cases/<uuid:public_id>/take-over/", api.TakeOverView.as_view(), name="case_take_over"),
    path("cases/<uuid:public_id>/return/", api.ReturnView.as_view(), name="case_return"),
    path(
        "cases/<uuid:public_id>/contrast-correction/",
        correction_api.ContrastCorrectionView.as_view(),
        name="case_contrast_correction",
    ),
    path(
        "cases/<uuid:public_id>/chest-correction/",
        correction_api.ChestCorrectionView.as_view(),
        name="case_chest_correction",
    ),
    path("predictions/<uuid:public_id>/retry/", api.RetryView.as_view(), name="prediction_retry"),
    path(
        "predictions/<uuid:public_id>/override/",
        api.OverrideView.as_view(),
        name="prediction_override",
    ),
    path(
        "cases/<uuid:public_id>/confirmations/",
        opinion_api.ConfirmationsView.as_view(),
        name="case_confirmations",
    ),
    path("opinions/", opinion_api.OpinionsView.as_view(), name="opinions"),
    path("opinions/<uuid:public_id>/", opinion_api.OpinionView.as_view(), name="opinion"),
    path(
        "opinions/<uuid:public_id>/crop.png",
        opinion_api.OpinionCropView.as_view(),
        name="opinion_crop",
    ),
    path("break-glass/", api.BreakGlassView.as_view(), name="break_glass"),
]
