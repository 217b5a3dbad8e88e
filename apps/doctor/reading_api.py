"""While a doctor reads: the draft that is kept, and the opinion before the AI is shown."""

import json
import re
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.cases.drafts import DraftConflict, draft_of, forget_draft, save_draft
from apps.cases.looks import record_first_look
from apps.cases.models import UnaidedOpinion, VerdictDraft
from apps.cases.services import CaseConflict
from apps.cases.unaided import record_opinion
from apps.doctor.api import Conflict, checked, readable_case
from apps.doctor.serializers import LARGEST_REVISION

LARGEST_DRAFT = 300_000
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class DraftSerializer(serializers.ModelSerializer):
    """What is kept of an unsigned verdict; version 0 where nothing is."""

    version = serializers.IntegerField(min_value=0, max_value=LARGEST_REVISION)
    data = serializers.DictField()

    class Meta:
        model = VerdictDraft
        fields = ["version", "data", "saved_at"]
        read_only_fields = ["saved_at"]

    def validate_data(self, data: dict) -> dict:
        text = json.dumps(data, ensure_ascii=False)
        if len(text) > LARGEST_DRAFT:
            raise serializers.ValidationError("This draft is too large to be kept.")
        # PostgreSQL keeps neither in JSON: a NUL, and half of a surrogate pair.
        if _NUL.search(text) or text != text.encode(errors="ignore").decode():
            raise serializers.ValidationError("This draft has an unreadable sign in it.")
        return data


class DraftConflictSerializer(DraftSerializer):
    """Another tab saved a newer draft: this is it. Nothing of yours was stored."""

    detail = serializers.CharField()

    class Meta(DraftSerializer.Meta):
        fields = [*DraftSerializer.Meta.fields, "detail"]


class DraftView(APIView):
    """A doctor's own unsigned verdict of a case. Nobody else can see it."""

    permission = Permission.READ_CASE

    @extend_schema(responses=DraftSerializer, operation_id="case_draft")
    def get(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        record_first_look(request, case, what="draft")
        return Response(DraftSerializer(draft_of(case, request.user)).data)

    @extend_schema(
        request=DraftSerializer,
        responses={200: DraftSerializer, 409: DraftConflictSerializer},
        operation_id="case_save_draft",
    )
    def put(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        given = checked(DraftSerializer, request).validated_data
        try:
            kept = save_draft(case, request.user, **given)
        except DraftConflict as conflict:
            told = {**DraftSerializer(conflict.draft).data, "detail": str(conflict)}
            return Response(told, status=409)
        return Response(DraftSerializer(kept).data)

    @extend_schema(responses={204: None}, operation_id="case_forget_draft")
    def delete(self, request: Request, public_id: UUID) -> Response:
        forget_draft(readable_case(request, public_id), request.user)
        return Response(status=204)


class UnaidedOpinionSerializer(serializers.ModelSerializer):
    """What the doctor thinks before the AI's answer is shown."""

    diagnoses = serializers.ListField(
        child=serializers.CharField(max_length=300), max_length=50, default=list
    )

    class Meta:
        model = UnaidedOpinion
        fields = ["cancer", "diagnoses", "text", "given_at"]
        read_only_fields = ["given_at"]
        extra_kwargs = {
            "cancer": {"error_messages": {"required": "Choose cancer: yes, no or uncertain."}},
            "text": {"default": "", "max_length": 20_000},
        }


class UnaidedOpinionView(APIView):
    """POST: record the opinion; afterwards the AI's answer is shown. Only where a site asks it."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=UnaidedOpinionSerializer,
        responses={201: UnaidedOpinionSerializer},
        operation_id="case_record_opinion",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        given = checked(UnaidedOpinionSerializer, request).validated_data
        try:
            opinion = record_opinion(case, request=request, **given)
        except CaseConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(UnaidedOpinionSerializer(opinion).data, status=201)
