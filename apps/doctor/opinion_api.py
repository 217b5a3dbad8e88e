"""Second opinions and pathology for programs. Same rules as the pages."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.audit.services import record, record_each
from apps.cases.api import PicturesIgnoreAccept, read_stored
from apps.cases.looks import record_look
from apps.classifier.adjudication import (
    confirm,
    give_opinion,
    opinions_asked_of,
    opinions_waiting,
)
from apps.classifier.crops import crop_png
from apps.classifier.labels import LABELS, LearningConflict
from apps.classifier.models import Confirmation
from apps.doctor import opinion_serializers as serializers
from apps.doctor.access import confirmations_for, reads_alone
from apps.doctor.api import LOOK, Conflict, checked, readable_case, visible_case
from apps.doctor.forms import CANNOT_TELL
from apps.doctor.services import findings_of


class OpinionsView(GenericAPIView):
    """Corrections of colleagues that wait for this doctor's opinion, the longest waiting first."""

    permission = Permission.READ_CASE
    serializer_class = serializers.AskedSerializer

    @extend_schema(responses=serializers.AskedSerializer(many=True), operation_id="opinions")
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(opinions_waiting(request.user))
        looks = [(one, {"what": "second opinion"}) for one in page]
        record_each(AuditEvent.Action.VIEWED, looks, request=request)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class OpinionView(APIView):
    """Give an opinion, once; the same label as the first doctor's accepts the correction."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=serializers.OpinionInSerializer,
        responses={201: serializers.OpinionSerializer},
        operation_id="opinion_give",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        example = get_object_or_404(opinions_asked_of(request.user), public_id=public_id)
        given = checked(serializers.OpinionInSerializer, request).validated_data
        label = "" if given["label"] == CANNOT_TELL else given["label"]
        if label and label not in LABELS[example.task]:
            known = ", ".join([*LABELS[example.task], CANNOT_TELL])
            raise ValidationError({"label": [f"Choose one of: {known}."]})
        try:
            said = give_opinion(example, request=request, label=label, text=given["text"])
        except LearningConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.OpinionSerializer(said).data, status=201)


class OpinionCropView(APIView):
    """The picture of the place as PNG. Every look is audited."""

    permission = Permission.READ_CASE
    content_negotiation_class = PicturesIgnoreAccept

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="opinion_crop")
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        example = get_object_or_404(opinions_asked_of(request.user), public_id=public_id)
        record(
            AuditEvent.Action.VIEWED, request=request, target=example, site_pk=example.case.site_id
        )
        picture = read_stored(example.instance, lambda _: crop_png(example))
        response = HttpResponse(picture, content_type="image/png")
        response["Cache-Control"] = "no-store"
        return response


class ConfirmationsView(ListAPIView):
    """GET: what pathology or follow-up showed, newest first. POST: record it."""

    permissions = {"GET": LOOK, "POST": Permission.READ_CASE}
    serializer_class = serializers.ConfirmationSerializer
    queryset = Confirmation.objects.none()

    def get_queryset(self) -> QuerySet[Confirmation]:
        case = visible_case(self.request, self.kwargs["public_id"])
        record_look(self.request, case, what="confirmations")
        known = confirmations_for(case, self.request.user)
        return known.select_related("finding", "recorded_by")

    @extend_schema(
        request=serializers.ConfirmationInSerializer,
        responses={201: serializers.ConfirmationSerializer},
        operation_id="case_confirm",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        if reads_alone(case, request.user):
            raise PermissionDenied("Sign your own reading of this case first.")
        given = checked(serializers.ConfirmationInSerializer, request).validated_data
        place = given.pop("finding")
        finding = findings_of(case, request.user).filter(public_id=place).first() if place else None
        if place and finding is None:
            raise ValidationError({"finding": ["This finding is not of this case."]})
        made = confirm(case, request=request, finding=finding, **given)
        return Response(serializers.ConfirmationSerializer(made).data, status=201)
