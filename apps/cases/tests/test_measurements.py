"""Measurements are kept once, by their author, and say what the stored values say."""

from uuid import uuid4

import numpy as np
import pytest
from django.urls import reverse

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Measurement
from apps.cases.pictures import hu_of
from apps.cases.services import break_glass
from apps.cases.tests.factories import make_case, make_measurement
from tests.people import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(people):
    return make_case(people.home, status="sent", slices=2)


@pytest.fixture
def instance(case):
    return case.study.series.get().instances.first()


@pytest.fixture
def client(people):
    return logged_in(people.owner)


def add(client, instance, kind="length", points=((0, 0), (0, 10)), **fields):
    body = {"public_id": str(uuid4()), "instance": str(instance.public_id), "kind": kind}
    body |= {"points": points} | fields
    address = reverse("series_measurements", args=[instance.series.public_id])
    return client.post(address, body, content_type="application/json")


def listed(client, instance):
    return client.get(reverse("series_measurements", args=[instance.series.public_id])).json()


def address_of(measurement):
    return reverse("measurement", args=[measurement.public_id])


def test_what_one_doctor_measured_the_other_sees_with_its_author(client, instance, people):
    assert add(client, instance).status_code == 201
    seen = listed(logged_in(people.colleague), instance)
    assert [one["author"] for one in seen] == [str(people.owner)]
    assert seen[0]["mine"] is False
    assert seen[0]["values"]["length"] == pytest.approx(10 * instance.pixel_spacing[1])
    audited = AuditEvent.objects.get(action=AuditEvent.Action.MEASURED)
    assert audited.details == {"what": "added", "kind": "length"}


def test_values_are_those_of_the_stored_pixels(client, instance):
    hu = hu_of(instance)
    probe = add(client, instance, "probe", [[30, 31.4]]).json()["values"]
    assert probe["hu"] == hu[30, 31]
    ellipse = add(client, instance, "ellipse", [[20, 30], [40, 30], [30, 20], [30, 40]]).json()
    rows, columns = np.ogrid[:64, :64]
    inside = hu[(rows - 30) ** 2 + (columns - 30) ** 2 <= 100]
    assert ellipse["values"]["mean"] == pytest.approx(inside.mean())
    assert ellipse["values"]["sd"] == pytest.approx(inside.std())


def test_the_same_request_again_stores_it_once(client, instance):
    key = str(uuid4())
    assert add(client, instance, public_id=key).status_code == 201
    assert add(client, instance, public_id=key).status_code == 200
    assert Measurement.objects.count() == 1


def test_an_id_of_somebody_else_is_refused(client, instance, people):
    other = make_measurement(instance, people.colleague)
    assert add(client, instance, public_id=str(other.public_id)).status_code == 409


def test_of_two_windows_the_slower_one_is_told(client, instance, people):
    mine = make_measurement(instance, people.owner)
    moved = {"points": [[1, 1], [1, 5]], "revision": 1}
    answers = [
        client.put(address_of(mine), moved, content_type="application/json").status_code
        for _ in range(2)
    ]
    assert answers == [200, 409]
    mine.refresh_from_db()
    assert mine.values["length"] == pytest.approx(4 * instance.pixel_spacing[1])


def test_only_the_author_deletes_and_twice_does_no_harm(client, instance, people):
    mine = make_measurement(instance, people.owner)
    assert logged_in(people.colleague).delete(address_of(mine)).status_code == 404
    assert [client.delete(address_of(mine)).status_code for _ in range(2)] == [204, 204]
    assert listed(client, instance) == []
    assert Measurement.objects.filter(pk=mine.pk).exists()


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("length", [[0, 0]]),
        ("probe", [[0, 64]]),
        ("probe", [[-1, 0]]),
        ("ellipse", [[0, 0], [1, 1], [2, 2]]),
        ("circle", [[0, 0]]),
        ("probe", [["nan", 0]]),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(client, instance, kind, points):
    assert add(client, instance, kind, points).status_code == 400
    assert not Measurement.objects.exists()


def test_who_opened_a_case_by_break_glass_looks_only(instance, case, people):
    break_glass(case, request=request_of(people.stranger), reason="asked by the ward")
    stranger = logged_in(people.stranger)
    assert listed(stranger, instance) == []
    assert add(stranger, instance).status_code == 403
