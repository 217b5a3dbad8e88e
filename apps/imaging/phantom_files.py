"""Write a phantom as a series of valid CT Image Storage files (PS3.3 A.3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

if TYPE_CHECKING:
    from apps.imaging.phantom import Phantom

_ENCODERS = {
    RLELossless: "pylibjpeg",
    JPEGLSLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
}
_NATIVE_INTERCEPT = -1024


def write_series(
    phantom: Phantom,
    directory: Path,
    *,
    patient_id: str = "PHANTOM-1",
    patient_name: str = "PHANTOM^Ada",
    patient_birth_date: str = "19600101",
    patient_sex: str = "O",
    study_date: str = "20240102",
    study_time: str = "101500",
    accession_number: str = "",
    study_description: str = "Synthetic phantom",
    series_description: str = "Synthetic phantom, axial",
    series_number: int = 1,
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> list[Path]:
    """Write one file per slice into `directory` (made if needed); paths in order, feet to head.

    UIDs follow from patient, study and content, so the same call writes the same bytes; another
    `series_number` is another series of the same study. `transfer_syntax`: explicit VR little
    endian, RLE, JPEG-LS lossless or JPEG 2000 lossless; others raise ValueError.
    """
    if transfer_syntax != ExplicitVRLittleEndian and transfer_syntax not in _ENCODERS:
        raise ValueError(f"phantoms are not written in transfer syntax {transfer_syntax}")
    directory.mkdir(parents=True, exist_ok=True)
    study = (patient_id, study_date, study_time, accession_number)
    series = (*study, str(series_number), phantom.body_part, repr(phantom.spec))
    shared = {
        "PatientID": patient_id,
        "PatientName": patient_name,
        "PatientBirthDate": patient_birth_date,
        "PatientSex": patient_sex,
        "StudyInstanceUID": _uid("study", *study),
        "StudyDate": study_date,
        "StudyTime": study_time,
        "StudyID": "1",
        "AccessionNumber": accession_number,
        "StudyDescription": study_description,
        "SeriesInstanceUID": _uid("series", *series),
        "SeriesDescription": series_description,
        "SeriesNumber": series_number,
        "FrameOfReferenceUID": _uid("frame", *study),
    }
    paths = []
    for index in range(len(phantom.hu)):
        dataset = _slice(phantom, index, shared, _uid("instance", *series, str(index)))
        if transfer_syntax != ExplicitVRLittleEndian:
            dataset.compress(
                transfer_syntax,
                encoding_plugin=_ENCODERS[transfer_syntax],
                generate_instance_uid=False,
            )
        paths.append(directory / f"IM{index + 1:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _uid(*sources: str) -> str:
    return generate_uid(entropy_srcs=["synthetic phantom", *sources])


def _slice(phantom: Phantom, index: int, shared: dict, sop_instance_uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = sop_instance_uid
    for keyword, value in {**shared, **_technique(phantom), **_plane(phantom, index)}.items():
        setattr(dataset, keyword, value)
    _set_pixels(dataset, phantom.hu[index])
    return dataset


def _technique(phantom: Phantom) -> dict[str, object]:
    spec = phantom.spec
    found: dict[str, object] = {
        "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
        "Modality": "CT",
        "Manufacturer": "SYNTHETIC PHANTOM",
        "ManufacturerModelName": "SYNTHETIC PHANTOM",
        "InstitutionName": "SYNTHETIC PHANTOM",
        "ReferringPhysicianName": "",
        "DeviceSerialNumber": "",
        "SoftwareVersions": "1",
        "PositionReferenceIndicator": "",
        "BodyPartExamined": phantom.body_part,
        "PatientPosition": "HFS",
        "KVP": "120",
        "XRayTubeCurrent": "200",
        "ConvolutionKernel": "SOFT",
        "AcquisitionNumber": "1",
        "BurnedInAnnotation": "NO",
        "ImageComments": "Synthetic phantom, not a patient",
        "SliceThickness": f"{spec.thickness:.4g}",
        "SpacingBetweenSlices": f"{spec.slice_spacing:.4g}",
        "WindowCenter": "-600" if phantom.body_part == "CHEST" else "40",
        "WindowWidth": "1500" if phantom.body_part == "CHEST" else "400",
    }
    if spec.contrast:
        found["ContrastBolusAgent"] = "SYNTHETIC CONTRAST"
    return found


def _plane(phantom: Phantom, index: int) -> dict[str, object]:
    position = phantom.image_position(index)
    return {
        "InstanceNumber": index + 1,
        "ImagePositionPatient": [f"{part:.6f}" for part in position],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelSpacing": [f"{phantom.spec.grid.spacing:.8f}"] * 2,
        "SliceLocation": f"{position[2]:.6f}",
    }


def _set_pixels(dataset: Dataset, hu: np.ndarray) -> None:
    """Twelve bits, unsigned, as most scanners write: stored = HU + 1024."""
    stored = (hu.astype(np.int32) - _NATIVE_INTERCEPT).astype("<u2")
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", str(_NATIVE_INTERCEPT)
    dataset.RescaleType = "HU"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.tobytes()
