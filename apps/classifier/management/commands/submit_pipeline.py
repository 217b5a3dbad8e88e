"""Begin a training as a pipeline in Kubeflow, whatever TRAINING_BACKEND says."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.classifier.kubeflow import NotSubmitted, hand_over
from apps.classifier.labels import LearningConflict
from apps.classifier.learning import TRAINABLE, start_run


class Command(BaseCommand):
    help = "Submit the training pipeline to a Kubeflow Pipelines endpoint."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="", help="as http://ml-pipeline:8888 (KUBEFLOW_HOST)")
        parser.add_argument("--task", choices=[task.value for task in TRAINABLE], required=True)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--epochs", type=int)
        parser.add_argument("--data", default="", help="a training base that fetch_dataset takes")

    def handle(self, *args, host: str, data: str, **options) -> None:
        host = host or settings.KUBEFLOW_HOST
        how = {key: options[key] for key in ("seed", "epochs")}
        try:
            run = start_run(options["task"], nudge_workers=False, **how)
            answer = hand_over(run.pk, host=host, data=data)
        except LearningConflict as conflict:
            raise CommandError(conflict.message) from conflict
        except NotSubmitted as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(f"Training {run.pk} ({run.public_id}) is run {answer} of {host}.")
