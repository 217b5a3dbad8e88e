"""Nodules in, Lung-RADS out; and the texts with which a doctor begins a verdict."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.cases.looks import record_first_look
from apps.cases.models import TextTemplate
from apps.doctor.api import Conflict, checked, readable_case
from apps.doctor.nodule_serializers import StructuredSerializer
from apps.doctor.structured import assess

MOST_TEMPLATES = 100


class GrowthSerializer(serializers.Serializer):
    """Against the earlier size; doubling time of the volume in days, none where it did not grow."""

    change_mm = serializers.FloatField()
    change_percent = serializers.FloatField()
    days = serializers.IntegerField()
    doubling_days = serializers.IntegerField(allow_null=True)
    behaviour = serializers.CharField()


class AssessedNoduleSerializer(serializers.Serializer):
    mean_mm = serializers.FloatField()
    behaviour = serializers.CharField()
    growth = GrowthSerializer(allow_null=True)
    category = serializers.CharField()
    rule = serializers.CharField()


class AssessmentSerializer(serializers.Serializer):
    """Lung-RADS v2022 of the CT and of each nodule, with the rule that gave it."""

    nodules = AssessedNoduleSerializer(many=True)
    category = serializers.CharField()
    rule = serializers.CharField()


class LungRadsView(APIView):
    """Calculates the category from what a doctor measured. Stores nothing."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=StructuredSerializer,
        responses=AssessmentSerializer,
        operation_id="case_lung_rads",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        given = checked(StructuredSerializer, request, case=case).structured()
        record_first_look(request, case, what="lung-rads")
        found = assess(given.nodules, study_date=case.study.study_date, incomplete=given.incomplete)
        told: dict[str, Any] = {
            "category": found.category.name,
            "rule": found.category.rule,
            "nodules": [
                {
                    "mean_mm": one.mean_mm,
                    "behaviour": one.behaviour,
                    "growth": asdict(one.growth) if one.growth else None,
                    "category": one.category.name,
                    "rule": one.category.rule,
                }
                for one in found.nodules
            ],
        }
        return Response(AssessmentSerializer(told).data)


class TextTemplateSerializer(serializers.ModelSerializer):
    """A text to begin a verdict with. It belongs to no case: write no patient's name in it."""

    class Meta:
        model = TextTemplate
        fields = ["public_id", "name", "text"]
        read_only_fields = ["public_id"]


class TextTemplatesView(ListAPIView):
    """A doctor's own texts; one with a name that is there replaces it."""

    permission = Permission.READ_CASE
    serializer_class = TextTemplateSerializer
    queryset = TextTemplate.objects.none()

    def get_queryset(self) -> Any:
        return TextTemplate.objects.filter(author=self.request.user).order_by("name")

    @extend_schema(
        request=TextTemplateSerializer,
        responses={201: TextTemplateSerializer},
        operation_id="text_template_save",
    )
    def post(self, request: Request) -> Response:
        given = checked(TextTemplateSerializer, request).validated_data
        mine = self.get_queryset()
        if mine.count() >= MOST_TEMPLATES and not mine.filter(name=given["name"]).exists():
            raise Conflict(f"You keep {MOST_TEMPLATES} texts already. Delete one first.")
        try:
            with transaction.atomic():
                kept, _ = TextTemplate.objects.update_or_create(
                    author=request.user, name=given["name"], defaults={"text": given["text"]}
                )
        except IntegrityError as raced:
            raise Conflict("This text was saved elsewhere just now. Try again.") from raced
        return Response(TextTemplateSerializer(kept).data, status=201)


class TextTemplateView(APIView):
    """One of a doctor's own texts, to delete."""

    permission = Permission.READ_CASE

    @extend_schema(responses={204: None}, operation_id="text_template_delete")
    def delete(self, request: Request, public_id: UUID) -> Response:
        mine = TextTemplate.objects.filter(author=request.user)
        get_object_or_404(mine, public_id=public_id).delete()
        return Response(status=204)
