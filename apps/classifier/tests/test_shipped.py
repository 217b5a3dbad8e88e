"""The networks that come with the program, through registrations and upgrades."""

import json
import shutil

import pytest
from django.core.management import call_command

from apps.classifier import shipped
from apps.classifier.cnn.contrast import CONTRAST, load_contrast
from apps.classifier.model_files import network, weights_path
from apps.classifier.models import ModelVersion
from apps.classifier.services import PREDICTION_TASKS
from apps.classifier.tests.factories import make_model_version

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.MODELS_DIR = tmp_path / "models"


def test_every_step_of_a_prediction_has_an_active_shipped_network(capsys):
    call_command("load_models")
    said = capsys.readouterr().out
    active = ModelVersion.objects.filter(status="active")
    assert {version.task for version in active} >= set(PREDICTION_TASKS)
    for version in active.filter(task__in=PREDICTION_TASKS):
        assert network(version).task == version.task
    for version in active:
        assert str(version) in version.card
        assert f"{version}: active" in said


def test_the_contrast_check_has_a_version_and_a_card_too():
    shipped.register_shipped()
    version = ModelVersion.objects.get(task="contrast")
    assert (version.status, str(version)) == ("active", load_contrast(CONTRAST).version)
    assert load_contrast(weights_path(version)).meta["weights"] == version.meta["weights"]
    assert str(version.metrics["auc"]) in version.card
    assert "## Known failures" in version.card


def test_registering_again_changes_nothing():
    before = [(version.pk, version.number) for version in shipped.register_shipped()]
    assert [(version.pk, version.number) for version in shipped.register_shipped()] == before


def test_an_upgrade_keeps_the_active_version_and_its_file(monkeypatch, tmp_path):
    old = {version.task: version for version in shipped.register_shipped()}["malignancy"]
    _ship_another(monkeypatch, tmp_path, old.meta)
    new = shipped.register_shipped()[0]
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.status, new.status) == ("active", "candidate")
    assert weights_path(old).is_file()
    assert new.number > old.number


def test_a_version_trained_here_keeps_its_number_when_a_release_ships_the_same(
    monkeypatch, tmp_path
):
    trained = make_model_version("malignancy", status="candidate", number=7)
    meta = json.loads(next(shipped.SHIPPED_DIR.glob("malignancy*.json")).read_text())
    _ship_another(monkeypatch, tmp_path, {**meta, "version": "malignancy-v7"})
    registered = shipped.register_shipped()[0]
    trained.refresh_from_db()
    assert (trained.number, registered.number) == (7, 8)
    assert registered.card.startswith("# malignancy-v8")


def test_an_active_version_without_its_file_gives_way_to_the_shipped_one():
    lost = make_model_version("malignancy", status="active", number=90)
    shipped.register_shipped()
    lost.refresh_from_db()
    assert lost.status == "retired"
    assert ModelVersion.objects.get(task="malignancy", status="active").shipped


def _ship_another(monkeypatch, tmp_path, meta: dict) -> None:
    """A release that ships one other network for the suspicion score."""
    folder = tmp_path / "release"
    folder.mkdir()
    source = next(shipped.SHIPPED_DIR.glob("malignancy*.tflite"))
    shutil.copy(source, folder / "malignancy.tflite")
    (folder / "malignancy.json").write_text(json.dumps({**meta, "sha256": "b" * 64}))
    monkeypatch.setattr(shipped, "SHIPPED_DIR", folder)
