"""Steps that span the case and the classifier: a verdict with its answers and corrections."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.http import HttpRequest

from apps.accounts.models import User
from apps.cases.drafts import forget_draft
from apps.cases.models import Case, Instance, Series, Verdict
from apps.cases.services import CaseConflict, claim_case, record_verdict
from apps.cases.unaided import hides_ai
from apps.classifier.adjudication import take_back_outdated
from apps.classifier.calls import version_of
from apps.classifier.labels import NotUsable
from apps.classifier.learning import send_for_retraining
from apps.classifier.models import (
    Finding,
    FindingHeatmap,
    FindingVerdict,
    ModelVersion,
    TrainingExample,
)
from apps.doctor.access import is_blind
from apps.doctor.answers import disagrees
from apps.doctor.report import report_body
from apps.doctor.structured import Structured, kept_structure
from apps.doctor.worklist import next_unclaimed
from apps.imaging.geometry import patient_point

Label = FindingVerdict.Label
Reason = TrainingExample.Reason
Task = ModelVersion.Task


@dataclass(frozen=True)
class FindingAnswer:
    """What the doctor says about a finding that is there."""

    finding: Finding
    label: str
    retrain: bool = False
    text: str = ""


@dataclass(frozen=True)
class MissedNodule:
    """A place that the doctor marked because the AI had not. Pixels; diameter in mm."""

    instance: Instance
    row: float
    column: float
    diameter_mm: float
    label: str
    retrain: bool = False
    text: str = ""


@dataclass(frozen=True)
class VerdictAnswer:
    """A whole verdict as the doctor filled it in."""

    cancer: str
    diagnoses: list[str] = field(default_factory=list)
    text: str = ""
    second_read: bool = False
    findings: list[FindingAnswer] = field(default_factory=list)
    missed: list[MissedNodule] = field(default_factory=list)
    structured: Structured = field(default_factory=Structured)


@dataclass
class Signed:
    """The verdict, how many corrections went to the retrain queue, and why others did not."""

    verdict: Verdict
    sent: int = 0
    not_sent: list[str] = field(default_factory=list)


def findings_of(case: Case, user: User) -> QuerySet[Finding]:
    """The findings that this user may see and answer.

    No shadow prediction's; before the second reading is signed, no other doctor's marks; before
    an opinion that must come first, only their own.
    """
    found = case.findings.filter(Q(prediction__isnull=True) | Q(prediction__shadow=False))
    if hides_ai(case, user):
        found = found.filter(author=user)
    elif is_blind(case, user):
        found = found.filter(Q(source=Finding.Source.MODEL) | Q(author=user))
    return (
        found.select_related("instance__series", "prediction__case__site", "author")
        .prefetch_related("prediction__model_versions")
        .annotate(has_heatmap=Exists(FindingHeatmap.objects.filter(finding=OuterRef("pk"))))
    )


def claim_next(request: HttpRequest) -> Case | None:
    """Claim the first case that nobody reads; when another doctor is faster, the one after."""
    for case in next_unclaimed(request.user)[:20]:
        try:
            claim_case(case, request=request)
        except CaseConflict:
            continue
        return case
    return None


@transaction.atomic
def sign(case: Case, *, request: HttpRequest, revision: int, answer: VerdictAnswer) -> Signed:
    """Write the verdict, its report, the answers to findings and the corrections, or nothing.

    Raises CaseConflict when the case is no longer as the doctor saw it. A correction that
    cannot be used for training never stops the verdict; its reason is in `not_sent`.
    """
    if hides_ai(case, request.user):
        raise CaseConflict("Record your opinion before the AI's first. Nothing was signed.")
    first_number = next_number(case)
    verdict = record_verdict(
        case,
        request=request,
        revision=revision,
        cancer=answer.cancer,
        diagnoses=answer.diagnoses,
        text=answer.text,
        report_body=report_body(case, request.user, answer, first_number),
        second_read=answer.second_read,
        structured=kept_structure(case, answer.structured),
    )
    forget_draft(case, request.user)
    signed = Signed(verdict)
    for one in answer.findings:
        _answer_finding(signed, one, request)
    for number, missed in enumerate(answer.missed, start=first_number):
        _mark_missed(signed, missed, number, request)
    return signed


def next_number(case: Case) -> int:
    """The number that a doctor's next mark on this case gets."""
    seen = case.findings.exclude(prediction__shadow=True)
    return (seen.aggregate(highest=Max("number"))["highest"] or 0) + 1


def _answer_finding(signed: Signed, one: FindingAnswer, request: HttpRequest) -> None:
    said = FindingVerdict.objects.create(
        finding=one.finding, verdict=signed.verdict, label=one.label
    )
    if one.retrain and disagrees(one.finding, one.label):
        _send_answer(signed, one, said, request)
    take_back_outdated(one.finding, request=request, label=one.label)


