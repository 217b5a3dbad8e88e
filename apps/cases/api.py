"""Images and cases for programs and for our own viewer. Every object starts at visible_to."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Count, IntegerField, OuterRef, Prefetch, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from isal import igzip
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage
from apps.cases.looks import record_first_look, record_look
from apps.cases.models import Case, CaseEvent, Instance, Series
from apps.cases.pictures import (
    as_the_file_says,
    hu_of,
    ordered_instances,
    voi_table_of,
    why_no_volume,
)
from apps.cases.search import matching
from apps.cases.serializers import (
    AttributesSerializer,
    CaseDetailSerializer,
    CaseQuerySerializer,
    CaseSearchSerializer,
    CaseSerializer,
    ImageQuerySerializer,
    ManifestSerializer,
    PresentationSerializer,
    VoiLutQuerySerializer,
    presentation_data,
)
from apps.cases.services import presentation_for, save_presentation
from apps.cases.unaided import hides_ai
from apps.imaging.geometry import slice_spacing
from apps.imaging.refusal import Refusal
from apps.imaging.rendering import png
from apps.imaging.tags import list_attributes

log = logging.getLogger(__name__)

FOREVER = "private, max-age=31536000, immutable"
CHECK_AGAIN = "private, no-cache"
THUMBNAIL_SIDE = 160


class StoredFileUnreadable(APIException):
    """The file of an image that was received whole is gone or damaged: the server's fault."""

    status_code = 503
    default_detail = "The stored file of this image cannot be read. Please tell your admin."
    default_code = "stored_file_unreadable"


class PicturesIgnoreAccept(DefaultContentNegotiation):
    """Pictures go out as what they are, whatever Accept says; errors are JSON."""

    def select_renderer(
        self, request: Request, renderers: list, format_suffix: str | None = None
    ) -> tuple:
        return renderers[0], renderers[0].media_type


def visible_series(request: Request, public_id: UUID) -> Series:
    """The series if its case may be opened by this user, else 404."""
    series = Series.objects.filter(study__case__in=Case.objects.visible_to(request.user))
    return get_object_or_404(
        series.select_related("study__case", "study__patient"), public_id=public_id
    )


def visible_instance(request: Request, public_id: UUID) -> Instance:
    """The instance if its case may be opened by this user, else 404."""
    instances = Instance.objects.filter(
        series__study__case__in=Case.objects.visible_to(request.user)
    )
    return get_object_or_404(instances.select_related("series__study__case"), public_id=public_id)


def with_image_counts(cases: QuerySet) -> QuerySet:
    """Cases with `images`, the number of their instances, and all that a row shows."""
    counted = (
        Instance.objects.filter(series__study__case=OuterRef("pk"))
        .order_by()
        .values("series__study__case")
        .annotate(number=Count("pk"))
        .values("number")
    )
    return cases.select_related(
        "study__patient", "receiver", "receiver_group", "claimed_by"
    ).annotate(images=Coalesce(Subquery(counted), Value(0), output_field=IntegerField()))


def read_stored(instance: Instance, read: Callable[[Instance], Any]) -> Any:
    """What `read` finds in the stored file; a file that is gone or damaged is logged and told."""
    try:
        return read(instance)
    except (OSError, Refusal) as problem:
        log.error("instance %s: stored file unreadable (%s)", instance.pk, type(problem).__name__)
        raise StoredFileUnreadable from problem


class ManifestView(APIView):
    """A series: its facts, the saved view, and its slices in order."""

    permission = Permission.VIEW_CASE

    @extend_schema(responses=ManifestSerializer, operation_id="series_manifest")
    def get(self, request: Request, public_id: UUID) -> Response:
        series = visible_series(request, public_id)
        beside = {"what": "prior"} if request.query_params.get("as") == "prior" else {}
        record_look(request, series.study.case, target=series, **beside)
        answer = Response(ManifestSerializer(_manifest(series, request.user)).data)
        answer["Cache-Control"] = "private, no-store"
        return answer


def _site(series: Series) -> int:
    return series.study.site_id


