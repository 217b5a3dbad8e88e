"""Models, corrections and trainings for programs, by the same rules as the pages."""

import pytest

from apps.audit.models import AuditEvent
from apps.cases.tests.factories import make_case
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.tests.factories import (
    make_model_version,
    make_training_example,
    make_training_run,
)
from tests.people import logged_in
from tests.system import empty_broker


@pytest.fixture
def admin(people):
    return logged_in(people.admin)


@pytest.fixture
def example(people) -> TrainingExample:
    return make_training_example(make_case(site=people.home, status="sent"), doctor=people.owner)


def _post(client, address, data):
    return client.post(f"/api/v1/{address}", data, content_type="application/json")


def test_models_are_listed_with_their_figures(admin):
    make_model_version(number=1)
    found = admin.get("/api/v1/models/").json()
    assert found["count"] == 1
    assert found["results"][0]["name"] == "malignancy-v1"
    detail = admin.get("/api/v1/models/malignancy/1/").json()
    assert detail["metrics"] == {"auc": 0.9}
    assert admin.get("/api/v1/models/malignancy/2/").status_code == 404


def test_the_gate_holds_for_programs_too(admin):
    make_model_version(number=1)
    make_model_version(number=2, status="candidate")
    refused = _post(admin, "models/malignancy/2/activate/", {"note": "please"})
    assert refused.status_code == 409
    assert "never tested" in refused.json()["detail"]
    assert _post(admin, "models/malignancy/2/activate/", {}).status_code == 400
    assert _post(admin, "models/malignancy/rollback/", {"note": "back"}).status_code == 409
    assert _post(admin, "models/nonsense/rollback/", {"note": "back"}).status_code == 404


def test_corrections_are_listed_filtered_and_decided(admin, example):
    found = admin.get("/api/v1/training-examples/?status=queued&task=malignancy").json()
    assert [one["public_id"] for one in found["results"]] == [str(example.public_id)]
    assert admin.get("/api/v1/training-examples/?status=used").json()["count"] == 0
    assert admin.get("/api/v1/training-examples/?status=nonsense").status_code == 400
    address = f"training-examples/{example.public_id}/decide/"
    assert _post(admin, address, {"decision": "reject"}).status_code == 400
    assert _post(admin, address, {"decision": "accept"}).json()["status"] == "accepted"
    assert _post(admin, address, {"decision": "accept"}).status_code == 409


def test_looking_at_a_crop_is_audited(admin, example):
    picture = admin.get(f"/api/v1/training-examples/{example.public_id}/crop.png")
    assert picture.content.startswith(b"\x89PNG")
    assert AuditEvent.objects.filter(action="viewed", target_id=str(example.pk)).exists()


def test_a_training_is_started_once_and_cancelled(admin):
    started = _post(admin, "training-runs/", {"task": "malignancy"})
    assert started.status_code == 201
    assert _post(admin, "training-runs/", {"task": "malignancy"}).status_code == 409
    address = f"training-runs/{started.json()['public_id']}/"
    assert admin.get(f"/api/v1/{address}").json()["status"] == "queued"
    assert _post(admin, f"{address}cancel/", {}).json()["status"] == "cancelled"
    assert _post(admin, f"{address}cancel/", {}).status_code == 409
    empty_broker()


@pytest.mark.parametrize(
    "wrong",
    [{}, {"task": "chest"}, {"task": "malignancy", "seed": 2**40}, {"task": ["malignancy"]}],
)
def test_wrong_settings_start_nothing(admin, wrong):
    assert _post(admin, "training-runs/", wrong).status_code == 400
    assert not TrainingRun.objects.exists()


def test_doctors_and_technicians_are_kept_out(people, example):
    run = make_training_run()
    addresses = [
        "models/",
        "training-examples/",
        f"training-examples/{example.public_id}/",
        f"training-examples/{example.public_id}/crop.png",
        "training-runs/",
        f"training-runs/{run.public_id}/",
    ]
    for user in [people.owner, people.technician]:
        client = logged_in(user)
        answers = {client.get(f"/api/v1/{address}").status_code for address in addresses}
        assert answers == {403}
