import io
import struct
import zipfile
from datetime import date, time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.encaps import encapsulate, get_frame
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from apps.imaging.loading import MAX_PIXELS
from apps.imaging.phantom import write_series
from apps.imaging.reading import InstanceFacts, Refusal, read_instance

CODES = {
    "empty",
    "not_dicom",
    "truncated",
    "not_ct",
    "no_pixels",
    "unsupported_transfer_syntax",
    "missing_uid",
    "malformed_uid",
    "too_large",
    "bad_pixels",
    "bad_rescale",
    "bad_geometry",
    "multiframe",
    "damaged",
    "too_busy",
}


def refusal_of(path, **options) -> str:
    with pytest.raises(Refusal) as refused:
        read_instance(path, **options)
    assert refused.value.message.endswith(".")
    return refused.value.code


def test_a_whole_ct_file_gives_its_facts(ct_path, small_phantom):
    facts = read_instance(ct_path)
    assert (facts.patient_id, facts.patient_name) == ("PHANTOM-1", "PHANTOM^Ada")
    assert facts.patient_birth_date == date(1960, 1, 1)
    assert (facts.study_date, facts.study_time) == (date(2024, 1, 2), time(10, 15))
    assert (facts.rows, facts.columns, facts.number_of_frames) == (64, 64, 1)
    assert facts.pixel_spacing == (5.625, 5.625)
    assert facts.image_position_patient == (-177.1875, -177.1875, -2.5)
    assert facts.image_orientation_patient == (1, 0, 0, 0, 1, 0)
    assert (facts.window_center, facts.window_width) == (-600, 1500)
    assert (facts.rescale_slope, facts.rescale_intercept) == (1, -1024)
    assert (facts.lossy, facts.burned_in_annotation) == (False, False)
    assert len(facts.pixel_sha256) == 64


def test_equal_pixels_in_another_file_have_the_same_pixel_hash(ct_path, edited):
    before = read_instance(ct_path)
    after = read_instance(edited(PatientName="Someone^Else", SOPInstanceUID="1.2.3"))
    assert after.pixel_sha256 == before.pixel_sha256


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"Dear doctor, please find attached", "not_dicom"),
        (b"\0" * 132, "not_dicom"),
        (b"\0" * 128 + b"DICM", "truncated"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 400, None),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, content, code):
    path = tmp_path / "file.dcm"
    path.write_bytes(content)
    assert refusal_of(path) in ({code} if code else CODES)


def test_a_zip_named_dcm_is_refused(tmp_path, ct_bytes):
    path = tmp_path / "slice.dcm"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("slice.dcm", ct_bytes)
    path.write_bytes(packed.getvalue())
    assert refusal_of(path) == "not_dicom"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Modality": "MR", "SOPClassUID": MRImageStorage}, "not_ct"),
        ({"Modality": "PT"}, "not_ct"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "not_ct"),
        ({"SOPClassUID": EnhancedCTImageStorage}, "multiframe"),
        ({"NumberOfFrames": 3}, "multiframe"),
        ({"PixelData": None}, "no_pixels"),
        ({"PixelData": b""}, "no_pixels"),
        ({"PixelData": b"\0" * 100}, "truncated"),
        ({"SOPInstanceUID": None}, "missing_uid"),
        ({"StudyInstanceUID": ""}, "missing_uid"),
        ({"SeriesInstanceUID": None}, "missing_uid"),
        ({"SOPClassUID": None}, "missing_uid"),
        ({"Rows": 65535, "Columns": 65535}, "too_large"),
        ({"Rows": 0}, "bad_pixels"),
        ({"Columns": None}, "bad_pixels"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "bad_pixels"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "bad_pixels"),
        ({"BitsAllocated": 12}, "bad_pixels"),
        ({"BitsAllocated": 32}, "bad_pixels"),
        ({"BitsStored": 0}, "bad_pixels"),
        ({"BitsStored": 17}, "bad_pixels"),
        ({"HighBit": 16}, "bad_pixels"),
        ({"PixelRepresentation": 7}, "bad_pixels"),
        ({"RescaleSlope": None}, "bad_rescale"),
        ({"RescaleSlope": "0"}, "bad_rescale"),
        ({"RescaleIntercept": None}, "bad_rescale"),
        ({"RescaleSlope": "1e308"}, "bad_rescale"),
        ({"RescaleIntercept": "9e9"}, "bad_rescale"),
        ({"PixelSpacing": ["0", "0.7"]}, "bad_geometry"),
        ({"PixelSpacing": ["0.7"]}, "bad_geometry"),
        ({"ImagePositionPatient": ["1", "2"]}, "bad_geometry"),
        ({"ImagePositionPatient": ["0", "0", "-1.7e308"]}, "bad_geometry"),
        ({"PixelSpacing": ["1e300", "0.7"]}, "bad_geometry"),
        ({"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, "bad_geometry"),
        ({"ImageOrientationPatient": ["0"] * 6}, "bad_geometry"),
    ],
)
def test_each_fault_is_refused_with_its_reason(edited, changes, code):
    assert refusal_of(edited(**changes)) == code


