"""The monitoring page: pictures with their tables, constant queries, the switch with a note."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.tests.factories import make_site
from apps.cases.tests.factories import make_case
from apps.classifier.models import Alert, Prediction, WatchState
from apps.classifier.tests.factories import make_prediction
from apps.classifier.watching import why_off
from apps.operations.pictures import beside, lines, stacked
from tests.people import People, logged_in

PAGE = "/operations/monitoring/"


@pytest.fixture
def admin(people: People):
    return logged_in(people.admin)


def _predict(count: int) -> None:
    for number in range(count):
        case = make_case(make_site("Home hospital"), status="reported")
        inputs = {"pixel_mm": 0.7, "slice_mm": 1.25, "hu": [1 / 9] * 9}
        status = "done" if number % 3 else "failed"
        prediction = make_prediction(case, status=status, findings=[{}], inputs=inputs)
        at = timezone.now() - timedelta(days=number % 20)
        Prediction.objects.filter(pk=prediction.pk).update(finished_at=at, queued_at=at)


def test_the_page_shows_figures_charts_and_the_same_numbers_as_tables(admin):
    _predict(6)
    page = admin.get(PAGE).content.decode()
    assert page.count('<svg class="plot"') >= 3
    assert page.count('<svg class="plot"') <= page.count("As a table")
    assert "predictions that failed".capitalize() in page
    assert "33%" in page
    assert "style=" not in page


def test_the_number_of_queries_does_not_grow_with_the_data(admin):
    _predict(2)
    before = _count(admin)
    _predict(8)
    assert _count(admin) == before
    assert before < 40


def _count(client) -> int:
    with CaptureQueriesContext(connection) as caught:
        client.get(PAGE)
    return len(caught)


def test_without_any_data_the_page_says_so(admin):
    page = admin.get(f"{PAGE}?days=365").content.decode()
    assert "Nothing to show yet" in page
    assert "No firm verdict in this period" in page
    assert admin.get(f"{PAGE}?days=7").status_code == 200
    assert admin.get(f"{PAGE}?days=nonsense").status_code == 200


def test_an_admin_hides_and_shows_the_ai_with_a_note(admin):
    assert admin.post(f"{PAGE}display/", {"show": "off", "note": ""}).status_code == 302
    assert why_off() == ""
    admin.post(f"{PAGE}display/", {"show": "off", "note": "Wrong calibration."})
    assert why_off() == "Wrong calibration."
    for address in (PAGE, "/operations/"):
        assert "Wrong calibration." in admin.get(address).content.decode()
    again = admin.post(f"{PAGE}display/", {"show": "off", "note": "x"}, follow=True)
    assert "off already" in again.content.decode()
    admin.post(f"{PAGE}display/", {"show": "on", "note": "fixed"})
    assert why_off() == ""


def test_open_alerts_stand_on_the_first_page_and_in_the_metrics(admin, client, settings):
    Alert.objects.create(figure="failed", words="Too many failed.", value=0.5, limit=0.1, n=40)
    WatchState.objects.create(pk=1, figures={"failed": [0.5, 40], "sensitivity": [None, 0]})
    assert "Too many failed." in admin.get("/operations/").content.decode()
    settings.METRICS_TOKEN = "token"
    said = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    assert 'cancer_alert{figure="failed"} 1.0' in said
    assert 'cancer_alert{figure="refused"} 0.0' in said
    assert 'cancer_watched{figure="failed"} 0.5' in said
    assert 'cancer_watched{figure="sensitivity"} NaN' in said
    assert "cancer_ai_display 1.0" in said


def test_bars_stand_on_each_other_and_the_highest_fills_the_picture():
    chart = stacked("T", ["a", "b"], [("good", "x", [1, 3]), ("bad", "y", [1, 1])])
    assert chart.top == "4"
    assert [(one.kind, one.y, one.height) for one in chart.parts] == [
        ("good", 105.0, 35.0),
        ("bad", 70.0, 35.0),
        ("good", 35.0, 105.0),
        ("bad", 0.0, 35.0),
    ]
    assert chart.rows == [["a", "1", "1"], ["b", "3", "1"]]


def test_a_line_breaks_where_there_is_no_value_and_marks_its_limit():
    chart = lines("T", ["a", "b", "c", "d"], [("good", "x", [1, 2, None, 4])], limit=2)
    assert chart.lines == [("good", ["0.0,105.0", "200.0,70.0"])]
    assert len(chart.dots) == 3
    assert chart.limit_y == 70.0
    assert chart.rows[2] == ["c", "–"]


def test_groups_of_bars_share_one_scale_and_nothing_is_drawn_of_nothing():
    chart = beside("T", ["a"], [("before", "x", [0.5]), ("good", "y", [1.0])], "Bin")
    assert [one.height for one in chart.parts] == [70.0, 140.0]
    assert stacked("T", ["a"], [("good", "x", [0])]).is_empty
    assert lines("T", ["a"], [("good", "x", [None])]).is_empty
