"""What the operations API takes and gives."""

from typing import Any

from rest_framework import serializers

from apps.classifier.learning import TRAINABLE
from apps.classifier.models import ModelVersion, TrainingExample, TrainingRun

_LARGEST_SEED = 2**31 - 1


class ModelVersionSerializer(serializers.ModelSerializer):
    name = serializers.CharField(source="__str__")
    activated_by = serializers.CharField(allow_null=True)

    class Meta:
        model = ModelVersion
        fields = [
            "name",
            "task",
            "number",
            "status",
            "shipped",
            "synthetic",
            "sha256",
            "metrics",
            "card",
            "created_at",
            "activated_at",
            "activated_by",
            "activation_note",
        ]
        read_only_fields = fields


class NoteSerializer(serializers.Serializer):
    note = serializers.CharField(max_length=1000, help_text="Why; kept in the history.")


class TrainingExampleSerializer(serializers.ModelSerializer):
    sent_by = serializers.CharField()
    decided_by = serializers.CharField(allow_null=True)
    versions = serializers.SerializerMethodField(help_text="Versions that learnt or tested it.")

    class Meta:
        model = TrainingExample
        fields = [
            "public_id",
            "task",
            "status",
            "side",
            "label",
            "predicted",
            "predicted_by",
            "disagreement",
            "uncertainty",
            "opinion_asked_at",
            "reason",
            "text",
            "sent_by",
            "sent_at",
            "decided_by",
            "decided_at",
            "decision_note",
            "versions",
        ]
        read_only_fields = fields

    def get_versions(self, example: TrainingExample) -> list[str]:
        return [str(run.candidate) for run in example.runs.all() if run.candidate]


class ExampleQuerySerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=TrainingExample.Status.choices, required=False)
    task = serializers.ChoiceField(choices=ModelVersion.Task.choices, required=False)


class DecisionSerializer(serializers.Serializer):
    decision = serializers.ChoiceField(choices=["accept", "reject", "opinion", "reopen"])
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")

    def validate(self, attrs: dict) -> dict:
        if attrs["decision"] == "reject" and not attrs["note"].strip():
            raise serializers.ValidationError({"note": ["Say why it is rejected."]})
        return attrs


class TrainingRunSerializer(serializers.ModelSerializer):
    requested_by = serializers.CharField(allow_null=True)
    active_version = serializers.CharField(allow_null=True)
    candidate = serializers.CharField(allow_null=True)
    dataset = serializers.SerializerMethodField(
        help_text="Without the base's single items: see manage.py dataset_version show."
    )

    class Meta:
        model = TrainingRun
        fields = [
            "public_id",
            "task",
            "status",
            "seed",
            "epochs",
            "requested_by",
            "because",
            "requested_at",
            "started_at",
            "finished_at",
            "attempts",
            "progress",
            "reason",
            "dataset",
            "active_version",
            "candidate",
            "result",
        ]
        read_only_fields = fields

    def get_dataset(self, run: TrainingRun) -> dict[str, Any]:
        return {name: value for name, value in run.dataset.items() if name != "base_items"}


class StartRunSerializer(serializers.Serializer):
    task = serializers.ChoiceField(choices=[(task.value, task.label) for task in TRAINABLE])
    seed = serializers.IntegerField(min_value=0, max_value=_LARGEST_SEED, default=1)
    epochs = serializers.IntegerField(
        min_value=1, max_value=500, required=False, allow_null=True, default=None
    )
