"""What the doctor's API takes and gives."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

from rest_framework import serializers

from apps.cases.models import Addendum, Case, Instance, Verdict
from apps.cases.serializers import CaseSerializer, FiniteFloatField
from apps.classifier.calls import operating_point
from apps.classifier.models import FindingHeatmap, FindingVerdict, Prediction
from apps.doctor.nodule_serializers import StructuredSerializer, as_structured
from apps.doctor.services import FindingAnswer, MissedNodule, VerdictAnswer, findings_of
from apps.doctor.structured import Structured, kept_structure

LARGEST_REVISION = 2**31 - 1
LARGEST_NODULE_MM = 300


class RevisionSerializer(serializers.Serializer):
    """The revision of the case that the doctor saw; another one is answered with 409."""

    revision = serializers.IntegerField(min_value=1, max_value=LARGEST_REVISION)


class ReturnSerializer(RevisionSerializer):
    reason = serializers.CharField(
        max_length=1000, error_messages={"blank": "Say what the technician should change."}
    )


class FindingAnswerSerializer(serializers.Serializer):
    """A doctor's answer to one finding; `retrain` sends it on if it disagrees with the AI."""

    finding = serializers.UUIDField()
    label = serializers.ChoiceField(choices=FindingVerdict.Label.choices)
    retrain = serializers.BooleanField(default=False)
    text = serializers.CharField(max_length=1000, allow_blank=True, default="")


class MissedNoduleSerializer(serializers.Serializer):
    """A nodule that the AI missed: pixel of its centre, long axis in mm."""

    instance = serializers.UUIDField()
    row = FiniteFloatField(min_value=0, max_value=65535)
    column = FiniteFloatField(min_value=0, max_value=65535)
    diameter_mm = FiniteFloatField(min_value=0.5, max_value=LARGEST_NODULE_MM)
    label = serializers.ChoiceField(
        choices=[
            (FindingVerdict.Label.MALIGNANT.value, "malignant"),
            (FindingVerdict.Label.BENIGN.value, "benign"),
        ]
    )
    retrain = serializers.BooleanField(default=False)
    text = serializers.CharField(max_length=1000, allow_blank=True, default="")


class VerdictInSerializer(RevisionSerializer):
    """A whole verdict. `case` comes in the context; findings must be the case's own."""

    cancer = serializers.ChoiceField(
        choices=Verdict.Cancer.choices,
        error_messages={"required": "Choose cancer: yes, no or uncertain."},
    )
    diagnoses = serializers.ListField(
        child=serializers.CharField(max_length=300), max_length=50, default=list
    )
    text = serializers.CharField(max_length=20_000, allow_blank=True, default="")
    second_read = serializers.BooleanField(
        default=False, help_text="Hand the case to a second reader, who does not see this one."
    )
    findings = FindingAnswerSerializer(many=True, default=list, max_length=500)
    missed = MissedNoduleSerializer(many=True, default=list, max_length=100)
    structured = StructuredSerializer(required=False)

    def validate_structured(self, given: dict[str, Any]) -> Structured:
        structured = as_structured(given)
        calculated = kept_structure(self.context["case"], replace(structured, lung_rads=""))
        differs = structured.lung_rads and structured.lung_rads != calculated["lung_rads"]
        if differs and not structured.lung_rads_reason.strip():
            raise serializers.ValidationError(
                f"The calculated Lung-RADS category is {calculated['lung_rads'] or 'none'}. "
                "Say why you give another one."
            )
        return structured

    def validate_findings(self, answers: list[dict]) -> list[FindingAnswer]:
        known = {
            one.public_id: one for one in findings_of(self.context["case"], self.context["user"])
        }
        ids = [one["finding"] for one in answers]
        if len(set(ids)) < len(ids):
            raise serializers.ValidationError("A finding is answered twice.")
        if not known.keys() >= set(ids):
            raise serializers.ValidationError("A finding is not of this case. Reload the page.")
        return [FindingAnswer(**{**one, "finding": known[one["finding"]]}) for one in answers]

    def validate_missed(self, marks: list[dict]) -> list[MissedNodule]:
        ids = {one["instance"] for one in marks}
        found = Instance.objects.filter(
            series__study__case=self.context["case"], public_id__in=ids
        ).select_related("series")
        known = {one.public_id: one for one in found}
        if not known.keys() >= ids:
            raise serializers.ValidationError("A mark is on an image that is not of this case.")
        missed = [MissedNodule(**{**one, "instance": known[one["instance"]]}) for one in marks]
        if any(m.row >= m.instance.rows or m.column >= m.instance.columns for m in missed):
            raise serializers.ValidationError("A mark lies outside its image.")
        return missed

    def answer(self) -> VerdictAnswer:
        """The validated verdict, as the service takes it."""
        data = {k: v for k, v in self.validated_data.items() if k != "revision"}
        return VerdictAnswer(**data)


