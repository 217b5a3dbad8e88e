"""The reading page: who may open it, what it keeps, and what it shows while the AI works."""

import pytest
from django.urls import reverse

from apps.accounts.tests.factories import make_group
from apps.audit.models import AuditEvent
from apps.cases.models import Case, CaseEvent, Reading
from apps.cases.tests.factories import make_case
from apps.classifier.models import Prediction, TrainingExample
from apps.classifier.tests.factories import make_finding, make_heatmap, make_prediction
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db


def page(case: Case) -> str:
    return reverse("doctor:case", args=[case.public_id])


def state_url(case: Case) -> str:
    return reverse("doctor:case_state", args=[case.public_id])


def api(case: Case, step: str) -> str:
    return f"/api/v1/cases/{case.public_id}/{step}/"


@pytest.fixture
def case(people: People) -> Case:
    return make_case(people.home, status="sent", slices=2)


@pytest.mark.parametrize(
    ("sending", "allowed"),
    [
        ("pool", {"owner", "teammate", "colleague"}),
        ("named", {"owner"}),
        ("group", {"owner", "teammate"}),
    ],
)
def test_doctors_open_what_is_theirs_their_groups_or_in_the_pool(people, sending, allowed):
    to = {"pool": {}, "named": {"receiver": people.owner}, "group": {}}[sending]
    if sending == "group":
        to = {"receiver_group": make_group(people.owner, people.teammate)}
    case = make_case(people.home, status="sent", **to)

    for who in ("owner", "teammate", "colleague", "stranger"):
        for address in (page(case), state_url(case)):
            expected = 200 if who in allowed else 404
            assert logged_in(getattr(people, who)).get(address).status_code == expected


def test_technicians_have_no_reading_page_and_admins_see_no_case(people, case):
    assert logged_in(people.technician).get(page(case)).status_code == 403
    assert logged_in(people.admin).get(page(case)).status_code == 404


def test_drafts_are_not_shown_to_doctors(people):
    draft = make_case(people.home, status="draft")
    assert logged_in(people.owner).get(page(draft)).status_code == 404


def test_opening_a_case_begins_the_reading_once_and_is_audited_each_time(people, case):
    browser = logged_in(people.owner)
    browser.get(page(case))
    opened_at = Reading.objects.get(case=case).opened_at
    browser.get(page(case))

    assert Reading.objects.get(case=case).opened_at == opened_at
    seen = AuditEvent.objects.filter(action="viewed", target_id=str(case.pk))
    assert seen.count() == 2
    assert "PHANTOM" not in str(list(seen.values_list("details", flat=True)))


def test_asking_for_the_state_of_an_opened_case_is_no_new_look(people, case):
    browser = logged_in(people.owner)
    browser.get(page(case))
    for _ in range(3):
        assert browser.get(state_url(case)).status_code == 200
    assert AuditEvent.objects.filter(action="viewed").count() == 1


def test_the_state_of_a_case_that_was_never_opened_is_a_look_once(people, case):
    browser = logged_in(people.owner)
    for _ in range(3):
        browser.get(state_url(case))
    event = AuditEvent.objects.get(action="viewed")
    assert (event.actor, event.target_id, event.details) == (
        people.owner.email,
        str(case.pk),
        {"what": "state"},
    )


def test_a_heatmap_of_a_case_that_was_never_opened_is_a_look(people, case):
    finding = make_prediction(case, findings=[{}]).findings.get()
    make_heatmap(finding)
    browser = logged_in(people.owner)
    for _ in range(2):
        address = reverse("finding_heatmap", args=[finding.public_id])
        assert browser.get(address).status_code == 200
    assert AuditEvent.objects.get(action="viewed").details == {"what": "heatmap"}


def test_time_of_the_ais_answer_is_kept_when_it_first_reaches_the_browser(people, case):
    browser = logged_in(people.owner)
    prediction = make_prediction(case, status="running")
    browser.get(page(case))
    assert Reading.objects.get(case=case).ai_first_shown_at is None

    Prediction.objects.filter(pk=prediction.pk).update(status="done")
    browser.get(state_url(case))
    shown_at = Reading.objects.get(case=case).ai_first_shown_at
    assert shown_at is not None
    browser.get(state_url(case))
    assert Reading.objects.get(case=case).ai_first_shown_at == shown_at


