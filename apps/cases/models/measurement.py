"""What a person measured on a slice. Stored beside the image, never in it."""

import uuid

from django.conf import settings
from django.db import models

from apps.cases.models.imaging import Instance


class MeasurementQuerySet(models.QuerySet):
    def kept(self) -> "MeasurementQuerySet":
        """Those that nobody has deleted."""
        return self.filter(deleted_at__isnull=True)


class Measurement(models.Model):
    """One measurement with its author. Only the author changes or deletes it.

    A deleted one stays as a row, because a verdict may have been given while it was there.
    """

    class Kind(models.TextChoices):
        LENGTH = "length", "length"
        BIDIRECTIONAL = "bidirectional", "two axes"
        ELLIPSE = "ellipse", "ellipse"
        PROBE = "probe", "probe"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="measurements")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="measurements"
    )
    kind = models.CharField(max_length=20, choices=Kind)
    points = models.JSONField(help_text="[[row, column], ...] in pixels, 0 at the first centre.")
    values = models.JSONField(help_text="What it says: mm, mm² and HU.")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True)
    revision = models.PositiveIntegerField(default=1, help_text="Grows with every change.")

    objects = MeasurementQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} on {self.instance}"
