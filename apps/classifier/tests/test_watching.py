"""Figures of live use, alerts at their limits, and the rule that hides the AI."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.services import record_verdict
from apps.cases.tests.factories import make_case
from apps.classifier import figures
from apps.classifier.cnn import drift
from apps.classifier.figures import Measured
from apps.classifier.labels import LearningConflict
from apps.classifier.models import Alert, Prediction, WatchSettings, WatchState
from apps.classifier.models.watching import Figure
from apps.classifier.tests.factories import make_model_versions, make_prediction
from apps.classifier.watching import beyond, set_display, watch, why_off

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return request_of(make_user("admin"))


@pytest.fixture
def case() -> Case:
    return make_case(status="sent")


def _limits(**fields) -> WatchSettings:
    row, _ = WatchSettings.objects.update_or_create(pk=1, defaults={"least_cases": 2, **fields})
    return row


def _predictions(case: Case, *statuses: str, **fields) -> None:
    for number, status in enumerate(statuses):
        make_prediction(
            case, status=status, instances_sha256=f"{Prediction.objects.count()} {number}", **fields
        )


def _measured() -> dict[str, Measured]:
    now = timezone.now()
    return {one.name: one for one in figures.measure(now - timedelta(days=30), now)}


def test_shares_of_failed_and_refused_leave_open_and_shadow_ones_out(case):
    _predictions(case, "done", "done", "refused", "failed", "queued", "running")
    _predictions(case, "failed", shadow=True)
    found = _measured()
    assert (found["failed"].value, found["failed"].n) == (0.25, 4)
    assert found["refused"].value == 0.25


def test_time_to_a_result_counts_from_the_question(case):
    for seconds in (10, 20, 30, 400):
        _predictions(case, "done")
        newest = Prediction.objects.order_by("-pk")[:1].get()
        asked = newest.finished_at - timedelta(seconds=seconds)
        Prediction.objects.filter(pk=newest.pk).update(queued_at=asked)
    assert _measured()["seconds"].value == pytest.approx(400)
    assert figures.quantile([10, 20, 30, 400], 0.5) == 30
    assert figures.quantile([], 0.5) is None


def _reported(*, score: float | None, before: bool = True) -> Case:
    """A case with the verdict "no cancer", answered by the AI before it or only after."""
    made = make_case(status="in_review", doctor=make_user("doctor"))
    prediction = make_prediction(made, score=score) if before else None
    made.refresh_from_db()
    record_verdict(
        made,
        request=request_of(made.claimed_by),
        revision=made.revision,
        cancer="no",
        diagnoses=[],
        text="",
        report_body="Signed.",
    )
    if not before:
        make_prediction(made, score=score)
    assert prediction is None or prediction.status == "done"
    return made


def test_verdict_and_ai_are_compared_at_the_operating_point_and_only_before_the_verdict():
    make_model_versions()
    _reported(score=0.9)
    _reported(score=0.4)
    _reported(score=None)
    _reported(score=0.9, before=False)
    found = _measured()
    assert (found["agreement"].value, found["agreement"].n) == (pytest.approx(2 / 3), 3)
    assert found["false_positive"].value == pytest.approx(1 / 3)
    assert (found["sensitivity"].value, found["sensitivity"].n) == (None, 0)


def test_input_is_compared_with_the_training_and_each_series_counts_once(case):
    hu = drift.reference()["hu"]["shares"]
    _predictions(case, *["done"] * 4, inputs={"hu": hu, "pixel_mm": 0.7, "slice_mm": 1.0})
    shifts = {one.name: one for one in figures.shifts(figures.answered(*_month()), [])}
    assert shifts["hu"].measured().value == pytest.approx(0, abs=1e-6)
    assert (shifts["pixel_mm"].n, shifts["pixel_mm"].actual[2]) == (4, 1.0)
    assert shifts["score"].measured() == Measured("score", None, 0)
    assert shifts["manufacturer"].actual[-1] == 1.0, "the phantom's maker is none of the training's"


def _month():
    now = timezone.now()
    return now - timedelta(days=30), now


def test_a_figure_beyond_its_limit_raises_one_alert_and_back_within_ends_it(
    case, django_capture_on_commit_callbacks
):
    make_user("admin", email="boss@example.org")
    make_user("doctor", email="doctor@example.org")
    _limits(limit_failed=0.3, limit_input=None)
    _predictions(case, "failed", "done")
    with django_capture_on_commit_callbacks(execute=True):
        (alert,) = watch()
    assert (alert.figure, alert.value, alert.n) == ("failed", 0.5, 2)
    assert [message.to for message in mail.outbox] == [["boss@example.org"]]
    assert "above the limit of 0.3" in mail.outbox[0].body
    assert "/operations/monitoring/" in mail.outbox[0].body
    assert watch() == []
    assert Alert.objects.count() == 1
    _predictions(case, "done", "done")
    assert watch() == []
    assert Alert.objects.get().ended_at is not None
    assert why_off() == ""
    state = WatchState.current()
    assert state.figures["failed"] == [0.25, 4]
    assert state.measured_at


def test_too_few_cases_neither_raise_nor_end_an_alert(case):
    _limits(limit_failed=0.3, least_cases=5)
    _predictions(case, "failed", "failed")
    assert watch() == []
    assert not Alert.objects.exists()


def test_a_mail_server_that_is_away_keeps_no_alert_from_being_raised(
    case, monkeypatch, django_capture_on_commit_callbacks, caplog
):
    make_user("admin")
    _limits(limit_failed=0.3, limit_input=None)
    _predictions(case, "failed", "done")

    def away(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr("apps.classifier.watching.send_mail", away)
    with django_capture_on_commit_callbacks(execute=True):
        assert len(watch()) == 1
    assert "could not be mailed" in caplog.text


def test_the_stop_rule_hides_the_ai_until_an_admin_shows_it_again(case, admin):
    _limits(limit_failed=0.3, limit_input=None, stop_on=["failed"])
    _predictions(case, "failed", "done")
    (alert,) = watch()
    assert Alert.objects.get().stopped_display
    assert alert.words in why_off()
    _predictions(case, "done", "done", "done")
    watch()
    assert why_off(), "a figure that is back within its limit does not show the AI by itself"
    set_display(on=True, request=admin, note="A broken disk, replaced.")
    assert why_off() == ""
    steps = AuditEvent.objects.filter(action="ai_display").order_by("pk")
    assert [(one.details["step"], one.actor) for one in steps] == [
        ("off", "by itself"),
        ("on", admin.user.email),
    ]


def test_shown_again_while_the_alert_is_open_the_same_alert_does_not_hide_it_again(case, admin):
    _limits(limit_failed=0.3, limit_input=None, stop_on=["failed"])
    _predictions(case, "failed", "done")
    watch()
    set_display(on=True, request=admin, note="Known, and harmless.")
    watch()
    assert why_off() == ""
    assert Alert.objects.filter(ended_at=None).count() == 1


def test_an_alert_that_is_not_in_the_stop_rule_leaves_the_ai_on(case):
    _limits(limit_failed=0.3, limit_input=None, stop_on=["refused"])
    _predictions(case, "failed", "done")
    assert len(watch()) == 1
    assert why_off() == ""


def test_an_admin_hides_the_ai_by_hand_and_a_second_click_is_told_so(admin):
    set_display(on=False, request=admin, note="The scanner is being calibrated.")
    assert why_off() == "The scanner is being calibrated."
    with pytest.raises(LearningConflict, match="off already"):
        set_display(on=False, request=admin, note="again")
    set_display(on=True, request=admin, note="done")
    with pytest.raises(LearningConflict, match="on already"):
        set_display(on=True, request=admin, note="again")


def test_what_chance_explains_is_never_beyond_a_limit():
    assert beyond(Measured(Figure.HU, 0.5, 40, chance=0.3), 0.25)
    assert not beyond(Measured(Figure.HU, 0.28, 40, chance=0.3), 0.25)
    assert beyond(Measured(Figure.SENSITIVITY, 0.7, 40), 0.8)
    assert not beyond(Measured(Figure.SENSITIVITY, 0.9, 40), 0.8)


def test_every_figure_has_a_limit_field():
    limits = WatchSettings()
    assert limits.limit_of("hu") == limits.limit_of("manufacturer") == 0.25
    for figure in Figure.values:
        limits.limit_of(figure)
