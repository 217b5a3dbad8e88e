"""Deleting a study for good: on request, by its site's rule, or again after a restore.

Rows, files and what doctors said of it go in one step or not at all; a tombstone and the audit
trail stay. Networks that learned from its corrections stay as well, and the tombstone names them.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from apps.accounts.models import Site, User
from apps.audit.models import AuditEvent, Tombstone
from apps.audit.services import record
from apps.audit.triggers import deletion
from apps.cases.locks import files_may_go
from apps.cases.models import Case, Instance, Patient, Series, Study
from apps.cases.removal import finish_removals, set_aside
from apps.classifier.models import ModelVersion, TrainingExample, TrainingRun

log = logging.getLogger(__name__)
_NEVER = {AuditEvent, Tombstone, User, Site, ModelVersion, TrainingRun}
_IDLE = [Case.Status.DRAFT, Case.Status.REPORTED, Case.Status.RETURNED, Case.Status.WITHDRAWN]

Rows = dict[type[Model], set[Any]]


class DeletionRefused(Exception):
    """Why nothing was deleted, in words for whoever asked."""


@dataclass(frozen=True)
class Contents:
    """Everything that hangs on a study, before it goes."""

    rows: Rows
    images: list[str]
    training: list[dict[str, Any]]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each kind."""
        return {
            str(model._meta.verbose_name): len(keys)
            for model, keys in sorted(self.rows.items(), key=lambda one: one[0]._meta.label)
        }

    @property
    def images_sha256(self) -> str:
        """One hash for all files."""
        return hashlib.sha256("\n".join(sorted(self.images)).encode()).hexdigest()


def study_sha256(study: Study) -> str:
    """How a tombstone names a study without naming it."""
    return hashlib.sha256(f"{study.site_id} {study.study_instance_uid}".encode()).hexdigest()


def delete_study(
    study: Study, *, cause: str, reason: str, user: User | None = None, actor: str = ""
) -> Tombstone:
    """Delete a study and everything of it. Raises DeletionRefused; then all is as it was.

    The patient goes with the last study. `reason` stays, so it must not name the patient.
    """
    _postgres_only()
    with transaction.atomic():
        _refuse_while_backed_up()
        case = _lock(study)
        _refuse_while_trained_on(case)
        if cause == Tombstone.Cause.RETENTION and study not in due(study.site):
            raise DeletionRefused("Something happened to its case just now, so it was kept.")
        series = list(study.series.select_related("study"))
        contents = contents_of(study)
        tombstone = _bury(study, case, contents, cause, reason, user.email if user else actor)
        with deletion(tombstone):
            _delete(contents.rows)
        record(
            AuditEvent.Action.DELETED,
            user=user,
            actor=actor,
            target=case,
            site_pk=study.site_id,
            tombstone=tombstone.pk,
            cause=cause,
        )
        set_aside(series, tombstone)
        transaction.on_commit(finish_removals, robust=True)
    log.info("study deleted: %s, study_sha256 %s", tombstone, tombstone.study_sha256)
    return tombstone


def contents_of(study: Study) -> Contents:
    """What would go with the study now."""
    roots: list[Model] = [study]
    if not study.patient.studies.exclude(pk=study.pk).exists():
        roots.append(study.patient)
    rows = _hanging_on(roots)
    images = Instance.objects.filter(pk__in=rows.get(Instance, ()))
    examples = rows.get(TrainingExample, set())
    return Contents(rows, list(images.values_list("sha256", flat=True)), _learned_from(examples))


def due(site: Site) -> QuerySet[Study]:
    """The studies whose time is over by the site's rule; none without a rule."""
    if site.retention_days is None:
        return Study.objects.none()
    since = timezone.now() - timedelta(days=site.retention_days)
    return (
        Study.objects.filter(site=site, case__status__in=_IDLE, received_at__lt=since)
        .exclude(case__events__at__gte=since)
        .exclude(series__instances__received_at__gte=since)
        .order_by("pk")
    )


def studies_by_sha256() -> dict[str, int]:
    """Every stored study as a tombstone would name it."""
    return {study_sha256(study): study.pk for study in Study.objects.iterator()}


def _lock(study: Study) -> Case:
    """Nobody adds to the study from here on: whoever tries waits, and then finds it gone."""
    if not Study.objects.select_for_update().filter(pk=study.pk).exists():
        raise DeletionRefused("The study is no longer there.")
    list(Series.objects.select_for_update().filter(study=study))
    Patient.objects.select_for_update().get(pk=study.patient_id)
    return Case.objects.select_for_update().get(study=study)


def _hanging_on(roots: Iterable[Model]) -> Rows:
    """The rows themselves and every row that points at them, however far away."""
    found: Rows = defaultdict(set)
    fresh: list[tuple[type[Model], set[Any]]] = [(type(one), {one.pk}) for one in roots]
    while fresh:
        model, keys = fresh.pop()
        keys = keys - found[model]
        if not keys:
            continue
        if model in _NEVER:
            raise DeletionRefused(f"A row of {model._meta.verbose_name} would be lost.")
        found[model] |= keys
        fresh += [(relation.related_model, _pointing(relation, keys)) for relation in _into(model)]
    return {model: keys for model, keys in found.items() if keys}


def _into(model: type[Model]) -> list[models.ManyToOneRel]:
    """The foreign keys that point at a model, those of many-to-many tables too."""
    fields = model._meta.get_fields(include_hidden=True)
    return [field for field in fields if isinstance(field, models.ManyToOneRel)]


def _pointing(relation: models.ManyToOneRel, keys: set[Any]) -> set[Any]:
    rows = relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": keys})
    return set(rows.order_by().values_list("pk", flat=True))


def _learned_from(examples: set[Any]) -> list[dict[str, Any]]:
    runs = TrainingRun.objects.filter(examples__in=examples).distinct().select_related("candidate")
    return [
        {
            "run": str(run.public_id),
            "version": str(run.candidate or ""),
            "corrections": sorted(
                run.examples.filter(pk__in=examples).values_list("pk", flat=True)
            ),
        }
        for run in runs.order_by("pk")
    ]


def _bury(
    study: Study, case: Case, contents: Contents, cause: str, reason: str, actor: str
) -> Tombstone:
    return Tombstone.objects.create(
        cause=cause,
        reason=reason,
        actor=actor,
        site_pk=study.site_id,
        case_pk=case.pk,
        study_sha256=study_sha256(study),
        images=len(contents.images),
        images_sha256=contents.images_sha256,
        rows=contents.counts,
        training=contents.training,
    )


def _delete(rows: Rows) -> None:
    """In any order: PostgreSQL looks at foreign keys when the transaction commits."""
    for model, keys in rows.items():
        model._base_manager.filter(pk__in=keys)._raw_delete(connection.alias)


def _refuse_while_trained_on(case: Case) -> None:
    if TrainingRun.objects.filter(status__in=["queued", "running"], examples__case=case).exists():
        raise DeletionRefused(
            "A training run uses a correction of this study. Nothing was deleted: cancel the run "
            "or wait for its end."
        )


def _refuse_while_backed_up() -> None:
    if not files_may_go():
        raise DeletionRefused(
            "A backup is being made. Nothing was deleted: try again when it has ended."
        )


def _postgres_only() -> None:
    if connection.vendor != "postgresql":
        raise DeletionRefused(
            "This is for PostgreSQL. Stop the demo and delete its folder var/ instead."
        )
