"""Show or export what a training run froze: its base and its corrections, listed by hash."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.dataset_export import export_dataset
from apps.classifier.models import TrainingRun
from apps.classifier.training_base import NoFrozenTestSet
from apps.classifier.training_set import sha256_of


class Command(BaseCommand):
    help = "Show or export the dataset version that training run N froze."

    def add_arguments(self, parser: CommandParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        show = steps.add_parser("show", help="what it holds, by SHA-256")
        show.add_argument("number", type=int)
        export = steps.add_parser("export", help="write it de-identified into a new folder")
        export.add_argument("number", type=int)
        export.add_argument("--to", type=Path, required=True, help="a folder that is not there")

    def handle(self, *args, step: str, number: int, **options) -> None:
        run = TrainingRun.objects.filter(pk=number).first()
        if run is None or not run.dataset:
            raise CommandError(f"There is no dataset version {number}.")
        if sha256_of(run.dataset) != run.dataset_sha256:
            raise CommandError(
                f"Dataset version {number} is not what was frozen: its list changed."
            )
        if step == "show":
            self._show(run)
        else:
            self._export(run, options["to"])

    def _show(self, run: TrainingRun) -> None:
        data, write = run.dataset, self.stdout.write
        write(f"Dataset version {run.pk} ({run.task}), SHA-256 {run.dataset_sha256}")
        write(f"frozen test set {data['frozen_test_set']}")
        for side in ("train", "test"):
            corrections = sum(one["side"] == side for one in data["corrections"])
            write(
                f"{side}: {data[f'{side}_nodules']} items of {data[f'{side}_patients']} patients "
                f"of the base, {corrections} corrections"
            )
        for folder in data["base"]:
            write(f"{folder['sha256']} base {folder['name']}, {folder['files']} files")
        for one in data.get("base_items", []):
            write(f"{one['sha256']} {one['side']:5} {one['key']}")
        for one in data["corrections"]:
            words = f"correction {one['number']}: {one['label']}"
            write(f"{one['sha256']} {one['side']:5} {one['key']} {words}")

    def _export(self, run: TrainingRun, folder: Path) -> None:
        try:
            made = export_dataset(run, folder)
        except FileExistsError as error:
            raise CommandError(f"{folder} is there already; name a new folder.") from error
        except NoFrozenTestSet as problem:
            raise CommandError(str(problem)) from problem
        record(
            AuditEvent.Action.DATASET_EXPORTED,
            actor="command line",
            target=run,
            sha256=made.sha256,
            items=len(made.items),
            missing=len(made.missing),
        )
        self.stdout.write(f"{len(made.items)} items, SHA-256 of the folder {made.sha256}")
        for key, reason in made.missing.items():
            self.stderr.write(f"Incomplete: {key} is left out, {reason}.")
