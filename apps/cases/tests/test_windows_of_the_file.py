"""The server's pictures follow what the file says of its display."""

import cv2
import numpy as np
import pytest
from django.urls import reverse
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_voi, apply_windowing

from apps.cases import storage
from apps.cases.models import Instance
from apps.cases.pictures import hu_of
from apps.cases.tests.factories import receive, write_dicom
from tests.people import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(people):
    return logged_in(people.technician)


@pytest.fixture
def received(people, tmp_path):
    """One stored image whose file says what the test asks; None takes an attribute away."""

    def build(**said) -> tuple[Instance, Dataset]:
        (path,) = write_dicom(tmp_path)
        dataset = dcmread(path)
        for keyword, value in said.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(path)
        return receive(path, site=people.home)[0].instance, dataset

    return build


def table(words: str = "FILM") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [2000, -900, 12])
    item.LUTExplanation = words
    entries = (np.linspace(0, 1, 2000) ** 0.5 * 4095).round().astype("<u2")
    item.add_new("LUTData", "OW", entries.tobytes())
    return item


def through_pydicom(instance: Instance) -> np.ndarray:
    """0...255 by pydicom's own reading of the table in the stored file."""
    dataset = dcmread(storage.path_of(instance))
    return apply_voi(hu_of(instance).astype(np.int32), dataset) / 4095 * 255


def picture(client, instance: Instance, **asked) -> np.ndarray:
    answer = client.get(reverse("instance_image", args=[instance.public_id]), asked)
    assert answer.status_code == 200
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED).astype(float)


def test_a_file_without_a_window_is_shown_through_its_table(client, received):
    instance, _ = received(WindowCenter=None, WindowWidth=None, VOILUTSequence=[table()])
    assert np.abs(picture(client, instance) - through_pydicom(instance)).max() <= 0.51
    windowed = picture(client, instance, center=40, width=400)
    assert np.abs(windowed - through_pydicom(instance)).max() > 10
    asked = picture(client, instance, center=40, width=400, voi_lut=0)
    assert np.array_equal(asked, picture(client, instance))


def test_a_file_with_both_is_shown_through_its_window_until_the_table_is_saved(client, received):
    instance, _ = received(VOILUTSequence=[table()])
    assert np.abs(picture(client, instance) - through_pydicom(instance)).max() > 10
    view = {"window_center": 40, "window_width": 400, "voi_lut": 0}
    address = reverse("series_presentation", args=[instance.series.public_id])
    saved = client.put(address, view, content_type="application/json")
    assert saved.json()["voi_lut"] == 0
    assert np.abs(picture(client, instance) - through_pydicom(instance)).max() <= 0.51
    view.pop("voi_lut")
    assert client.put(address, view, content_type="application/json").json()["voi_lut"] is None
    assert np.abs(picture(client, instance) - through_pydicom(instance)).max() > 10


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_the_function_of_the_file_is_the_one_of_pydicom(client, received, function):
    instance, dataset = received(
        VOILUTFunction=function, WindowCenter="40", WindowWidth="400", RescaleSlope="1"
    )
    # pydicom spreads over the range of 12 stored bits, of which the ends are known.
    low, high = -1024, 3071
    theirs = (apply_windowing(hu_of(instance), dataset) - low) / (high - low) * 255
    assert np.abs(picture(client, instance) - theirs).max() <= 0.51


def test_monochrome1_is_drawn_inverted_in_picture_and_thumbnail(client, received):
    plain, _ = received()
    upright = picture(client, plain, center=40, width=400)
    Instance.objects.update(inverted=True)
    assert np.array_equal(picture(client, plain, center=40, width=400), 255 - upright)
    address = reverse("series_thumbnail", args=[plain.series.public_id])
    inverted = client.get(address).content
    Instance.objects.update(inverted=False)
    assert client.get(address).content != inverted


def test_a_table_is_sent_as_grey_bytes_by_the_bits_of_the_value(client, received):
    instance, _ = received(VOILUTSequence=[table()])
    manifest = client.get(reverse("series_manifest", args=[instance.series.public_id])).json()
    (shown,) = manifest["instances"]
    assert [one["explanation"] for one in shown["voi_luts"]] == ["FILM"]
    answer = client.get(shown["voi_lut_url"], {"number": 0})
    greys = np.frombuffer(answer.content, np.uint8)
    assert "immutable" in answer["Cache-Control"]
    assert np.abs(greys[hu_of(instance).view(np.uint16)] - through_pydicom(instance)).max() <= 0.51


@pytest.mark.parametrize("number", ["1", "-1", "x", "", "9" * 30])
def test_a_table_that_is_not_there_is_a_clear_400(client, received, number):
    instance, _ = received(VOILUTSequence=[table()])
    answer = client.get(reverse("instance_voi_lut", args=[instance.public_id]), {"number": number})
    assert answer.status_code == 400
    assert "number" in answer.json()
