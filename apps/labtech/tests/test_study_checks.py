"""What the technician's page says of a study: counts that the files announce, and localizers."""

import pytest
from pydicom import dcmread

from apps.cases.models import Case
from apps.cases.tests.factories import receive, small_phantom, write_dicom
from apps.labtech.checks import Check, checks_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def receive_study(tmp_path, people):
    """Take in four slices, the first so many of them, with attributes set; the case they make."""

    def take(count: int = 4, first: dict | None = None, **attributes) -> Case:
        paths = write_dicom(tmp_path, phantom=small_phantom(slices=4))
        for path in paths:
            dataset = dcmread(path)
            for keyword, value in (attributes | (first or {} if path == paths[0] else {})).items():
                setattr(dataset, keyword, value)
            dataset.save_as(path)
        return receive(*paths[:count], site=people.home)[0].case

    return take


def checks(case: Case) -> list[Check]:
    return checks_of(case, list(case.study.series.prefetch_related("instances")))


def words(case: Case, sign: str) -> list[str]:
    return [check.text for check in checks(case) if check.sign == sign]


def test_images_missing_from_the_series_and_the_study_are_told(receive_study):
    case = receive_study(3, NumberOfSeriesRelatedInstances=4, NumberOfStudyRelatedInstances=9)
    said = words(case, "warn")
    assert "3 of 9 images of the study" in said
    assert any(text.startswith("3 of 4 images of “") for text in said)


def test_all_that_the_files_announce_is_here(receive_study):
    case = receive_study(NumberOfSeriesRelatedInstances=4, NumberOfStudyRelatedInstances=4)
    assert words(case, "warn") == []
    assert "As many images as the files say" in words(case, "ok")


def test_more_images_than_the_files_announce_are_not_as_many(receive_study):
    case = receive_study(NumberOfSeriesRelatedInstances=3, NumberOfStudyRelatedInstances=4)
    assert not any("As many images" in text for text in words(case, "ok"))


def test_slices_at_unequal_distances_are_told(tmp_path, people):
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=5))
    for path, z in zip(paths, [0, 1, 2.4, 3.4, 4.8], strict=True):
        dataset = dcmread(path)
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], z]
        dataset.save_as(path)
    found = checks(receive(*paths, site=people.home)[0].case)
    assert [(one.text, one.detail) for one in found if one.sign == "warn"] == [
        ("unequal distances", "Slices lie from 1.00 to 1.40 mm apart.")
    ]
    assert "No gaps between slices" not in [one.text for one in found]


@pytest.mark.parametrize("said", [None, 0, -3])
def test_files_without_a_usable_count_say_nothing_about_it(receive_study, said):
    case = receive_study(2, NumberOfSeriesRelatedInstances=said)
    assert case.study.series.get().number_of_series_related_instances is None
    assert not any("files say" in check.text or " of " in check.text for check in checks(case))


def test_a_localizer_among_slices_is_named_and_opens_no_gap(receive_study):
    sagittal = {
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
    }
    case = receive_study(first=sagittal)
    assert "one localizer" in words(case, "ok")
    assert "No gaps between slices" in words(case, "ok")
    assert words(case, "warn") == []


def test_text_burned_into_a_localizer_still_warns(receive_study):
    case = receive_study(
        first={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "BurnedInAnnotation": "YES"}
    )
    assert words(case, "warn") == ["text in the image"]


def test_slices_in_two_directions_without_the_word_localizer_still_warn(receive_study):
    case = receive_study(first={"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]})
    assert words(case, "warn") == ["slices in 2 directions"]
