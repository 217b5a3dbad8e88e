"""What a run froze: shown by hash, exported without anything that tells the patient."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import DicomDictionary

from apps.accounts.tests.factories import make_site, make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import Case, Instance
from apps.cases.tests.factories import receive, small_phantom
from apps.classifier.adjudication import decide_example
from apps.classifier.cnn.datasets import read_nodules
from apps.classifier.cnn.phantom_base import phantom_base
from apps.classifier.learning import send_for_retraining
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.tests.factories import make_prediction, make_training_run
from apps.classifier.training_set import freeze, run_folder, sha256_of
from apps.imaging.phantom import write_series

pytestmark = pytest.mark.django_db
MARK = "Zzmarker"
# What names a person, a place, a time or a thing by value representation; filled with MARK.
_BY_VR = {
    **dict.fromkeys(["PN", "LO", "SH", "ST", "LT", "UT", "UC"], MARK),
    "AE": "ZZMARKER",
    "CS": "ZZMARKER",
    "UR": f"http://{MARK}/",
    "DA": "19470815",
    "TM": "081547.123",
    "DT": "19470815081547",
    "AS": "077Y",
    "UI": "1.2.826.77777",
}
_GONE = [MARK.lower(), "zzmarker", "19470815", "081547", "077y", "1.2.826.77777", "marker-id"]
# What makes the file a CT image, and what an upload is recognised by.
_LEFT = {
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ImageType",
    "PatientPosition",
    "PhotometricInterpretation",
    "PixelPresentation",
    "BurnedInAnnotation",
    "SpecificCharacterSet",
    "RescaleType",
    "LossyImageCompression",
    "VOILUTFunction",
    "PatientID",
    "BodyPartExamined",
    "RotationDirection",
    "FilterType",
    "ConvolutionKernel",
    "Manufacturer",
    "ManufacturerModelName",
    "LossyImageCompressionMethod",
    "PositionReferenceIndicator",
    "IssuerOfPatientID",
    "TimezoneOffsetFromUTC",
}


def _fill_everything(dataset: Dataset) -> None:
    """Every attribute of the dictionary that can name somebody, at the top level."""
    for tag, (vr, multiplicity, _name, retired, keyword) in DicomDictionary.items():
        group = tag >> 16
        if retired or not keyword or keyword in _LEFT or group in {0x0000, 0x0002, 0x0004}:
            continue
        if vr in _BY_VR and multiplicity in {"1", "1-n"} and group < 0x0040:
            dataset.add(DataElement(tag, vr, _BY_VR[vr]))
    nested = Dataset()
    nested.PatientName = MARK
    dataset.RequestAttributesSequence = [nested]
    dataset.private_block(0x0011, MARK, create=True).add_new(0x01, "LO", MARK)


def _case(folder: Path, **changes: str) -> Case:
    """A case of three slices whose headers are filled with everything that tells."""
    phantom = small_phantom("chest", slices=3, matrix=128)
    paths = write_series(phantom, folder, patient_id="MARKER-ID", patient_name=MARK)
    for path in paths:
        dataset = dcmread(path)
        _fill_everything(dataset)
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    receive(*paths, site=make_site("Main site"))
    return Case.objects.get()


def _correction(case: Case) -> TrainingExample:
    finding = make_prediction(case, findings=[{"diameter_mm": 25.0}]).findings.get()
    example = send_for_retraining(
        request=request_of(make_user("doctor")),
        case=case,
        task="malignancy",
        instance=finding.instance,
        label="benign",
        finding=finding,
        predicted=0.9,
        text=f"{MARK} was told",
    )
    decide_example(example, request=request_of(make_user("admin")), accept=True, note=MARK)
    return example


def _freeze(*examples: TrainingExample) -> TrainingRun:
    run = make_training_run(status="passed")
    data = freeze(run, list(examples))
    run.dataset, run.dataset_sha256 = data.listing, sha256_of(data.listing)
    run.save()
    run.examples.set(examples)
    # As at the end of a training: what is exported is made from the stored images again.
    shutil.rmtree(run_folder(run))
    return run


@pytest.fixture(autouse=True)
def _base(settings, tmp_path):
    settings.TRAINING_DATA_DIR = tmp_path / "training"
    phantom_base(settings.TRAINING_DATA_DIR / "phantom", patients=8, seed=5)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def _export(run: TrainingRun, folder: Path, capsys) -> str:
    call_command("dataset_version", "export", str(run.pk), "--to", str(folder))
    return capsys.readouterr().out


def test_an_export_holds_pixels_and_pseudonyms_and_nothing_that_tells(files, tmp_path, capsys):
    case = _case(files)
    example = _correction(case)
    run = _freeze(example)
    out = tmp_path / "export"
    _export(run, out, capsys)

    exported = list(out.rglob("*"))
    names = " ".join(str(path.relative_to(out)) for path in exported).lower()
    content = b"".join(path.read_bytes().lower() for path in exported if path.is_file())
    for word in _GONE:
        assert word not in names
        assert word.encode() not in content, word
    for instance in Instance.objects.all():
        assert instance.sop_instance_uid.encode() not in content
    study = case.study
    for telling in (study.study_instance_uid, study.patient.patient_id, "phantom-0"):
        assert telling.lower().encode() not in content

    copies = [dcmread(path) for path in sorted(out.glob("dicom/*/*.dcm"))]
    assert len(copies) == 2, "the slices within 12.5 mm of the place"
    originals = {
        instance.instance_number: dcmread(storage.path_of(instance))
        for instance in Instance.objects.all()
    }
    for copy in copies:
        assert (str(copy.PatientName), copy.PatientID) == (example.patient_key,) * 2
        assert copy.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert np.array_equal(copy.pixel_array, originals[copy.InstanceNumber].pixel_array)


def test_an_export_can_be_trained_on_and_its_pixels_are_those_of_the_list(files, tmp_path, capsys):
    run = _freeze(_correction(_case(files)))
    out = tmp_path / "export"
    _export(run, out, capsys)
    listed = run.dataset["base_items"] + run.dataset["corrections"]
    read = read_nodules(out)
    assert {one.key for one in read} == {one["key"] for one in listed}
    assert {one.key: one.split for one in read} == {one["key"]: one["side"] for one in listed}
    written = json.loads((out / "dataset.json").read_text())
    assert written["complete"] is True
    assert written["dataset_sha256"] == run.dataset_sha256
    assert cv2.imread(str(next(out.rglob("slice-0.png"))), cv2.IMREAD_UNCHANGED).shape == (128, 128)


def test_the_same_version_is_the_same_bytes_twice(files, tmp_path, capsys):
    run = _freeze(_correction(_case(files)))
    first = _export(run, tmp_path / "one", capsys)
    second = _export(run, tmp_path / "two", capsys)
    assert first == second
    assert "SHA-256 of the folder" in first
    assert AuditEvent.objects.filter(action="dataset_exported", target_id=str(run.pk)).count() == 2


def test_an_image_with_burned_in_text_is_left_out_and_named(files, tmp_path, capsys):
    case = _case(files)
    example = _correction(case)
    run = _freeze(example)
    # A neighbouring slice says so: the correction itself was taken before anybody looked there.
    Instance.objects.exclude(pk=example.instance_id).update(burned_in_annotation=True)
    call_command("dataset_version", "export", str(run.pk), "--to", str(tmp_path / "export"))
    said = capsys.readouterr()
    assert "text is burned into the pixels" in said.err
    assert not list((tmp_path / "export").glob("dicom/**/*.dcm"))
    written = json.loads((tmp_path / "export" / "dataset.json").read_text())
    assert (written["complete"], list(written["missing"].values())) == (
        False,
        ["text is burned into the pixels"],
    )


def test_what_is_gone_or_changed_makes_an_export_incomplete(files, tmp_path, capsys, settings):
    case = _case(files)
    example = _correction(case)
    run = _freeze(example)
    picture = next((settings.TRAINING_DATA_DIR / "phantom").rglob("slice-0.png"))
    cv2.imwrite(str(picture), np.full((128, 128), 7, np.uint8))
    storage.path_of(example.instance).unlink()
    call_command("dataset_version", "export", str(run.pk), "--to", str(tmp_path / "export"))
    missing = json.loads((tmp_path / "export" / "dataset.json").read_text())["missing"]
    assert sorted(missing.values()) == [
        "the pixels are not those of the list",
        "the stored image is gone",
    ]


def test_a_version_is_shown_by_hash_and_a_changed_list_is_refused(files, tmp_path, capsys):
    run = _freeze(_correction(_case(files)))
    call_command("dataset_version", "show", str(run.pk))
    shown = capsys.readouterr().out
    for one in run.dataset["base_items"] + run.dataset["corrections"]:
        assert f"{one['sha256']} {one['side']:5} {one['key']}" in shown
    run.dataset["corrections"][0]["label"] = "malignant"
    run.save()
    with pytest.raises(CommandError, match="its list changed"):
        call_command("dataset_version", "show", str(run.pk))
    with pytest.raises(CommandError, match="no dataset version"):
        call_command("dataset_version", "show", "999999")


def test_an_export_never_writes_into_a_folder_that_is_there(files, tmp_path):
    run = _freeze(_correction(_case(files)))
    with TemporaryDirectory() as there, pytest.raises(CommandError, match="is there already"):
        call_command("dataset_version", "export", str(run.pk), "--to", there)
