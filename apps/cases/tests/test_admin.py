"""Django admin looks cases up and changes none of them."""

import pytest
from django.apps import apps
from django.urls import reverse
from django.utils import timezone

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.after_report import add_addendum, record_critical_result
from apps.cases.models import (
    AccessGrant,
    Instance,
    PatientAssignment,
    Presentation,
    SeriesAssignment,
    TextTemplate,
    UnaidedOpinion,
    VerdictDraft,
)
from apps.cases.services import break_glass, save_presentation
from apps.cases.tests.factories import make_case, make_measurement
from tests.people import logged_in

pytestmark = pytest.mark.django_db
# What a doctor has not signed, or writes for themselves, is nobody else's to read.
PRIVATE = {VerdictDraft, TextTemplate}
MODELS = [
    model._meta.model_name
    for model in apps.get_app_config("cases").get_models()
    if model not in PRIVATE
]


@pytest.fixture
def browser(people):
    """An admin's browser, with a row of every model behind it."""
    case = make_case(technician=people.technician, status="reported", doctor=people.owner)
    save_presentation(
        case.study.series.get(),
        request=request_of(people.owner),
        window_center=40,
        window_width=400,
    )
    break_glass(case, request=request_of(people.stranger), reason="second opinion")
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
    make_measurement(Instance.objects.first(), people.owner)
    decided = {"author": people.technician, "reason": "Filed wrongly"}
    study = case.study
    PatientAssignment.objects.create(
        study=study, from_patient=study.patient, to_patient=study.patient, **decided
    )
    SeriesAssignment.objects.create(
        series=study.series.get(), from_study=study, to_study=study, **decided
    )
    assert Presentation.objects.exists()
    assert AccessGrant.objects.exists()
    return logged_in(people.admin)


def first_row(name: str):
    return apps.get_model("cases", name).objects.first()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_listed_searched_and_opened(browser, name):
    listing = reverse(f"admin:cases_{name}_changelist")
    assert browser.get(listing).status_code == 200
    assert browser.post(listing, {"search": "phantom"}, follow=True).status_code == 200
    opened = browser.get(reverse(f"admin:cases_{name}_change", args=[first_row(name).pk]))
    assert opened.status_code == 200
    for picture in ("/hu/", "image.png", "thumbnail.png", "data:image"):
        assert picture not in opened.content.decode()


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_added_changed_or_deleted_by_hand(browser, name):
    row = first_row(name)
    for step, arguments in (("add", []), ("change", [row.pk]), ("delete", [row.pk])):
        answer = browser.post(
            reverse(f"admin:cases_{name}_{step}", args=arguments), {"post": "yes"}
        )
        assert answer.status_code == 403, step
    assert type(row).objects.filter(pk=row.pk).exists()


def test_looking_at_a_patient_in_admin_is_audited(browser, people):
    patient = first_row("patient")
    browser.get(reverse("admin:cases_patient_change", args=[patient.pk]))
    browser.get(reverse("admin:cases_patient_changelist"))
    looks = AuditEvent.objects.filter(action="viewed", actor=people.admin.email).order_by("id")
    assert [one.details for one in looks] == [{"admin": True}, {"admin_list": "cases.patient"}]


def test_the_list_of_cases_costs_the_same_for_few_and_many(
    browser, people, django_assert_max_num_queries
):
    for _ in range(5):
        make_case(technician=people.technician)
    with django_assert_max_num_queries(12):
        browser.get(reverse("admin:cases_case_changelist"))


def test_a_name_is_searched_by_post_and_never_stands_in_an_address(browser, people):
    make_case(technician=people.technician, patient_name="ZZYZX^Quentin")
    listing = reverse("admin:cases_patient_changelist")
    page = browser.post(listing, {"search": "zzyzx"}, follow=True)
    assert page.redirect_chain == [(listing, 302)]
    assert page.context["cl"].result_count == 1
    content = page.content.decode()
    assert "ZZYZX, Quentin" in content
    assert 'href="?q=' not in content
    assert browser.get(listing, {"q": "zzyzx"}).url == listing
    everything = browser.post(listing, {"search": ""}, follow=True)
    assert everything.context["cl"].result_count == 2
