"""What doctors did with a case: the look, the verdict, the signed report."""

import uuid

from django.conf import settings
from django.db import models

from apps.audit.models import AppendOnlyModel
from apps.cases.models.work import Case


class Reading(models.Model):
    """One doctor's look at a case; `kind` says as whom they finished it."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="readings")
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="readings"
    )
    kind = models.CharField(max_length=12, choices=Case.Stage, default=Case.Stage.FIRST)
    opened_at = models.DateTimeField(auto_now_add=True)
    ai_first_shown_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "doctor"], name="one_reading_per_doctor")
        ]

    def __str__(self) -> str:
        return f"{self.doctor} on {self.case}"


class Verdict(AppendOnlyModel):
    """A doctor's answer. A correction is a newer row; the newest counts."""

    class Cancer(models.TextChoices):
        YES = "yes", "cancer"
        NO = "no", "no cancer"
        UNCERTAIN = "uncertain", "uncertain"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="verdicts")
    reading = models.ForeignKey(Reading, on_delete=models.PROTECT, related_name="verdicts")
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="verdicts"
    )
    cancer = models.CharField(max_length=12, choices=Cancer)
    diagnoses = models.JSONField(default=list, help_text="Free lines, one diagnosis each.")
    text = models.TextField(max_length=20_000, blank=True)
    nodules = models.JSONField(
        default=list, help_text="Nodules as described, with growth, category and its rule."
    )
    lung_rads = models.CharField(
        max_length=3, blank=True, help_text="Lung-RADS v2022 category in the report, if any."
    )
    lung_rads_rule = models.TextField(blank=True, help_text="What was calculated, and its rule.")
    lung_rads_reason = models.CharField(
        max_length=500, blank=True, help_text="Why the doctor gave another category."
    )
    given_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_cancer_display()} ({self.doctor})"


class UnaidedOpinion(AppendOnlyModel):
    """What a doctor thought before the AI's answer was shown; at sites that read doctor first."""

    reading = models.ForeignKey(Reading, on_delete=models.PROTECT, related_name="unaided_opinions")
    cancer = models.CharField(max_length=12, choices=Verdict.Cancer)
    diagnoses = models.JSONField(default=list, help_text="Free lines, one diagnosis each.")
    text = models.TextField(max_length=20_000, blank=True)
    given_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_cancer_display()} ({self.reading.doctor}, without the AI)"


class VerdictDraft(models.Model):
    """What a doctor has filled in and not signed, kept so that a lost page loses nothing.

    Private to its doctor. `version` grows with every save: who saves over a version that they
    have not seen is told.
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="drafts")
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts"
    )
    data = models.JSONField(default=dict, help_text="As the reading page fills it in.")
    version = models.PositiveIntegerField(default=1)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "doctor"], name="one_draft_per_doctor")
        ]

    def __str__(self) -> str:
        return f"Draft of {self.doctor} on {self.case}"


class TextTemplate(models.Model):
    """A text that a doctor begins verdicts with; their own, and holding no patient."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="text_templates"
    )
    name = models.CharField(max_length=80)
    text = models.TextField(max_length=5000)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["author", "name"], name="one_template_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name


class Report(AppendOnlyModel):
    """What was signed, word for word. Addenda are further rows."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reports")
    verdict = models.OneToOneField(Verdict, on_delete=models.PROTECT, related_name="report")
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reports"
    )
    signed_at = models.DateTimeField(auto_now_add=True)
    body = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"Report {self.pk} on {self.case}"


class Addendum(AppendOnlyModel):
    """What was added to a signed report later. The report itself stays as it was signed."""

    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="addenda")
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="addenda"
    )
    signed_at = models.DateTimeField(auto_now_add=True)
    text = models.TextField(max_length=10_000)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "addenda"

    def __str__(self) -> str:
        return f"Addendum to {self.report}"


class CriticalResult(AppendOnlyModel):
    """A result that could not wait: who was told what, when, and whether they read it back."""

    class How(models.TextChoices):
        PHONE = "phone", "by telephone"
        IN_PERSON = "in_person", "in person"
        MESSAGE = "message", "by secure message"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="critical_results")
    told_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="critical_results"
    )
    told_to = models.CharField(max_length=200, help_text="Name and role of who was told.")
    how = models.CharField(max_length=12, choices=How)
    what = models.TextField(max_length=2000)
    told_at = models.DateTimeField()
    read_back = models.BooleanField(help_text="They repeated it, and it was right.")
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.told_to} told {self.get_how_display()}"
