"""Each uploaded file is answered at once: received, already known, or refused with the reason."""

import zipfile
from io import BytesIO

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pydicom import dcmread
from rest_framework.authtoken.models import Token

from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import Case, Instance
from apps.cases.tests.factories import small_phantom, write_dicom
from tests.people import logged_in

pytestmark = pytest.mark.django_db


def nothing_is_stored() -> bool:
    stored = [one for one in configured.STORAGE_DIR.glob("site-*/**/*") if one.is_file()]
    return (
        not stored and not Instance.objects.exists() and not list(storage.incoming_dir().iterdir())
    )


def test_a_ct_file_is_received_and_leads_to_its_case(upload, ct_file, people):
    answer = upload(ct_file)
    assert answer.status_code == 201
    told, case = answer.json(), Case.objects.get()
    assert told["outcome"] == told["code"] == "received"
    assert told["file_name"] == ct_file.name
    assert told["case"]["public_id"] == str(case.public_id)
    assert told["case"]["url"] == f"/labtech/cases/{case.public_id}/"
    assert told["case"]["patient"] == "PHANTOM, Ada"
    assert case.site == people.home
    assert Instance.objects.get().received_from == people.technician


def test_the_same_file_again_is_already_known(upload, ct_file):
    upload(ct_file)
    again = upload(ct_file)
    assert again.status_code == 200
    assert again.json()["outcome"] == "known"
    assert Instance.objects.count() == 1


def test_other_bytes_under_a_known_uid_are_refused_and_the_first_are_kept(upload, ct_file, edited):
    upload(ct_file)
    answer = upload(edited(ImageComments="other bytes"))
    assert answer.status_code == 409
    assert answer.json()["code"] == "other_bytes"
    stored = storage.path_of(Instance.objects.select_related("series__study").get())
    assert stored.read_bytes() == ct_file.read_bytes()


def test_a_study_of_another_patient_is_refused(upload, tmp_path):
    first, second = write_dicom(tmp_path, phantom=small_phantom(slices=2), patient_id="ONE")
    upload(first)
    dataset = dcmread(second)
    dataset.PatientID = "TWO"
    dataset.save_as(second)
    answer = upload(second)
    assert (answer.status_code, answer.json()["code"]) == (409, "other_patient")


def zip_file() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "x")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"just text", "not_dicom"),
        (zip_file(), "not_dicom"),
        (b"\0" * 200, "not_dicom"),
    ],
    ids=["empty", "text", "zip named .dcm", "zeros"],
)
def test_what_is_no_dicom_is_refused_in_plain_words(upload, content, code):
    answer = upload(content)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"Modality": "MR"}, "not_ct", 422),
        ({"PixelData": None}, "no_pixels", 422),
        ({"SOPInstanceUID": None}, "missing_uid", 422),
        ({"StudyInstanceUID": "../../etc/passwd"}, "malformed_uid", 422),
        ({"SeriesInstanceUID": "1." + "2" * 64}, "malformed_uid", 422),
        ({"Rows": 65535, "Columns": 65535}, "too_large", 413),
        ({"Rows": 128, "Columns": 128}, "truncated", 422),
        ({"RescaleSlope": None}, "bad_rescale", 422),
        ({"NumberOfFrames": "9"}, "multiframe", 422),
        ({"PixelSpacing": [0, 0]}, "bad_geometry", 422),
        ({"SamplesPerPixel": 3}, "bad_pixels", 422),
    ],
)
def test_a_file_that_cannot_be_read_as_ct_is_refused(upload, edited, changes, code, status):
    answer = upload(edited(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"].endswith((".", "!"))
    assert nothing_is_stored()


def decimal(tag: bytes, value: bytes) -> bytes:
    """A Decimal String element as it stands in an explicit little-endian file."""
    padded = value + b" " * (len(value) % 2)
    return tag + b"DS" + len(padded).to_bytes(2, "little") + padded


@pytest.mark.parametrize("value", [b"nan", b"1e999", b"-inf"])
def test_a_rescale_that_makes_no_numbers_is_refused(upload, ct_file, value):
    intercept = str(dcmread(ct_file).RescaleIntercept).encode()
    before, tag = ct_file.read_bytes(), b"\x28\x00\x52\x10"
    content = before.replace(decimal(tag, intercept), decimal(tag, value))
    assert content != before
    assert upload(content).json()["code"] == "bad_rescale"
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("syntax", "code"),
    [
        (b"1.2.840.10008.1.2.9", "unsupported_transfer_syntax"),
        (b"1.2.840.10008.1.2.5", "bad_pixels"),
    ],
    ids=["unknown", "claims to be RLE"],
)
def test_pixels_that_no_decoder_reads_are_refused(upload, ct_file, syntax, code):
    content = ct_file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", syntax + b"\0")
    assert upload(content).json()["code"] == code
    assert nothing_is_stored()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.99])
