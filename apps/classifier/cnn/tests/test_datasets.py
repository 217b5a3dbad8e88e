import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.classifier.cnn.datasets import (
    DatasetError,
    NoduleExample,
    crop_slice,
    read_nodules,
    side,
    split_by_patient,
    write_nodules,
)


def example(patient="P1", split=None, kind="malignant", label=1.0):
    crops = np.random.default_rng(0).integers(-900, 200, (3, 128, 128)).astype(np.int16)
    return NoduleExample(patient, "0", crops, 0.7, 2.5, 9.5, label, kind, split)


def test_what_is_written_is_read_again(tmp_path):
    written = [example("P1", "train"), example("P2", None, "not_nodule", 0.0)]
    write_nodules(tmp_path, written)
    read = read_nodules(tmp_path)
    assert [(e.patient_id, e.kind, e.label, e.split) for e in read] == [
        ("P1", "malignant", 1.0, "train"),
        ("P2", "not_nodule", 0.0, None),
    ]
    assert read[0].crops.shape == (3, 128, 128)
    assert read[0].pixel_spacing_mm == 0.7
    assert read[0].diameter_mm == 9.5


def test_written_crops_keep_their_grey_order(tmp_path):
    write_nodules(tmp_path, [example()])
    read, written = read_nodules(tmp_path)[0].crops[0], example().crops[0]
    assert np.corrcoef(read.ravel(), written.ravel())[0, 1] > 0.9999


def test_only_three_columns_are_required(tmp_path):
    write_nodules(tmp_path, [example()])
    (tmp_path / "labels.csv").write_text("patient_id,nodule,class\nP1,0,malignant\n")
    read = read_nodules(tmp_path)[0]
    assert (read.label, read.diameter_mm, read.split) == (1.0, None, None)


def test_labels_may_lie_one_directory_below(tmp_path):
    write_nodules(tmp_path / "a", [example("P1")])
    write_nodules(tmp_path / "b", [example("P2")])
    assert [e.patient_id for e in read_nodules(tmp_path)] == ["P1", "P2"]


def test_a_directory_without_labels_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no labels\.csv"):
        read_nodules(tmp_path)


def test_missing_pictures_are_an_error_not_a_gap(tmp_path):
    write_nodules(tmp_path, [example()])
    shutil.rmtree(tmp_path / "malignant")
    with pytest.raises(DatasetError, match="nodule-0"):
        read_nodules(tmp_path)


def test_an_unknown_class_is_an_error(tmp_path):
    (tmp_path / "labels.csv").write_text("patient_id,nodule,class\nP1,0,perhaps\n")
    with pytest.raises(DatasetError, match="perhaps"):
        read_nodules(tmp_path)


@given(st.text(min_size=1))
def test_a_patient_stays_on_one_side_for_ever(patient):
    assert side(patient, "secret") == side(patient, "secret")


def test_about_a_fifth_of_the_patients_is_kept_for_testing():
    sides = [side(f"patient-{n}", "secret") for n in range(2000)]
    assert 0.17 < sides.count("test") / 2000 < 0.23


def test_no_patient_is_on_both_sides_even_if_one_row_does_not_say():
    rows = [example("P1", "val"), example("P1", None), example("P1", "train"), example("P2")]
    train, test = split_by_patient(rows, "secret")
    assert not {e.patient_id for e in train} & {e.patient_id for e in test}
    assert [e.patient_id for e in test].count("P1") == 3


def test_crops_at_the_border_repeat_it():
    hu = np.arange(200 * 200).reshape(200, 200).astype(np.int16)
    assert (crop_slice(hu, 0, 0)[:60, :60] == hu[0, 0]).all()
