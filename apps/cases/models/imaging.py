"""Facts from the files. Written once at ingest, never edited afterwards."""

import uuid
from datetime import date

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import Site
from apps.cases.anonymous import names_are_hidden


def readable_name(coded: str) -> str:
    """A DICOM person name (PS3.5 section 6.2.1.2) as people write it: FAMILY, Given."""
    family, _, rest = coded.split("=")[0].partition("^")
    given = " ".join(part for part in rest.split("^") if part)
    return ", ".join(part for part in (family, given) if part) or "No name"


class Patient(models.Model):
    """A person as one site knows them: Patient ID with its issuer. An empty ID matches nobody."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="patients")
    patient_id = models.CharField(max_length=64, blank=True)
    issuer_of_patient_id = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=324, blank=True, db_index=True)
    birth_date = models.DateField(null=True)
    sex = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "patient_id", "issuer_of_patient_id"],
                condition=~Q(patient_id=""),
                name="patient_once_per_site",
            )
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        """The name as people write it: FAMILY, Given; in anonymous mode a number of ours."""
        return f"Patient {self.pk}" if names_are_hidden() else readable_name(self.name)

    @property
    def display_id(self) -> str:
        """The Patient ID, for a page; none in anonymous mode."""
        return "" if names_are_hidden() else self.patient_id

    @property
    def display_birth_date(self) -> date | None:
        """The day of birth, for a page; none in anonymous mode."""
        return None if names_are_hidden() else self.birth_date


class Study(models.Model):
    """One examination of one patient, unique by Study Instance UID within its site."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="studies")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="studies")
    filed_patient = models.ForeignKey(
        Patient,
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Whom the files name, where the study was moved to another patient.",
    )
    study_instance_uid = models.CharField(max_length=64)
    accession_number = models.CharField(max_length=64, blank=True, db_index=True)
    study_date = models.DateField(null=True)
    study_time = models.TimeField(null=True)
    study_description = models.CharField(max_length=256, blank=True)
    referring_physician_name = models.CharField(max_length=324, blank=True)
    institution_name = models.CharField(max_length=256, blank=True)
    patient_age = models.CharField(max_length=16, blank=True)
    patient_name = models.CharField(max_length=324, blank=True, help_text="As this study says it.")
    number_of_study_related_instances = models.BigIntegerField(null=True)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "studies"
        constraints = [
            models.UniqueConstraint(
                fields=["site", "study_instance_uid"], name="study_once_per_site"
            )
        ]

    def __str__(self) -> str:
        return f"{self.study_description or 'CT'} {self.study_date or ''}".strip()

    @property
    def display_accession(self) -> str:
        """The accession number, for a page; none in anonymous mode."""
        return "" if names_are_hidden() else self.accession_number

    @property
    def other_name(self) -> str:
        """The name in this study's files, where it is not the stored one; else empty."""
        if names_are_hidden():
            return ""
        said, stored = readable_name(self.patient_name), self.patient.display_name
        return said if self.patient_name and said.casefold() != stored.casefold() else ""


class Series(models.Model):
    """One series of a study, unique by Series Instance UID."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="series")
    series_instance_uid = models.CharField(max_length=64)
    filed_under = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The files' Study Instance UID, where the series was moved to another study.",
    )
    modality = models.CharField(max_length=16)
    series_number = models.BigIntegerField(null=True)
    series_description = models.CharField(max_length=256, blank=True)
    protocol_name = models.CharField(max_length=256, blank=True)
    body_part_examined = models.CharField(max_length=64, blank=True)
    convolution_kernel = models.CharField(max_length=64, blank=True)
    manufacturer = models.CharField(max_length=128, blank=True)
    manufacturer_model_name = models.CharField(max_length=128, blank=True)
    contrast_bolus_agent = models.CharField(max_length=128, blank=True)
    slice_thickness = models.FloatField(null=True)
    kvp = models.FloatField(null=True)
    x_ray_tube_current = models.FloatField(null=True)
    gantry_detector_tilt = models.FloatField(null=True)
    number_of_series_related_instances = models.BigIntegerField(null=True)

    class Meta:
        verbose_name_plural = "series"
        ordering = ["series_number", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["study", "series_instance_uid"], name="series_once_per_study"
            )
        ]

    def __str__(self) -> str:
        return self.series_description or f"Series {self.series_number or self.pk}"


class Instance(models.Model):
    """One stored file: where it lies, what its bytes hash to, and its geometry."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="instances")
    sop_instance_uid = models.CharField(max_length=64)
    sop_class_uid = models.CharField(max_length=64)
    transfer_syntax_uid = models.CharField(max_length=64)
    image_type = models.CharField(max_length=256, blank=True)
    instance_number = models.BigIntegerField(null=True)
    rows = models.PositiveIntegerField()
    columns = models.PositiveIntegerField()
    pixel_spacing = models.JSONField(null=True)
    image_position_patient = models.JSONField(null=True)
    image_orientation_patient = models.JSONField(null=True)
    slice_location = models.FloatField(null=True)
    rescale_slope = models.FloatField()
    rescale_intercept = models.FloatField()
    window_center = models.FloatField(null=True)
    window_width = models.FloatField(null=True)
    windows = models.JSONField(default=list, help_text="All windows of the file, in its order.")
    voi_lut_function = models.CharField(max_length=16, default="LINEAR")
    voi_luts = models.JSONField(default=list, help_text="Its tables: explanation and SHA-256.")
    inverted = models.BooleanField(default=False, help_text="MONOCHROME1: low values are white.")
    lossy = models.BooleanField(default=False)
    burned_in_annotation = models.BooleanField(default=False)
    file_size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    pixel_sha256 = models.CharField(max_length=64, db_index=True)
    received_at = models.DateTimeField(auto_now_add=True)
    received_from = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["instance_number", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["site", "sop_instance_uid"], name="instance_once_per_site"
            )
        ]
        indexes = [models.Index(fields=["site", "sha256"])]

    def __str__(self) -> str:
        return f"Instance {self.instance_number or self.pk}"

    @property
    def is_localizer(self) -> bool:
        """An overview image for planning; Image Type value 3 says so (PS3.3 C.8.2.1.1.1)."""
        return "LOCALIZER" in self.image_type.upper().split(", ")


class Presentation(models.Model):
    """How one person wants a series shown. Stored beside the images, never in them."""

    class Rotation(models.IntegerChoices):
        NONE = 0, "not rotated"
        QUARTER = 90, "90° clockwise"
        HALF = 180, "180°"
        THREE_QUARTERS = 270, "270° clockwise"

    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="presentations")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="presentations"
    )
    window_center = models.FloatField()
    window_width = models.FloatField()
    voi_lut = models.PositiveSmallIntegerField(
        null=True, help_text="Which table of the file is shown in place of the window."
    )
    rotation = models.PositiveSmallIntegerField(choices=Rotation, default=Rotation.NONE)
    flip_horizontal = models.BooleanField(default=False)
    flip_vertical = models.BooleanField(default=False)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "author"], name="one_presentation_each")
        ]

    def __str__(self) -> str:
        return f"level {self.window_center:g}, width {self.window_width:g}"
