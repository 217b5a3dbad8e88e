"""The admin's pages: what they show, and that every step asks the right questions."""

import re
from hashlib import sha256
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.urls import reverse

from apps.audit.models import AuditEvent, Tombstone
from apps.audit.services import record
from apps.cases import storage
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.model_files import keep_weights
from apps.classifier.models import (
    ModelVersion,
    Opinion,
    Prediction,
    TrainingExample,
    TrainingRun,
)
from apps.classifier.tests.factories import (
    make_model_version,
    make_model_versions,
    make_prediction,
    make_training_example,
    make_training_run,
)
from apps.operations.cards import render_card
from apps.operations.charts import loss_curves
from tests.people import logged_in
from tests.system import empty_broker

FIGURES = {
    "how": "frozen test patients",
    "auc": 0.91,
    "auc_ci": [0.85, 0.96],
    "sensitivity": 0.9,
    "sensitivity_ci": [0.8, 0.97],
    "specificity": 0.7,
    "ece": 0.05,
    "brier": 0.1,
}
DIFFERENCE = {"difference": 0.02, "difference_ci": [-0.01, 0.05], "n": 32, "n_patients": 16}


@pytest.fixture
def admin(people):
    return logged_in(people.admin)


@pytest.fixture
def passed(people, settings, tmp_path) -> TrainingRun:
    """A run whose candidate passed, beside an active version; both with files."""
    settings.MODELS_DIR = tmp_path
    old, new = _version(1, "active"), _version(2, "candidate")
    result = {
        "active": FIGURES,
        "candidate": {**FIGURES, "auc": 0.93},
        "difference": DIFFERENCE,
        "objections": [],
        "margins": {"auc": 0.02, "sensitivity": 0.05, "specificity": 0.1, "brier": 0.02},
        "corrections": {},
        "proof": {
            "subgroups": [
                {
                    "trait": "sex",
                    "value": "F",
                    "n": 20,
                    "n_patients": 10,
                    "n_positive": 9,
                    "figures": {
                        "auc": {"active": 0.9, "candidate": 0.8, "gain": -0.1, "gain_ci": [-0.2, 0]}
                    },
                }
            ]
        },
    }
    return make_training_run(
        status="passed", candidate=new, active_version=old, result=result, reason="Not worse."
    )


def _version(number: int, status: str) -> ModelVersion:
    content = f"weights {number}".encode()
    source = django_settings.MODELS_DIR / "source"
    source.write_bytes(content)
    digest = sha256(content).hexdigest()
    return make_model_version(
        number=number,
        status=status,
        sha256=digest,
        file=keep_weights(source, "malignancy", digest),
        metrics=FIGURES,
    )


def _finding_example(people, **fields) -> TrainingExample:
    phantom = small_phantom("chest", matrix=256)
    case = make_case(site=people.home, status="sent", phantom=phantom, patient_name="Secret^Name")
    finding = make_prediction(case, findings=[{}]).findings.get()
    return make_training_example(case, doctor=people.owner, finding=finding, **fields)


# ---------- Overview ----------


def test_the_overview_names_what_waits_but_no_patient(admin, people):
    example = _finding_example(people)
    make_prediction(example.case, status="failed", reason="The AI stopped.", override=True)
    page = admin.get("/operations/").content.decode()
    assert "1 correction waits in the retrain queue" in re.sub(r"\s+", " ", page)
    assert "The AI stopped." in page
    assert "Secret" not in page


def test_a_failed_prediction_is_asked_again_by_one_click(admin, people):
    failed = make_prediction(make_case(site=people.home, status="sent"), status="failed")
    address = reverse("operations:retry", args=[failed.public_id])
    answer = admin.post(address, follow=True)
    assert "Asked again" in answer.content.decode()
    assert Prediction.objects.filter(status="queued").count() == 1
    assert "no longer failed" in admin.post(address, follow=True).content.decode()
    empty_broker()


def test_the_overview_tells_of_the_last_backup_and_of_deleted_studies(people, admin):
    def shown() -> str:
        return " ".join(admin.get("/operations/").content.decode().split())

    assert "none was made by this program" in shown()
    assert "no study" in shown()
    for damaged in (0, 3):
        record("backed_up", actor="backup command", backup="x", files=1200, damaged=damaged)
        assert "1,200 files" in shown()
        assert ("3 of them damaged" in shown()) == bool(damaged)
    Tombstone.objects.create(site_pk=1, case_pk=1, images=0)
    assert 'audit/tombstone/">1 study' in shown()