def test_state_brings_findings_when_the_prediction_arrives(people, case):
    browser = logged_in(people.owner)
    prediction = make_prediction(case, status="running", progress=0.4)
    before = browser.get(state_url(case)).json()
    assert (before["working"], before["findings"]) == (True, [])
    assert before["predictions"][0]["progress"] == 0.4

    Prediction.objects.filter(pk=prediction.pk).update(status="done", series_score=0.8)
    make_finding(prediction, malignancy_probability=0.8)
    after = browser.get(state_url(case)).json()
    assert after["working"] is False
    assert after["findings"][0]["step"] == "high"
    assert after["findings"][0]["disagrees"] == {
        "malignant": False,
        "benign": True,
        "not_a_nodule": True,
    }


def test_leading_series_comes_first_and_earlier_answer_stands_while_a_new_one_is_made(people):
    case = make_case(people.home, status="sent", series=2)
    low, high = case.study.series.all()
    make_prediction(case, series=low, findings=[{"malignancy_probability": 0.2}])
    make_prediction(case, series=high, findings=[{"malignancy_probability": 0.7}])
    make_prediction(case, series=high, status="queued", instances_sha256="with late images")
    state = logged_in(people.owner).get(state_url(case)).json()

    assert [f["malignancy_probability"] for f in state["findings"]] == [0.7, 0.2]
    assert state["working"] is True
    assert [p["newest"] for p in state["predictions"] if p["series"] == str(high.public_id)] == [
        False,
        True,
    ]


def test_page_and_verdict_form_are_there_whatever_became_of_the_ai(people):
    for status in ("queued", "running", "refused", "failed"):
        case = make_case(people.home, status="sent")
        make_prediction(case, status=status, reason="Why it did not answer.")
        answer = logged_in(people.owner).get(page(case))
        assert answer.status_code == 200
        assert answer.context["state"]["can_read"] is True
        assert 'id="verdict-form"' in answer.content.decode()


def test_page_has_no_name_in_its_address_or_title(people, case):
    answer = logged_in(people.owner).get(page(case)).content.decode()
    assert "PHANTOM" not in page(case)
    assert "<title>Reading · Cancer Prediction</title>" in answer


def test_prior_studies_of_the_same_patient_are_linked_if_they_may_be_opened(people):
    facts = {"patient_id": "P-prior", "status": "sent"}
    now = make_case(people.home, accession_number="A1", **facts)
    prior = make_case(people.home, accession_number="A2", **facts)
    hidden = make_case(people.home, accession_number="A3", receiver=people.colleague, **facts)
    make_case(people.elsewhere, accession_number="A4", **facts)
    shown = logged_in(people.owner).get(page(now)).context["priors"]

    assert shown == [prior]
    assert hidden not in shown


def test_images_that_came_after_sending_are_told(people, case):
    assert logged_in(people.owner).get(state_url(case)).json()["late"] is None
    CaseEvent.objects.create(case=case, kind=CaseEvent.Kind.IMAGES_ADDED, actor="Rosa")
    late = logged_in(people.owner).get(state_url(case)).json()["late"]
    assert late["after_verdict"] is False


def test_claim_release_and_take_over_tell_who_has_the_case(people, case):
    owner, teammate = logged_in(people.owner), logged_in(people.teammate)
    assert owner.post(api(case, "claim")).json()["with_whom"] == str(people.owner)

    second = teammate.post(api(case, "claim"))
    assert second.status_code == 409
    assert str(people.owner) in second.json()["detail"]

    case.refresh_from_db()
    body = {"revision": case.revision}
    taken = teammate.post(api(case, "take-over"), body, content_type="application/json")
    assert taken.json()["with_whom"] == str(people.teammate)
    assert owner.post(api(case, "release")).status_code == 409
    assert teammate.post(api(case, "release")).json()["status"] == "sent"


def test_returning_needs_a_reason_and_frees_the_case(people, case):
    browser = logged_in(people.owner)
    body = {"revision": case.revision, "reason": " "}
    assert (
        browser.post(api(case, "return"), body, content_type="application/json").status_code == 400
    )
    body["reason"] = "Lower lobes are missing."
    answer = browser.post(api(case, "return"), body, content_type="application/json")

    assert answer.json()["status"] == "returned"
    assert case.events.filter(kind="returned").get().text == "Lower lobes are missing."
    again = browser.post(api(case, "return"), body, content_type="application/json")
    assert again.status_code == 409