class PreviewSerializer(serializers.Serializer):
    """The words that would be signed."""

    report = serializers.CharField()


class AddendumInSerializer(RevisionSerializer):
    text = serializers.CharField(
        max_length=10_000, error_messages={"blank": "Write what is to be added."}
    )


class AddendumSerializer(serializers.ModelSerializer):
    """An addition to a signed report."""

    signed_by = serializers.CharField()

    class Meta:
        model = Addendum
        fields = ["text", "signed_by", "signed_at"]


class ChestCorrectionSerializer(serializers.Serializer):
    """The right answer of the chest gate for one image."""

    instance = serializers.UUIDField()
    label = serializers.ChoiceField(choices=[("chest", "chest"), ("not_chest", "not a chest")])
    text = serializers.CharField(max_length=1000, allow_blank=True, default="")


class ContrastCorrectionSerializer(serializers.Serializer):
    """Whether contrast agent was given for one series."""

    series = serializers.UUIDField()
    label = serializers.ChoiceField(
        choices=[("contrast", "contrast given"), ("no_contrast", "no contrast")]
    )
    text = serializers.CharField(max_length=1000, allow_blank=True, default="")


class ChestCorrectedSerializer(serializers.Serializer):
    public_id = serializers.UUIDField()
    label = serializers.CharField()
    status = serializers.CharField()


class BreakGlassSerializer(serializers.Serializer):
    """Exactly one case, by its own Patient ID or accession number, and the reason."""

    number = serializers.CharField(
        max_length=64, help_text="The exact Patient ID or accession number."
    )
    reason = serializers.CharField(
        min_length=10,
        max_length=500,
        error_messages={"min_length": "Say in at least 10 characters why you need this case."},
    )

    case = serializers.UUIDField(
        required=False, help_text="Which one, where several cases have this number."
    )


class BreakGlassOpenedSerializer(serializers.Serializer):
    case = serializers.UUIDField(source="case.public_id")
    expires_at = serializers.DateTimeField()


class AnswerSerializer(serializers.Serializer):
    """The AI's state over all series of a case; `nothing` are the words without a score."""

    status = serializers.CharField()
    words = serializers.CharField()
    nothing = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    diameter_mm = serializers.FloatField(allow_null=True)


class WorklistQuerySerializer(serializers.Serializer):
    show = serializers.ChoiceField(
        choices=["to_read", "mine", "urgent", "returned", "reported", "all"], default="to_read"
    )


class WorklistRowSerializer(serializers.Serializer):
    case = CaseSerializer()
    ai = AnswerSerializer(source="answer")
    waiting_minutes_target = serializers.IntegerField(
        source="waiting.target_minutes", allow_null=True, default=None
    )
    with_whom = serializers.SerializerMethodField()
    opened = serializers.BooleanField()
    mine = serializers.BooleanField()

    def get_with_whom(self, row: Any) -> str:
        return str(row.case.claimed_by or "")


class StateSerializer(serializers.ModelSerializer):
    """Where a case is after a step."""

    with_whom = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields = ["public_id", "status", "stage", "revision", "with_whom"]

    def get_with_whom(self, case: Case) -> str:
        return str(case.claimed_by or "")