def test_the_overview_warns_of_a_filling_disk_and_then_says_that_uploads_are_refused(
    admin, settings, monkeypatch
):
    settings.MIN_FREE_DISK_MB, settings.WARN_FREE_DISK_MB = 2048, 20480

    def shown(free_mb: int) -> str:
        usage = SimpleNamespace(free=free_mb * 1024**2, total=100 * 1024**3)
        monkeypatch.setattr("apps.operations.overview.shutil.disk_usage", lambda path: usage)
        return admin.get("/operations/").content.decode()

    assert "The disk is" not in shown(20480)
    assert "getting full: 20.0 GB are free. Uploads are refused below 2.0 GB." in shown(20479)
    assert "getting full: 2.0 GB are free" in shown(2048)
    assert "nearly full: 2.0 GB are free, and uploads are refused until 2.0 GB are." in shown(2047)
    # A warning level that was set below the reserve cannot hide that uploads are refused.
    settings.WARN_FREE_DISK_MB = 0
    assert "uploads are refused" in shown(2047)


def test_the_overview_works_without_a_broker(admin, monkeypatch):
    def away(queue: str) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr("apps.operations.overview.messages_waiting", away)
    assert "broker does not answer" in admin.get("/operations/state/").content.decode()


def test_the_overview_says_when_no_worker_takes_predictions(admin, people):
    waits = make_prediction(make_case(site=people.home, status="sent"), status="queued")
    Prediction.objects.filter(pk=waits.pk).update(queued_at="2020-01-01T00:00:00Z")
    assert "Is the inference worker running?" in admin.get("/operations/").content.decode()


def test_the_overview_asks_the_database_the_same_number_of_times_for_many_rows(
    admin, people, django_assert_max_num_queries
):
    for _ in range(6):
        make_prediction(make_case(site=people.home, status="sent"), status="failed")
    make_model_versions()
    with django_assert_max_num_queries(22):
        admin.get("/operations/state/")


# ---------- Models ----------


def test_models_show_figures_with_intervals_and_the_way_back(admin, passed):
    page = admin.get("/operations/models/").content.decode()
    assert "malignancy-v1 is active" in page
    assert "0.910" in page
    assert "0.85 to 0.96" in page
    assert "Roll back" not in page


def test_activation_needs_a_note_and_is_audited(admin, passed):
    address = reverse("operations:activate", args=["malignancy", 2])
    refused = admin.post(address, {"note": ""})
    assert refused.status_code == 422
    assert ModelVersion.objects.get(status="active").number == 1
    answer = admin.post(address, {"note": "better"}, follow=True)
    assert "malignancy-v2 is active" in answer.content.decode()
    event = AuditEvent.objects.get(action="activated")
    assert event.details["replaced"] == "malignancy-v1"


def test_one_click_rolls_back(admin, passed):
    admin.post(reverse("operations:activate", args=["malignancy", 2]), {"note": "better"})
    assert "Roll back to malignancy-v1" in admin.get("/operations/models/").content.decode()
    address = reverse("operations:rollback", args=["malignancy"])
    assert "Nothing was changed" in admin.post(address, {"note": ""}, follow=True).content.decode()
    answer = admin.post(address, {"note": "too many alarms"}, follow=True)
    assert "malignancy-v1 is active again" in answer.content.decode()


def test_a_candidate_that_did_not_pass_offers_no_activation(admin, passed):
    TrainingRun.objects.update(status="not_better", reason="AUC lower.")
    page = admin.get("/operations/models/malignancy/2/").content.decode()
    assert "Cannot be activated" in page
    assert 'action="/operations/models/malignancy/2/activate/"' not in page
    admin.post(reverse("operations:activate", args=["malignancy", 2]), {"note": "I want it"})
    assert ModelVersion.objects.get(status="active").number == 1


def test_a_training_asks_about_the_version_that_is_really_active(admin, passed):
    def page() -> str:
        return admin.get(reverse("operations:run", args=[passed.public_id])).content.decode()

    assert "Activate malignancy-v2 in place of malignancy-v1?" in page()
    _put_in_place_of_active(_version(3, "retired"))
    assert "It was tested against malignancy-v1, but malignancy-v3 is active now." in page()
    ModelVersion.objects.filter(number=2).update(status="retired")
    assert "Activate malignancy-v2 in place of malignancy-v3?" in page()


