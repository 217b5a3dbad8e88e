"""The three things that an admin can do with a correction, for pages and programs."""

from django.http import HttpRequest

from apps.classifier.learning import decide_example, reopen_example
from apps.classifier.models import TrainingExample


def carry_out(
    example: TrainingExample, *, request: HttpRequest, decision: str, note: str = ""
) -> None:
    """`accept`, `reject` or `reopen`. Raises LearningConflict."""
    if decision == "reopen":
        reopen_example(example, request=request)
    else:
        decide_example(example, request=request, accept=decision == "accept", note=note)
