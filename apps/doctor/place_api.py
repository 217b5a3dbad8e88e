"""“And this?”: ask the AI about one place of an image, and fetch its answer."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.cases.models import Case, Instance
from apps.cases.serializers import FiniteFloatField
from apps.classifier.models import PlaceQuestion
from apps.classifier.place_questions import TooManyOpen, ask_place
from apps.doctor.answers import step_of
from apps.doctor.api import Conflict, checked, readable_case, refuse_hidden, refuse_while_off


class PlaceInSerializer(serializers.Serializer):
    """A pixel of one image of the case."""

    instance = serializers.UUIDField()
    row = FiniteFloatField(min_value=0, max_value=65535)
    column = FiniteFloatField(min_value=0, max_value=65535)


class PlaceSerializer(serializers.ModelSerializer):
    """How far the question is, and the answer once `status` is "done"."""

    id = serializers.UUIDField(source="public_id")
    url = serializers.SerializerMethodField()
    heatmap_url = serializers.SerializerMethodField(help_text="Empty while there is none.")
    step = serializers.SerializerMethodField(help_text="low, middle, high, or not assessed.")
    versions = serializers.CharField(source="models_key")

    class Meta:
        model = PlaceQuestion
        fields = [
            "id",
            "url",
            "status",
            "reason",
            "nodule_probability",
            "malignancy_probability",
            "diameter_mm",
            "step",
            "versions",
            "heatmap_url",
            "asked_at",
            "answered_at",
        ]

    def get_url(self, question: PlaceQuestion) -> str:
        return reverse("place", args=[question.public_id])

    def get_heatmap_url(self, question: PlaceQuestion) -> str:
        return reverse("place_heatmap", args=[question.public_id]) if question.heatmap else ""

    def get_step(self, question: PlaceQuestion) -> str:
        return step_of(question.malignancy_probability)


class PlaceHeatmapSerializer(serializers.Serializer):
    """As the heatmap of a finding."""

    instance_id = serializers.UUIDField()
    method = serializers.CharField()
    top = serializers.FloatField()
    left = serializers.FloatField()
    side = serializers.FloatField()
    strength = serializers.FloatField()
    side_pixels = serializers.IntegerField()
    values = serializers.CharField(help_text="side_pixels squared bytes in base64.")


class PlacesView(APIView):
    """POST: ask. The answer is fetched at its `url`, usually within a second."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=PlaceInSerializer,
        responses={201: PlaceSerializer},
        operation_id="case_ask_place",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        refuse_hidden(case, request)
        refuse_while_off()
        given = checked(PlaceInSerializer, request).validated_data
        images = Instance.objects.filter(series__study__case=case)
        instance = images.filter(public_id=given.pop("instance")).first()
        if instance is None:
            raise ValidationError({"instance": ["This image is not of this case."]})
        if given["row"] >= instance.rows or given["column"] >= instance.columns:
            raise ValidationError({"row": ["The place lies outside the image."]})
        try:
            question = ask_place(case, request=request, instance=instance, **given)
        except TooManyOpen as busy:
            raise Conflict(busy.message) from busy
        return Response(PlaceSerializer(question).data, status=201)


class PlaceView(APIView):
    """One's own question; asking was audited, looking for the answer is not again."""

    permission = Permission.READ_CASE

    def find(self, request: Request, public_id: UUID) -> PlaceQuestion:
        """404 for anybody else's, and once the case is no longer the doctor's to see."""
        mine = PlaceQuestion.objects.filter(
            asked_by=request.user, case__in=Case.objects.visible_to(request.user)
        )
        question = get_object_or_404(mine.select_related("case", "instance"), public_id=public_id)
        refuse_hidden(question.case, request)
        refuse_while_off()
        return question

    @extend_schema(responses=PlaceSerializer, operation_id="place")
    def get(self, request: Request, public_id: UUID) -> Response:
        return Response(PlaceSerializer(self.find(request, public_id)).data)


class PlaceHeatmapView(PlaceView):
    """Where the suspicion of the place comes from."""

    @extend_schema(responses=PlaceHeatmapSerializer, operation_id="place_heatmap")
    def get(self, request: Request, public_id: UUID) -> Response:
        question = self.find(request, public_id)
        if not question.heatmap:
            raise NotFound
        told = {"instance_id": question.instance.public_id, **question.heatmap}
        return Response(PlaceHeatmapSerializer(told).data)
