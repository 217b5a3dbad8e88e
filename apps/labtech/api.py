"""Upload, send and withdraw, for programs and for our own pages."""

from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import ReadingGroup, User
from apps.accounts.permissions import Permission, Role
from apps.audit.models import AuditEvent
from apps.audit.services import record, record_each
from apps.cases.archives import ingest_zip, is_zip
from apps.cases.ingest import Answer, Received, ingest_files, ingest_instance, known_instances
from apps.cases.models import Case
from apps.cases.services import CaseConflict, settle_study, withdraw_case
from apps.cases.storage import DiskNearlyFull
from apps.imaging.refusal import Refusal
from apps.labtech.receivers import doctors_of, groups_of
from apps.labtech.services import send

_STATUS_OF = {
    "other_bytes": status.HTTP_409_CONFLICT,
    "other_patient": status.HTTP_409_CONFLICT,
    "other_person": status.HTTP_409_CONFLICT,
    "too_large": status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "zip_too_large": status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "zip_too_many": status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "disk_full": status.HTTP_507_INSUFFICIENT_STORAGE,
}


class UploadSerializer(serializers.Serializer):
    file = serializers.FileField(help_text="One DICOM file.")


class UploadedSeriesSerializer(serializers.Serializer):
    public_id = serializers.UUIDField()


class UploadedCaseSerializer(serializers.Serializer):
    public_id = serializers.UUIDField()
    url = serializers.CharField()
    patient = serializers.CharField()
    study = serializers.CharField()
    status = serializers.ChoiceField(choices=Case.Status.choices)


class UploadAnswerSerializer(serializers.Serializer):
    """What became of one file, in words for the person who sent it."""

    outcome = serializers.ChoiceField(choices=["received", "known", "refused"])
    code = serializers.CharField()
    message = serializers.CharField()
    file_name = serializers.CharField()
    case = UploadedCaseSerializer(allow_null=True)
    series = UploadedSeriesSerializer(allow_null=True)


class UploadView(APIView):
    """Takes one file and answers at once: received, already known, or refused with the reason."""

    permission = Permission.UPLOAD
    parser_classes = [MultiPartParser]

    @extend_schema(
        request=UploadSerializer,
        responses={code: UploadAnswerSerializer for code in (200, 201, 400, 409, 413, 422, 507)},
        operation_id="upload",
    )
    def post(self, request: Request) -> Response:
        files = request.FILES.getlist("file")
        if len(files) != 1:
            answer = _refused("", "one_file", "Send exactly one file in the field “file”.")
            return Response(answer, status=status.HTTP_400_BAD_REQUEST)
        try:
            received = ingest_instance(
                Path(files[0].temporary_file_path()),
                site=request.user.site,
                user=request.user,
                request=request,
            )
        except Refusal as refusal:
            return _refuse_file(request, files[0], refusal.code, refusal.message)
        except DiskNearlyFull as full:
            return _refuse_file(request, files[0], "disk_full", full.message)
        made = status.HTTP_201_CREATED if received.new else status.HTTP_200_OK
        return Response(_accepted(files[0].name, received), status=made)


class BatchSerializer(serializers.Serializer):
    file = serializers.ListField(child=serializers.FileField(), help_text="DICOM files.")


class BatchAnswerSerializer(serializers.Serializer):
    answers = UploadAnswerSerializer(many=True)


class BatchView(APIView):
    """Takes several files at once and answers each, in their order."""

    permission = Permission.UPLOAD
    parser_classes = [MultiPartParser]

    @extend_schema(
        request=BatchSerializer,
        responses={200: BatchAnswerSerializer, 400: None, 413: None, 507: None},
        operation_id="upload_batch",
    )
    def post(self, request: Request) -> Response:
        files = request.FILES.getlist("file")
        if not files:
            detail = "Send one or more files in the field “file”."
            return Response({"detail": detail}, status=status.HTTP_400_BAD_REQUEST)
        paths = [Path(file.temporary_file_path()) for file in files]
        try:
            found = ingest_files(paths, site=request.user.site, user=request.user, request=request)
        except DiskNearlyFull as full:
            return Response(
                {"detail": full.message, "code": "disk_full"},
                status=status.HTTP_507_INSUFFICIENT_STORAGE,
            )
        told = [
            _told(request, file.name, answer, size=file.size)
            for file, answer in zip(files, found, strict=True)
        ]
        return Response({"answers": told})


