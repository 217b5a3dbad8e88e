"""Series, slices and cases as viewers and programs get them."""

import gzip
from datetime import timedelta

import cv2
import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from pydicom import dcmread
from rest_framework.authtoken.models import Token

from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import Instance, Presentation, Series
from apps.cases.tests.factories import make_case, receive, small_phantom, write_dicom
from tests.people import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(people):
    return make_case(technician=people.technician, slices=3)


@pytest.fixture
def series(case):
    return case.study.series.get()


@pytest.fixture
def client(people):
    return logged_in(people.technician)


def url(name: str, row) -> str:
    return reverse(name, args=[row.public_id])


def first(series: Series) -> Instance:
    return series.instances.select_related("series__study").first()


def test_the_manifest_orders_slices_along_their_normal(client, people, tmp_path):
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=4))
    received = receive(*reversed(paths), site=people.home)
    manifest = client.get(url("series_manifest", received[0].instance.series)).json()
    heights = [one["image_position_patient"][2] for one in manifest["instances"]]
    assert heights == sorted(heights)
    assert manifest["slice_spacing"] == pytest.approx(10)
    assert manifest["regular"] is True
    assert manifest["patient"]["name"] == "PHANTOM, Ada"


def test_the_manifest_offers_every_window_of_the_file(client, people, tmp_path):
    (path,) = write_dicom(tmp_path)
    dataset = dcmread(path)
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1500"]
    dataset.WindowCenterWidthExplanation = ["SOFT", "LUNG"]
    dataset.save_as(path)
    (received,) = receive(path, site=people.home)
    (shown,) = client.get(url("series_manifest", received.instance.series)).json()["instances"]
    assert shown["windows"] == [
        {"center": 40.0, "width": 400.0, "explanation": "SOFT"},
        {"center": -600.0, "width": 1500.0, "explanation": "LUNG"},
    ]


def test_a_series_with_a_gap_is_not_called_regular(client, people, tmp_path):
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=4))
    received = receive(paths[0], paths[1], paths[3], site=people.home)
    manifest = client.get(url("series_manifest", received[0].instance.series)).json()
    assert manifest["regular"] is False


def test_the_manifest_is_audited_and_not_kept_by_the_browser(client, series):
    answer = client.get(url("series_manifest", series))
    assert "no-store" in answer["Cache-Control"]
    seen = AuditEvent.objects.filter(action=AuditEvent.Action.VIEWED, target_id=str(series.pk))
    assert seen.count() == 1


def test_a_slice_is_its_hounsfield_units_bit_for_bit(client, series):
    instance = first(series)
    dataset = dcmread(storage.path_of(instance))
    expected = dataset.pixel_array * dataset.RescaleSlope + dataset.RescaleIntercept
    answer = client.get(url("instance_hu", instance))
    got = np.frombuffer(answer.content, "<i2").reshape(instance.rows, instance.columns)
    assert np.array_equal(got, expected)
    assert (answer["X-Rows"], answer["X-Columns"]) == ("64", "64")


def test_a_slice_is_compressed_for_those_who_can_read_it(client, series):
    address = url("instance_hu", first(series))
    zipped = client.get(address, headers={"accept-encoding": "gzip, br"})
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.content) == client.get(address).content