def test_a_truncated_file_is_refused(upload, ct_file, share):
    content = ct_file.read_bytes()
    answer = upload(content[: int(len(content) * share)])
    assert answer.status_code == 422
    assert answer.json()["outcome"] == "refused"
    assert nothing_is_stored()


def test_a_nearly_full_disk_is_told_as_such(upload, ct_file, settings):
    settings.MIN_FREE_DISK_MB = 10**9
    answer = upload(ct_file)
    assert answer.status_code == 507
    assert "disk is nearly full" in answer.json()["message"]
    assert not Instance.objects.exists()


def test_a_received_file_is_audited_with_who_and_what(upload, ct_file, people):
    upload(ct_file)
    noted = AuditEvent.objects.get(action=AuditEvent.Action.UPLOADED)
    assert noted.actor == people.technician.email
    assert noted.target_id == str(Instance.objects.get().pk)
    assert noted.address == "127.0.0.1"


def test_a_refusal_is_audited_without_the_file_s_name(upload):
    upload(b"just text", name="JONES ANN 1960.txt")
    noted = AuditEvent.objects.get(action=AuditEvent.Action.UPLOAD_REFUSED)
    assert noted.details == {"code": "not_dicom", "size": 9, "extension": ".txt"}
    assert "JONES" not in str(noted.__dict__)


@pytest.mark.parametrize("files", [0, 2])
def test_exactly_one_file_is_taken_per_request(client, ct_file, files):
    body = {"file": [ct_file.open("rb") for _ in range(files)]} if files else {"note": "x"}
    answer = client.post("/api/v1/uploads/", body)
    assert answer.status_code == 400
    assert "one file" in answer.json()["message"]
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"file": "x"}'),
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=x", "--x\r\nrubbish"),
        ("text/plain", "x"),
    ],
)
def test_a_body_that_is_no_upload_is_a_client_error(client, content_type, body):
    answer = client.post("/api/v1/uploads/", body, content_type=content_type)
    assert 400 <= answer.status_code < 500


def test_only_a_technician_may_upload(people, ct_file):
    for user in (people.owner, people.admin):
        answer = logged_in(user).post("/api/v1/uploads/", {"file": ct_file.open("rb")})
        assert answer.status_code == 403
    assert Client().post("/api/v1/uploads/", {"file": ct_file.open("rb")}).status_code in {401, 403}
    assert nothing_is_stored()


def test_a_program_uploads_with_a_token(people, ct_file):
    token = Token.objects.create(user=people.technician)
    answer = Client().post(
        "/api/v1/uploads/",
        {"file": ct_file.open("rb")},
        headers={"authorization": f"Token {token.key}"},
    )
    assert answer.status_code == 201


def test_an_upload_from_another_website_is_refused(people, ct_file):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.technician)
    answer = browser.post("/api/v1/uploads/", {"file": ct_file.open("rb")})
    assert answer.status_code == 403
    assert nothing_is_stored()


