"""One row per trained network."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class ModelVersion(models.Model):
    """One trained network for one task. Its file is never overwritten."""

    class Task(models.TextChoices):
        CHEST = "chest", "chest gate"
        CONTRAST = "contrast", "contrast check"
        NODULE = "nodule", "nodule finder"
        MALIGNANCY = "malignancy", "suspicion score"

    class Status(models.TextChoices):
        CANDIDATE = "candidate", "candidate"
        ACTIVE = "active", "active"
        RETIRED = "retired", "retired"

    task = models.CharField(max_length=20, choices=Task)
    number = models.PositiveIntegerField()
    status = models.CharField(
        max_length=20, choices=Status, default=Status.CANDIDATE, editable=False
    )
    file = models.CharField(max_length=200, help_text="File name; the folder comes from settings.")
    shipped = models.BooleanField(default=False, help_text="Part of the program, not trained here.")
    sha256 = models.CharField(max_length=64)
    meta = models.JSONField(help_text="What the runtime needs, as trained.")
    metrics = models.JSONField(default=dict)
    card = models.TextField(blank=True, help_text="The model card, in Markdown.")
    synthetic = models.BooleanField(default=False, help_text="Trained on the phantom only.")
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    activation_note = models.CharField(max_length=1000, blank=True)
    shadow_since = models.DateTimeField(
        null=True, help_text="Runs beside the active version, unseen by doctors, since then."
    )

    class Meta:
        ordering = ["task", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="version_number_once_per_task"),
            models.UniqueConstraint(
                fields=["task"], condition=Q(status="active"), name="one_active_version_per_task"
            ),
            models.UniqueConstraint(
                fields=["task"],
                condition=Q(shadow_since__isnull=False),
                name="one_shadow_version_per_task",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task}-v{self.number}"
