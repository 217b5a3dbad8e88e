"""The main job from end to end, in a browser, on real processes.

A technician uploads and sends; the worker predicts; a doctor disagrees and signs; an admin
accepts the correction, trains, and activates. On a real slice where CT_DATA_DIR is set, else on
the phantom. Once more with each worker killed in the middle of its work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from playwright.sync_api import Browser, Page, expect

from apps.classifier.models import (
    Finding,
    ModelVersion,
    Prediction,
    TrainingExample,
    TrainingRun,
)
from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom, write_series
from tests.people import People, log_in
from tests.system import System, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(800), pytest.mark.xdist_group("story")]
SIIM_CHEST = "siim_tcga_100"
SIIM_CHEST_FILE = "ID_0098_AGE_0061_CONTRAST_0_CT.dcm"


@pytest.fixture
def chest_file(ct_data_dir: Path | None, tmp_path: Path) -> Path:
    """One chest slice: real where there is real data, else the phantom's."""
    if ct_data_dir:
        return next((ct_data_dir / SIIM_CHEST).rglob(SIIM_CHEST_FILE))
    spec = PhantomSpec(slices=1, nodules=(Nodule((-75.0, -20.0, 0.0), 19.0),))
    return write_series(chest_phantom(spec), tmp_path, patient_id="STORY-1")[0]


@pytest.mark.parametrize("killed", [False, True], ids=["undisturbed", "workers-killed"])
def test_from_upload_to_a_better_model(
    killed: bool, running_system: System, people: People, browser: Browser, chest_file: Path
) -> None:
    call_command("load_models", verbosity=0)
    call_command("make_phantom_base", verbosity=0)
    technician = log_in(browser, running_system.base_url, people.technician.email)
    if killed:
        with _findings_cannot_be_stored():
            _upload_adjust_and_send(technician, chest_file)
            _kill_while_it_predicts(running_system)
        running_system.restart("worker-inference")
    else:
        _upload_adjust_and_send(technician, chest_file)
    _read_disagree_and_sign(log_in(browser, running_system.base_url, people.owner.email))
    admin = log_in(browser, running_system.base_url, people.admin.email)
    _accept_every_correction(admin, running_system)
    run = _train_until_the_gate_permits(admin, running_system, killed)
    _activate(admin, running_system, run.candidate)


@contextmanager
def _findings_cannot_be_stored() -> Iterator[None]:
    """Keep a prediction from ending, so that its worker is surely in the middle of it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {Finding._meta.db_table} IN SHARE MODE")
        yield


def _kill_while_it_predicts(system: System) -> None:
    running = Prediction.objects.filter(status=Prediction.Status.RUNNING)
    eventually(running.exists, what="the prediction to run")
    system.kill("worker-inference")
    assert running.exists()


def _upload_adjust_and_send(page: Page, chest_file: Path) -> None:
    page.set_input_files("input[data-input=files]", chest_file)
    page.locator("[data-studies]").get_by_role("link", name="Open").click()
    expect(page.locator("ct-viewer[data-ready]")).to_be_visible(timeout=20_000)
    page.locator('[data-preset="mediastinum"]').click()
    expect(page.locator('[data-overlay="saved"]')).to_contain_text("aved", timeout=10_000)
    page.fill("[name=clinical_question]", "Mass in the left lung?")
    page.get_by_role("button", name="Send to doctor").click()
    expect(page.get_by_role("button", name="Send to doctor")).to_have_count(0)


def _read_disagree_and_sign(page: Page) -> None:
    page.locator("tr[data-href]").first.click()
    expect(page.locator("ct-viewer[data-ready]")).to_be_visible(timeout=20_000)
    finding = page.locator("[data-finding-id]").first
    expect(finding).to_be_visible(timeout=60_000)
    finding.get_by_text("Not a nodule", exact=True).click()
    expect(finding).to_contain_text("You disagree with the AI here")
    _mark_a_missed_nodule(page)
    page.get_by_role("button", name="Write verdict").click()
    page.locator("label[for=cancer-yes]").click()
    page.fill("#diagnoses", "Bronchial carcinoma, suspected")
    page.get_by_role("button", name="Sign verdict").click()
    expect(page.locator("#verdict-news")).to_contain_text("sent for retraining", timeout=15_000)


def _mark_a_missed_nodule(page: Page) -> None:
    page.locator("#mark-missed").click()
    box = page.locator("ct-viewer").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.45)
    mark = page.locator("[data-mark]")
    expect(mark).to_be_visible()
    mark.get_by_text("Benign", exact=True).click()


def _accept_every_correction(page: Page, system: System) -> None:
    waiting = TrainingExample.objects.filter(status=TrainingExample.Status.QUEUED)
    assert set(waiting.values_list("task", flat=True)) == {"nodule", "malignancy"}
    page.goto(f"{system.base_url}/operations/examples/")
    accept = page.get_by_role("button", name="Accept", exact=True)
    for left in range(waiting.count(), 0, -1):
        accept.first.click()
        eventually(lambda left=left: waiting.count() < left, what="the decision to be stored")
        expect(accept).to_have_count(left - 1)


def _train_until_the_gate_permits(page: Page, system: System, killed: bool) -> TrainingRun:
    """With sixteen synthetic test patients one nodule decides; what is refused is tried again."""
    for seed in (1, 2, 3):
        run = _train(page, system, seed)
        if killed and seed == 1:
            eventually(lambda run=run: _state(run) == "running", seconds=60, what="its start")
            system.kill("worker-training")
            system.restart("worker-training")
        eventually(
            lambda run=run: _state(run) not in {"queued", "running"}, seconds=240, what="its end"
        )
        run.refresh_from_db()
        if run.status != TrainingRun.Status.NOT_BETTER:
            break
        assert run.result["objections"]
    assert run.status == TrainingRun.Status.PASSED, run.reason
    return run


def _train(page: Page, system: System, seed: int) -> TrainingRun:
    page.goto(f"{system.base_url}/operations/runs/")
    page.locator("select[name=task]").select_option("malignancy")
    page.fill("input[name=seed]", str(seed))
    page.get_by_role("button", name="Start training").click()
    return eventually(
        lambda: TrainingRun.objects.filter(seed=seed).first(), what="the run to be queued"
    )


def _state(run: TrainingRun) -> str:
    return TrainingRun.objects.values_list("status", flat=True).get(pk=run.pk)


def _activate(page: Page, system: System, candidate: ModelVersion) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{system.base_url}/operations/models/{candidate.task}/{candidate.number}/")
    page.fill("[name=note]", "Better on the held-out patients.")
    page.get_by_role("button", name=f"Activate {candidate}").click()
    eventually(
        lambda: ModelVersion.objects.get(status="active", task="malignancy") == candidate,
        what="the activation",
    )