def test_images_for_a_sent_case_are_received_and_noted(upload, people, tmp_path):
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=2))
    upload(paths[0])
    case = Case.objects.get()
    Case.objects.filter(pk=case.pk).update(status=Case.Status.SENT)
    assert upload(paths[1]).json()["case"]["status"] == "sent"
    assert case.events.last().kind == "images_added"


def test_a_file_with_every_text_too_long_is_received_with_shortened_facts(upload, edited):
    long = "x" * 5000
    keywords = [
        "StudyDescription",
        "SeriesDescription",
        "ProtocolName",
        "InstitutionName",
        "PatientName",
        "ReferringPhysicianName",
        "Manufacturer",
        "ManufacturerModelName",
        "ContrastBolusAgent",
        "BodyPartExamined",
        "AccessionNumber",
        "PatientSex",
        "PatientAge",
    ]
    answer = upload(edited(**dict.fromkeys(keywords, long)))
    assert answer.status_code == 201, answer.content


def batch(client, *files: tuple[str, bytes]):
    named = [SimpleUploadedFile(name, content) for name, content in files]
    return client.post("/api/v1/uploads/batch/", {"file": named})


def test_each_file_of_a_batch_gets_its_own_answer_in_its_place(client, tmp_path, people):
    first, second = (
        one.read_bytes() for one in write_dicom(tmp_path, phantom=small_phantom(slices=2))
    )
    answer = batch(client, ("1", first), ("t", b"text"), ("2", second), ("again", first))
    told = [(one["file_name"], one["outcome"], one["code"]) for one in answer.json()["answers"]]
    assert told == [
        ("1", "received", "received"),
        ("t", "refused", "not_dicom"),
        ("2", "received", "received"),
        ("again", "known", "known"),
    ]
    stored = Instance.objects.select_related("series__study")
    assert {storage.path_of(one).read_bytes() for one in stored} == {first, second}
    audited = AuditEvent.objects.filter(action=AuditEvent.Action.UPLOADED)
    assert sorted(one.details["new"] for one in audited) == [False, True, True]
    assert {one.actor for one in audited} == {people.technician.email}
    assert list(storage.incoming_dir().iterdir()) == []


def test_one_patient_s_image_in_another_s_study_is_refused_within_a_batch(client, tmp_path):
    first, second = write_dicom(tmp_path, phantom=small_phantom(slices=2), patient_id="ONE")
    dataset = dcmread(second)
    dataset.PatientID = "TWO"
    dataset.save_as(second)
    answer = batch(client, ("1", first.read_bytes()), ("2", second.read_bytes()))
    outcomes = [one["outcome"] for one in answer.json()["answers"]]
    assert sorted(outcomes) == ["received", "refused"]
    assert "other_patient" in {one["code"] for one in answer.json()["answers"]}
    assert Instance.objects.count() == 1


def test_a_batch_asks_the_database_little_for_each_file(
    client, tmp_path, django_assert_max_num_queries
):
    files = write_dicom(tmp_path, phantom=small_phantom(slices=12))
    with django_assert_max_num_queries(41):
        batch(client, *((one.name, one.read_bytes()) for one in files))
    assert Instance.objects.count() == 12


def test_what_is_here_already_is_told_before_it_is_sent(client, upload, ct_file, people):
    upload(ct_file)
    instance = Instance.objects.get()
    asked = {"sop_instance_uids": [instance.sop_instance_uid, "1.2.3"]}
    known = client.post("/api/v1/uploads/known/", asked, "application/json").json()["known"]
    assert list(known) == [instance.sop_instance_uid]
    assert known[instance.sop_instance_uid]["sha256"] == instance.sha256
    stranger = logged_in(people.foreign_technician)
    assert stranger.post("/api/v1/uploads/known/", asked, "application/json").json()["known"] == {}
    storage.path_of(instance).unlink()  # then it may come again
    assert client.post("/api/v1/uploads/known/", asked, "application/json").json()["known"] == {}
