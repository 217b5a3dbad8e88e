"""Addresses under /api/v1/."""

from django.urls import path

from apps.labtech import api

urlpatterns = [
    path("uploads/", api.UploadView.as_view(), name="upload"),
    path("uploads/batch/", api.BatchView.as_view(), name="upload_batch"),
    path("uploads/zip/", api.ZipView.as_view(), name="upload_zip"),
    path("uploads/known/", api.KnownView.as_view(), name="upload_known"),
    path("receivers/", api.ReceiversView.as_view(), name="receivers"),
    path("cases/<uuid:public_id>/send/", api.SendView.as_view(), name="case_send"),
    path("cases/<uuid:public_id>/settle/", api.SettleView.as_view(), name="case_settle"),
    path("cases/<uuid:public_id>/withdraw/", api.WithdrawView.as_view(), name="case_withdraw"),
]
