"""A whole training run in the foreground: freeze, train, test against the active version."""

import logging
from threading import Event, Thread

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from tqdm import tqdm

from apps.classifier.labels import LearningConflict
from apps.classifier.learning import TRAINABLE, start_run
from apps.classifier.models import TrainingRun
from apps.classifier.training import run_training

FIGURES = ["auc", "sensitivity", "specificity", "accuracy", "ece", "brier"]


class Command(BaseCommand):
    help = "Train a candidate from the base and the accepted corrections, and test it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--task", choices=[task.value for task in TRAINABLE], required=True)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--epochs", type=int)

    def handle(self, *args, task: str, seed: int, epochs: int | None, **options) -> None:
        try:
            run = start_run(task, seed=seed, epochs=epochs, nudge_workers=False)
        except LearningConflict as conflict:
            raise CommandError(conflict.message) from conflict
        for name in ("absl", "tensorflow"):  # their notes would tear the bar apart
            logging.getLogger(name).setLevel(logging.ERROR)
        with _bar(run.pk):
            run_training(run.pk)
        run.refresh_from_db()
        if run.candidate is None:
            raise CommandError(f"{run.get_status_display()}: {run.reason}")
        self._print(run)

    def _print(self, run: TrainingRun) -> None:
        old, new = run.result["active"], run.result["candidate"]
        self.stdout.write(f"{'':14}{run.active_version!s:>18}{run.candidate!s:>18}")
        for name in FIGURES:
            self.stdout.write(f"{name:14}{_figure(old, name):>18}{_figure(new, name):>18}")
        gain = run.result["difference"]
        self.stdout.write(
            f"AUC difference {gain['difference']} {gain['difference_ci']} on {gain['n']} items "
            f"of {gain['n_patients']} held-out patients"
        )
        self.stdout.write(f"{run.get_status_display()}: {run.reason}")


def _figure(figures: dict, name: str) -> str:
    value, interval = figures[name], figures.get(f"{name}_ci")
    if value is None:
        return "–"
    return f"{value:.3f} {interval[0]:.2f}–{interval[1]:.2f}" if interval else f"{value:.3f}"


class _bar:
    """A progress bar that follows the run's row."""

    def __init__(self, pk: int) -> None:
        self._pk, self._done = pk, Event()
        self._thread = Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed} {postfix}") as bar:
            while not self._done.wait(0.5):
                progress = TrainingRun.objects.values_list("progress", flat=True).get(pk=self._pk)
                bar.set_postfix_str(_words(progress), refresh=False)
                bar.n = round(progress.get("fraction", 0) * 100)
                bar.refresh()
        connection.close()


def _words(progress: dict) -> str:
    step = progress.get("step", "waiting")
    if step != "training" or "epoch" not in progress:
        return step
    return (
        f"network {progress['member']}/{progress['members']}, epoch "
        f"{progress['epoch']}/{progress['epochs']}, loss {progress['loss']:.3f}, "
        f"{progress['seconds_left']} s left"
    )
