"""The four things that an admin can do with a correction, for pages and programs."""

from django.http import HttpRequest

from apps.classifier.adjudication import ask_opinion, decide_example, reopen_example
from apps.classifier.models import TrainingExample


def carry_out(
    example: TrainingExample, *, request: HttpRequest, decision: str, note: str = ""
) -> None:
    """`accept`, `reject`, `opinion` or `reopen`. Raises LearningConflict."""
    if decision == "opinion":
        ask_opinion(example, request=request)
    elif decision == "reopen":
        reopen_example(example, request=request)
    else:
        decide_example(example, request=request, accept=decision == "accept", note=note)
