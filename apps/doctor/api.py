"""The doctor's work for programs, and for our own reading page. Same rules as the pages."""

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, NotFound, PermissionDenied, ValidationError
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from apps.accounts.permissions import Permission
from apps.cases.after_report import add_addendum
from apps.cases.api import FOREVER
from apps.cases.looks import record_first_look, record_look
from apps.cases.models import Case, Verdict
from apps.cases.services import (
    CaseConflict,
    break_glass,
    claim_case,
    release_case,
    return_case,
    take_over_case,
)
from apps.cases.unaided import WHY_HIDDEN, hides_ai
from apps.classifier.models import Finding, FindingHeatmap, Prediction
from apps.classifier.services import override_gate, predictions_of, retry_prediction
from apps.classifier.watching import why_off
from apps.doctor import serializers
from apps.doctor.access import look_up, looks_only, verdicts_for
from apps.doctor.reading import finding_data
from apps.doctor.report import report_body
from apps.doctor.services import findings_of, next_number, sign
from apps.doctor.worklist import cases_for, rows_for

# As on the reading page: technicians prepare a case and see neither scores nor verdicts.
LOOK = Permission.BREAK_GLASS


class Conflict(APIException):
    """Somebody was faster, or the case moved on: nothing was stored."""

    status_code = 409
    default_code = "conflict"
    default_detail = "This changed in the meantime. Nothing of yours was stored."


def checked(serializer: type[Serializer], request: Request, **context: object) -> Serializer:
    given = serializer(data=request.data, context=context)
    given.is_valid(raise_exception=True)
    return given


def visible_case(request: Request, public_id: UUID) -> Case:
    """A case that this user may look at, else 404."""
    cases = Case.objects.visible_to(request.user)
    return get_object_or_404(_with_facts(cases), public_id=public_id)


def readable_case(request: Request, public_id: UUID) -> Case:
    """A case that this doctor may act on; one opened by break-glass is only to look at."""
    cases = _with_facts(Case.objects.readable_by(request.user))
    case = cases.filter(public_id=public_id).first()
    if case is None:
        visible_case(request, public_id)
        raise PermissionDenied("You opened this case by break-glass: you may look, not change it.")
    return case


def refuse_hidden(case: Case, request: Request) -> None:
    """403 while what the AI said is kept from this doctor."""
    if hides_ai(case, request.user):
        raise PermissionDenied(WHY_HIDDEN)


def _with_facts(cases: QuerySet[Case]) -> QuerySet[Case]:
    return cases.select_related("study__patient", "claimed_by", "site")


class WorklistView(GenericAPIView):
    """The doctor's worklist: unread first, then by priority, then the longest waiting."""

    permission = Permission.READ_CASE
    serializer_class = serializers.WorklistRowSerializer

    @extend_schema(
        parameters=[serializers.WorklistQuerySerializer],
        responses=serializers.WorklistRowSerializer(many=True),
        operation_id="worklist",
    )
    def get(self, request: Request) -> Response:
        asked = serializers.WorklistQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        page = self.paginate_queryset(cases_for(request.user, **asked.validated_data))
        rows = rows_for(page, request.user)
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)


def refuse_while_off() -> None:
    """409 with the reason, while doctors see no AI."""
    off = why_off()
    if off:
        raise Conflict(f"The AI is switched off for doctors. {off}")


class PredictionsView(ListAPIView):
    """What the AI was asked about a case and what it answered, newest first."""

    permission = LOOK
    serializer_class = serializers.PredictionSerializer
    queryset = Prediction.objects.none()

    def get_queryset(self) -> QuerySet[Prediction]:
        case = visible_case(self.request, self.kwargs["public_id"])
        refuse_hidden(case, self.request)
        record_look(self.request, case, what="predictions")
        refuse_while_off()
        return predictions_of(case).select_related("series")


class FindingsView(GenericAPIView):
    """The places that the AI or a doctor pointed at."""

    permission = LOOK
    serializer_class = serializers.FindingSerializer

    @extend_schema(responses=serializers.FindingSerializer(many=True), operation_id="case_findings")
    def get(self, request: Request, public_id: UUID) -> Response:
        case = visible_case(request, public_id)
        record_look(request, case, what="findings")
        findings = findings_of(case, request.user).prefetch_related("verdicts__verdict__doctor")
        if why_off():  # doctors' own marks stay
            findings = findings.filter(source=Finding.Source.DOCTOR)
        page = self.paginate_queryset(findings.order_by("number", "pk"))
        shown = [finding_data(finding, case, request.user) for finding in page]
        return self.get_paginated_response(self.get_serializer(shown, many=True).data)


