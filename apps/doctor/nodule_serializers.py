"""The structured part of a verdict, as programs and our own page send it."""

from typing import Any

from rest_framework import serializers

from apps.cases.serializers import FiniteFloatField
from apps.doctor.lung_rads import BEHAVIOURS, CATEGORIES, KINDS, PART_SOLID
from apps.doctor.structured import PLACES, NoduleEntry, Structured

LARGEST_MM = 300
MOST_NODULES = 60


def _size(**more: Any) -> FiniteFloatField:
    return FiniteFloatField(min_value=0.5, max_value=LARGEST_MM, **more)


class NoduleSerializer(serializers.Serializer):
    """One nodule. Sizes in mm, measured by the doctor; `before_mm` is an earlier mean diameter."""

    label = serializers.CharField(max_length=80, allow_blank=True, default="")
    place = serializers.ChoiceField(choices=list(PLACES.items()), default="unknown")
    kind = serializers.ChoiceField(choices=list(KINDS.items()))
    long_mm = _size()
    short_mm = _size()
    solid_mm = FiniteFloatField(min_value=0, max_value=LARGEST_MM, allow_null=True, default=None)
    behaviour = serializers.ChoiceField(
        choices=list(BEHAVIOURS.items()),
        allow_blank=True,
        default="",
        help_text="Empty: from the earlier size, else the first CT.",
    )
    earlier = serializers.ChoiceField(
        choices=CATEGORIES, allow_blank=True, default="", help_text="Category at the last CT."
    )
    suspicious = serializers.BooleanField(
        default=False, help_text="Spiculation, enlarged nodes or the like: 4X."
    )
    before_mm = _size(allow_null=True, default=None)
    before_date = serializers.DateField(allow_null=True, default=None)

    def validate(self, nodule: dict[str, Any]) -> dict[str, Any]:
        if nodule["short_mm"] > nodule["long_mm"]:
            raise serializers.ValidationError("The short axis is longer than the long axis.")
        if nodule["kind"] == PART_SOLID and nodule["solid_mm"] is None:
            raise serializers.ValidationError(
                "A part-solid nodule needs the size of its solid part."
            )
        if nodule["solid_mm"] is not None and nodule["solid_mm"] > nodule["long_mm"]:
            raise serializers.ValidationError("The solid part is larger than the nodule.")
        if (nodule["before_mm"] is None) != (nodule["before_date"] is None):
            raise serializers.ValidationError("Growth needs the earlier size and its date.")
        return nodule


class StructuredSerializer(serializers.Serializer):
    """Nodules and Lung-RADS. `lung_rads` is the doctor's own category; another one than the
    calculated one needs a reason."""

    nodules = NoduleSerializer(many=True, default=list, max_length=MOST_NODULES)
    incomplete = serializers.BooleanField(
        default=False, help_text="Part of the lungs cannot be assessed, or a prior is awaited."
    )
    lung_rads = serializers.ChoiceField(choices=CATEGORIES, allow_blank=True, default="")
    lung_rads_reason = serializers.CharField(max_length=500, allow_blank=True, default="")

    def validate_nodules(self, nodules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        study_date = self.root.context["case"].study.study_date
        dates = [one["before_date"] for one in nodules if one["before_date"]]
        if study_date and any(day >= study_date for day in dates):
            raise serializers.ValidationError("An earlier size must be of a CT before this one.")
        return nodules

    def structured(self) -> Structured:
        """The validated part, as the services take it."""
        return as_structured(self.validated_data)


def as_structured(data: dict[str, Any]) -> Structured:
    entries = [NoduleEntry(**one) for one in data["nodules"]]
    return Structured(**{**data, "nodules": entries})
