"""`predict` and `evaluate` as other programs call them: their fields never change."""

import csv
import io
import json

import pydicom
import pytest
from django.core.management import CommandError, call_command
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from apps.classifier.cnn.phantom_base import phantom_base
from apps.imaging.phantom import Nodule, PhantomSpec, abdomen_phantom, chest_phantom
from apps.imaging.phantom_files import write_series

PREDICTED = {
    "series_instance_uid", "modality", "chest", "contrast", "case_score", "findings",
    "model_versions", "seconds", "refused",
}  # fmt: skip
FINDING = {
    "sop_instance_uid", "row", "column", "position_mm", "diameter_mm", "nodule_probability",
    "malignancy_probability",
}  # fmt: skip
EVALUATED = {
    "n", "n_seen_in_training", "auc", "auc_ci", "accuracy", "ece", "diameter_auc", "by_size_band",
}  # fmt: skip


def output(*args, **options):
    out = io.StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def predicted(*paths):
    return [json.loads(line) for line in output("predict", *map(str, paths), "--json").splitlines()]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """What lies on a patient's CD: a chest, an abdomen, and things that are no images."""
    folder = tmp_path_factory.mktemp("disk")
    spec = PhantomSpec(seed=5, slices=2, slice_spacing=5.0, matrix=256)
    write_series(chest_phantom(spec), folder / "chest")
    write_series(abdomen_phantom(spec), folder / "abdomen")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._slice.dcm").write_bytes(b"\x00\x05\x16\x07" * 40)
    (folder / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (folder / "README.TXT").write_text("images of your examination")
    return folder


def test_every_series_gets_one_object_with_the_agreed_fields(db, disk):
    answers = predicted(disk)
    assert len(answers) == 2
    for answer in answers:
        assert set(answer) >= PREDICTED
        assert {"answer", "probability", "reason"} <= set(answer["chest"])
        assert set(answer["contrast"]) == {"answer", "probability", "header"}
        assert set(answer["model_versions"]) == {"chest", "contrast", "nodule", "malignancy"}
        assert all(set(found) == FINDING for found in answer["findings"])


def test_what_is_no_chest_is_refused_and_a_chest_is_not(db, disk):
    chest, abdomen = (predicted(disk / name)[0] for name in ("chest", "abdomen"))
    assert chest["refused"] is None
    assert chest["chest"]["answer"] == "chest"
    assert set(abdomen["refused"]) == {"code", "reason"}
    assert abdomen["refused"]["code"] == "not_chest"
    assert abdomen["case_score"] is None


def test_one_file_is_enough(db, disk):
    file = sorted((disk / "chest").rglob("*.dcm"))[0]
    assert predicted(file)[0]["images"] == 1


def test_files_without_dicom_among_them_are_an_error_in_words(db, disk):
    with pytest.raises(CommandError, match="no DICOM images"):
        predicted(disk / "README.TXT")
    with pytest.raises(CommandError, match="There is no"):
        predicted(disk / "nowhere")


def test_an_empty_folder_is_an_error_in_words(db, tmp_path):
    with pytest.raises(CommandError, match="no DICOM images"):
        predicted(tmp_path)


@pytest.fixture(scope="module")
def with_nodule():
    nodule = Nodule(center=(-85.0, -20.0, 0.0), diameter_mm=16.0)
    spec = PhantomSpec(seed=3, slices=2, slice_spacing=3.0, matrix=384, nodules=(nodule,))
    return chest_phantom(spec)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_equal_pixels_give_equal_answers_in_every_transfer_syntax(
    db, tmp_path, with_nodule, syntax
):
    write_series(with_nodule, tmp_path / "plain")
    write_series(with_nodule, tmp_path / "packed", transfer_syntax=syntax)
    plain, packed = (predicted(tmp_path / name)[0] for name in ("plain", "packed"))
    assert plain["findings"]
    for answer in (plain, packed):
        answer.pop("seconds"), answer.pop("series_instance_uid")
        for found in answer["findings"]:
            found.pop("sop_instance_uid")
    assert packed == plain


def test_a_child_is_refused_before_inference(db, tmp_path):
    spec = PhantomSpec(seed=5, slices=1, slice_spacing=5.0, matrix=256)
    write_series(chest_phantom(spec), tmp_path)
    for file in tmp_path.rglob("*.dcm"):
        dataset = pydicom.dcmread(file)
        dataset.PatientAge = "009Y"
        dataset.save_as(file)
    (answer,) = predicted(tmp_path)
    assert answer["refused"]["code"] == "not_adult"
    assert set(answer) >= PREDICTED
    assert answer["findings"] == []


def test_a_series_that_breaks_the_analysis_does_not_stop_the_others(db, disk, monkeypatch):
    from apps.classifier.cnn import folders

    analyse, broken = folders.analyse_series, []

    def break_once(slices, models, **options):
        if not broken:
            broken.append(True)
            raise ArithmeticError
        return analyse(slices, models, **options)

    monkeypatch.setattr(folders, "analyse_series", break_once)
    answers = list(folders.predict_paths([disk], folders.load_models()))
    assert answers[0]["refused"]["code"] == "failed"
    assert set(answers[0]) >= PREDICTED
    assert len(answers) == 2


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodules")
    phantom_base(folder, patients=12, seed=3)
    return folder


def test_malignancy_is_evaluated_with_the_agreed_fields(db, base, tmp_path):
    out = tmp_path / "answers.csv"
    figures = json.loads(output("evaluate", "malignancy", "--data", str(base), "--out", str(out)))
    assert set(figures) >= EVALUATED
    assert figures["n_seen_in_training"] == 0
    rows = list(csv.DictReader(out.open(newline="")))
    assert list(rows[0]) == ["patient_id", "nodule", "probability"]
    assert len(rows) == figures["n"]
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)


