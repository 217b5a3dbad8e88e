from apps.cases.models.grouping import PatientAssignment, SeriesAssignment
from apps.cases.models.imaging import Instance, Patient, Presentation, Series, Study
from apps.cases.models.measurement import Measurement
from apps.cases.models.reading import (
    Addendum,
    CriticalResult,
    Reading,
    Report,
    TextTemplate,
    UnaidedOpinion,
    Verdict,
    VerdictDraft,
)
from apps.cases.models.work import AccessGrant, Case, CaseEvent

__all__ = [
    "AccessGrant",
    "Addendum",
    "Case",
    "CaseEvent",
    "CriticalResult",
    "Instance",
    "Measurement",
    "Patient",
    "PatientAssignment",
    "Presentation",
    "Reading",
    "Report",
    "Series",
    "SeriesAssignment",
    "Study",
    "TextTemplate",
    "UnaidedOpinion",
    "Verdict",
    "VerdictDraft",
]