def _manifest(series: Series, user: Any) -> dict:
    instances = ordered_instances(series)
    for one in instances:
        one.hu_url = reverse("instance_hu", args=[one.public_id])
        one.image_url = reverse("instance_image", args=[one.public_id])
        one.voi_lut_url = reverse("instance_voi_lut", args=[one.public_id])
    no_volume = why_no_volume(instances)
    return {
        "public_id": series.public_id,
        "case": series.study.case.public_id,
        "patient": series.study.patient,
        "study": series.study,
        "series": series,
        "slice_spacing": slice_spacing(instances),
        "regular": not no_volume,
        "why_not_regular": no_volume,
        "lossy": any(one.lossy for one in instances),
        "presentation": presentation_data(series, instances, presentation_for(series, user)),
        "presentation_url": reverse("series_presentation", args=[series.public_id]),
        "measurements_url": reverse("series_measurements", args=[series.public_id]),
        "may_measure": Case.objects.workable_by(user).filter(pk=series.study.case.pk).exists(),
        "instances": instances,
    }


class PresentationView(APIView):
    """How this user wants the series shown. The files stay as they are."""

    permissions = {"GET": Permission.VIEW_CASE, "PUT": Permission.SAVE_PRESENTATION}

    @extend_schema(responses=PresentationSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        series = visible_series(request, public_id)
        record_first_look(request, series.study.case, what="presentation")
        saved = presentation_for(series, request.user)
        return Response(presentation_data(series, ordered_instances(series), saved))

    @extend_schema(request=PresentationSerializer, responses=PresentationSerializer)
    def put(self, request: Request, public_id: UUID) -> Response:
        series = visible_series(request, public_id)
        asked = PresentationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        saved = save_presentation(series, request=request, **asked.validated_data)
        record(
            AuditEvent.Action.PRESENTATION_SAVED,
            request=request,
            target=series,
            site_pk=_site(series),
        )
        return Response(PresentationSerializer(saved).data)


class PictureView(APIView):
    """Sends bytes that a browser may keep for itself, and answers "not modified" without work."""

    permission = Permission.VIEW_CASE
    content_negotiation_class = PicturesIgnoreAccept

    def answer(
        self,
        request: Request,
        etag: str,
        make: Callable[[], bytes],
        content_type: str,
        cache_control: str,
    ) -> HttpResponse:
        etag = f'"{etag}"'
        if etag in request.headers.get("If-None-Match", ""):
            answer = HttpResponse(status=304)
        else:
            answer = HttpResponse(make(), content_type=content_type)
        answer["ETag"] = etag
        answer["Cache-Control"] = cache_control
        answer["X-Content-Type-Options"] = "nosniff"
        return answer


class HounsfieldView(PictureView):
    """Hounsfield units of one slice: little-endian int16, row by row. Never changes."""

    # Counting a request costs as much as answering it, and a viewer scrolls through hundreds.
    throttle_classes = ()

    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            304: None,
            503: OpenApiTypes.OBJECT,
        },
        operation_id="instance_hu",
    )
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        instance = visible_instance(request, public_id)
        record_first_look(request, instance.series.study.case, what="image")
        zipped = "gzip" in request.headers.get("Accept-Encoding", "")

        def make() -> bytes:
            hu = read_stored(instance, hu_of).astype("<i2", copy=False).tobytes()
            return igzip.compress(hu, 1) if zipped else hu

        answer = self.answer(
            request, instance.pixel_sha256, make, "application/octet-stream", FOREVER
        )
        if zipped and answer.status_code == 200:
            answer["Content-Encoding"] = "gzip"
        answer["Vary"] = "Accept-Encoding"
        answer["X-Rows"], answer["X-Columns"] = instance.rows, instance.columns
        return answer


class VoiLutView(PictureView):
    """One table of the file's VOI LUT Sequence: 65,536 grey bytes, by the bits of an int16 HU."""

    @extend_schema(
        parameters=[VoiLutQuerySerializer],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            304: None,
            400: OpenApiTypes.OBJECT,
            503: OpenApiTypes.OBJECT,
        },
        operation_id="instance_voi_lut",
    )
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        instance = visible_instance(request, public_id)
        asked = VoiLutQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        number = asked.validated_data["number"]
        if number >= len(instance.voi_luts):
            raise ValidationError({"number": ["This image has no such table."]})
        record_first_look(request, instance.series.study.case, what="image")
        return self.answer(
            request,
            instance.voi_luts[number]["sha256"],
            lambda: read_stored(instance, lambda one: voi_table_of(one, number)).tobytes(),
            "application/octet-stream",
            FOREVER,
        )


class ImageView(PictureView):
    """One slice as an 8-bit PNG, for browsers without WebGL."""

    @extend_schema(
        parameters=[ImageQuerySerializer],
        responses={(200, "image/png"): OpenApiTypes.BINARY, 304: None, 503: OpenApiTypes.OBJECT},
        operation_id="instance_image",
    )
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        instance = visible_instance(request, public_id)
        asked = ImageQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        record_first_look(request, instance.series.study.case, what="image")
        return _png(self, request, instance, asked.validated_data)


