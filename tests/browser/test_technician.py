"""A technician at the desk: files in, answers out, the case sent, taken back, sent again."""

import csv
import os
import re
import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Dialog, Page, Route, expect

from apps.accounts.models import User
from apps.cases import storage
from apps.cases.models import Case, Instance, Study
from apps.cases.tests.factories import make_case, move_case, small_phantom, write_dicom
from apps.classifier.tests.factories import make_prediction
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
UPLOADS = "**/api/v1/uploads/batch/"
KNOWN = "**/api/v1/uploads/known/"


@pytest.fixture
def desk(page: Page, live_server, people) -> Page:
    """The technician's Today page, logged in."""
    log_in(page, live_server.url, people.technician)
    page.goto(f"{live_server.url}/labtech/")
    return page


def log_in(page: Page, url: str, user: User) -> None:
    session = logged_in(user).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])


def choose(page: Page, *paths: Path) -> None:
    page.set_input_files('[data-input="files"]', [str(path) for path in paths])


def study(folder: Path, slices: int = 3, **facts: str) -> list[Path]:
    return write_dicom(folder, phantom=small_phantom(slices=slices), **facts)


def open_case(page: Page, live_server, case: Case) -> None:
    page.goto(f"{live_server.url}/labtech/cases/{case.public_id}/")


def leave_out_the_viewer(page: Page) -> None:
    """Drawing without a graphics card takes seconds, and most of these tests do not look at it."""
    page.route("**/viewer/viewer.js", lambda route: route.fulfill(body=""))


def refresh(page: Page, part: str) -> None:
    """Now, instead of at the next of the five-second polls."""
    page.wait_for_load_state("load")  # scripts are deferred
    page.evaluate(f"() => htmx.trigger('{part}', 'refresh')")


def test_a_study_with_other_files_in_it_is_received_and_the_rest_is_explained(desk, tmp_path):
    text = tmp_path / "report.txt"
    text.write_text("not an image")
    choose(desk, *study(tmp_path, slices=5, patient_name="OKAFOR^Adaeze"), text)
    expect(desk.get_by_text("5 images received")).to_be_visible()
    expect(desk.locator("[data-studies]")).to_contain_text("OKAFOR, Adaeze")
    expect(desk.locator("[data-studies]")).to_contain_text("5 of 5 images")
    expect(desk.locator("[data-refused]")).to_contain_text("report.txt")
    expect(desk.locator("[data-refused]")).to_contain_text("This is not a DICOM file.")
    with desk.expect_download() as download:
        desk.get_by_role("button", name="Download the list").click()
    told = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert told[0] == ["File", "Outcome", "Reason"]
    assert [outcome for _, outcome, _ in told[1:]].count("received") == 5
    assert ["report.txt", "refused", "This is not a DICOM file."] in told
    expect(desk.locator("#cases tbody tr")).to_contain_text("OKAFOR, Adaeze")
    expect(desk.locator('[data-count="drafts"]')).to_have_text("1")
    desk.locator("[data-studies]").get_by_role("link", name="Open").click()
    expect(desk.locator("ct-viewer[data-ready]")).to_be_visible(timeout=20_000)


def test_the_same_files_again_are_told_to_be_here_already(desk, tmp_path):
    paths = study(tmp_path)
    choose(desk, *paths)
    expect(desk.get_by_text("3 images received")).to_be_visible()
    choose(desk, *paths)
    expect(desk.get_by_text("All of these were already here")).to_be_visible()
    assert Instance.objects.count() == 3


def test_a_zip_of_two_studies_is_received_study_by_study(desk, tmp_path):
    archive = tmp_path / "cd.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, name in enumerate(("OKAFOR^Adaeze", "LI^Wei")):
            folder = tmp_path / str(number)
            folder.mkdir()
            for path in study(folder, patient_name=name):
                packed.write(path, f"{number}/{path.name}")
        packed.writestr("DICOMDIR", b"index")
        packed.writestr("viewer.exe", b"MZ")
    choose(desk, archive)
    expect(desk.get_by_text("6 images received")).to_be_visible()
    expect(desk.locator("[data-studies] tr")).to_have_count(2)
    for name in ("OKAFOR, Adaeze", "LI, Wei"):
        row = desk.locator("[data-studies] tr", has_text=name)
        expect(row).to_contain_text("3 of 3 images")
    expect(desk.locator("[data-refused] tr")).to_have_count(1)
    expect(desk.locator("#cases tbody tr")).to_have_count(2)
    expect(desk.locator("[data-refused]")).to_contain_text("cd.zip/viewer.exe")
    choose(desk, archive)
    expect(desk.get_by_text("All of these were already here")).to_be_visible()
    with desk.expect_download() as download:
        desk.get_by_role("button", name="Download the list").click()
    told = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert sorted(outcome for _, outcome, _ in told[1:]) == ["already here"] * 6 + ["refused"]


