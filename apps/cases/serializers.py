"""What the image API takes and gives."""

import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.permissions import Permission
from apps.cases.models import Case, CaseEvent, Presentation, Series
from apps.cases.pictures import default_voi_lut, default_window, text_of_age
from apps.imaging.voi import FUNCTIONS


class FiniteFloatField(serializers.FloatField):
    """A float that is a number; "nan", "inf" and true are floats for Python too."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class PresentationSerializer(serializers.ModelSerializer):
    """How a series is shown: window in HU, then flips, then a rotation in degrees clockwise."""

    window_center = FiniteFloatField(min_value=-32768, max_value=32767)
    window_width = FiniteFloatField(min_value=1, max_value=65536)
    voi_lut = serializers.IntegerField(
        min_value=0,
        max_value=15,
        allow_null=True,
        default=None,
        help_text="Which of the file's tables (voi_luts) is shown in place of the window.",
    )
    rotation = serializers.ChoiceField(choices=Presentation.Rotation.choices, required=False)
    author = serializers.CharField(read_only=True)

    class Meta:
        model = Presentation
        fields = [
            "window_center",
            "window_width",
            "voi_lut",
            "rotation",
            "flip_horizontal",
            "flip_vertical",
            "author",
            "saved_at",
        ]
        read_only_fields = ["saved_at"]


def presentation_data(series: Series, instances: list, saved: Presentation | None) -> dict:
    """The saved view, else the file's own window; `saved_at` is None when nobody saved one."""
    if saved:
        return PresentationSerializer(saved).data
    center, width = default_window(instances)
    return {
        "window_center": center,
        "window_width": width,
        "voi_lut": default_voi_lut(instances),
        "rotation": 0,
        "flip_horizontal": False,
        "flip_vertical": False,
        "author": "",
        "saved_at": None,
    }


class ManifestPatientSerializer(serializers.Serializer):
    name = serializers.CharField(source="display_name")
    patient_id = serializers.CharField(source="display_id")
    sex = serializers.CharField()
    birth_date = serializers.DateField(source="display_birth_date", allow_null=True)


class ManifestStudySerializer(serializers.Serializer):
    study_date = serializers.DateField(allow_null=True)
    study_time = serializers.TimeField(allow_null=True)
    study_description = serializers.CharField()
    accession_number = serializers.CharField(source="display_accession")
    institution_name = serializers.CharField()
    patient_age = serializers.SerializerMethodField()

    def get_patient_age(self, study: Any) -> str:
        return text_of_age(study.patient_age)


class ManifestWindowSerializer(serializers.Serializer):
    """A window that the file itself offers, HU; `explanation` is its name there, or empty."""

    center = serializers.FloatField()
    width = serializers.FloatField()
    explanation = serializers.CharField()


class ManifestVoiLutSerializer(serializers.Serializer):
    """A table that the file itself offers (VOI LUT Sequence); equal tables have equal SHA-256."""

    explanation = serializers.CharField()
    sha256 = serializers.CharField()


class ManifestInstanceSerializer(serializers.Serializer):
    """One slice. Positions and spacing in mm, in the patient coordinate system."""

    public_id = serializers.UUIDField()
    instance_number = serializers.IntegerField(allow_null=True)
    rows = serializers.IntegerField()
    columns = serializers.IntegerField()
    pixel_spacing = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    image_position_patient = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    image_orientation_patient = serializers.ListField(
        child=serializers.FloatField(), allow_null=True
    )
    slice_location = serializers.FloatField(allow_null=True)
    window_center = serializers.FloatField(allow_null=True)
    window_width = serializers.FloatField(allow_null=True)
    windows = ManifestWindowSerializer(many=True)
    voi_lut_function = serializers.ChoiceField(
        choices=FUNCTIONS, help_text="How windows become grey (PS3.3 C.11.2.1)."
    )
    voi_luts = ManifestVoiLutSerializer(many=True)
    inverted = serializers.BooleanField(help_text="MONOCHROME1: low values are white.")
    lossy = serializers.BooleanField()
    burned_in_annotation = serializers.BooleanField()
    hu_url = serializers.CharField()
    voi_lut_url = serializers.CharField(help_text="Takes ?number=, the place in voi_luts.")
    image_url = serializers.CharField()


class SeriesFactsSerializer(serializers.ModelSerializer):
    class Meta:
        model = Series
        fields = [
            "series_number",
            "series_description",
            "protocol_name",
            "body_part_examined",
            "convolution_kernel",
            "manufacturer",
            "manufacturer_model_name",
            "contrast_bolus_agent",
            "slice_thickness",
            "kvp",
            "x_ray_tube_current",
            "gantry_detector_tilt",
        ]