def test_failed_prediction_can_be_tried_again_once(people, case):
    prediction = make_prediction(case, status="failed", reason="It broke.")
    address = reverse("prediction_retry", args=[prediction.public_id])
    browser = logged_in(people.owner)

    assert browser.post(address).json()["status"] == "queued"
    assert browser.post(address).status_code == 409
    assert case.predictions.filter(status="queued").count() == 1
    assert logged_in(people.stranger).post(address).status_code == 404


def test_refused_prediction_can_be_overridden_and_the_history_says_who(people, case):
    prediction = make_prediction(case, status="refused", code="not_chest", reason="No lung.")
    address = reverse("prediction_override", args=[prediction.public_id])
    answer = logged_in(people.owner).post(address)

    assert answer.status_code == 201
    assert answer.json()["override"] is True
    event = case.events.get(kind="overridden")
    assert event.actor == str(people.owner)
    assert AuditEvent.objects.filter(action="overridden").count() == 1


def test_second_override_of_the_same_question_is_refused_and_writes_nothing(people, case):
    prediction = make_prediction(case, status="refused", code="not_chest")
    address = reverse("prediction_override", args=[prediction.public_id])
    assert logged_in(people.owner).post(address).status_code == 201
    assert logged_in(people.technician).post(address).status_code == 409

    assert case.predictions.filter(override=True).count() == 1
    assert case.events.filter(kind="overridden").count() == 1
    assert AuditEvent.objects.filter(action="overridden").count() == 1


@pytest.mark.parametrize(
    ("status", "step"), [("failed", "prediction_retry"), ("refused", "prediction_override")]
)
def test_technician_who_asks_again_is_told_the_state_but_nothing_found(people, case, status, step):
    prediction = make_prediction(case, status=status)
    answer = logged_in(people.technician).post(reverse(step, args=[prediction.public_id])).json()

    assert answer["status"] == "queued"
    assert not {"series_score", "profile", "findings", "warnings", "operating_point"} & set(answer)


def test_a_wrong_contrast_answer_can_be_sent_for_retraining_by_series(people, case):
    make_prediction(case, contrast={"probability": 0.91, "version": "contrast-v1"})
    series = case.study.series.get()
    browser = logged_in(people.owner)
    body = {"series": str(series.public_id), "label": "no_contrast"}
    address = api(case, "contrast-correction")
    answer = browser.post(address, body, content_type="application/json")
    assert answer.status_code == 201
    example = TrainingExample.objects.get()
    assert (example.task, example.label, example.predicted) == ("contrast", "no_contrast", 0.91)
    assert (example.predicted_by, example.disagreement) == ("contrast-v1", 0.91)
    again = browser.post(address, body, content_type="application/json")
    assert again.status_code == 409
    foreign = make_case(people.home, status="sent").study.series.get()
    other = body | {"series": str(foreign.public_id)}
    assert browser.post(address, other, content_type="application/json").status_code == 400


def test_wrong_chest_answer_can_be_sent_for_retraining(people, case):
    prediction = make_prediction(case, status="refused", code="not_chest")
    instance = case.study.series.first().instances.first()
    prediction.chest = [
        {"key": instance.sop_instance_uid, "answer": "not_chest", "probability": 0.12}
    ]
    prediction.save()
    body = {"instance": str(instance.public_id), "label": "chest"}
    browser = logged_in(people.owner)
    answer = browser.post(api(case, "chest-correction"), body, content_type="application/json")

    assert answer.status_code == 201
    example = case.training_examples.get()
    assert (example.task, example.label, example.predicted) == ("chest", "chest", 0.12)
    again = browser.post(api(case, "chest-correction"), body, content_type="application/json")
    assert again.status_code == 409
    assert "already" in again.json()["detail"]


def test_history_shows_earlier_verdicts_reports_and_events(people):
    case = make_case(people.home, status="reported", doctor=people.owner)
    answer = logged_in(people.owner).get(reverse("doctor:case_history", args=[case.public_id]))

    words = answer.content.decode()
    for expected in ("Granuloma", "Signed report", "Verdict given", str(people.owner)):
        assert expected in words


def test_looking_at_the_history_is_audited(people):
    case = make_case(people.home, status="reported", doctor=people.owner)
    logged_in(people.owner).get(reverse("doctor:case_history", args=[case.public_id]))

    event = AuditEvent.objects.get(action="viewed", target_id=str(case.pk))
    assert (event.actor, event.details) == (people.owner.email, {"what": "history"})