class ThumbnailView(PictureView):
    """The middle slice of a series, small, as the saved view shows it."""

    @extend_schema(
        responses={(200, "image/png"): OpenApiTypes.BINARY, 304: None, 503: OpenApiTypes.OBJECT},
        operation_id="series_thumbnail",
    )
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        series = visible_series(request, public_id)
        record_first_look(request, series.study.case, what="thumbnail")
        instances = ordered_instances(series)
        return _png(self, request, instances[len(instances) // 2], {"max_side": THUMBNAIL_SIDE})


def _png(view: PictureView, request: Request, instance: Instance, asked: dict) -> HttpResponse:
    saved = presentation_for(instance.series, request.user)
    shown = presentation_data(instance.series, [instance], saved)
    window = {
        "center": asked.get("center", shown["window_center"]),
        "width": asked.get("width", shown["window_width"]),
        "max_side": asked.get("max_side"),
        **as_the_file_says(instance),
        **{
            turn: asked.get(turn, shown[turn])
            for turn in ("rotation", "flip_horizontal", "flip_vertical")
        },
    }
    number = _table_asked(instance, asked, shown)
    drawn = f"{instance.pixel_sha256} {sorted(window.items())} {number}"

    def make() -> bytes:
        hu = read_stored(instance, hu_of)
        if number is not None:
            window["table"] = read_stored(instance, lambda one: voi_table_of(one, number))
        return png(hu, **window)

    return view.answer(
        request,
        hashlib.sha256(drawn.encode()).hexdigest(),
        make,
        "image/png",
        CHECK_AGAIN,
    )


def _table_asked(instance: Instance, asked: dict, shown: dict) -> int | None:
    """The table in place of the window: the one asked for, or the saved one where no window is."""
    number = asked.get("voi_lut")
    if number is None and "center" not in asked and "width" not in asked:
        number = shown["voi_lut"]
    return number if number is not None and number < len(instance.voi_luts) else None


class AttributesView(APIView):
    """Every DICOM attribute of one stored file, sequences nested by `depth`."""

    permission = Permission.VIEW_CASE

    @extend_schema(responses=AttributesSerializer, operation_id="instance_attributes")
    def get(self, request: Request, public_id: UUID) -> Response:
        instance = visible_instance(request, public_id)
        rows = read_stored(instance, lambda one: list_attributes(storage.path_of(one)))
        record_look(request, instance.series.study.case, target=instance, what="attributes")
        return Response(
            AttributesSerializer({"instance": instance.public_id, "attributes": rows}).data
        )


class CaseListView(GenericAPIView):
    """The cases this user may open, most pressing first."""

    permission = Permission.VIEW_CASE
    serializer_class = CaseSerializer

    def get_queryset(self) -> QuerySet:
        return with_image_counts(Case.objects.visible_to(self.request.user))

    @extend_schema(parameters=[CaseQuerySerializer], operation_id="case_list")
    def get(self, request: Request) -> Response:
        asked = CaseQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        return self.listed(asked.validated_data)

    def listed(self, asked: dict) -> Response:
        cases = self.get_queryset()
        if "status" in asked:
            cases = cases.filter(status=asked["status"])
        cases = matching(cases, asked.get("search", ""))
        page = self.paginate_queryset(cases)
        return self.get_paginated_response(CaseSerializer(page, many=True).data)


class CaseSearchView(CaseListView):
    """The same list, searched by name, Patient ID or accession number."""

    http_method_names = ["post", "options"]

    @extend_schema(
        request=CaseSearchSerializer,
        responses=CaseSerializer(many=True),
        operation_id="case_search",
    )
    def post(self, request: Request) -> Response:
        asked = CaseSearchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.listed(asked.validated_data)


class CaseDetailView(APIView):
    """One case with its series and its history."""

    permission = Permission.VIEW_CASE

    @extend_schema(responses=CaseDetailSerializer, operation_id="case_detail")
    def get(self, request: Request, public_id: UUID) -> Response:
        cases = with_image_counts(Case.objects.visible_to(request.user))
        case = get_object_or_404(
            cases.prefetch_related(Prefetch("events", CaseEvent.objects.order_by("id"))),
            public_id=public_id,
        )
        case.series_with_counts = case.study.series.annotate(images=Count("instances"))
        record_look(request, case)
        apart = case.is_read_apart or hides_ai(case, request.user)
        context = {"request": request, "apart": apart}
        return Response(CaseDetailSerializer(case, context=context).data)
