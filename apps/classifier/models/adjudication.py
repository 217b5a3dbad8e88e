"""What other people say about a correction: a second opinion, and what the tissue said."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.audit.models import AppendOnlyModel
from apps.cases.models import Case
from apps.classifier.models.learning import TrainingExample
from apps.classifier.models.prediction import Finding


class Opinion(AppendOnlyModel):
    """A second doctor's answer about a correction. An empty label: they cannot tell."""

    example = models.ForeignKey(TrainingExample, on_delete=models.PROTECT, related_name="opinions")
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="opinions"
    )
    label = models.CharField(max_length=20, blank=True)
    text = models.CharField(max_length=1000, blank=True)
    given_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["example", "doctor"], name="one_opinion_per_doctor_and_example"
            )
        ]

    def __str__(self) -> str:
        return f"{self.doctor} on {self.example_id}: {self.label or 'cannot tell'}"


class Confirmation(AppendOnlyModel):
    """What pathology or follow-up showed, of a case or of one finding. Outranks every opinion.

    The newest row about the same place counts; a mistake is corrected by a newer row.
    """

    class Kind(models.TextChoices):
        PATHOLOGY = "pathology", "pathology"
        FOLLOW_UP = "follow_up", "follow-up"

    class Label(models.TextChoices):
        MALIGNANT = "malignant", "malignant"
        BENIGN = "benign", "benign"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="confirmations")
    finding = models.ForeignKey(
        Finding, null=True, on_delete=models.PROTECT, related_name="confirmations"
    )
    kind = models.CharField(max_length=20, choices=Kind)
    label = models.CharField(max_length=20, choices=Label)
    text = models.CharField(max_length=1000, blank=True)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="confirmations"
    )
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        where = f"finding {self.finding.number}" if self.finding else "the case"
        return f"{self.get_kind_display()} of {where}: {self.get_label_display()}"


class FrozenTestSet(AppendOnlyModel):
    """The global test set that every candidate is measured on. It never changes unnoticed.

    The newest row is the one that holds; a base with other test patients is refused until
    somebody freezes it at the command line, with a note.
    """

    sha256 = models.CharField(max_length=64)
    patients = models.PositiveIntegerField()
    items = models.PositiveIntegerField()
    note = models.CharField(max_length=500, blank=True)
    frozen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Frozen test set {self.pk}, {self.patients} patients"


class LoopSettings(models.Model):
    """How the learning loop runs here: one row, changed by admins."""

    class Schedule(models.TextChoices):
        NEVER = "never", "never by the clock"
        DAILY = "daily", "every day"
        WEEKLY = "weekly", "every Monday"

    train_after = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Start a training when this many newly accepted corrections of a task wait. "
        "Empty: only by hand.",
    )
    schedule = models.CharField(max_length=10, choices=Schedule, default=Schedule.NEVER)
    schedule_hour = models.PositiveSmallIntegerField(
        default=2,
        validators=[MaxValueValidator(23)],
        help_text="Hour of the day, 0 to 23. Nothing starts without new corrections.",
    )
    margin_auc = models.FloatField(default=0.02)
    margin_sensitivity = models.FloatField(default=0.05)
    margin_specificity = models.FloatField(default=0.10)
    margin_ece = models.FloatField(default=0.05)
    margin_brier = models.FloatField(default=0.02)
    margin_subgroup_auc = models.FloatField(default=0.05)
    least_patients = models.PositiveIntegerField(default=8)

    class Meta:
        verbose_name_plural = "loop settings"
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="one_row_of_loop_settings"),
            models.CheckConstraint(condition=Q(schedule_hour__lt=24), name="hour_of_a_day"),
        ]

    def __str__(self) -> str:
        return "Loop settings"

    @classmethod
    def current(cls) -> "LoopSettings":
        """The row, or the defaults while nobody has changed them."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)