def _send_answer(
    signed: Signed, one: FindingAnswer, said: FindingVerdict, request: HttpRequest
) -> None:
    wrong_place = one.label == Label.NOT_A_NODULE
    task = Task.NODULE if wrong_place else Task.MALIGNANCY
    probability = (
        one.finding.nodule_probability if wrong_place else one.finding.malignancy_probability
    )
    signed.sent += _try_sending(
        signed,
        lambda: send_for_retraining(
            request=request,
            case=signed.verdict.case,
            task=task,
            instance=one.finding.instance,
            label=one.label,
            finding=one.finding,
            finding_verdict=said,
            predicted=probability,
            predicted_by=version_of(one.finding.prediction, task),
            reason=Reason.WRONG_PLACE if wrong_place else Reason.WRONG_CALL,
            text=one.text,
        ),
    )


def _mark_missed(signed: Signed, missed: MissedNodule, number: int, request: HttpRequest) -> None:
    """Store a doctor's own mark; for training it is a nodule, and malignant or benign."""
    finding = Finding.objects.create(
        case=signed.verdict.case,
        source=Finding.Source.DOCTOR,
        author=request.user,
        instance=missed.instance,
        number=number,
        row=missed.row,
        column=missed.column,
        position_mm=position_mm(missed.instance, missed.row, missed.column),
        diameter_mm=missed.diameter_mm,
    )
    said = FindingVerdict.objects.create(
        finding=finding, verdict=signed.verdict, label=missed.label
    )
    if not missed.retrain:
        return
    lessons = [(Task.NODULE, "nodule", said), (Task.MALIGNANCY, missed.label, None)]
    taken = [
        _try_sending(
            signed,
            lambda task=task, label=label, finding_verdict=finding_verdict: send_for_retraining(
                request=request,
                case=signed.verdict.case,
                task=task,
                instance=missed.instance,
                label=label,
                finding=finding,
                finding_verdict=finding_verdict,
                reason=Reason.MISSED,
                text=missed.text,
            ),
        )
        for task, label, finding_verdict in lessons
    ]
    signed.sent += any(taken)


def _try_sending(signed: Signed, send: Callable[[], TrainingExample]) -> bool:
    try:
        with transaction.atomic():
            send()
    except NotUsable as problem:
        if problem.message not in signed.not_sent:
            signed.not_sent.append(problem.message)
        return False
    return True


def position_mm(instance: Instance, row: float, column: float) -> list[float] | None:
    """Where a pixel lies in the patient, or None where the file does not say."""
    position, orientation = instance.image_position_patient, instance.image_orientation_patient
    if not (position and orientation and instance.pixel_spacing):
        return None
    spacing = tuple(instance.pixel_spacing)
    point = patient_point(row, column, position=position, orientation=orientation, spacing=spacing)
    return [round(value, 2) for value in point]


def correct_chest(
    case: Case, *, request: HttpRequest, instance: Instance, label: str, text: str
) -> TrainingExample:
    """Send one slice for retraining of the chest gate: it was refused or accepted wrongly.

    Raises NotUsable with the reason when it cannot be learnt from.
    """
    prediction = (
        case.predictions.filter(series=instance.series, shadow=False)
        .exclude(chest=[])
        .order_by("-pk")
        .first()
    )
    said = _chest_probability(prediction.chest, instance) if prediction else None
    return send_for_retraining(
        request=request,
        case=case,
        task=Task.CHEST,
        instance=instance,
        label=label,
        predicted=said,
        predicted_by=version_of(prediction, Task.CHEST) if prediction else "",
        reason=Reason.WRONG_CALL,
        text=text,
    )


def correct_contrast(
    case: Case, *, request: HttpRequest, series: Series, label: str, text: str
) -> TrainingExample:
    """Send a series for retraining of the contrast check, by its middle image.

    Raises NotUsable with the reason when it cannot be learnt from.
    """
    images = list(series.instances.order_by("instance_number", "pk"))
    asked = case.predictions.filter(series=series, shadow=False).exclude(contrast={})
    said = next((one.contrast for one in asked.order_by("-pk")[:1]), {})
    return send_for_retraining(
        request=request,
        case=case,
        task=Task.CONTRAST,
        instance=images[len(images) // 2],
        label=label,
        predicted=said.get("probability"),
        predicted_by=said.get("version", ""),
        reason=Reason.WRONG_CALL,
        text=text,
    )


def _chest_probability(chest: list[dict], instance: Instance) -> float | None:
    said = (one for one in chest if one.get("key") == instance.sop_instance_uid)
    return next((one.get("probability") for one in said), None)