def test_a_damaged_zip_is_refused_in_words(desk, tmp_path):
    archive = tmp_path / "cd.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("1.dcm", b"x" * 5000)
    archive.write_bytes(archive.read_bytes()[:3000])
    choose(desk, archive)
    expect(desk.locator("[data-refused]")).to_contain_text("This ZIP is damaged or incomplete.")
    assert not Instance.objects.exists()


def packed(archive: Path, members: dict[str, Path]) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, path in members.items():
            made.write(path, name)
    return archive


def test_a_zip_larger_than_one_request_is_sent_file_by_file(desk, tmp_path, settings):
    settings.MAX_UPLOAD_MB = 1
    desk.reload()
    paths = study(tmp_path, slices=6)
    padding = tmp_path / "words.txt"
    padding.write_bytes(os.urandom(900_000))
    inner = packed(tmp_path / "inner.zip", {"5.dcm": paths[4], "6.dcm": paths[5]})
    members = {f"{n}.dcm": path for n, path in enumerate(paths[:4])}
    archive = packed(
        tmp_path / "cd.zip", members | {"in.zip": inner, "a.txt": padding, "b.txt": padding}
    )
    assert archive.stat().st_size > 1024 * 1024
    choose(desk, archive)
    expect(desk.get_by_text("6 images received")).to_be_visible()
    expect(desk.locator("[data-studies]")).to_contain_text("6 of 6 images")
    expect(desk.locator("[data-refused]")).to_contain_text("cd.zip/a.txt")
    stored = {storage.path_of(one).read_bytes() for one in Instance.objects.all()}
    assert stored == {path.read_bytes() for path in paths}


def test_a_zip_goes_on_where_the_connection_was_lost(desk, tmp_path):
    archive = packed(tmp_path / "cd.zip", {path.name: path for path in study(tmp_path, slices=40)})
    sent = []

    def answer_only_the_first(route: Route) -> None:
        sent.append(route.request.url)
        route.continue_() if len(sent) == 1 else route.abort("connectionreset")

    desk.route(UPLOADS, answer_only_the_first)
    choose(desk, archive)
    expect(desk.get_by_text(re.compile("^(32|8) received"))).to_be_visible()  # which came first
    desk.get_by_role("button", name="Stop").click()
    desk.unroute(UPLOADS)
    desk.get_by_role("button", name="Try again").click()
    expect(desk.get_by_text("40 images received")).to_be_visible()
    assert Instance.objects.count() == 40


@pytest.mark.parametrize("limit_mb", [512, 0])
def test_a_zip_with_a_password_is_refused_whether_or_not_it_fits_in_a_request(
    desk, tmp_path, settings, limit_mb
):
    settings.MAX_UPLOAD_MB = limit_mb
    desk.reload()
    archive = packed(tmp_path / "cd.zip", {"1.dcm": study(tmp_path, slices=1)[0]})
    locked = bytearray(archive.read_bytes())
    for at in (locked.find(b"PK\x03\x04") + 6, locked.find(b"PK\x01\x02") + 8):
        locked[at] |= 1  # the flag of a protected file (APPNOTE 4.4.4)
    archive.write_bytes(locked)
    choose(desk, archive)
    expect(desk.locator("[data-refused]")).to_contain_text("password")
    assert not Instance.objects.exists()


def test_a_file_of_a_zip_that_unfolds_to_more_than_it_says_is_refused(desk, tmp_path):
    paths = study(tmp_path, slices=2)
    archive = packed(tmp_path / "cd.zip", {"1.dcm": paths[0], "2.dcm": paths[1]})
    lying = bytearray(archive.read_bytes())
    at = lying.rfind(b"PK\x01\x02") + 24  # its uncompressed size (APPNOTE 4.3.12)
    lying[at : at + 4] = (1000).to_bytes(4, "little")
    archive.write_bytes(lying)
    choose(desk, archive)
    expect(desk.locator("[data-refused]")).to_contain_text("damaged")
    expect(desk.get_by_text("1 image received")).to_be_visible()


