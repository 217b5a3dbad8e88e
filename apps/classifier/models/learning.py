"""Corrections that wait to become a better model, and the runs that try."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.cases.models import Case, Instance
from apps.classifier.models.prediction import Finding, FindingVerdict
from apps.classifier.models.version import ModelVersion


class TrainingRun(models.Model):
    """Freezes its examples, trains a candidate, tests it against the active version."""

    class Status(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "training"
        PASSED = "passed", "passed"
        NOT_BETTER = "not_better", "not better"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    task = models.CharField(max_length=20, choices=ModelVersion.Task)
    status = models.CharField(
        max_length=20, choices=Status, default=Status.QUEUED, editable=False, db_index=True
    )
    seed = models.PositiveIntegerField(default=1)
    epochs = models.PositiveIntegerField(null=True, help_text="Empty: the task's own number.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    because = models.CharField(max_length=100, blank=True, help_text="Why it started by itself.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    fencing_token = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    progress = models.JSONField(default=dict, help_text="Step, epoch, epochs, losses so far.")
    reason = models.CharField(max_length=500, blank=True, help_text="Why it ended as it did.")
    dataset = models.JSONField(default=dict, help_text="What was trained and tested on, by hash.")
    dataset_sha256 = models.CharField(max_length=64, blank=True, help_text="Over that list.")
    active_version = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    candidate = models.OneToOneField(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="training_run"
    )
    result = models.JSONField(default=dict, help_text="Candidate and active on the same patients.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task"],
                condition=Q(status__in=["queued", "running"]),
                name="one_open_training_run_per_task",
            )
        ]

    def __str__(self) -> str:
        return f"Training run {self.pk} ({self.task}, {self.status})"

    @property
    def deleted_corrections(self) -> int:
        """How many of the corrections that it froze were deleted since, with their patients."""
        listed = {one["example"] for one in self.dataset.get("corrections", [])}
        return len(listed) - TrainingExample.objects.filter(public_id__in=listed).count()


class TrainingExample(models.Model):
    """A doctor's correction, sent on for retraining with the right label."""

    class Status(models.TextChoices):
        QUEUED = "queued", "waiting"
        ACCEPTED = "accepted", "accepted"
        REJECTED = "rejected", "rejected"
        USED = "used", "used"

    class Reason(models.TextChoices):
        MISSED = "missed", "missed by the AI"
        WRONG_PLACE = "wrong_place", "wrong place"
        WRONG_CALL = "wrong_call", "wrong call"
        BAD_IMAGE = "bad_image", "bad image"
        OTHER = "other", "other"

    class Side(models.TextChoices):
        TRAIN = "train", "training"
        TEST = "test", "testing"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    task = models.CharField(max_length=20, choices=ModelVersion.Task)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="training_examples")
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="+")
    finding = models.ForeignKey(
        Finding, null=True, on_delete=models.PROTECT, related_name="training_examples"
    )
    finding_verdict = models.OneToOneField(
        FindingVerdict, null=True, on_delete=models.PROTECT, related_name="training_example"
    )
    label = models.CharField(max_length=20, help_text="The right answer, by the doctor.")
    predicted = models.FloatField(null=True, help_text="What the model had said.")
    predicted_by = models.CharField(max_length=60, blank=True, help_text="Version that said it.")
    reason = models.CharField(max_length=20, choices=Reason, default=Reason.WRONG_CALL)
    text = models.CharField(max_length=1000, blank=True)
    patient_key = models.CharField(max_length=64, db_index=True, help_text="Keyed hash.")
    pixel_sha256 = models.CharField(max_length=64, db_index=True)
    perceptual_hash = models.CharField(
        max_length=64, blank=True, help_text="Of the place; near duplicates differ in few bits."
    )
    side = models.CharField(max_length=10, choices=Side)
    disagreement = models.FloatField(default=0, help_text="How far the AI was off: 0 to 1.")
    uncertainty = models.FloatField(default=0, help_text="How unsure the AI was: 0 to 1.")
    status = models.CharField(
        max_length=20, choices=Status, default=Status.QUEUED, editable=False, db_index=True
    )
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="training_examples"
    )
    sent_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=500, blank=True)
    opinion_asked_at = models.DateTimeField(null=True, db_index=True)
    opinion_asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    runs = models.ManyToManyField(TrainingRun, related_name="examples", blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Training example {self.pk}: {self.label}"
