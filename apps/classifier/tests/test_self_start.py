"""Trainings that start by themselves: enough new corrections, or the hour of the schedule."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils import timezone

from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases.tests.factories import make_case
from apps.classifier.adjudication import confirm, decide_example
from apps.classifier.models import LoopSettings, TrainingExample, TrainingRun
from apps.classifier.self_start import newly_accepted, start_due_runs
from apps.classifier.sweep import sweep
from apps.classifier.tests.factories import (
    make_prediction,
    make_training_example,
    make_training_run,
)
from tests.system import empty_broker

pytestmark = pytest.mark.django_db
MONDAY_2_30 = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)


@pytest.fixture
def admin(db):
    return request_of(make_user("admin"))


@pytest.fixture
def findings(db):
    places = [{"row": 5.0 + 20 * n, "diameter_mm": 4.0} for n in range(3)]
    return list(make_prediction(make_case(status="sent"), findings=places).findings.all())


def _settings(**fields) -> None:
    LoopSettings.objects.create(pk=1, **fields)


def _accept(finding, admin) -> TrainingExample:
    example = make_training_example(finding.case, instance=finding.instance, finding=finding)
    decide_example(example, request=admin, accept=True)
    return example


def test_nothing_starts_by_itself_unless_an_admin_says_so(findings, admin):
    for finding in findings:
        _accept(finding, admin)
    assert start_due_runs() == []
    _settings()
    assert start_due_runs() == []


def test_a_training_starts_with_the_nth_newly_accepted_correction_and_only_once(findings, admin):
    _settings(train_after=2)
    _accept(findings[0], admin)
    assert start_due_runs() == []
    _accept(findings[1], admin)
    make_training_example(findings[2].case, finding=findings[2])  # waits, so it does not count

    (run,) = start_due_runs()

    assert (run.task, run.status, run.because) == (
        "malignancy",
        "queued",
        "2 newly accepted corrections",
    )
    assert start_due_runs() == []
    event = AuditEvent.objects.get(action="retrain_started")
    assert (event.actor, event.details["because"]) == ("by itself", run.because)


@pytest.mark.parametrize("ended", ["failed", "cancelled", "not_better", "passed"])
def test_what_a_training_already_had_does_not_start_the_next_one(findings, admin, ended):
    _settings(train_after=2)
    for finding in findings[:2]:
        _accept(finding, admin)
    (run,) = start_due_runs()
    TrainingRun.objects.filter(pk=run.pk).update(status=ended)

    assert start_due_runs() == []
    _accept(findings[2], admin)
    assert start_due_runs() == []  # one new, two are asked for


def test_what_cannot_be_used_does_not_count(findings, admin):
    _settings(train_after=1)
    example = _accept(findings[0], admin)
    assert newly_accepted("malignancy") == [example]
    finding = findings[0]
    confirm(finding.case, request=admin, kind="pathology", label="malignant", finding=finding)
    assert start_due_runs() == []


def test_an_open_training_is_not_disturbed(findings, admin):
    _settings(train_after=1)
    make_training_run(status="running")
    _accept(findings[0], admin)
    assert start_due_runs() == []
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    ("schedule", "after", "starts"),
    [
        ("never", timedelta(0), False),
        ("daily", timedelta(0), True),
        ("daily", timedelta(hours=1), False),
        ("daily", timedelta(hours=-1), False),
        ("daily", timedelta(days=1), True),
        ("weekly", timedelta(0), True),
        ("weekly", timedelta(days=1), False),
        ("weekly", timedelta(days=7), True),
    ],
)
def test_the_schedule_starts_within_its_hour_only(findings, admin, schedule, after, starts):
    _settings(schedule=schedule, schedule_hour=2)
    _accept(findings[0], admin)
    assert bool(start_due_runs(MONDAY_2_30 + after)) is starts


def test_the_schedule_starts_nothing_without_new_corrections(findings, admin):
    _settings(schedule="daily", schedule_hour=2)
    assert start_due_runs(MONDAY_2_30) == []


def test_the_schedule_starts_once_in_its_hour_although_more_is_accepted(findings, admin):
    now = timezone.now().astimezone(UTC)
    _settings(schedule="daily", schedule_hour=now.hour)
    _accept(findings[0], admin)
    (run,) = start_due_runs(now)
    assert run.because == f"every day at {now.hour}:00"
    TrainingRun.objects.filter(pk=run.pk).update(status="passed")
    _accept(findings[1], admin)
    assert start_due_runs(now) == []


def test_the_sweep_starts_what_is_due(findings, admin):
    empty_broker()
    _settings(train_after=1)
    _accept(findings[0], admin)
    sweep()
    assert TrainingRun.objects.get().because == "1 newly accepted correction"


@pytest.mark.django_db(transaction=True)
def test_a_second_sweep_beside_the_first_starts_nothing(findings, admin):
    _settings(train_after=1)
    _accept(findings[0], admin)
    other = connections["default"].copy("default")
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM classifier_loopsettings WHERE id = 1 FOR UPDATE")
        assert start_due_runs() == []
        cursor.execute("ROLLBACK")
    other.close()
    assert len(start_due_runs()) == 1


@pytest.mark.parametrize("wrong", [{"train_after": 0}, {"schedule_hour": 24}])
def test_settings_without_sense_are_refused_in_words(wrong):
    with pytest.raises(ValidationError):
        LoopSettings(pk=1, **wrong).full_clean()
