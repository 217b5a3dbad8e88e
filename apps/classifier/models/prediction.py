"""What the networks said about a series, and what doctors said about each finding."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.audit.models import AppendOnlyModel
from apps.cases.models import Case, Instance, Series, Verdict
from apps.classifier.models.version import ModelVersion


class Prediction(models.Model):
    """One run of the active models over one series. Workers move it, under a lease."""

    class Status(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "working"
        DONE = "done", "answered"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="predictions")
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="predictions")
    instances_sha256 = models.CharField(max_length=64, help_text="Hash of the set of instances.")
    models_key = models.CharField(max_length=120, help_text="The versions used, as text.")
    model_versions = models.ManyToManyField(ModelVersion, related_name="predictions")
    override = models.BooleanField(default=False, help_text="Run although the gate refused.")
    shadow = models.BooleanField(default=False, help_text="Never shown to doctors.")
    beside = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="shadows",
        help_text="A shadow's live prediction: the same question to the active versions.",
    )
    status = models.CharField(
        max_length=20, choices=Status, default=Status.QUEUED, editable=False, db_index=True
    )
    progress = models.FloatField(default=0, help_text="0 to 1.")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    fencing_token = models.PositiveIntegerField(default=0, help_text="Grows with every claim.")
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    code = models.CharField(max_length=40, blank=True, help_text="Why refused or failed.")
    reason = models.CharField(max_length=500, blank=True, help_text="The same, in plain words.")
    chest = models.JSONField(default=list, help_text="The gate's answer for each slice.")
    profile = models.JSONField(default=list, help_text="Suspicion along the normal.")
    warnings = models.JSONField(default=list)
    air_hu = models.FloatField(null=True)
    contrast = models.JSONField(
        default=dict, help_text="Contrast agent in the pixels beside the header; a warning only."
    )
    inputs = models.JSONField(
        null=True, help_text="Geometry and HU shares of the images, to see drift."
    )
    series_score = models.FloatField(null=True, help_text="Empty when nothing was found.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["series", "instances_sha256", "models_key", "override", "shadow"],
                name="one_prediction_per_question",
            )
        ]
        indexes = [
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(status="running"),
                name="prediction_running_leases",
            )
        ]

    def __str__(self) -> str:
        return f"Prediction {self.pk} ({self.status})"

    @property
    def is_finished(self) -> bool:
        return self.status not in {self.Status.QUEUED, self.Status.RUNNING}


class Finding(models.Model):
    """A place in a series that a model or a doctor pointed at. Never edited."""

    class Source(models.TextChoices):
        MODEL = "model", "model"
        DOCTOR = "doctor", "doctor"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="findings")
    prediction = models.ForeignKey(
        Prediction, null=True, on_delete=models.PROTECT, related_name="findings"
    )
    source = models.CharField(max_length=10, choices=Source)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="findings"
    )
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="findings")
    number = models.PositiveIntegerField(help_text="As shown on the image; best first.")
    row = models.FloatField(help_text="Pixel row of the centre.")
    column = models.FloatField(help_text="Pixel column of the centre.")
    position_mm = models.JSONField(null=True, help_text="Patient coordinates x, y, z.")
    diameter_mm = models.FloatField(help_text="Long axis.")
    nodule_probability = models.FloatField(null=True)
    malignancy_probability = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(source="model", prediction__isnull=False)
                | Q(source="doctor", author__isnull=False),
                name="finding_has_its_source",
            )
        ]

    def __str__(self) -> str:
        return f"Finding {self.number}, {self.diameter_mm:.0f} mm"


class FindingHeatmap(models.Model):
    """Where in the slice a finding's suspicion comes from. Made with the prediction."""

    finding = models.OneToOneField(Finding, on_delete=models.PROTECT, related_name="heatmap")
    method = models.CharField(max_length=20, help_text="How it was made, for example occlusion.")
    values = models.BinaryField(help_text="side_pixels squared bytes, row by row, 255 the most.")
    side_pixels = models.PositiveSmallIntegerField()
    top = models.FloatField(help_text="Pixel row of the upper edge on the slice.")
    left = models.FloatField(help_text="Pixel column of the left edge on the slice.")
    side = models.FloatField(help_text="Length of an edge in pixels of the slice.")
    strength = models.FloatField(help_text="How much the answer depends on it; 0 is not at all.")

    def __str__(self) -> str:
        return f"{self.method} of finding {self.finding_id}"


class FindingVerdict(AppendOnlyModel):
    """What a doctor said about one finding, as part of a verdict."""

    class Label(models.TextChoices):
        MALIGNANT = "malignant", "malignant"
        BENIGN = "benign", "benign"
        NOT_A_NODULE = "not_a_nodule", "not a nodule"

    finding = models.ForeignKey(Finding, on_delete=models.PROTECT, related_name="verdicts")
    verdict = models.ForeignKey(Verdict, on_delete=models.PROTECT, related_name="finding_verdicts")
    label = models.CharField(max_length=20, choices=Label)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["finding", "verdict"], name="one_answer_per_finding_and_verdict"
            )
        ]

    def __str__(self) -> str:
        return f"{self.finding}: {self.get_label_display()}"