def test_a_lost_connection_is_made_good_by_itself(desk, tmp_path):
    lost = []

    def lose_the_first(route: Route) -> None:
        if len(lost) < 2:
            lost.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    desk.route(UPLOADS, lose_the_first)
    choose(desk, *study(tmp_path))
    expect(desk.get_by_text("3 images received")).to_be_visible(timeout=15_000)
    assert len(lost) == 2
    assert Instance.objects.count() == 3


def test_a_folder_dropped_again_sends_only_what_did_not_arrive(desk, tmp_path):
    paths = study(tmp_path, slices=5)
    choose(desk, *paths[:3])
    expect(desk.get_by_text("3 images received")).to_be_visible()
    desk.reload()
    sent = []
    desk.on("request", lambda r: sent.append(r) if r.url.endswith("/uploads/batch/") else None)
    choose(desk, *paths)
    expect(desk.get_by_text("2 images received")).to_be_visible()
    expect(desk.locator("[data-studies]")).to_contain_text("3 already here")
    assert len(sent) == 1
    assert Instance.objects.count() == 5


def test_more_files_than_one_upload_may_hold_are_refused_in_words(desk, tmp_path, settings):
    settings.MAX_UPLOAD_FILES = 2
    desk.reload()
    choose(desk, *study(tmp_path))
    expect(desk.get_by_text("These are 3 files; at most 2 can be sent at once")).to_be_visible()
    assert not Instance.objects.exists()


def test_what_is_dropped_later_counts_with_what_is_on_its_way(desk, tmp_path, settings):
    settings.MAX_UPLOAD_FILES = 3
    desk.reload()
    desk.route(UPLOADS, lambda route: None)  # never answered
    paths = study(tmp_path, slices=4)
    choose(desk, *paths[:2])
    expect(desk.get_by_text("Sending 0 of 2 files")).to_be_visible()
    choose(desk, *paths[2:])
    expect(desk.get_by_text("these are 4 files; at most 3 can be sent at once")).to_be_visible()
    expect(desk.get_by_text("Sending 0 of 2 files")).to_be_visible()


def test_the_zips_of_one_upload_hold_no_more_than_it_may(desk, tmp_path, settings):
    settings.MAX_UPLOAD_FILES = 3
    desk.reload()
    paths = study(tmp_path, slices=4)
    zips = [
        packed(tmp_path / f"{n}.zip", {path.name: path for path in some})
        for n, some in enumerate((paths[:2], paths[2:]))
    ]
    choose(desk, *zips)
    expect(desk.get_by_text("2 images received")).to_be_visible()
    expect(desk.locator("[data-refused] tr")).to_have_count(1)
    expect(desk.locator("[data-refused]")).to_contain_text("4 files; at most 3 can be sent at once")


def test_a_file_of_a_zip_that_is_too_large_to_send_is_not_unpacked(desk, tmp_path, settings):
    settings.MAX_UPLOAD_MB = 1
    desk.reload()
    archive = packed(tmp_path / "cd.zip", {"1.dcm": study(tmp_path, slices=1)[0]})
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as more:
        more.writestr("large.dcm", b"x" * 2_000_000)
    damaged = bytearray(archive.read_bytes())
    damaged[damaged.find(b"x" * 1000) + 1] = ord("y")  # unpacking it would find this
    archive.write_bytes(damaged)
    choose(desk, archive)
    expect(desk.get_by_text("1 image received")).to_be_visible()
    expect(desk.locator("[data-refused]")).to_contain_text("too large: at most 1 MB")


def test_while_files_are_read_the_upload_is_under_way(desk, tmp_path):
    held: list[Route] = []
    asked: list[str] = []
    desk.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    desk.route(KNOWN, lambda route: route.continue_() if held else held.append(route))
    desk.mouse.click(400, 5)  # browsers warn only after the person did something on the page
    paths = study(tmp_path, slices=5)
    choose(desk, *paths[:3])
    expect(desk.get_by_text("Reading the files")).to_be_visible()
    expect(desk.get_by_role("button", name="Stop")).to_be_visible()
    for name in ("Close", "Download the list"):
        expect(desk.get_by_role("button", name=name)).to_be_hidden()
    choose(desk, *paths[3:])
    with desk.expect_event("dialog"):
        desk.close(run_before_unload=True)
    assert asked == ["beforeunload"]
    held[0].continue_()
    expect(desk.get_by_text("5 images received")).to_be_visible()
    expect(desk.locator("[data-studies]")).to_contain_text("5 of 5 images")