def _put_in_place_of_active(version: ModelVersion) -> None:
    ModelVersion.objects.filter(status="active").update(status="retired")
    ModelVersion.objects.filter(pk=version.pk).update(status="active")


def test_unknown_models_are_not_found(admin):
    assert admin.get("/operations/models/malignancy/99/").status_code == 404
    assert admin.post("/operations/models/nonsense/rollback/", {"note": "x"}).status_code == 404


def test_a_card_is_shown_as_text_never_as_markup():
    card = render_card(
        "# Title\n\nA <script>alert(1)</script> and `a<b`\n\n| a | b |\n|---|---|\n| 1 | <i> |"
    )
    assert "<h2>" in card
    assert "<script>" not in card
    assert "<code>a&lt;b</code>" in card
    assert "<th><span>a</span></th>" in card
    assert "<td><span>&lt;i&gt;</span></td>" in card


# ---------- Retrain queue ----------


def test_the_queue_shows_both_answers_and_the_picture_without_the_patient(admin, people):
    example = _finding_example(people, text="Calcified.")
    page = admin.get("/operations/examples/").content.decode()
    assert "malignancy-v1" in page
    assert "benign" in page
    assert "Calcified." in page
    assert "Secret" not in page
    picture = admin.get(reverse("operations:crop", args=[example.public_id]))
    assert picture.content.startswith(b"\x89PNG")
    assert "no-store" in picture["Cache-Control"]
    seen = AuditEvent.objects.get(action="viewed", target_type="classifier.trainingexample")
    assert seen.target_id == str(example.pk)


def test_a_crop_whose_file_is_gone_is_an_error_in_words_not_a_traceback(admin, people):
    example = _finding_example(people)
    storage.path_of(example.instance).unlink()
    answer = admin.get(reverse("operations:crop", args=[example.public_id]))
    assert answer.status_code == 503


def test_accepting_answers_with_the_decided_card(admin, people):
    example = _finding_example(people)
    address = reverse("operations:decide", args=[example.public_id])
    answer = admin.post(address, {"decision": "accept"}, headers={"HX-Request": "true"})
    assert "Take the decision back" in answer.content.decode()
    example.refresh_from_db()
    assert (example.status, example.decided_by) == ("accepted", people.admin)


def test_rejecting_needs_a_reason(admin, people):
    example = _finding_example(people)
    address = reverse("operations:decide", args=[example.public_id])
    refused = admin.post(address, {"decision": "reject", "note": " "})
    assert refused.status_code == 422
    assert "Say why" in refused.content.decode()
    admin.post(address, {"decision": "reject", "note": "a vessel"})
    example.refresh_from_db()
    assert (example.status, example.decision_note) == ("rejected", "a vessel")


def test_a_correction_that_came_back_to_the_queue_says_why(admin, people):
    _finding_example(people, decision_note="The doctor corrected this answer later.")
    page = admin.get(reverse("operations:examples")).content.decode()
    assert "The doctor corrected this answer later." in page


def test_the_second_of_two_admins_is_told(admin, people):
    example = _finding_example(people)
    address = reverse("operations:decide", args=[example.public_id])
    admin.post(address, {"decision": "accept"})
    answer = admin.post(address, {"decision": "reject", "note": "no"})
    assert answer.status_code == 409
    assert "accepted by now" in answer.content.decode()


def test_a_decision_can_be_taken_back(admin, people):
    example = _finding_example(people, status="accepted")
    address = reverse("operations:decide", args=[example.public_id])
    admin.post(address, {"decision": "reopen"})
    example.refresh_from_db()
    assert example.status == "queued"


def test_a_nonsense_decision_is_refused(admin, people):
    example = _finding_example(people)
    address = reverse("operations:decide", args=[example.public_id])
    assert admin.post(address, {"decision": "burn"}).status_code == 422
    assert admin.post(address, {}).status_code == 422


def test_no_correction_yet_says_what_the_page_is_for(admin):
    page = admin.get("/operations/examples/?status=nonsense").content.decode()
    assert "Nothing waits" in page


# ---------- Trainings ----------


