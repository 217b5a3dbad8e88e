"""Train a network from a directory, outside the loop: files in, files out, nothing activated."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from apps.classifier.cnn.datasets import DatasetError
from apps.classifier.cnn.shipping import TASKS, train_shipped
from apps.classifier.cnn.training import TrainingProgress


class Command(BaseCommand):
    help = "Train TASK from the data in DIR and write weights, metadata and the learning curve."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", choices=TASKS)
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--out", type=Path, required=True)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--epochs", type=int)
        parser.add_argument("--quick", action="store_true", help="a small network, for trying")

    def handle(self, *args, task: str, data: Path, out: Path, **options) -> None:
        how = {key: options[key] for key in ("seed", "epochs", "quick")}
        how |= {"out_dir": out, "checkpoint_dir": out / "checkpoints"}
        try:
            with tqdm(total=1000, bar_format="{l_bar}{bar}| {elapsed} {postfix}") as bar:
                how["on_progress"] = lambda told: _show(bar, told)
                trained = train_shipped(task, data, **how)
        except (DatasetError, OSError) as problem:
            raise CommandError(str(problem)) from problem
        metrics = trained.meta["metrics"]
        self.stdout.write(f"{trained.weights}: AUC {metrics['auc']} {metrics['auc_ci']}")


def _show(bar: tqdm, told: TrainingProgress) -> None:
    bar.set_postfix_str(
        f"network {told.member}/{told.members}, epoch {told.epoch}/{told.epochs}, "
        f"loss {told.loss:.3f}",
        refresh=False,
    )
    bar.update(round(told.fraction * 1000) - bar.n)
