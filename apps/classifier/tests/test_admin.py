"""Django admin shows what belongs to a patient only with a row in the audit trail."""

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.cases.tests.factories import make_case
from apps.classifier.models import (
    Alert,
    Confirmation,
    FindingVerdict,
    FrozenTestSet,
    Opinion,
    WatchSettings,
    WatchState,
)
from apps.classifier.tests.factories import make_heatmap, make_prediction, make_training_example
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
OF_PATIENTS = ["prediction", "finding", "findingheatmap", "findingverdict"]
OF_PATIENTS += ["trainingexample", "opinion", "confirmation"]


@pytest.fixture
def browser(people: People) -> Client:
    """An admin's browser, with a row of every model behind it."""
    case = make_case(people.home, status="reported", doctor=people.owner)
    finding = make_prediction(case, findings=[{}]).findings.get()
    make_heatmap(finding)
    FindingVerdict.objects.create(finding=finding, verdict=case.verdicts.get(), label="benign")
    example = make_training_example(case, doctor=people.owner, finding=finding)
    Opinion.objects.create(example=example, doctor=people.teammate, label="benign")
    Confirmation.objects.create(
        case=case, kind="pathology", label="benign", recorded_by=people.owner
    )
    FrozenTestSet.objects.create(sha256="a" * 64, patients=3, items=9, note="the first")
    return logged_in(people.admin)


@pytest.mark.parametrize("name", OF_PATIENTS)
def test_looking_at_a_patients_rows_is_audited(browser: Client, people: People, name: str):
    row = apps.get_model("classifier", name).objects.get()
    assert browser.get(reverse(f"admin:classifier_{name}_changelist")).status_code == 200
    opened = browser.get(reverse(f"admin:classifier_{name}_change", args=[row.pk]))
    assert opened.status_code == 200
    looks = AuditEvent.objects.filter(action="viewed", actor=people.admin.email).order_by("id")
    assert [(one.details, one.target_id) for one in looks] == [
        ({"admin_list": f"classifier.{name}"}, ""),
        ({"admin": True}, str(row.pk)),
    ]


@pytest.mark.parametrize("name", OF_PATIENTS)
def test_a_patients_rows_are_searched_without_the_words_in_the_address(browser: Client, name: str):
    row = apps.get_model("classifier", name).objects.get()
    finding = getattr(row, "finding", None) or row
    case = getattr(getattr(row, "example", finding), "case", None) or row.case
    listing = reverse(f"admin:classifier_{name}_changelist")
    assert 'method="post" role="search"' in browser.get(listing).content.decode()
    for words, found in ((str(case.public_id), 1), ("0" * 32, 0)):
        page = browser.post(listing, {"search": words}, follow=True)
        assert page.redirect_chain == [(listing, 302)]
        assert page.context["cl"].result_count == found


def test_frozen_test_sets_are_searched_by_their_note(browser: Client):
    listing = reverse("admin:classifier_frozentestset_changelist")
    assert browser.get(listing, {"q": "first"}).context["cl"].result_count == 1
    assert browser.get(listing, {"q": "second"}).context["cl"].result_count == 0


def test_limits_and_the_stop_rule_are_changed_in_admin_and_the_change_is_audited(browser: Client):
    add = reverse("admin:classifier_watchsettings_add")
    form = browser.get(add).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    given = {name: "" if value is None else value for name, value in shown.items()}
    given |= {"limit_failed": "0.1", "stop_on": ["failed", "hu"]}
    assert browser.post(add, given).status_code == 302
    row = WatchSettings.objects.get()
    assert (row.pk, row.limit_failed, row.stop_on) == (1, 0.1, ["failed", "hu"])
    assert browser.get(add).status_code == 403
    change = reverse("admin:classifier_watchsettings_change", args=[1])
    assert browser.post(change, given | {"stop_on": ["nonsense"]}).status_code == 200
    assert browser.post(change, given | {"limit_failed": "2"}).status_code == 200
    assert browser.post(change, given | {"stop_on": ["hu"]}).status_code == 302
    event = AuditEvent.objects.filter(action="admin_changed", target_id="1").first()
    assert event.details["values"] == {"stop_on": [["failed", "hu"], ["hu"]]}
    assert WatchSettings.objects.get().stop_on == ["hu"]


@pytest.mark.parametrize("name", ["alert", "watchstate"])
def test_alerts_and_the_state_of_the_watch_are_only_looked_at(browser: Client, name: str):
    Alert.objects.create(figure="failed", words="Many failed.", value=0.5, limit=0.1, n=40)
    WatchState.objects.create(pk=1)
    assert browser.get(reverse(f"admin:classifier_{name}_changelist")).status_code == 200
    assert browser.get(reverse(f"admin:classifier_{name}_add")).status_code == 403