class ZipSerializer(serializers.Serializer):
    file = serializers.FileField(help_text="One ZIP; ZIPs in it are unpacked too.")


class ZipView(APIView):
    """Takes a ZIP and answers for each file in it; what systems leave in ZIPs is passed over.

    A ZIP that is damaged, protected or over the limits is refused as a whole. One that is sent
    again after a lost connection changes nothing: what arrived is known.
    """

    permission = Permission.UPLOAD
    parser_classes = [MultiPartParser]

    @extend_schema(
        request=ZipSerializer,
        responses={
            200: BatchAnswerSerializer,
            **{code: UploadAnswerSerializer for code in (400, 413, 422, 507)},
        },
        operation_id="upload_zip",
    )
    def post(self, request: Request) -> Response:
        files = request.FILES.getlist("file")
        if len(files) != 1:
            answer = _refused("", "one_file", "Send exactly one ZIP in the field “file”.")
            return Response(answer, status=status.HTTP_400_BAD_REQUEST)
        try:
            told = _all_of_zip(request, files[0])
        except Refusal as refusal:
            return _refuse_file(request, files[0], refusal.code, refusal.message)
        except DiskNearlyFull:
            words = "The server's disk is nearly full. What fitted was kept; tell your admin."
            return _refuse_file(request, files[0], "disk_full", words)
        return Response({"answers": told})


def _all_of_zip(request: Request, file: UploadedFile) -> list[dict]:
    path = Path(file.temporary_file_path())
    if not is_zip(path):
        raise Refusal("not_zip", "This is not a ZIP. Send the files as they are.")
    site, user = request.user.site, request.user
    told = [
        _told(request, name, answer)
        for name, answer in ingest_zip(path, site=site, user=user, request=request)
    ]
    if not told:
        raise Refusal("zip_empty", "There is no file in this ZIP.")
    return told


class KnownSerializer(serializers.Serializer):
    sop_instance_uids = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=1000
    )


class KnownAnswerSerializer(serializers.Serializer):
    known = serializers.DictField(help_text="By SOP Instance UID: SHA-256, and the answer.")


class KnownView(APIView):
    """Which images the sender's site has already, so that an interrupted upload sends the rest.

    A program compares the SHA-256 and leaves out what is the same; nothing is changed by asking.
    """

    permission = Permission.UPLOAD

    @extend_schema(
        request=KnownSerializer, responses=KnownAnswerSerializer, operation_id="upload_known"
    )
    def post(self, request: Request) -> Response:
        asked = KnownSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        found = known_instances(request.user.site, asked.validated_data["sop_instance_uids"])
        cases = {one.case.pk: one.case for one in found}.values()
        record_each(
            AuditEvent.Action.VIEWED,
            [(case, {"what": "asked before sending"}) for case in cases],
            request=request,
        )
        return Response(
            {
                "known": {
                    one.instance.sop_instance_uid: {
                        "sha256": one.instance.sha256,
                        **_accepted("", one),
                    }
                    for one in found
                }
            }
        )


def _told(request: Request, name: str, answer: Answer, **noted: Any) -> dict:
    if isinstance(answer, Received):
        return _accepted(name, answer)
    _note_refusal(request, name, answer.code, **noted)
    return _refused(name, answer.code, answer.message)


def _refuse_file(request: Request, file: UploadedFile, code: str, message: str) -> Response:
    _note_refusal(request, file.name, code, size=file.size)
    answered = _STATUS_OF.get(code, status.HTTP_422_UNPROCESSABLE_ENTITY)
    return Response(_refused(file.name, code, message), status=answered)


def _note_refusal(request: Request, name: str, code: str, **noted: Any) -> None:
    # File names may hold a patient's name: the trail keeps only kind and size.
    record(
        AuditEvent.Action.UPLOAD_REFUSED,
        request=request,
        code=code,
        extension=PurePath(name).suffix[:10].lower(),
        **noted,
    )


def _refused(name: str, code: str, message: str) -> dict:
    return {
        "outcome": "refused",
        "code": code,
        "message": message,
        "file_name": name,
        "case": None,
        "series": None,
    }


def _accepted(name: str, received: Received) -> dict:
    outcome = "received" if received.new else "known"
    case, study = received.case, received.instance.series.study
    return {
        "outcome": outcome,
        "code": outcome,
        "message": "Received." if received.new else "Already here: the same image came before.",
        "file_name": name,
        "case": {
            "public_id": case.public_id,
            "url": reverse("labtech:case", args=[case.public_id]),
            "patient": study.patient.display_name,
            "study": str(study),
            "status": case.status,
        },
        "series": {"public_id": received.instance.series.public_id},
    }


