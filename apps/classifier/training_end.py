"""How a training ends that did not come as far as a candidate."""

import shutil

from django.utils import timezone

from apps.classifier.lease import held
from apps.classifier.models import TrainingRun
from apps.classifier.training_set import run_folder

Status = TrainingRun.Status


def fail(pk: int, token: int, reason: str) -> None:
    """Say why in the row, while the claim stands."""
    held(TrainingRun, pk, token).update(
        status=Status.FAILED,
        finished_at=timezone.now(),
        lease_expires_at=None,
        reason=reason[:500],
    )


def clear_folder(pk: int) -> None:
    """Checkpoints and crops are of no use once the run has ended; the row keeps their hashes."""
    run = TrainingRun.objects.get(pk=pk)
    if run.status not in {Status.QUEUED, Status.RUNNING}:
        shutil.rmtree(run_folder(run), ignore_errors=True)
