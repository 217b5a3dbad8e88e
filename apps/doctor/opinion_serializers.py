"""What the API of second opinions and pathology takes and gives."""

from rest_framework import serializers

from apps.classifier.models import Confirmation, TrainingExample
from apps.doctor.forms import CANNOT_TELL


class AskedSerializer(serializers.ModelSerializer):
    """A colleague's correction; nothing in it names the patient."""

    sent_by = serializers.CharField()
    diameter_mm = serializers.FloatField(
        source="finding.diameter_mm", allow_null=True, default=None
    )

    class Meta:
        model = TrainingExample
        fields = [
            "public_id",
            "task",
            "label",
            "predicted",
            "predicted_by",
            "reason",
            "text",
            "diameter_mm",
            "sent_by",
            "sent_at",
            "opinion_asked_at",
        ]


class OpinionInSerializer(serializers.Serializer):
    label = serializers.CharField(
        max_length=20, help_text=f"A label of the correction's task, or {CANNOT_TELL}."
    )
    text = serializers.CharField(max_length=1000, allow_blank=True, default="")


class OpinionSerializer(serializers.Serializer):
    """The opinion, and where the correction is now."""

    example = serializers.UUIDField(source="example.public_id")
    label = serializers.SerializerMethodField()
    text = serializers.CharField()
    given_at = serializers.DateTimeField()
    status = serializers.CharField(source="example.status")

    def get_label(self, opinion: object) -> str:
        return opinion.label or CANNOT_TELL


class ConfirmationInSerializer(serializers.Serializer):
    """Without a finding it is about the whole case."""

    kind = serializers.ChoiceField(choices=Confirmation.Kind.choices)
    label = serializers.ChoiceField(choices=Confirmation.Label.choices)
    finding = serializers.UUIDField(allow_null=True, default=None)
    text = serializers.CharField(max_length=1000, allow_blank=True, default="")


class ConfirmationSerializer(serializers.Serializer):
    kind = serializers.CharField()
    label = serializers.CharField()
    finding = serializers.UUIDField(source="finding.public_id", allow_null=True, default=None)
    text = serializers.CharField()
    recorded_by = serializers.CharField()
    recorded_at = serializers.DateTimeField()
