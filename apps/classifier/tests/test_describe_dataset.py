"""`describe_dataset` finds what is wrong with a set, on phantoms with known faults."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from django.core.management import CommandError, call_command

from apps.classifier.cnn.description import peak, read_folder, spearman, suspected, years
from apps.classifier.cnn.phantom_base import phantom_base
from apps.imaging.phantom import PhantomSpec, chest_phantom
from apps.imaging.phantom_files import write_series

SPEC = PhantomSpec(seed=5, slices=2, slice_spacing=20.0, matrix=256)
SHIFT_HU = 50


def altered(path: Path, to: Path, **values) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(to)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """Two slices of Ada; a copy of one under another patient; a scanner 50 HU off; a text."""
    folder = tmp_path_factory.mktemp("set") / "faulty"
    ada = write_series(chest_phantom(SPEC), folder, patient_id="SECRET-1")
    copy = {"PatientID": "SECRET-2", "PatientAge": "041Y", "SOPInstanceUID": "1.2.3"}
    altered(ada[0], folder / "copy.dcm", **copy)
    off = {
        "PatientID": "SECRET-3",
        "SOPInstanceUID": "1.2.4",
        "RescaleIntercept": str(-1024 + SHIFT_HU),
        "Manufacturer": "OFF|<SET>",
        "ContrastBolusAgent": "IODINE",
    }
    altered(ada[1], folder / "off.dcm", **off)
    (folder / "notes.txt").write_text("no image")
    with (folder / "overview.csv").open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["dicom_name", "Age", "Contrast", "split"])
        rows.writerow([ada[0].name, "60", "False", "train"])
        rows.writerow([ada[1].name, "60", "False", "val"])
        rows.writerow(["copy.dcm", "60", "False", "train"])
        rows.writerow(["off.dcm", "70", "False", "val"])
    return folder


def described(folder: Path, out: Path) -> str:
    call_command("describe_dataset", str(folder), out=out, stdout=io.StringIO())
    return (out / "report.md").read_text()


@pytest.fixture(scope="module")
def report(faulty, tmp_path_factory) -> str:
    return described(faulty, tmp_path_factory.mktemp("out"))


def test_it_counts_slices_patients_and_what_was_left_out(report):
    assert "| CT slices | 4 |" in report
    assert "| patients | 3 |" in report
    assert "| left out: This is not a DICOM file. | 1 |" in report


def test_a_scanner_that_is_off_is_suspected_and_the_other_is_not(report):
    lines = [line for line in report.splitlines() if "SYNTHETIC PHANTOM" in line]
    off = [line for line in lines if "air at" in line or "fat at" in line]
    assert len(off) == 1
    assert off[0].startswith("| OFF/‹SET> ")
    assert int(off[0].split("air at ")[1].split()[0]) == pytest.approx(-950, abs=4)


def test_contrast_agent_is_not_taken_for_a_scanner_that_is_off(faulty):
    slices, _ = read_folder(faulty)
    plain = replace(slices[0], air=-1000.0, fat=-100.0, water=115.0)
    assert suspected([plain]) == ["water at 115 HU"]
    assert suspected([replace(plain, contrast_header=True)]) == []


def test_its_slices_are_outliers(report):
    outliers = report.split("### Outliers")[1].split("##")[0]
    assert "| air | off.dcm |" in outliers
    assert "| air | IM0001.dcm |" not in outliers


def test_equal_pixels_are_found_across_patients(report):
    assert "1 groups of equal pictures, 1 of them across patients." in report
    assert "| IM0001.dcm, copy.dcm | 2 |" in report


def test_a_patient_on_both_sides_is_named_by_a_file(report):
    assert "Patients on both sides: 1: IM0001.dcm" in report


def test_table_and_header_are_compared(report):
    assert "differ by over a year in 1." in report
    assert "disagree on contrast in 1 slices: off.dcm" in report


def test_no_identity_is_in_the_report(report):
    assert "SECRET" not in report
    assert "Ada" not in report


def test_every_picture_of_the_report_is_there(faulty, tmp_path):
    pictures = {line[line.index("(") + 1 : -1] for line in described(faulty, tmp_path).splitlines()
                if line.startswith("![")}  # fmt: skip
    assert pictures == {path.name for path in tmp_path.glob("*.png")}
    assert {"age.png", "age-trends.png", "geometry.png", "calibration.png"} == pictures


def test_landmarks_of_the_phantom_are_where_it_was_drawn(faulty):
    slices, _ = read_folder(faulty)
    true, shifted = slices[1], next(one for one in slices if one.file == "off.dcm")
    assert true.air == pytest.approx(-1000, abs=6)
    assert shifted.air - true.air == pytest.approx(SHIFT_HU, abs=4)
    assert shifted.water - true.water == pytest.approx(SHIFT_HU, abs=4)


def test_nodule_crops_are_described(tmp_path):
    phantom_base(tmp_path / "base", patients=4, seed=1)
    table = tmp_path / "base" / "labels.csv"
    rows = table.read_text().splitlines()
    assert ",train," in rows[1]
    rows[1] = rows[1].replace(",train,", ",val,")
    table.write_text("\n".join(rows) + "\n")
    report = described(tmp_path / "base", tmp_path / "out")
    assert "| nodules | 8 |" in report
    assert "Patients on both sides: 1: PHANTOM-1-0000" in report
    assert "0 groups of equal pictures" in report
    assert (tmp_path / "out" / "nodules.png").stat().st_size > 1000


def test_equal_crops_of_two_patients_are_found(tmp_path):
    phantom_base(tmp_path / "base", patients=4, seed=1)
    first, other = (
        next((tmp_path / "base").glob(f"*/PHANTOM-1-000{n}/nodule-0/images")) for n in (0, 1)
    )
    shutil.copy(first / "slice-0.png", other / "slice-0.png")
    report = described(tmp_path / "base", tmp_path / "out")
    assert "1 groups of equal pictures, 1 of them across patients." in report


def test_what_cannot_be_described_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, out, words in [
        ("missing", "out", "There is no folder"),
        ("empty", "out", "neither CT slices nor nodule crops"),
        ("empty", "empty/out", "outside the data"),
    ]:
        with pytest.raises(CommandError, match=words):
            described(tmp_path / folder, tmp_path / out)
    assert not (tmp_path / "out").exists()


def test_a_set_without_ages_is_described_all_the_same(tmp_path, recwarn):
    write_series(chest_phantom(SPEC), tmp_path / "set")
    report = described(tmp_path / "set", tmp_path / "out")
    assert "Age: not known, missing in 2 of 2 slices" in report
    assert "| mean of the lungs, HU | 0 | not measurable | – |" in report
    assert not [one for one in recwarn if "legend" in str(one.message)]


def test_files_that_are_no_ct_are_refused_with_their_reason(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").write_text("no image")
    with pytest.raises(CommandError, match="1 files: This is not a DICOM file"):
        described(tmp_path / "set", tmp_path / "out")


def test_a_peak_is_a_hill_and_not_a_slope():
    rng = np.random.default_rng(0)
    assert peak(rng.normal(-101, 10, 5000), (-170, -40)) == pytest.approx(-101, abs=4)
    assert np.isnan(peak(rng.normal(-20, 40, 50000), (-170, -40)))
    assert np.isnan(peak(rng.normal(-101, 10, 50), (-170, -40)))


def test_ages_and_ranks():
    assert years("060Y") == 60
    assert years("006M") == 0.5
    assert np.isnan(years("old"))
    assert spearman(np.array([1, 2, 3, 4]), np.array([1, 8, 9, 100])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3, 4]), np.array([4, 3, 2, 1])) == pytest.approx(-1)
    assert np.isnan(spearman(np.array([1, 1, 1, 1]), np.array([4, 3, 2, 1])))
