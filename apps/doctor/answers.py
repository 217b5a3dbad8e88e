"""What the AI said about a case, in the few words that lists, pages and reports share."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.classifier.calls import operating_point
from apps.classifier.models import Finding, FindingVerdict, Prediction
from apps.classifier.services import current_predictions

LOW_BELOW, HIGH_FROM = 0.3, 0.7
Status = Prediction.Status
Label = FindingVerdict.Label

_REFUSED_BECAUSE = {
    "not_chest": "not a chest CT",
    "unsupported_orientation": "not axial",
    "unsupported_spacing": "pixel size unusable",
    "unsupported_size": "image size unusable",
    "not_adult": "not an adult",
    "no_slices": "no images",
}


@dataclass(frozen=True)
class Answer:
    """The AI's state over all series of a case, and its highest suspicion.

    `nothing` are the words where there is no score; they never say "clear".
    """

    status: str
    words: str
    nothing: str = "not assessed"
    score: float | None = None
    diameter_mm: float | None = None


HIDDEN = Answer("hidden", "after your opinion", nothing="after your opinion")


def summarise(predictions: Iterable[Prediction]) -> Answer:
    """One answer for the case: working while any series is, else the best that was said."""
    known = [p for p in predictions if not p.shadow]
    current = current_predictions(known)
    if not current:
        return Answer("none", "not asked")
    status, words = _state(current)
    said = answering(known)
    top = max(
        (f for p in said for f in p.findings.all() if f.malignancy_probability is not None),
        key=lambda f: f.malignancy_probability,
        default=None,
    )
    if top:
        return Answer(status, words, score=top.malignancy_probability, diameter_mm=top.diameter_mm)
    return Answer(status, words, nothing=_nothing(status, bool(said)))


def switched_off() -> Answer:
    """What is said while an admin, or the stop-rule, hides the AI."""
    return Answer("off", "switched off", nothing="AI is off")


def _state(current: list[Prediction]) -> tuple[str, str]:
    """(status, words) that speak for all series together."""
    by_status = {p.status: p for p in reversed(current)}
    if Status.RUNNING in by_status:
        return Status.RUNNING, f"working, {round(_progress(current) * 100)} %"
    if Status.QUEUED in by_status:
        return Status.QUEUED, "waiting"
    if Status.DONE in by_status:
        failed = sum(p.status == Status.FAILED for p in current)
        return Status.DONE, f"answered, {failed} series failed" if failed else "answered"
    if Status.FAILED in by_status:
        return Status.FAILED, "failed"
    if Status.REFUSED in by_status:
        return Status.REFUSED, f"refused: {refusal_in_words(by_status[Status.REFUSED])}"
    return Status.CANCELLED, "cancelled"


def _progress(current: list[Prediction]) -> float:
    """How far the series are together; a finished one counts whole, whatever its outcome."""
    return sum(1 if p.is_finished else p.progress for p in current) / len(current)


def _nothing(status: str, said: bool) -> str:
    if said:
        return "no nodule found"
    return "not yet" if status in {Status.RUNNING, Status.QUEUED} else "not assessed"


def refusal_in_words(prediction: Prediction) -> str:
    """Why the AI refused, short enough for a row."""
    return _REFUSED_BECAUSE.get(prediction.code, "see the case")


def answering(predictions: Iterable[Prediction]) -> list[Prediction]:
    """The finished answer that stands for each series, the highest score first.

    While a newer question is open or has failed, the answer before it still stands.
    """
    known = [p for p in predictions if not p.shadow]
    open_or_failed = {Status.QUEUED, Status.RUNNING, Status.FAILED, Status.CANCELLED}
    standing = current_predictions(p for p in known if p.status not in open_or_failed)
    return [p for p in standing if p.status == Status.DONE]


def disagrees(finding: Finding, label: str) -> bool:
    """Whether a doctor's label is not what the AI said of this finding.

    The AI called it a nodule, so "not a nodule" always disagrees; malignant and benign are
    compared at the operating point. With a doctor's own mark there is nothing to disagree.
    """
    if finding.source != Finding.Source.MODEL:
        return False
    if label == Label.NOT_A_NODULE:
        return True
    suspicious = (finding.malignancy_probability or 0) >= operating_point(finding.prediction)
    return suspicious != (label == Label.MALIGNANT)


def step_of(score: float | None) -> str:
    """The word for a suspicion: low, middle, high, or not assessed."""
    if score is None:
        return "not assessed"
    if score < LOW_BELOW:
        return "low"
    return "middle" if score < HIGH_FROM else "high"