class PredictionStateSerializer(serializers.ModelSerializer):
    """How far one run of the models over one series is, without what it found."""

    series = serializers.UUIDField(source="series.public_id")

    class Meta:
        model = Prediction
        fields = [
            "public_id",
            "series",
            "status",
            "progress",
            "override",
            "code",
            "reason",
            "queued_at",
            "finished_at",
        ]


class PredictionSerializer(PredictionStateSerializer):
    """One run of the models over one series."""

    versions = serializers.SerializerMethodField()
    operating_point = serializers.SerializerMethodField()

    class Meta(PredictionStateSerializer.Meta):
        fields = [
            *PredictionStateSerializer.Meta.fields,
            "warnings",
            "air_hu",
            "series_score",
            "profile",
            "versions",
            "operating_point",
        ]

    def get_versions(self, prediction: Prediction) -> list[str]:
        return [str(version) for version in prediction.model_versions.all()]

    def get_operating_point(self, prediction: Prediction) -> float:
        return operating_point(prediction)


class FindingSerializer(serializers.Serializer):
    """A place that a model or a doctor pointed at, with the last answer to it."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    source = serializers.CharField()
    author = serializers.CharField()
    series = serializers.UUIDField()
    instance_id = serializers.UUIDField()
    row = serializers.FloatField()
    column = serializers.FloatField()
    diameter_mm = serializers.FloatField()
    nodule_probability = serializers.FloatField(allow_null=True)
    malignancy_probability = serializers.FloatField(allow_null=True)
    step = serializers.CharField()
    version = serializers.CharField()
    operating_point = serializers.FloatField(allow_null=True)
    reliability = serializers.CharField(help_text="Of the score at this size, in words.")
    label = serializers.CharField()
    said_by = serializers.CharField()
    heatmap_url = serializers.CharField(help_text="Empty where none was made.")


class HeatmapSerializer(serializers.Serializer):
    """Where on the slice a finding's suspicion comes from, as a square laid over it."""

    finding = serializers.UUIDField(source="finding.public_id")
    instance_id = serializers.UUIDField(source="finding.instance.public_id")
    method = serializers.CharField()
    top = serializers.FloatField(help_text="Pixel row of the upper edge.")
    left = serializers.FloatField(help_text="Pixel column of the left edge.")
    side = serializers.FloatField(help_text="Edge in pixels of the slice.")
    strength = serializers.FloatField(help_text="How much the answer depends on it.")
    side_pixels = serializers.IntegerField()
    values = serializers.SerializerMethodField(
        help_text="side_pixels squared bytes, row by row, in base64; 255 is the most."
    )

    def get_values(self, heatmap: FindingHeatmap) -> str:
        return b64encode(heatmap.values).decode()


class FindingVerdictSerializer(serializers.Serializer):
    finding = serializers.UUIDField(source="finding.public_id")
    label = serializers.CharField()


class VerdictSerializer(serializers.ModelSerializer):
    """A verdict as given; the newest of a case counts."""

    doctor = serializers.CharField()
    findings = FindingVerdictSerializer(source="finding_verdicts", many=True)
    report = serializers.CharField(source="report.body")
    addenda = AddendumSerializer(source="report.addenda", many=True)

    class Meta:
        model = Verdict
        fields = [
            "id",
            "cancer",
            "diagnoses",
            "text",
            "nodules",
            "lung_rads",
            "lung_rads_rule",
            "lung_rads_reason",
            "doctor",
            "given_at",
            "findings",
            "report",
            "addenda",
        ]


class SignedSerializer(serializers.Serializer):
    """The stored verdict, what went to the retrain queue, and why anything did not."""

    verdict = VerdictSerializer()
    sent_for_retraining = serializers.IntegerField(source="sent")
    not_sent = serializers.ListField(child=serializers.CharField())
    case = StateSerializer(source="verdict.case")