def test_only_the_three_naming_columns_are_needed(db, base, tmp_path):
    rows = list(csv.DictReader((base / "labels.csv").open(newline="")))
    for child in base.iterdir():
        if child.is_dir():
            (tmp_path / child.name).symlink_to(child)
    with (tmp_path / "labels.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, ["patient_id", "nodule", "class"], extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    figures = json.loads(output("evaluate", "malignancy", "--data", str(tmp_path)))
    assert figures["n"] > 0
    assert figures["diameter_auc"] is None


def test_an_unreadable_picture_is_named(db, tmp_path):
    phantom_base(tmp_path, patients=2, seed=4)
    broken = sorted(tmp_path.rglob("slice-*.png"))[0]
    broken.write_bytes(b"not a picture")
    with pytest.raises(CommandError, match=broken.parts[-3]):
        output("evaluate", "malignancy", "--data", str(tmp_path))


def labelled(folder, disk, positive, negative):
    files = {positive: disk / "chest", negative: disk / "abdomen"}
    with (folder / "labels.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["path", "patient_id", "label"])
        for label, source in files.items():
            for index, file in enumerate(sorted(source.rglob("*.dcm"))):
                (folder / f"{label}-{index}.dcm").symlink_to(file)
                table.writerow([f"{label}-{index}.dcm", f"{label}-{index}", label])


@pytest.mark.parametrize(
    ("task", "labels", "columns"),
    [
        ("chest", ("chest", "not_chest"), {"patient_id", "file", "probability", "answer"}),
        ("chest", ("1", "Not chest"), {"patient_id", "file", "probability", "answer"}),
        ("contrast", ("1", "0"), {"patient_id", "path", "probability"}),
        ("contrast", ("Yes", "No"), {"patient_id", "path", "probability"}),
    ],
)
def test_slices_are_evaluated_by_paths_beside_the_table(db, disk, tmp_path, task, labels, columns):
    labelled(tmp_path, disk, *labels)
    out = tmp_path / "answers.csv"
    figures = json.loads(output("evaluate", task, "--data", str(tmp_path), "--out", str(out)))
    assert figures["n"] == 4
    assert {"n_seen_in_training", "auc", "auc_ci", "accuracy", "ece"} <= set(figures)
    rows = list(csv.DictReader(out.open(newline="")))
    assert columns <= set(rows[0])
    assert len(rows) == 4


@pytest.mark.parametrize("task", ["chest", "contrast"])
@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("path,label\na.dcm,1\n", "no column patient_id"),
        ("path,patient_id,label\na.dcm,p1,perhaps\n", "perhaps"),
        ("path,patient_id,label\na.dcm,,1\n", "no patient_id"),
        ("path,patient_id,label\nmissing.dcm,p1,1\n", "no readable CT slices"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_in_words(db, tmp_path, task, table, words):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(CommandError, match=words):
        output("evaluate", task, "--data", str(tmp_path))
