"""Which patient a study and which study a series is counted to, where people know better.

What the files say stays as it is; these rows say who decided otherwise, when, and why.
"""

from django.conf import settings
from django.db import models

from apps.audit.models import AppendOnlyModel
from apps.cases.models.imaging import Patient, Series, Study


class _Decided(AppendOnlyModel):
    at = models.DateTimeField(auto_now_add=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=1000)

    class Meta(AppendOnlyModel.Meta):
        abstract = True


class PatientAssignment(_Decided):
    """A study was moved to the patient whose it is."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="patient_assignments")
    from_patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+")
    to_patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"Study {self.study_id} to patient {self.to_patient_id}"


class SeriesAssignment(_Decided):
    """A series was moved to the study with which it was taken."""

    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="assignments")
    from_study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="+")
    to_study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"Series {self.series_id} to study {self.to_study_id}"
