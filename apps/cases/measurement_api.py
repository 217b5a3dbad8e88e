"""Measurements for programs and for our own viewer."""

from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.cases.api import StoredFileUnreadable, visible_series
from apps.cases.looks import record_first_look
from apps.cases.measurements import (
    POINTS,
    MeasurementConflict,
    add_measurement,
    change_measurement,
    delete_measurement,
    measurements_of,
    own_measurement,
)
from apps.cases.models import Case, Instance, Measurement, Series
from apps.cases.serializers import FiniteFloatField
from apps.imaging.refusal import Refusal


class Conflict(APIException):
    """Somebody was faster, or the id is taken: nothing was stored."""

    status_code = 409
    default_code = "conflict"


class PointsField(serializers.ListField):
    """[[row, column], ...] in pixels, counted from 0 at the centre of the first pixel."""

    child = serializers.ListField(
        child=FiniteFloatField(min_value=-1, max_value=65536), min_length=2, max_length=2
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=1, max_length=max(POINTS.values()), **kwargs)


class MeasurementSerializer(serializers.ModelSerializer):
    """A measurement as everybody sees it who may open the images."""

    instance = serializers.UUIDField(source="instance.public_id")
    author = serializers.CharField()
    mine = serializers.SerializerMethodField()
    points = PointsField()

    class Meta:
        model = Measurement
        fields = [
            "public_id",
            "instance",
            "kind",
            "points",
            "values",
            "author",
            "mine",
            "created_at",
            "changed_at",
            "revision",
        ]

    def get_mine(self, measurement: Measurement) -> bool:
        return measurement.author_id == self.context["request"].user.pk


class NewMeasurementSerializer(serializers.Serializer):
    """The id is chosen by the sender, so that sending again stores nothing twice."""

    public_id = serializers.UUIDField()
    instance = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Measurement.Kind.choices)
    points = PointsField()


class ChangedMeasurementSerializer(serializers.Serializer):
    points = PointsField()
    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class SeriesMeasurementsView(APIView):
    """What was measured on a series, with authors; and a new measurement."""

    permissions = {"GET": Permission.VIEW_CASE, "POST": Permission.MEASURE}

    @extend_schema(responses=MeasurementSerializer(many=True), operation_id="measurement_list")
    def get(self, request: Request, public_id: UUID) -> Response:
        series = visible_series(request, public_id)
        record_first_look(request, series.study.case, what="measurements")
        found = measurements_of(series, request.user)
        shown = MeasurementSerializer(found, many=True, context={"request": request})
        return Response(shown.data, headers={"Cache-Control": "private, no-store"})

    @extend_schema(
        request=NewMeasurementSerializer,
        responses={200: MeasurementSerializer, 201: MeasurementSerializer},
        operation_id="measurement_add",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        series = _workable_series(request, public_id)
        asked = NewMeasurementSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        instance = _instance_of(series, given.pop("instance"))
        _check_points(instance, given["kind"], given["points"])
        made, new = _stored(add_measurement, instance, request=request, **given)
        answer = MeasurementSerializer(made, context={"request": request}).data
        return Response(answer, status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)


class MeasurementView(APIView):
    """A measurement of one's own: moved or deleted. Anybody else's answers as if it were not."""

    permission = Permission.MEASURE

    @extend_schema(
        request=ChangedMeasurementSerializer,
        responses=MeasurementSerializer,
        operation_id="measurement_change",
    )
    def put(self, request: Request, public_id: UUID) -> Response:
        measurement = _own(request, public_id)
        asked = ChangedMeasurementSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        _check_points(measurement.instance, measurement.kind, asked.validated_data["points"])
        _stored(change_measurement, measurement, request=request, **asked.validated_data)
        return Response(MeasurementSerializer(measurement, context={"request": request}).data)

    @extend_schema(responses={204: None}, operation_id="measurement_delete")
    def delete(self, request: Request, public_id: UUID) -> Response:
        delete_measurement(_own(request, public_id), request=request)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _workable_series(request: Request, public_id: UUID) -> Series:
    series = visible_series(request, public_id)
    if not Case.objects.workable_by(request.user).filter(pk=series.study.case.pk).exists():
        raise PermissionDenied("You opened this case by break-glass: you may look, not add to it.")
    return series


def _own(request: Request, public_id: UUID) -> Measurement:
    found = own_measurement(public_id, request.user)
    if found is None:
        raise Http404
    return found


def _instance_of(series: Series, public_id: UUID) -> Instance:
    instance = series.instances.select_related("series").filter(public_id=public_id).first()
    if instance is None:
        raise serializers.ValidationError({"instance": ["This image is not in the series."]})
    return instance


def _check_points(instance: Instance, kind: str, points: list) -> None:
    """Refuse a wrong number of points, and points outside the image."""
    if len(points) != POINTS[kind]:
        words = f"A measurement of this kind has {POINTS[kind]} point(s)."
        raise serializers.ValidationError({"points": [words]})
    outside = any(
        not (-0.5 <= row < instance.rows - 0.5 and -0.5 <= column < instance.columns - 0.5)
        for row, column in points
    )
    if outside:
        raise serializers.ValidationError({"points": ["A point lies outside the image."]})


def _stored(store: Any, *arguments: Any, **options: Any) -> Any:
    """What `store` gives; its troubles as answers."""
    try:
        return store(*arguments, **options)
    except MeasurementConflict as conflict:
        raise Conflict(conflict.message) from conflict
    except (OSError, Refusal) as problem:
        raise StoredFileUnreadable from problem
