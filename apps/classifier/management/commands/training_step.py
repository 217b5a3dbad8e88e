"""One step of a training, as a pod of the pipeline runs it (apps/classifier/pipeline.py)."""

import os
import re
from pathlib import Path

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.classifier.labels import LearningConflict
from apps.classifier.learning import TRAINABLE, start_run
from apps.classifier.lease import claim
from apps.classifier.models import TrainingRun

STEPS = ["collecting", "preparing", "training", "testing", "storing"]
NAMED = re.compile(r"([0-9a-f-]{36}):(\d+)")


class Command(BaseCommand):
    help = "Run one step of a training under the claim ID:TOKEN that the step before held."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("step", choices=STEPS)
        parser.add_argument("--run", default="", metavar="ID:TOKEN")
        begin = parser.add_argument_group("to begin a training (with collecting, without --run)")
        begin.add_argument("--task", choices=[task.value for task in TRAINABLE])
        begin.add_argument("--seed", type=int, default=1)
        begin.add_argument("--epochs", type=int, default=0, help="0: the task's own number")
        parser.add_argument("--data", default="", help="fetch this training base first")
        parser.add_argument("--write-run", type=Path, help="write ID:TOKEN into this file")

    def handle(self, *args, step: str, run: str, **options) -> None:
        if options["data"]:
            call_command("fetch_dataset", options["data"])
        if not run and step == "collecting":
            run = self._begin(options)
        pk, token = _row(run)
        if options["write_run"]:
            options["write_run"].parent.mkdir(parents=True, exist_ok=True)
            options["write_run"].write_text(run)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from apps.classifier.training import run_step  # loads TensorFlow

        if not run_step(pk, token, step):
            row = TrainingRun.objects.get(pk=pk)
            raise CommandError(f"{row.get_status_display()}: {row.reason or 'taken over'}")
        self.stdout.write(f"{step}: done")

    def _begin(self, options: dict) -> str:
        try:
            row = start_run(
                options["task"],
                seed=options["seed"],
                epochs=options["epochs"] or None,
                nudge_workers=False,
                because="a pipeline begun in Kubeflow",
            )
        except LearningConflict as conflict:
            raise CommandError(conflict.message) from conflict
        return f"{row.public_id}:{claim(TrainingRun, row.pk)}"


def _row(named: str) -> tuple[int, int]:
    found = NAMED.fullmatch(named)
    pk = found and TrainingRun.objects.filter(public_id=found[1]).values_list("pk", flat=True)
    if not pk:
        raise CommandError(f"There is no training {named!r}; it is named as ID:TOKEN.")
    return pk[0], int(found[2])