def test_a_training_is_started_watched_and_cancelled(admin, people):
    answer = admin.post("/operations/runs/start/", {"task": "malignancy", "seed": "3"})
    run = TrainingRun.objects.get()
    assert answer.url == reverse("operations:run", args=[run.public_id])
    page = admin.get(answer.url).content.decode()
    assert "Waits for the training worker" in page
    assert "every 2s" in page
    progress = {
        "step": "training",
        "member": 1,
        "members": 2,
        "epoch": 2,
        "epochs": 8,
        "loss": 0.5,
        "losses": [[1, 1, 0.9], [1, 2, 0.5]],
        "fraction": 0.125,
        "seconds_left": 21,
    }
    TrainingRun.objects.update(status="running", progress=progress)
    live = admin.get(reverse("operations:run_state", args=[run.public_id])).content.decode()
    assert "epoch 2 of 8" in live
    assert "about 21 s" in live
    admin.post(reverse("operations:cancel_run", args=[run.public_id]))
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert "every 2s" not in admin.get(answer.url).content.decode()
    empty_broker()


def test_a_second_training_of_the_same_task_is_not_started(admin):
    make_training_run(status="running")
    answer = admin.post("/operations/runs/start/", {"task": "malignancy", "seed": "1"}, follow=True)
    assert "open already" in answer.content.decode()
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "chest", "seed": "1"},
        {"task": "malignancy", "seed": "x"},
        {"task": "malignancy", "seed": "-1"},
        {"task": "malignancy", "seed": "1", "epochs": "0"},
        {"task": "malignancy", "seed": "1", "epochs": "99999"},
        {},
    ],
)
def test_wrong_settings_start_nothing(admin, wrong):
    assert admin.post("/operations/runs/start/", wrong).status_code == 422
    assert not TrainingRun.objects.exists()


def test_a_finished_training_shows_candidate_against_active(admin, passed):
    page = admin.get(reverse("operations:run", args=[passed.public_id])).content.decode()
    assert "32 items of 16 held-out patients" in page
    assert "+0.020 better" in page
    assert "Activate malignancy-v2" in page


def test_the_learning_curve_has_a_line_per_network():
    curves = loss_curves({"losses": [[1, 1, 1.0], [1, 2, 0.5], [2, 1, 0.8]], "epochs": 2})
    assert curves["lines"] == ["0.0,0.0 600.0,80.0", "0.0,32.0"]
    assert loss_curves({"losses": [[1, 1, 1.0]]}) is None


# ---------- Audit ----------


def test_audit_is_filtered_and_paged(admin, people):
    logged_in(people.owner)
    everything = admin.get("/operations/audit/").content.decode()
    assert people.owner.email in everything
    only = admin.get("/operations/audit/", {"actor": people.admin.email}).content.decode()
    assert people.owner.email not in only
    nothing = admin.get("/operations/audit/", {"until": "2001-01-01"}).content.decode()
    assert "Nothing found" in nothing


def test_wrong_filters_of_the_audit_are_refused_in_words(admin):
    assert admin.get("/operations/audit/", {"since": "soon"}).status_code == 422
    assert admin.get("/operations/audit/", {"action": "x" * 300}).status_code == 422
    assert admin.get("/operations/audit/", {"page": "nonsense"}).status_code == 200


def test_the_queue_shows_first_what_teaches_most(admin, people):
    case = make_case(people.home, status="sent")
    surprising = make_training_example(case, disagreement=0.9)
    make_training_example(case, disagreement=0.1)
    cards = admin.get("/operations/examples/").context["cards"]
    assert cards[0]["example"] == surprising
    cards = admin.get("/operations/examples/?order=oldest").context["cards"]
    assert cards[0]["example"] == TrainingExample.objects.order_by("pk").first()


def test_an_admin_asks_for_a_second_opinion_once(admin, people):
    example = make_training_example(make_case(people.home, status="sent"), doctor=people.owner)
    address = f"/operations/examples/{example.public_id}/decide/"
    assert admin.post(address, {"decision": "opinion"}).status_code == 302
    assert admin.post(address, {"decision": "opinion"}).status_code == 409
    Opinion.objects.create(example=example, doctor=people.teammate, label="malignant")
    page = admin.get("/operations/examples/")
    assert "To settle it, write why you accept" in page.content.decode()
    answer = admin.post(address, {"decision": "accept"})
    assert (answer.status_code, b"Doctors disagree" in answer.content) == (409, True)
    assert admin.post(address, {"decision": "accept", "note": "Fat."}).status_code == 302