class HeatmapView(APIView):
    """Where a finding's suspicion comes from; a part of the case, audited with its opening."""

    permission = LOOK

    @extend_schema(responses=serializers.HeatmapSerializer, operation_id="finding_heatmap")
    def get(self, request: Request, public_id: UUID) -> Response:
        heatmaps = FindingHeatmap.objects.filter(
            finding__case__in=Case.objects.visible_to(request.user),
            finding__prediction__shadow=False,
        )
        heatmap = get_object_or_404(
            heatmaps.select_related("finding__instance", "finding__case"),
            finding__public_id=public_id,
        )
        refuse_hidden(heatmap.finding.case, request)
        record_first_look(request, heatmap.finding.case, what="heatmap")
        refuse_while_off()
        answer = Response(serializers.HeatmapSerializer(heatmap).data)
        # A browser may keep it: whether it may be seen was asked before, and stays true until
        # the case is sent again.
        answer["Cache-Control"] = FOREVER
        return answer


class VerdictsView(ListAPIView):
    """GET: every verdict of a case, newest first. POST: sign one; a second one corrects it."""

    permissions = {"GET": LOOK, "POST": Permission.READ_CASE}
    serializer_class = serializers.VerdictSerializer
    queryset = Verdict.objects.none()

    def get_queryset(self) -> QuerySet[Verdict]:
        case = visible_case(self.request, self.kwargs["public_id"])
        record_look(self.request, case, what="verdicts")
        seen = verdicts_for(case, self.request.user)
        return seen.select_related("doctor", "report").prefetch_related(
            "finding_verdicts__finding", "report__addenda__signed_by"
        )

    @extend_schema(
        request=serializers.VerdictInSerializer,
        responses={201: serializers.SignedSerializer},
        operation_id="case_sign_verdict",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        given = checked(serializers.VerdictInSerializer, request, case=case, user=request.user)
        try:
            signed = sign(
                case,
                request=request,
                revision=given.validated_data["revision"],
                answer=given.answer(),
            )
        except CaseConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.SignedSerializer(signed).data, status=201)


class VerdictPreviewView(APIView):
    """POST a verdict as for signing: the report that it would become. Stores nothing."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=serializers.VerdictInSerializer,
        responses=serializers.PreviewSerializer,
        operation_id="case_preview_report",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        refuse_hidden(case, request)
        given = checked(serializers.VerdictInSerializer, request, case=case, user=request.user)
        record_first_look(request, case, what="preview")
        text = report_body(case, request.user, given.answer(), next_number(case))
        return Response(serializers.PreviewSerializer({"report": text}).data)


class AddendaView(APIView):
    """POST: sign an addition to the newest report; the report stays as it was signed."""

    permission = Permission.READ_CASE

    @extend_schema(
        request=serializers.AddendumInSerializer,
        responses={201: serializers.AddendumSerializer},
        operation_id="case_add_addendum",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        given = checked(serializers.AddendumInSerializer, request).validated_data
        try:
            added = add_addendum(case, request=request, **given)
        except CaseConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.AddendumSerializer(added).data, status=201)


class StepView(APIView):
    """One step with a case; subclasses say which. Answers with where the case is afterwards."""

    permission = Permission.READ_CASE
    takes: type[Serializer] | None = None

    def act(self, case: Case, request: Request, **given: object) -> None:
        raise NotImplementedError

    def perform(self, request: Request, public_id: UUID) -> Response:
        case = readable_case(request, public_id)
        given = checked(self.takes, request).validated_data if self.takes else {}
        try:
            self.act(case, request, **given)
        except CaseConflict as conflict:
            raise Conflict(conflict.message) from conflict
        return Response(serializers.StateSerializer(case).data)


class ClaimView(StepView):
    """Take a waiting case for reading; the first of two doctors gets it."""

    def act(self, case: Case, request: Request, **given: object) -> None:
        claim_case(case, request=request)

    @extend_schema(request=None, responses=serializers.StateSerializer, operation_id="case_claim")
    def post(self, request: Request, public_id: UUID) -> Response:
        return self.perform(request, public_id)


class ReleaseView(StepView):
    """Put one's own case back on the list."""

    def act(self, case: Case, request: Request, **given: object) -> None:
        release_case(case, request=request)

    @extend_schema(request=None, responses=serializers.StateSerializer, operation_id="case_release")
    def post(self, request: Request, public_id: UUID) -> Response:
        return self.perform(request, public_id)