@pytest.mark.parametrize("number", [b"NaN ", b"inf ", b"-inf", b"abc "])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_rescale_that_is_no_number_is_refused(edited, keyword, number):
    path = edited(**{keyword: "7777"})
    path.write_bytes(path.read_bytes().replace(b"7777", number))
    assert refusal_of(path) == "bad_rescale"


@pytest.mark.parametrize(
    "uid",
    ["../../etc/passwd", "1.2/3.4", "1.2..3", ".1.2", "1.2.", "1.2.x", "1" * 65, "1.2\\1.3", "7"],
)
def test_uids_that_are_no_uids_are_refused(edited, uid):
    path = edited(SeriesInstanceUID="9.9." + "9" * 60)
    data = path.read_bytes()
    if len(uid) <= 64:
        path.write_bytes(data.replace(b"9.9." + b"9" * 60, uid.encode().ljust(64, b"\0")))
    else:
        path = edited(SeriesInstanceUID=uid)
    assert refusal_of(path) == "malformed_uid"


def test_a_uid_component_with_a_leading_zero_is_accepted_as_scanners_send_it(edited):
    assert read_instance(edited(SeriesInstanceUID="1.2.040.3")).series_instance_uid == "1.2.040.3"


def test_a_dicomdir_is_named_as_what_it_is(ct_path):
    dataset = dcmread(ct_path)
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    del dataset.SOPClassUID
    del dataset.Modality
    dataset.save_as(ct_path)
    with pytest.raises(Refusal, match="DICOMDIR") as refused:
        read_instance(ct_path)
    assert refused.value.code == "not_ct"