def test_leaving_the_page_during_an_upload_warns(desk, tmp_path):
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    desk.on("dialog", stay)
    desk.route(UPLOADS, lambda route: None)  # never answered
    desk.mouse.click(400, 5)  # browsers warn only after the person did something on the page
    choose(desk, *study(tmp_path))
    expect(desk.get_by_text("Sending 0 of 3 files")).to_be_visible()
    desk.close(run_before_unload=True)
    desk.wait_for_timeout(500)
    assert asked == ["beforeunload"]


def test_a_stopped_upload_can_be_taken_up_again(desk, tmp_path):
    desk.route(UPLOADS, lambda route: None)
    choose(desk, *study(tmp_path))
    desk.get_by_role("button", name="Stop").click()
    expect(desk.get_by_text("3 files not sent")).to_be_visible()
    desk.unroute(UPLOADS)
    desk.get_by_role("button", name="Try again").click()
    expect(desk.get_by_text("3 images received")).to_be_visible()


def test_somebody_logged_out_meanwhile_is_told_and_loses_nothing(desk, tmp_path):
    desk.context.clear_cookies()
    choose(desk, *study(tmp_path))
    expect(desk.locator("[data-headline]")).to_contain_text("Log in again in another tab")
    expect(desk.get_by_role("button", name="Try again")).to_be_visible()


def test_what_was_still_queued_when_somebody_was_logged_out_is_not_sent_either(
    desk, tmp_path, settings
):
    settings.MAX_UPLOAD_MB = 1  # so that each file goes in a request of its own
    desk.reload()
    desk.route(UPLOADS, lambda route: route.fulfill(status=401, json={}))
    paths = [tmp_path / f"{n}.txt" for n in range(7)]
    for path in paths:
        path.write_bytes(b"x" * 600_000)
    choose(desk, *paths)
    expect(desk.locator("[data-headline]")).to_contain_text("7 files not sent")
    with desk.expect_download() as download:
        desk.get_by_role("button", name="Download the list").click()
    told = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    expected = {(path.name, "not sent") for path in paths}
    assert {(name, outcome) for name, outcome, _ in told[1:]} == expected
    assert len(told) == 8


def test_a_file_that_is_gone_from_the_disk_is_not_called_a_lost_connection(desk, tmp_path):
    paths = study(tmp_path)

    def remove_one(route: Route) -> None:
        paths[0].unlink(missing_ok=True)
        route.continue_()

    desk.route(KNOWN, remove_one)
    choose(desk, *paths)
    expect(desk.locator("[data-refused]")).to_contain_text("This file can no longer be read.")
    expect(desk.get_by_text("2 images received")).to_be_visible()
    expect(desk.locator("[data-refused] tr")).to_have_count(1)


def test_what_a_lost_connection_stopped_goes_on_when_it_is_back(
    page, live_server, people, tmp_path
):
    page.clock.install()
    log_in(page, live_server.url, people.technician)
    page.goto(f"{live_server.url}/labtech/")
    page.context.set_offline(True)
    choose(page, *study(tmp_path, slices=2))
    lost = page.get_by_text("The connection was lost. What arrived is kept. 2 files not sent.")
    for _ in range(100):  # the waits between the tries
        if lost.is_visible():
            break
        page.clock.run_for(2000)
    expect(lost).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("2 images received")).to_be_visible()


def test_the_list_refreshes_itself_but_not_under_the_pointer(desk, live_server, people):
    make_case(technician=people.technician, patient_name="FIRST^A")
    rows = desk.locator("#cases tbody tr")
    refresh(desk, "#cases")
    expect(rows).to_have_count(1)
    rows.first.hover()
    make_case(technician=people.technician, patient_name="SECOND^B")
    refresh(desk, "#cases")
    expect(desk.locator('[data-count="drafts"]')).to_have_text("2")
    expect(rows).to_have_count(1)
    desk.mouse.move(5, 5)
    expect(rows).to_have_count(2)


def test_a_case_is_sent_to_a_named_doctor_and_the_ai_answer_appears_by_itself(
    page, live_server, people
):
    case = make_case(technician=people.technician, slices=3)
    leave_out_the_viewer(page)
    log_in(page, live_server.url, people.technician)
    open_case(page, live_server, case)
    page.get_by_label("Send to", exact=True).select_option(label=str(people.owner))
    page.get_by_text("Urgent", exact=True).click()
    page.get_by_label("Clinical question").fill("Nodule in the left lung?")
    page.get_by_role("button", name="Send to doctor").click()
    expect(page.locator("#case-state")).to_contain_text(f"Sent to {people.owner}")
    expect(page.locator("#case-state")).to_contain_text("Waiting for the AI")
    case.predictions.update(status="done")
    refresh(page, "#case-state")
    expect(page.locator("#case-state")).to_contain_text("The AI has read the series")
    case.refresh_from_db()
    assert (case.status, case.receiver, case.priority) == ("sent", people.owner, 1)