class ManifestSerializer(serializers.Serializer):
    """Everything a viewer needs before it asks for slices; slices are ordered along the normal."""

    public_id = serializers.UUIDField()
    case = serializers.UUIDField()
    patient = ManifestPatientSerializer()
    study = ManifestStudySerializer()
    series = SeriesFactsSerializer()
    slice_spacing = serializers.FloatField(allow_null=True, help_text="Median, mm.")
    regular = serializers.BooleanField(help_text="All slices parallel, alike and equally apart.")
    why_not_regular = serializers.CharField(help_text="In plain words; empty when regular.")
    lossy = serializers.BooleanField()
    presentation = PresentationSerializer()
    presentation_url = serializers.CharField()
    measurements_url = serializers.CharField()
    may_measure = serializers.BooleanField(help_text="False where this user may only look.")
    instances = ManifestInstanceSerializer(many=True)


class ImageQuerySerializer(serializers.Serializer):
    """The window (HU), turn and size asked for; what is missing comes from the saved view."""

    center = FiniteFloatField(min_value=-32768, max_value=32767, required=False)
    width = FiniteFloatField(min_value=1, max_value=65536, required=False)
    voi_lut = serializers.IntegerField(min_value=0, max_value=15, required=False)
    rotation = serializers.ChoiceField(choices=Presentation.Rotation.choices, required=False)
    flip_horizontal = serializers.BooleanField(required=False)
    flip_vertical = serializers.BooleanField(required=False)
    max_side = serializers.IntegerField(min_value=16, max_value=4096, required=False)


class VoiLutQuerySerializer(serializers.Serializer):
    number = serializers.IntegerField(min_value=0, max_value=15)


class AttributeSerializer(serializers.Serializer):
    depth = serializers.IntegerField()
    tag = serializers.CharField()
    keyword = serializers.CharField()
    name = serializers.CharField()
    vr = serializers.CharField()
    value = serializers.CharField()
    private_creator = serializers.CharField()


class AttributesSerializer(serializers.Serializer):
    instance = serializers.UUIDField()
    attributes = AttributeSerializer(many=True)


class CaseSerializer(serializers.ModelSerializer):
    """One case as a row of a list."""

    status_label = serializers.CharField(source="get_status_display")
    priority_label = serializers.CharField(source="get_priority_display")
    patient = ManifestPatientSerializer(source="study.patient")
    study = ManifestStudySerializer()
    images = serializers.IntegerField()
    receiver = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields = [
            "public_id",
            "status",
            "status_label",
            "priority",
            "priority_label",
            "patient",
            "study",
            "images",
            "receiver",
            "created_at",
            "sent_at",
            "reported_at",
            "revision",
        ]

    def get_receiver(self, case: Case) -> str:
        return str(case.receiver or case.receiver_group or "")


class CaseSeriesSerializer(SeriesFactsSerializer):
    images = serializers.IntegerField()
    manifest_url = serializers.SerializerMethodField()

    class Meta(SeriesFactsSerializer.Meta):
        fields = ["public_id", *SeriesFactsSerializer.Meta.fields, "images", "manifest_url"]

    def get_manifest_url(self, series: Series) -> str:
        return f"/api/v1/series/{series.public_id}/manifest/"


class CaseEventSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    actor = serializers.CharField()
    text = serializers.SerializerMethodField()

    def get_text(self, event: CaseEvent) -> str:
        user = self.context["request"].user
        reads = user.can(Permission.READ_CASE) and not self.context["apart"]
        return event.text if reads else event.text_without_answer


class CaseDetailSerializer(CaseSerializer):
    series = serializers.SerializerMethodField()
    events = CaseEventSerializer(many=True)

    class Meta(CaseSerializer.Meta):
        fields = [*CaseSerializer.Meta.fields, "clinical_question", "note", "series", "events"]

    @extend_schema_field(CaseSeriesSerializer(many=True))
    def get_series(self, case: Case) -> list:
        return CaseSeriesSerializer(case.series_with_counts, many=True).data


class CaseQuerySerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=Case.Status.choices, required=False)


class CaseSearchSerializer(CaseQuerySerializer):
    """Patients' names and numbers are searched by POST, so that no address holds them."""

    search = serializers.CharField(
        max_length=200, help_text="Name, Patient ID or accession number."
    )