def test_a_localizer_in_ct_image_storage_is_accepted(edited):
    edited(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert read_instance(edited(PixelSpacing=None)).pixel_spacing is None


def test_a_retired_jpeg_is_refused(ct_path):
    dataset = dcmread(ct_path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.55"
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(ct_path)
    assert refusal_of(ct_path) == "unsupported_transfer_syntax"


def test_a_file_beyond_any_ct_slice_is_refused_unread(tmp_path):
    path = tmp_path / "huge.dcm"
    with path.open("wb") as file:
        file.truncate(3 * 1024**3)
    assert refusal_of(path) == "too_large"


def test_a_deflate_bomb_is_refused_before_it_unfolds(ct_path):
    dataset = dcmread(ct_path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00091010, "OB", b"\0" * (20 * 1024 * 1024))
    dataset.save_as(ct_path)
    assert ct_path.stat().st_size < 100_000
    assert refusal_of(ct_path, max_pixels=64 * 64) == "too_large"


def test_elements_without_end_are_refused(ct_path):
    data = ct_path.read_bytes()
    pixels = data.rindex(b"\xe0\x7f\x10\x00OW")
    endless = b"".join(struct.pack("<HH2sH", 0x7001, n, b"LO", 0) for n in range(60_000))
    ct_path.write_bytes(data[:pixels] + endless + data[pixels:])
    assert refusal_of(ct_path) == "damaged"


def test_zeros_behind_the_pixels_do_no_harm(ct_path):
    ct_path.write_bytes(ct_path.read_bytes() + b"\0" * 4_000_000)
    assert isinstance(read_instance(ct_path), InstanceFacts)


def test_sequences_nested_without_end_are_refused_or_read(ct_path):
    data = ct_path.read_bytes()
    pixels = data.rindex(b"\xe0\x7f\x10\x00OW")
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    nested = (struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + item) * 5000
    ct_path.write_bytes(data[:pixels] + nested + data[pixels:])
    assert refusal_of(ct_path) in CODES


@pytest.mark.parametrize("part", [0.05, 0.1, 0.2, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(ct_path, part):
    data = ct_path.read_bytes()
    ct_path.write_bytes(data[: int(len(data) * part)])
    assert refusal_of(ct_path) in ("truncated", "no_pixels")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.99, 0.999])
def test_a_compressed_file_cut_short_is_refused(small_phantom, tmp_path, syntax, part):
    path = write_series(small_phantom, tmp_path, transfer_syntax=syntax)[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert refusal_of(path) in ("truncated", "no_pixels")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_stream_cut_short_inside_a_whole_file_is_refused(
    small_phantom, tmp_path, syntax
):
    path = write_series(small_phantom, tmp_path, transfer_syntax=syntax)[0]
    dataset = dcmread(path)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    assert refusal_of(path) in ("truncated", "bad_pixels")


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_stream_larger_than_the_file_declares_is_refused_before_decoding(
    small_phantom, tmp_path, syntax
):
    path = write_series(small_phantom, tmp_path, transfer_syntax=syntax)[0]
    dataset = dcmread(path)
    dataset.Rows = 32
    dataset.save_as(path)
    assert refusal_of(path) == "bad_pixels"


@pytest.mark.parametrize(
    ("character_set", "raw", "name"),
    [
        ("ISO_IR 192", "Müller^Zoë", "Müller^Zoë"),
        ("ISO_IR 100", "Müller^Zoë", "Müller^Zoë"),
        ("ISO_IR 127", "قباني^لنزار", "قباني^لنزار"),
        ("GB18030", "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_are_read_in_their_character_set(edited, character_set, raw, name):
    path = edited(SpecificCharacterSet=character_set, PatientName=raw)
    assert read_instance(path).patient_name == name


def test_every_window_of_the_file_is_kept_with_its_name(edited):
    path = edited(
        WindowCenter=["40", "-600", "300"],
        WindowWidth=["400", "1500", "0"],
        WindowCenterWidthExplanation=["SOFT", "LUNG", "BROKEN"],
    )
    assert read_instance(path).windows == (
        {"center": 40.0, "width": 400.0, "explanation": "SOFT"},
        {"center": -600.0, "width": 1500.0, "explanation": "LUNG"},
    )


@pytest.mark.parametrize("explanation", [None, "SOFT"])
def test_windows_without_names_are_kept_too(edited, explanation):
    more = {"WindowCenterWidthExplanation": explanation} if explanation else {}
    path = edited(WindowCenter=["40", "-600"], WindowWidth=["400", "1500"], **more)
    assert [one["explanation"] for one in read_instance(path).windows] == [explanation or "", ""]


def test_texts_never_hold_what_a_database_refuses(edited):
    facts = read_instance(
        edited(PatientID=" 12\x0034 ", StudyDescription="x" * 5000, ImageComments="\0")
    )
    assert facts.patient_id == "12 34"
    assert len(facts.study_description) == 256


def test_two_long_patient_ids_with_the_same_beginning_stay_different(edited):
    first = read_instance(edited(PatientID="A" * 90 + "1")).patient_id
    second = read_instance(edited(PatientID="A" * 90 + "2")).patient_id
    assert first != second
    assert max(len(first), len(second)) <= 64


@pytest.mark.parametrize(
    ("keyword", "raw", "field", "expected"),
    [
        ("PatientBirthDate", "19991332", "patient_birth_date", None),
        ("StudyDate", "2020.02.29", "study_date", date(2020, 2, 29)),
        ("StudyTime", "235960.5", "study_time", time(23, 59, 59, 500000)),
        ("StudyTime", "soon", "study_time", None),
        ("KVP", "nan", "kvp", None),
        ("InstanceNumber", "99999999999", "instance_number", None),
        ("WindowWidth", "0", "window_width", None),
        ("WindowCenter", "50\\-600", "window_center", 50.0),
    ],
)
def test_odd_values_that_do_not_matter_never_keep_an_image_out(
    edited, keyword, raw, field, expected
):
    path = edited(**{keyword: None})
    tag, vr = Tag(keyword), dictionary_VR(keyword)
    value = raw.encode() + b" " * (len(raw) % 2)
    element = struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(value)) + value
    data = path.read_bytes()
    place = data.rindex(b"\xe0\x7f\x10\x00OW")
    path.write_bytes(data[:place] + element + data[place:])
    assert getattr(read_instance(path), field) == expected


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused_and_nothing_else(ct_bytes, tmp_path_factory, data):
    mutated = bytearray(ct_bytes)
    header = ct_bytes.rindex(b"\xe0\x7f\x10\x00OW") + 12
    for _ in range(data.draw(st.integers(1, 12))):
        mutated[data.draw(st.integers(0, header))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("mutated") / "slice.dcm"
    path.write_bytes(bytes(mutated[: data.draw(st.integers(0, len(mutated)))]))
    answer = _answer(path)
    if isinstance(answer, Refusal):
        assert answer.code in CODES
    else:
        assert answer.rows * answer.columns <= MAX_PIXELS
        assert np.isfinite([answer.rescale_slope, answer.rescale_intercept]).all()


def _answer(path) -> InstanceFacts | Refusal:
    try:
        return read_instance(path)
    except Refusal as refusal:
        return refusal
