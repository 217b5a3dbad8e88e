"""The labels that each task knows, in words, and how far the AI was from them."""

from apps.classifier.models import FindingVerdict, ModelVersion, TrainingExample

Task = ModelVersion.Task

LABELS = {
    Task.MALIGNANCY: {"malignant": "malignant", "benign": "benign"},
    Task.NODULE: {"nodule": "a nodule", "not_a_nodule": "not a nodule"},
    Task.CHEST: {"chest": "chest", "not_chest": "not the chest"},
    Task.CONTRAST: {"contrast": "contrast given", "no_contrast": "no contrast"},
}
_YES = {"malignant", "nodule", "chest", "contrast"}


class NotUsable(Exception):
    """This correction cannot be used for training; `message` says why in plain words."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class LearningConflict(Exception):
    """Something was not as the user's page showed it, and nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def label_in_words(example: TrainingExample) -> str:
    """The doctor's label as people say it."""
    return words_of(example.task, example.label)


def words_of(task: str, label: str) -> str:
    """A label of a task as people say it."""
    return LABELS[task].get(label, label.replace("_", " "))


def is_positive(label: str) -> bool:
    """Whether a label is the one that its task's network should call."""
    return label in _YES


def label_from_verdict(task: str, said: str) -> str:
    """What a doctor's answer about a finding says for a task."""
    if task == Task.NODULE and said != FindingVerdict.Label.NOT_A_NODULE:
        return "nodule"
    return said


def informativeness(predicted: float | None, label: str) -> tuple[float, float]:
    """(disagreement, uncertainty), each 0 to 1: how far the AI was off, how unsure it was.

    What the AI missed altogether is the largest disagreement; it was not unsure about it.
    """
    if predicted is None:
        return 1.0, 0.0
    right = 1.0 if is_positive(label) else 0.0
    return round(abs(right - predicted), 4), round(1 - 2 * abs(predicted - 0.5), 4)
