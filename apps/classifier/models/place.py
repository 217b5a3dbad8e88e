"""A doctor's "and this?": one place that the networks were asked about."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.cases.models import Case, Instance


class PlaceQuestion(models.Model):
    """A question about one pixel, answered by a worker within moments, or given up."""

    class Status(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "working"
        DONE = "done", "answered"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="place_questions")
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="+")
    row = models.FloatField(help_text="Pixel row.")
    column = models.FloatField(help_text="Pixel column.")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="place_questions"
    )
    asked_at = models.DateTimeField(auto_now_add=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED, editable=False)
    answered_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True, help_text="Why there is no answer.")
    models_key = models.CharField(max_length=120, blank=True, help_text="The versions, as text.")
    nodule_probability = models.FloatField(null=True)
    malignancy_probability = models.FloatField(null=True)
    diameter_mm = models.FloatField(null=True, help_text="Long axis, measured by the program.")
    heatmap = models.JSONField(
        default=dict, help_text="As of a finding: method, place on the slice, values in base64."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(status__in=["queued", "running"]),
                name="places_not_answered_yet",
            )
        ]

    def __str__(self) -> str:
        return f"Place {self.pk} ({self.status})"
