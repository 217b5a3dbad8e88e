"""Models, corrections and trainings for programs. The same rules as the pages."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, NotFound
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.api import PicturesIgnoreAccept, read_stored
from apps.classifier.activation import activate, rollback
from apps.classifier.crops import crop_png
from apps.classifier.labels import LearningConflict
from apps.classifier.learning import cancel_run, start_run
from apps.classifier.models import ModelVersion, TrainingExample, TrainingRun
from apps.operations import serializers
from apps.operations.decisions import carry_out


class Conflict(APIException):
    """The thing is not as the caller thought; nothing was changed."""

    status_code = 409
    default_code = "conflict"


def _checked(serializer: type[Serializer], data: object) -> dict:
    given = serializer(data=data)
    given.is_valid(raise_exception=True)
    return given.validated_data


class ModelListView(ListAPIView):
    """All versions of all tasks, newest first."""

    permission = Permission.MANAGE_MODELS
    serializer_class = serializers.ModelVersionSerializer
    queryset = ModelVersion.objects.select_related("activated_by")


class ModelDetailView(APIView):
    """One version with its card."""

    permission = Permission.MANAGE_MODELS

    @extend_schema(responses=serializers.ModelVersionSerializer, operation_id="model_detail")
    def get(self, request: Request, task: str, number: int) -> Response:
        version = get_object_or_404(ModelVersion, task=task, number=number)
        return Response(serializers.ModelVersionSerializer(version).data)


class ActivateView(APIView):
    """Make a version the active one, if the gate permits it."""

    permission = Permission.MANAGE_MODELS

    @extend_schema(
        request=serializers.NoteSerializer,
        responses=serializers.ModelVersionSerializer,
        operation_id="model_activate",
    )
    def post(self, request: Request, task: str, number: int) -> Response:
        version = get_object_or_404(ModelVersion, task=task, number=number)
        given = _checked(serializers.NoteSerializer, request.data)
        try:
            activate(version, request=request, **given)
        except LearningConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.ModelVersionSerializer(version).data)


class RollbackView(APIView):
    """Back to the version that was active before."""

    permission = Permission.MANAGE_MODELS

    @extend_schema(
        request=serializers.NoteSerializer,
        responses=serializers.ModelVersionSerializer,
        operation_id="model_rollback",
    )
    def post(self, request: Request, task: str) -> Response:
        if task not in ModelVersion.Task.values:
            raise NotFound
        given = _checked(serializers.NoteSerializer, request.data)
        try:
            version = rollback(task, request=request, **given)
        except LearningConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.ModelVersionSerializer(version).data)


def _examples() -> QuerySet[TrainingExample]:
    return TrainingExample.objects.select_related("sent_by", "decided_by").prefetch_related(
        "runs__candidate"
    )


class ExampleListView(GenericAPIView):
    """Corrections that doctors sent for retraining."""

    permission = Permission.DECIDE_EXAMPLES
    serializer_class = serializers.TrainingExampleSerializer
    queryset = TrainingExample.objects.none()

    @extend_schema(
        parameters=[serializers.ExampleQuerySerializer],
        responses=serializers.TrainingExampleSerializer(many=True),
        operation_id="training_example_list",
    )
    def get(self, request: Request) -> Response:
        wanted = _checked(serializers.ExampleQuerySerializer, request.query_params)
        page = self.paginate_queryset(_examples().filter(**wanted))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ExampleDetailView(RetrieveAPIView):
    """One correction."""

    permission = Permission.DECIDE_EXAMPLES
    serializer_class = serializers.TrainingExampleSerializer
    lookup_field = "public_id"

    def get_queryset(self) -> QuerySet[TrainingExample]:
        return _examples()


class ExampleCropView(APIView):
    """The picture by which a correction is decided; each look is audited."""

    permission = Permission.DECIDE_EXAMPLES
    content_negotiation_class = PicturesIgnoreAccept

    @extend_schema(
        responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="training_example_crop"
    )
    def get(self, request: Request, public_id: UUID) -> HttpResponse:
        examples = TrainingExample.objects.select_related(
            "instance__series__study", "finding__instance", "case"
        )
        example = get_object_or_404(examples, public_id=public_id)
        record(
            AuditEvent.Action.VIEWED, request=request, target=example, site_pk=example.case.site_id
        )
        picture = read_stored(example.instance, lambda _: crop_png(example))
        response = HttpResponse(picture, content_type="image/png")
        response["Cache-Control"] = "no-store"
        return response


class ExampleDecideView(APIView):
    """Accept, reject with a reason, or take the decision back."""

    permission = Permission.DECIDE_EXAMPLES

    @extend_schema(
        request=serializers.DecisionSerializer,
        responses=serializers.TrainingExampleSerializer,
        operation_id="training_example_decide",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        example = get_object_or_404(_examples(), public_id=public_id)
        given = _checked(serializers.DecisionSerializer, request.data)
        try:
            carry_out(example, request=request, **given)
        except LearningConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.TrainingExampleSerializer(example).data)


def _runs() -> QuerySet[TrainingRun]:
    return TrainingRun.objects.select_related("requested_by", "active_version", "candidate")


class RunListView(GenericAPIView):
    """Training runs, newest first; POST starts one."""

    permission = Permission.MANAGE_MODELS
    serializer_class = serializers.TrainingRunSerializer
    queryset = TrainingRun.objects.none()

    @extend_schema(
        responses=serializers.TrainingRunSerializer(many=True), operation_id="training_run_list"
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(_runs())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request=serializers.StartRunSerializer,
        responses={201: serializers.TrainingRunSerializer},
        operation_id="training_run_start",
    )
    def post(self, request: Request) -> Response:
        given = _checked(serializers.StartRunSerializer, request.data)
        try:
            run = start_run(request=request, **given)
        except LearningConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(self.get_serializer(run).data, status=201)


class RunDetailView(RetrieveAPIView):
    """One run: live progress, and its result once it has one."""

    permission = Permission.MANAGE_MODELS
    serializer_class = serializers.TrainingRunSerializer
    lookup_field = "public_id"

    def get_queryset(self) -> QuerySet[TrainingRun]:
        return _runs()


class RunCancelView(APIView):
    """Stop a waiting or running training."""

    permission = Permission.MANAGE_MODELS

    @extend_schema(
        request=None,
        responses=serializers.TrainingRunSerializer,
        operation_id="training_run_cancel",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        run = get_object_or_404(_runs(), public_id=public_id)
        try:
            cancel_run(run, request=request)
        except LearningConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.TrainingRunSerializer(run).data)
