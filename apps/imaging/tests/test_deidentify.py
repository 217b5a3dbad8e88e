import numpy as np
import pytest
from pydicom import Dataset, dcmread

from apps.imaging.deidentify import deidentify
from apps.imaging.phantom import write_series
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import read_instance

SECRET = b"0123456789abcdef"
TELLING = {
    "PatientName": "Telling^Name",
    "PatientID": "TELLING-ID",
    "PatientAddress": "Telling street",
    "OtherPatientIDs": "TELLING-OTHER",
    "AccessionNumber": "TELLING-ACC",
    "ReferringPhysicianName": "Telling^Doctor",
    "InstitutionName": "Telling hospital",
    "StationName": "TELLING-STATION",
    "OperatorsName": "Telling^Operator",
    "StudyDescription": "Telling study",
    "SeriesDescription": "Telling series",
    "ProtocolName": "Telling protocol",
    "ImageComments": "Telling comment",
    "PatientComments": "Telling words",
    "ContrastBolusAgent": "Telling agent 300",
    "DeviceSerialNumber": "TELLING-SERIAL",
    "PatientBirthDate": "19470815",
    "StudyDate": "20190815",
    "StudyTime": "081547",
}


@pytest.fixture
def telling(edited) -> Dataset:
    nested = Dataset()
    nested.PatientName = "Telling^Nested"
    dataset = dcmread(edited(**TELLING, RequestAttributesSequence=[nested]))
    dataset.private_block(0x0011, "ACME", create=True).add_new(0x01, "LO", "Telling private")
    dataset.add_new(0x60003000, "OW", b"Telling overlay ")
    return dataset


def test_nothing_telling_is_left_in_the_bytes(telling, tmp_path):
    path = tmp_path / "clean.dcm"
    deidentify(telling, patient_key="K17", uid_secret=SECRET).save_as(path)
    data = path.read_bytes().lower()
    for word in (b"telling", b"19470815", b"20190815", b"081547", b"acme"):
        assert word not in data
    for uid in (telling.SOPInstanceUID, telling.StudyInstanceUID, telling.SeriesInstanceUID):
        assert uid.encode() not in data


def test_the_copy_is_a_valid_ct_with_the_same_pixels_and_places(telling, tmp_path):
    path = tmp_path / "clean.dcm"
    deidentify(telling, patient_key="K17", uid_secret=SECRET).save_as(path)
    facts = read_instance(path)
    assert (facts.patient_id, facts.patient_name) == ("K17", "K17")
    assert facts.contrast_bolus_agent == "CONTRAST"
    assert facts.image_position_patient == (-177.1875, -177.1875, -2.5)
    assert np.array_equal(hounsfield(path), hounsfield(telling))


def test_the_copy_says_what_was_done(telling):
    copy = deidentify(telling, patient_key="K17", uid_secret=SECRET)
    assert copy.PatientIdentityRemoved == "YES"
    assert copy.LongitudinalTemporalInformationModified == "REMOVED"
    assert copy.DeidentificationMethodCodeSequence[0].CodeValue == "113100"


def test_the_original_is_unchanged(telling):
    before = telling.to_json()
    deidentify(telling, patient_key="K17", uid_secret=SECRET)
    assert telling.to_json() == before


def test_slices_of_a_series_stay_together_and_another_secret_gives_other_uids(
    small_phantom, tmp_path
):
    first, second = (dcmread(path) for path in write_series(small_phantom, tmp_path))
    one = deidentify(first, patient_key="K", uid_secret=SECRET)
    two = deidentify(second, patient_key="K", uid_secret=SECRET)
    other = deidentify(first, patient_key="K", uid_secret=b"another secret!!")
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID


def test_overlays_hidden_in_unused_bits_are_gone(with_stored):
    dataset = with_stored([[0xF000 | 1064, 24]], np.uint16, BitsStored=12, HighBit=11)
    copy = deidentify(dataset, patient_key="K", uid_secret=SECRET)
    assert np.frombuffer(copy.PixelData, "<u2").tolist() == [1064, 24]


def test_text_burned_into_the_pixels_is_refused(edited):
    dataset = dcmread(edited(BurnedInAnnotation="YES"))
    with pytest.raises(ValueError, match="annotations"):
        deidentify(dataset, patient_key="K", uid_secret=SECRET)


def test_a_short_secret_is_refused(ct_path):
    with pytest.raises(ValueError, match="16 bytes"):
        deidentify(dcmread(ct_path), patient_key="K", uid_secret=b"short")