class TakeOverView(StepView):
    """Take a case that another doctor holds."""

    takes = serializers.RevisionSerializer

    def act(self, case: Case, request: Request, **given: object) -> None:
        take_over_case(case, request=request, **given)

    @extend_schema(
        request=serializers.RevisionSerializer,
        responses=serializers.StateSerializer,
        operation_id="case_take_over",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        return self.perform(request, public_id)


class ReturnView(StepView):
    """Give the case back to the technician with the reason."""

    takes = serializers.ReturnSerializer

    def act(self, case: Case, request: Request, **given: object) -> None:
        return_case(case, request=request, **given)

    @extend_schema(
        request=serializers.ReturnSerializer,
        responses=serializers.StateSerializer,
        operation_id="case_return",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        return self.perform(request, public_id)


class PredictionStepView(APIView):
    """A step with one prediction of a case that the user may open.

    Technicians take these steps too, so the answers say how far it is, never what was found.
    """

    def find(self, request: Request, public_id: UUID, status: str) -> Prediction:
        """The prediction in this state.

        404 when it is not the user's to see, 403 when it is only to look at, 409 when it moved.
        """
        predictions = Prediction.objects.filter(
            case__in=Case.objects.visible_to(request.user), shadow=False
        )
        prediction = get_object_or_404(
            predictions.select_related("case", "series"), public_id=public_id
        )
        if looks_only(prediction.case, request.user):
            raise PermissionDenied("You opened this case by break-glass: you may look only.")
        refuse_hidden(prediction.case, request)
        if prediction.status != status:
            raise Conflict(f"The AI's state is now: {prediction.get_status_display()}.")
        return prediction


class RetryView(PredictionStepView):
    """Ask again after a failure; the answer is the question that is open now."""

    permission = Permission.RETRY_PREDICTION

    @extend_schema(
        request=None,
        responses=serializers.PredictionStateSerializer,
        operation_id="prediction_retry",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        prediction = self.find(request, public_id, Prediction.Status.FAILED)
        same = predictions_of(prediction.case).filter(
            series=prediction.series, override=prediction.override
        )
        asked_again = same.filter(pk__gt=prediction.pk).exists()
        if asked_again or not retry_prediction(prediction, request=request):
            raise Conflict("It is already being tried again.")
        newest = same.order_by("-pk").first()
        return Response(serializers.PredictionStateSerializer(newest).data)


class OverrideView(PredictionStepView):
    """Score a series although the chest gate refused it; kept in the case's history."""

    permission = Permission.OVERRIDE_GATE

    @extend_schema(
        request=None,
        responses={201: serializers.PredictionStateSerializer},
        operation_id="prediction_override",
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        prediction = self.find(request, public_id, Prediction.Status.REFUSED)
        if prediction.override:
            raise Conflict("It was already scored without the chest check, and refused.")
        asked = override_gate(prediction, request=request)
        if asked is None:
            raise Conflict("This series is scored without the chest check already.")
        return Response(serializers.PredictionStateSerializer(asked).data, status=201)


class BreakGlassView(APIView):
    """Open one case that is not yours for four hours, for a reason that is kept."""

    permission = Permission.BREAK_GLASS

    @extend_schema(
        request=serializers.BreakGlassSerializer,
        responses={201: serializers.BreakGlassOpenedSerializer},
        operation_id="break_glass",
    )
    def post(self, request: Request) -> Response:
        given = checked(serializers.BreakGlassSerializer, request).validated_data
        found = look_up(given["number"], request)
        if "case" in given:
            found = [case for case in found if case.public_id == given["case"]]
        if not found:
            raise NotFound("No case has exactly this Patient ID or accession number.")
        if len(found) > 1:
            ids = ", ".join(str(case.public_id) for case in found)
            raise ValidationError({"case": [f"Several cases have this number; name one: {ids}"]})
        grant = break_glass(found[0], request=request, reason=given["reason"])
        return Response(serializers.BreakGlassOpenedSerializer(grant).data, status=201)
