"""What is only ever added to cannot be changed: not by the ORM, not in bulk, not by raw SQL."""

import sqlite3
from contextlib import closing

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import InternalError, connection, models, transaction
from django.utils import timezone

from apps.accounts.tests.factories import request_of
from apps.audit.models import AppendOnlyError, AppendOnlyModel, AuditEvent, Tombstone
from apps.audit.services import record
from apps.audit.triggers import _statements
from apps.cases.after_report import add_addendum, record_critical_result
from apps.cases.models import (
    AccessGrant,
    Addendum,
    CaseEvent,
    CriticalResult,
    PatientAssignment,
    Report,
    SeriesAssignment,
    UnaidedOpinion,
    Verdict,
)
from apps.cases.services import break_glass
from apps.cases.tests.factories import make_case
from apps.classifier.models import Confirmation, FindingVerdict, FrozenTestSet, Opinion
from apps.classifier.tests.factories import make_prediction, make_training_example
from tests.people import People

APPEND_ONLY = [
    AuditEvent,
    CaseEvent,
    AccessGrant,
    Verdict,
    Report,
    UnaidedOpinion,
    Addendum,
    CriticalResult,
    FindingVerdict,
    Opinion,
    Confirmation,
    FrozenTestSet,
    PatientAssignment,
    SeriesAssignment,
    Tombstone,
]


@pytest.fixture
def rows(people: People) -> None:
    """One row, at least, of every append-only table."""
    case = make_case(people.home, status="reported", doctor=people.owner)
    request = request_of(people.owner)
    add_addendum(case, request=request, revision=case.revision, text="One more line")
    record_critical_result(
        case,
        request=request,
        told_to="Dr Ward",
        how="phone",
        what="Pneumothorax",
        told_at=timezone.now(),
        read_back=True,
    )
    UnaidedOpinion.objects.create(reading=case.readings.get(), cancer="no")
    break_glass(case, request=request_of(people.admin), reason="asked by the ward")
    finding = make_prediction(case, findings=[{}]).findings.get()
    FindingVerdict.objects.create(finding=finding, verdict=case.verdicts.get(), label="benign")
    example = make_training_example(case, doctor=people.owner)
    Opinion.objects.create(example=example, doctor=people.teammate, label="benign")
    Confirmation.objects.create(
        case=case, kind="pathology", label="benign", recorded_by=people.owner
    )
    FrozenTestSet.objects.create(sha256="0" * 64, patients=8, items=16)
    moved = {"author": people.technician, "reason": "typed wrongly"}
    study, patient = case.study, case.study.patient
    PatientAssignment.objects.create(study=study, from_patient=patient, to_patient=patient, **moved)
    series = study.series.get()
    SeriesAssignment.objects.create(series=series, from_study=study, to_study=study, **moved)
    Tombstone.objects.create(site_pk=1, case_pk=1, images=0)
    record(AuditEvent.Action.VIEWED, user=people.owner, target=case)


def some_field(model: type[models.Model]) -> str:
    return next(field.attname for field in model._meta.concrete_fields if not field.primary_key)


def test_the_list_is_complete():
    found = {model for model in apps.get_models() if issubclass(model, AppendOnlyModel)}
    assert found == set(APPEND_ONLY)


@pytest.mark.parametrize("model", APPEND_ONLY)
@pytest.mark.parametrize(
    "change", ['UPDATE {table} SET "{field}" = "{field}"', "DELETE FROM {table}"]
)
def test_the_database_itself_refuses(rows, model: type[models.Model], change: str):
    before = model.objects.count()
    assert before
    with (
        pytest.raises(InternalError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table=model._meta.db_table, field=some_field(model)))
    assert model.objects.count() == before


@pytest.mark.parametrize("model", APPEND_ONLY)
def test_the_orm_refuses_every_way_to_change_or_delete(rows, model: type[models.Model]):
    row = model.objects.first()
    everything = model.objects.all()
    ways = [
        row.save,
        row.delete,
        everything.delete,
        lambda: everything.update(**{some_field(model): None}),
        lambda: model._base_manager.update(**{some_field(model): None}),
        lambda: everything.bulk_update([row], [some_field(model)]),
    ]
    for way in ways:
        with pytest.raises(AppendOnlyError):
            way()


@pytest.mark.parametrize("model", APPEND_ONLY)
def test_an_upsert_cannot_change_a_row_either(rows, model: type[models.Model]):
    row = model.objects.first()
    with pytest.raises((InternalError, AppendOnlyError)), transaction.atomic():
        model.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=[some_field(model).removesuffix("_id")],
        )


@pytest.mark.parametrize("model", APPEND_ONLY)
def test_admin_offers_no_way_to_change_them(people: People, model: type[models.Model]):
    page = admin.site._registry[model]
    request = request_of(people.admin)
    assert page.has_view_permission(request)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)


@pytest.mark.parametrize("statement", ["UPDATE notes SET text = 'b'", "DELETE FROM notes"])
def test_sqlite_refuses_as_well(statement):
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE notes (text)")
        for trigger in _statements("notes", "sqlite"):
            database.execute(trigger)
        database.execute("INSERT INTO notes VALUES ('a')")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
        assert database.execute("SELECT text FROM notes").fetchall() == [("a",)]
