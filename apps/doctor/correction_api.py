"""Corrections of what the AI said of a slice or a series, sent for retraining."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.cases.models import Instance, Series
from apps.classifier.labels import NotUsable
from apps.doctor import serializers
from apps.doctor.api import Conflict, checked, readable_case, refuse_hidden
from apps.doctor.services import correct_chest, correct_contrast


class ChestCorrectionView(APIView):
    """Send one image for retraining of the chest gate, with the right answer."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=serializers.ChestCorrectionSerializer,
        responses={201: serializers.ChestCorrectedSerializer},
        operation_id="case_correct_chest",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        refuse_hidden(case, request)
        given = checked(serializers.ChestCorrectionSerializer, request).validated_data
        images = Instance.objects.filter(series__study__case=case).select_related("series")
        instance = images.filter(public_id=given.pop("instance")).first()
        if instance is None:
            raise ValidationError({"instance": ["This image is not of this case."]})
        try:
            example = correct_chest(case, request=request, instance=instance, **given)
        except NotUsable as problem:
            raise Conflict(str(problem)) from problem
        return Response(serializers.ChestCorrectedSerializer(example).data, status=201)


class ContrastCorrectionView(APIView):
    """Send one series for retraining of the contrast check, with the right answer."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=serializers.ContrastCorrectionSerializer,
        responses={201: serializers.ChestCorrectedSerializer},
        operation_id="case_correct_contrast",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        refuse_hidden(case, request)
        given = checked(serializers.ContrastCorrectionSerializer, request).validated_data
        found = Series.objects.filter(study__case=case, instances__isnull=False)
        series = found.filter(public_id=given.pop("series")).first()
        if series is None:
            raise ValidationError({"series": ["This series is not of this case."]})
        try:
            example = correct_contrast(case, request=request, series=series, **given)
        except NotUsable as problem:
            raise Conflict(str(problem)) from problem
        return Response(serializers.ChestCorrectedSerializer(example).data, status=201)