def test_a_slice_may_be_kept_for_ever_and_is_not_sent_twice(client, series):
    address = url("instance_hu", first(series))
    answer = client.get(address)
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    again = client.get(address, headers={"if-none-match": answer["ETag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_a_slice_whose_file_is_gone_says_so(client, series):
    instance = first(series)
    storage.path_of(instance).unlink()
    for name in ("instance_hu", "instance_image", "instance_attributes"):
        answer = client.get(url(name, instance))
        assert answer.status_code == 503
        assert "tell your admin" in answer.json()["detail"]


def test_the_picture_follows_window_and_rotation(client, series):
    address = url("instance_image", first(series))
    answer = client.get(address, {"center": 40, "width": 400, "rotation": 90, "max_side": 32})
    assert answer["Content-Type"] == "image/png"
    turned = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    plain = client.get(address, {"center": 40, "width": 400, "rotation": 0, "max_side": 32})
    upright = cv2.imdecode(np.frombuffer(plain.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(turned, np.rot90(upright, -1))


def test_a_picture_is_sent_to_those_who_accept_only_pictures(client, series):
    answer = client.get(url("instance_image", first(series)), headers={"accept": "image/png"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"center": "nan"},
        {"center": "1e999"},
        {"center": "9" * 400},
        {"center": "\0"},
        {"width": "0"},
        {"width": "-1"},
        {"width": "inf"},
        {"rotation": "45"},
        {"max_side": "9" * 30},
        {"max_side": "0"},
        {"flip_horizontal": "perhaps"},
    ],
)
def test_a_wrong_wish_for_a_picture_is_a_clear_400(client, series, query):
    answer = client.get(url("instance_image", first(series)), query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.json()


def test_a_thumbnail_shows_the_saved_view(client, series, people):
    before = client.get(url("series_thumbnail", series))
    Presentation.objects.create(
        series=series, author=people.technician, window_center=40, window_width=80, rotation=180
    )
    after = client.get(url("series_thumbnail", series))
    assert before.content != after.content
    assert before["ETag"] != after["ETag"]


def save(client, series: Series, body: object):
    address = url("series_presentation", series)
    return client.put(address, body, content_type="application/json")


def test_a_saved_view_comes_back_and_leaves_the_file_untouched(client, series):
    bytes_before = storage.path_of(first(series)).read_bytes()
    wish = {"window_center": -600, "window_width": 1500, "rotation": 270, "flip_vertical": True}
    assert save(client, series, wish).status_code == 200
    shown = client.get(url("series_manifest", series)).json()["presentation"]
    assert {name: shown[name] for name in wish} == wish
    assert storage.path_of(first(series)).read_bytes() == bytes_before
    audited = AuditEvent.objects.filter(action=AuditEvent.Action.PRESENTATION_SAVED)
    assert audited.count() == 1


def test_without_a_saved_view_the_file_s_own_window_is_shown(client, series):
    shown = client.get(url("series_presentation", series)).json()
    instance = first(series)
    assert shown["window_center"] == instance.window_center
    assert shown["saved_at"] is None


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        '"x"',
        "{",
        '{"window_center": NaN, "window_width": 10}',
        '{"window_center": true, "window_width": 10}',
        '{"window_center": "nan", "window_width": 10}',
        '{"window_center": 1%s, "window_width": 10}' % ("0" * 400),
        '{"window_center": 40, "window_width": 0.5}',
        '{"window_center": 40, "window_width": 400, "rotation": 45}',
        '{"window_center": 40, "window_width": 400, "rotation": null}',
        '{"window_center": 40, "window_width": 400, "flip_vertical": "perhaps"}',
        '{"window_center": [], "window_width": {}}',
    ],
)
def test_a_wrong_view_is_a_clear_400_and_nothing_is_saved(client, series, body):
    assert save(client, series, body).status_code == 400
    assert not Presentation.objects.exists()


LOOKS = [
    ("series_presentation", "presentation"),
    ("series_measurements", "measurements"),
    ("series_thumbnail", "thumbnail"),
    ("instance_hu", "image"),
    ("instance_image", "image"),
]


def looks_at(case) -> list[dict]:
    looks = AuditEvent.objects.filter(
        action="viewed", target_type="cases.case", target_id=str(case.pk)
    )
    return [one.details for one in looks]


@pytest.mark.parametrize(("name", "what"), LOOKS)
def test_an_image_of_a_case_that_was_never_opened_is_audited_once(client, case, series, name, what):
    row = first(series) if name.startswith("instance") else series
    for _ in range(3):
        assert client.get(url(name, row)).status_code == 200
    assert looks_at(case) == [{"what": what}]


@pytest.mark.parametrize(("name", "what"), LOOKS)
def test_an_image_of_an_opened_case_adds_nothing_to_the_trail(client, case, series, name, what):
    client.get(url("case_detail", case))
    client.get(url(name, first(series) if name.startswith("instance") else series))
    assert looks_at(case) == [{}]


def test_each_session_and_each_person_opens_a_case_anew(people, case, series):
    address = url("instance_hu", first(series))
    for user in (people.technician, people.technician, people.admin):
        logged_in(user).get(address)
    assert looks_at(case) == [{"what": "image"}] * 2  # admins see no case


def test_a_session_keeps_a_bounded_number_of_opened_cases(client, people, monkeypatch):
    monkeypatch.setattr("apps.cases.looks.MOST_KEPT", 2)
    cases = [make_case(technician=people.technician) for _ in range(3)]
    for case in cases:
        client.get(url("case_detail", case))
    assert client.session["opened_cases"] == [case.pk for case in cases[1:]]


def test_a_program_with_a_token_is_audited_once_per_case_and_hour(
    people, case, series, monkeypatch
):
    key = Token.objects.create(user=people.technician).key
    program = Client(headers={"authorization": f"Token {key}"})
    for one in series.instances.all():
        assert program.get(url("instance_hu", one)).status_code == 200
    assert looks_at(case) == [{"what": "image"}]
    assert not program.cookies
    monkeypatch.setattr("apps.cases.looks.TOKEN_QUIET", timedelta(0))
    program.get(url("instance_hu", first(series)))
    assert looks_at(case) == [{"what": "image"}] * 2


def test_all_attributes_of_a_file_are_listed_and_the_look_is_audited(client, series):
    instance = first(series)
    rows = client.get(url("instance_attributes", instance)).json()["attributes"]
    named = {row["keyword"]: row for row in rows}
    assert named["Modality"]["value"] == "CT"
    assert named["PixelData"]["value"].endswith("bytes")
    assert AuditEvent.objects.filter(
        action=AuditEvent.Action.VIEWED, target_type="cases.instance"
    ).exists()


IMAGE_ADDRESSES = [
    ("series_manifest", "series"),
    ("series_presentation", "series"),
    ("series_thumbnail", "series"),
    ("instance_hu", "instance"),
    ("instance_image", "instance"),
    ("instance_attributes", "instance"),
    ("case_detail", "case"),
]


@pytest.mark.parametrize(("name", "kind"), IMAGE_ADDRESSES)
def test_other_people_s_images_do_not_exist(name, kind, case, series, people):
    row = {"series": series, "instance": first(series), "case": case}[kind]
    address = url(name, row)
    for stranger in (people.foreign_technician, people.stranger, people.owner, people.admin):
        assert logged_in(stranger).get(address).status_code == 404
    assert logged_in(people.technician).get(address).status_code == 200


def test_an_admin_may_not_change_how_a_series_is_shown(people, series):
    wish = {"window_center": 40, "window_width": 400}
    assert save(logged_in(people.admin), series, wish).status_code == 403


def test_the_list_shows_what_may_be_opened_and_finds_by_name_without_an_address(people, client):
    make_case(technician=people.technician, patient_name="OKAFOR^Adaeze")
    make_case(technician=people.technician, patient_name="SMITH^John", accession_number="A-77")
    make_case(technician=people.foreign_technician, patient_name="OKAFOR^Other")
    everything = client.get("/api/v1/cases/").json()
    assert everything["count"] == 2

    def found(words: str) -> list[str]:
        answer = client.post(
            "/api/v1/cases/search/", {"search": words}, content_type="application/json"
        )
        return [one["patient"]["name"] for one in answer.json()["results"]]

    assert found("okafor") == ["OKAFOR, Adaeze"]
    assert found("Okafor, Adaeze") == ["OKAFOR, Adaeze"]
    assert found("a-77") == ["SMITH, John"]
    assert found("nobody") == []


@pytest.mark.parametrize(
    "query", ["?limit=%s" % ("9" * 40), "?offset=%s" % ("9" * 40), "?limit=-1", "?limit=x"]
)
def test_wild_pages_of_the_list_are_harmless(client, case, query):
    assert client.get("/api/v1/cases/" + query).status_code == 200


def test_an_unknown_state_is_a_clear_400(client):
    assert client.get("/api/v1/cases/?status=lost").status_code == 400


def test_the_list_costs_the_same_for_one_case_and_for_many(
    client, people, django_assert_max_num_queries
):
    for _ in range(5):
        make_case(technician=people.technician, slices=2, series=2)
    with django_assert_max_num_queries(6):
        assert client.get("/api/v1/cases/").json()["results"][0]["images"] == 4


def test_a_slice_of_an_opened_series_costs_three_questions_to_the_database(
    client, series, django_assert_max_num_queries
):
    client.get(url("series_manifest", series))
    address = url("instance_hu", first(series))
    with django_assert_max_num_queries(3):
        client.get(address)


def test_a_tilted_gantry_is_named_as_the_reason_why_there_are_no_other_planes(client, people):
    series = make_case(technician=people.technician, slices=4).study.series.get()
    for number, one in enumerate(series.instances.all()):
        x, y, z = one.image_position_patient
        one.image_position_patient = [x, y + 3.0 * number, z]
        one.save()
    manifest = client.get(url("series_manifest", series)).json()
    assert manifest["regular"] is False
    assert "tilted" in manifest["why_not_regular"]
