"""What is signed, word for word: a plain text that stays true when everything else changes."""

from typing import TYPE_CHECKING

from django.utils import timezone

from apps.accounts.models import User
from apps.cases.models import Case, Verdict
from apps.cases.unaided import times_of
from apps.classifier.calls import operating_words
from apps.classifier.models import Finding, FindingVerdict, Prediction
from apps.classifier.services import predictions_of
from apps.classifier.watching import why_off
from apps.doctor.answers import answering, step_of, summarise
from apps.doctor.structured import in_words, kept_structure

if TYPE_CHECKING:
    from apps.doctor.services import VerdictAnswer

LIMITS = (
    "Research use. Not a diagnosis by a certified device. The suspicion score was trained on "
    "radiologists' ratings, not on histology. “No nodule found” is not an all-clear."
)


def report_body(case: Case, doctor: User, answer: "VerdictAnswer", first_number: int) -> str:
    """The text of the report; `first_number` is what the doctor's first new mark is called."""
    parts = [
        _head(case, doctor),
        _verdict(answer),
        _structured(case, answer),
        _findings(answer, first_number),
        _ai(case),
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part)


def _head(case: Case, doctor: User) -> str:
    study, patient = case.study, case.study.patient
    corrects = "Corrected report" if case.status == Case.Status.REPORTED else "Report"
    lines = [
        f"{corrects} on {study}",
        f"Patient: {patient.display_name}, ID {patient.patient_id or 'none'}",
        *([f"The files of this study say: {study.other_name}"] if study.other_name else []),
        *_as_whom(case),
        f"Accession number: {study.accession_number or 'none'}",
        f"Signed by {doctor} on {timezone.localtime():%d %B %Y, %H:%M %Z}",
    ]
    lines += [times_of(reading) for reading in case.readings.filter(doctor=doctor)]
    if case.clinical_question:
        lines.append(f"Question: {case.clinical_question}")
    return "\n".join(line for line in lines if line)


def _as_whom(case: Case) -> list[str]:
    """Which reading this is, where a case is read by several."""
    if not case.waits_for_other_eyes:
        return []
    before = ", ".join(str(one.doctor) for one in case.readings.filter(finished_at__isnull=False))
    return [f"This is the {case.get_stage_display()}; read before by {before}."]


def _verdict(answer: "VerdictAnswer") -> str:
    lines = [f"Verdict: {Verdict.Cancer(answer.cancer).label}"]
    lines += [f"- {diagnosis}" for diagnosis in answer.diagnoses]
    return "\n".join([*lines, answer.text] if answer.text else lines)


def _structured(case: Case, answer: "VerdictAnswer") -> str:
    """The nodules as described, and the Lung-RADS category with its rule."""
    kept = kept_structure(case, answer.structured)
    lines = [f"- {in_words(nodule)}" for nodule in kept["nodules"]]
    if lines:
        lines.insert(0, "Nodules:")
    if kept["lung_rads"]:
        lines.append(f"Lung-RADS v2022: {kept['lung_rads']}")
        lines.append(f"Calculated: {kept['lung_rads_rule']}")
    if kept["lung_rads_reason"]:
        lines.append(f"Changed by the doctor: {kept['lung_rads_reason']}")
    return "\n".join(lines)


def _findings(answer: "VerdictAnswer", first_number: int) -> str:
    lines = [
        f"- {describe(one.finding)}: {FindingVerdict.Label(one.label).label}"
        for one in answer.findings
    ]
    lines += [
        f"- Mark {number}, image {one.instance.instance_number or 'without number'}, "
        f"{one.diameter_mm:.0f} mm, marked by the doctor: {FindingVerdict.Label(one.label).label}"
        for number, one in enumerate(answer.missed, start=first_number)
    ]
    return "\n".join(["Findings:", *lines]) if lines else "Findings: none answered."


def describe(finding: Finding) -> str:
    """A finding in one line, with the AI's score where it has one."""
    place = f"image {finding.instance.instance_number or 'without number'}"
    words = f"Finding {finding.number}, {place}, {finding.diameter_mm:.0f} mm"
    if finding.source == Finding.Source.DOCTOR:
        return f"{words}, marked by {finding.author}"
    score = finding.malignancy_probability
    said = "not assessed" if score is None else f"{score:.2f} ({step_of(score)})"
    return f"{words}, AI suspicion {said}"


def _ai(case: Case) -> str:
    off = why_off()
    if off:
        return f"AI: switched off, not shown to the doctor. {off}"
    predictions = list(predictions_of(case).prefetch_related("findings").select_related("series"))
    answered = answering(predictions)
    if not answered:
        return f"AI: {summarise(predictions).words}; not assessed."
    return "\n".join(["AI:", *(_said(prediction) for prediction in answered)])


def _said(prediction: Prediction) -> str:
    versions = ", ".join(str(version) for version in prediction.model_versions.all())
    found = len(prediction.findings.all())
    nodules = "no nodule found" if not found else f"{found} nodule{'s' if found > 1 else ''} found"
    return (
        f"- {prediction.series}: {nodules}; versions {versions}; "
        f"operating point {operating_words(prediction)}"
    )