def test_taking_a_case_back_asks_for_a_reason(page, live_server, people):
    case = make_case(technician=people.technician, status="sent")
    leave_out_the_viewer(page)
    log_in(page, live_server.url, people.technician)
    open_case(page, live_server, case)
    page.get_by_role("button", name="Take back").click()
    page.get_by_label("Why?").fill("wrong patient")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#case-state")).to_contain_text("Taken back: no doctor sees it.")
    expect(page.get_by_role("button", name="Send to doctor")).to_be_visible()


def test_a_returned_case_gets_images_and_goes_out_again(page, live_server, people, tmp_path):
    paths = study(tmp_path, slices=3)
    leave_out_the_viewer(page)
    log_in(page, live_server.url, people.technician)
    page.goto(f"{live_server.url}/labtech/")
    choose(page, paths[0])
    expect(page.get_by_text("1 image received")).to_be_visible()
    case = Case.objects.get()
    returned(case, people)
    page.goto(f"{live_server.url}/labtech/?tab=returned")
    expect(page.locator("#cases tbody tr")).to_contain_text("blurred by breathing")
    page.locator("#cases tbody").get_by_role("link", name="Add images").click()
    choose(page, *paths[1:])
    expect(page.get_by_text("2 images received")).to_be_visible()
    refresh(page, "#case-state")
    expect(page.locator("#case-state")).to_contain_text("New images arrived")
    page.reload()
    expect(page.locator(".checks").first).to_contain_text("3 images in one series")
    page.get_by_role("button", name="Send to doctor").click()
    expect(page.locator("#case-state")).to_contain_text("Sent to")


def returned(case: Case, people) -> None:
    move_case(case, "returned", technician=people.technician, doctor=people.owner)


def test_all_tags_can_be_searched_beside_the_image(page, live_server, people):
    case = make_case(technician=people.technician, slices=2)
    leave_out_the_viewer(page)
    log_in(page, live_server.url, people.technician)
    open_case(page, live_server, case)
    page.get_by_role("button", name="All tags").click()
    drawer = page.locator("#tags-drawer")
    drawer.get_by_label("Search").fill("0010,0010")
    expect(drawer.locator("[data-tags-rows] tr:visible")).to_have_count(1)
    expect(drawer.locator("[data-tags-rows] tr:visible")).to_contain_text("Patient's Name")
    drawer.get_by_label("Image", exact=True).select_option(index=0)
    expect(drawer.locator("[data-tags-count]")).to_have_text(re.compile(r"1 of \d+ attributes"))


def test_no_page_of_the_technician_breaks_the_content_security_policy(
    page, live_server, people, tmp_path
):
    broken: list[str] = []
    page.on("console", lambda told: broken.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    case = make_case(technician=people.technician, status="sent")
    make_prediction(case)
    log_in(page, live_server.url, people.technician)
    page.goto(f"{live_server.url}/labtech/")
    choose(page, *study(tmp_path))
    expect(page.get_by_text("3 images received")).to_be_visible()
    open_case(page, live_server, case)
    expect(page.locator("ct-viewer[data-ready]")).to_be_visible(timeout=20_000)
    assert broken == []


def test_that_is_all_lets_a_fresh_study_go_without_a_question(
    page, live_server, people, settings, tmp_path
):
    settings.STUDY_SETTLE_SECONDS = 600
    case = make_case(technician=people.technician)
    Study.objects.update(number_of_study_related_instances=99)
    leave_out_the_viewer(page)
    log_in(page, live_server.url, people.technician)
    open_case(page, live_server, case)
    page.get_by_role("button", name="Send to doctor").click()
    expect(page.get_by_text("announce more than are here. Nothing was sent.")).to_be_visible()
    page.get_by_role("button", name="That is all").click()
    expect(page.get_by_role("button", name="That is all")).to_have_count(0)
    page.get_by_role("button", name="Send to doctor").click()
    expect(
        page.get_by_text("Sent to any doctor").or_(page.get_by_text("Sent to the doctors'")).first
    ).to_be_visible()