def test_a_run_shows_its_subgroups(admin, passed):
    page = admin.get(f"/operations/runs/{passed.public_id}/").content.decode()
    assert "sex: F" in page
    assert "-0.200 to 0.000" in page


def _proof(n_patients: int) -> dict:
    paired = {"active": 0.9, "candidate": 0.93, "gain": 0.03, "gain_ci": [0.01, 0.06], "p": 0.012}
    return {
        "n": 32,
        "n_patients": n_patients,
        "n_positive": 15,
        "figures": {"auc": paired, "ece": {**paired, "gain": None, "gain_ci": [None, None]}},
        "subgroups": [],
    }


def test_a_run_shows_paired_figures_with_p_on_the_frozen_and_on_the_sites_patients(admin, passed):
    passed.result |= {"proof": _proof(16), "site": _proof(9)}
    passed.save()
    page = admin.get(f"/operations/runs/{passed.public_id}/").content.decode()
    assert page.count("0.012") == 4
    assert "32 items of 16 patients, 15 positive" in page
    assert "32 items of 9 patients" in page
    assert "not measurable" in page
    passed.result |= {"site": {"n": 0}}
    passed.save()
    assert "This site" not in admin.get(f"/operations/runs/{passed.public_id}/").content.decode()


def test_what_failed_or_was_not_better_can_be_trained_again_once(admin, passed):
    address = f"/operations/runs/{passed.public_id}/"
    assert "Train again" not in admin.get(address).content.decode()
    TrainingRun.objects.update(status="failed", seed=7, epochs=3)
    assert "Train again" in admin.get(address).content.decode()
    answer = admin.post(f"{address}again/")
    newest = TrainingRun.objects.first()
    assert answer.url == f"/operations/runs/{newest.public_id}/"
    assert (newest.pk > passed.pk, newest.seed, newest.epochs) == (True, 7, 3)
    told = admin.post(f"{address}again/", follow=True)
    assert "open already" in told.content.decode()
    assert TrainingRun.objects.count() == 2
    empty_broker()


def test_a_candidate_is_put_in_shadow_and_taken_out_on_its_page(admin, passed):
    candidate = passed.candidate
    address = f"/operations/models/malignancy/{candidate.number}/"
    assert "Run in shadow" in admin.get(address).content.decode()
    admin.post(f"{address}shadow/", {"step": "start", "note": ""})
    candidate.refresh_from_db()
    assert candidate.shadow_since is None
    admin.post(f"{address}shadow/", {"step": "start", "note": "two weeks"})
    page = admin.get(address).content.decode()
    assert "Take out of the shadow" in page
    assert "“two weeks”" in page
    assert "in shadow" in admin.get("/operations/models/").content.decode()
    admin.post(f"{address}shadow/", {"step": "stop", "note": "enough seen"})
    candidate.refresh_from_db()
    assert candidate.shadow_since is None
    told = admin.post(f"{address}shadow/", {"step": "stop", "note": "again"}, follow=True)
    assert "does not run in shadow any more" in told.content.decode()


def test_the_page_of_a_version_in_shadow_shows_its_agreement(admin, people, passed):
    case = make_case(site=people.home, status="reported")
    live = make_prediction(case, score=0.9)
    shadow = make_prediction(case, score=0.2, shadow=True, beside=live, models_key="shadow")
    shadow.model_versions.set([passed.candidate])
    page = admin.get(f"/operations/models/malignancy/{passed.candidate.number}/").content.decode()
    assert "Alike in 0.000 of 1 series" in page
    assert "Of 1 case with a firm verdict" in page
    assert "Shadow minus live score on average -0.700" in page


def test_a_run_lists_first_what_the_active_version_got_wrong_and_what_the_candidate_says(
    admin, people, passed
):
    labels = ["malignant", "benign", "malignant", "benign"]
    examples = [_finding_example(people, label=label, status="accepted") for label in labels]
    said = [[0.9, 0.9], [0.8, 0.1], [0.2, 0.3], [0.1, 0.7]]
    answers = {str(one.pk): both for one, both in zip(examples, said, strict=True)}
    passed.examples.set(examples)
    passed.result |= {"corrections": answers}
    passed.save()
    page = admin.get(f"/operations/runs/{passed.public_id}/").content.decode()
    told = [
        "wrong before, right now",
        "still wrong",
        "right before and now",
        "right before, wrong now",
    ]
    assert [page.count(words) for words in told] == [1, 1, 1, 1]
    assert sorted(told, key=page.index) == told