class _OwnSite(serializers.PrimaryKeyRelatedField):
    """A key that must belong to the sender's own site."""

    def get_queryset(self) -> Any:
        request = self.context.get("request")
        if request is None:
            return super().get_queryset().none()
        return super().get_queryset().filter(site=request.user.site_id)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except OverflowError:  # 1e400 is a number in JSON, and infinite in Python
            self.fail("incorrect_type", data_type=type(data).__name__)


class SendSerializer(serializers.Serializer):
    """Neither receiver nor group: the case goes to the site's open pool."""

    revision = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, help_text="Of the case as you saw it."
    )
    clinical_question = serializers.CharField(max_length=1000, allow_blank=True, default="")
    priority = serializers.ChoiceField(choices=Case.Priority.choices, default=Case.Priority.ROUTINE)
    note = serializers.CharField(max_length=4000, allow_blank=True, default="")
    receiver = _OwnSite(
        queryset=User.objects.filter(role=Role.DOCTOR, is_active=True),
        allow_null=True,
        default=None,
    )
    receiver_group = _OwnSite(queryset=ReadingGroup.objects.all(), allow_null=True, default=None)
    despite_arriving = serializers.BooleanField(
        default=False,
        help_text="Send it although images came a moment ago; without it that answers 409.",
    )

    def validate(self, asked: dict) -> dict:
        if asked["receiver"] and asked["receiver_group"]:
            raise serializers.ValidationError("Name a doctor or a group, not both.")
        return asked


class WithdrawSerializer(serializers.Serializer):
    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    reason = serializers.CharField(max_length=1000)


class CaseStateSerializer(serializers.ModelSerializer):
    class Meta:
        model = Case
        fields = ["public_id", "status", "revision", "sent_at"]


class _CaseStep(APIView):
    """A step on one case of the sender's; a step that came too late is told, with 409."""

    permission = Permission.SEND_CASE

    def step(self, request: Request, public_id: UUID) -> Response:
        case = get_object_or_404(Case.objects.visible_to(request.user), public_id=public_id)
        asked = self.serializer_class(data=request.data, context={"request": request})
        asked.is_valid(raise_exception=True)
        try:
            self.take(case, request, asked.validated_data)
        except CaseConflict as conflict:
            told = {"detail": conflict.message, "code": conflict.code}
            return Response(told, status=status.HTTP_409_CONFLICT)
        return Response(CaseStateSerializer(case).data)


class SendView(_CaseStep):
    serializer_class = SendSerializer

    @extend_schema(request=SendSerializer, responses=CaseStateSerializer, operation_id="case_send")
    def post(self, request: Request, public_id: UUID) -> Response:
        """Send the case to a doctor, a group, or the open pool, and queue its predictions."""
        return self.step(request, public_id)

    def take(self, case: Case, request: Request, asked: dict) -> None:
        send(case, request=request, **asked)


class SettleView(APIView):
    permission = Permission.SEND_CASE

    @extend_schema(request=None, responses={204: None}, operation_id="case_settle")
    def post(self, request: Request, public_id: UUID) -> Response:
        """Say that all images of the study are here, so that sending it asks nothing."""
        case = get_object_or_404(Case.objects.visible_to(request.user), public_id=public_id)
        settle_study(case, request=request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class WithdrawView(_CaseStep):
    serializer_class = WithdrawSerializer

    @extend_schema(
        request=WithdrawSerializer, responses=CaseStateSerializer, operation_id="case_withdraw"
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Take back a case that no doctor has opened for reading."""
        return self.step(request, public_id)

    def take(self, case: Case, request: Request, asked: dict) -> None:
        withdraw_case(case, request=request, **asked)


class ReceiverSerializer(serializers.Serializer):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField(source="__str__")


class ReceiversSerializer(serializers.Serializer):
    doctors = ReceiverSerializer(many=True)
    groups = ReceiverSerializer(many=True)


class ReceiversView(APIView):
    """To whom a case can be sent, besides the open pool."""

    permission = Permission.SEND_CASE

    @extend_schema(responses=ReceiversSerializer, operation_id="receivers")
    def get(self, request: Request) -> Response:
        site = request.user.site
        receivers = {"doctors": doctors_of(site), "groups": groups_of(site)}
        return Response(ReceiversSerializer(receivers).data)
