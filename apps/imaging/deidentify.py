"""Copies of CT images from which the patient cannot be told."""

import hashlib
import hmac
from copy import deepcopy

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from apps.imaging.decoding import NATIVE, stored_values, transfer_syntax
from apps.imaging.values import text

# Kept: what pixels mean and how they were taken. Everything else goes, known or unknown; a list
# of what to remove would miss what the next scanner invents.
_KEPT = [
    "SOPClassUID",
    "ImageType",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "BodyPartExamined",
    "SliceThickness",
    "KVP",
    "SpacingBetweenSlices",
    "DataCollectionDiameter",
    "ReconstructionDiameter",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "GantryDetectorTilt",
    "TableHeight",
    "RotationDirection",
    "ExposureTime",
    "XRayTubeCurrent",
    "Exposure",
    "FilterType",
    "FocalSpots",
    "ConvolutionKernel",
    "PatientPosition",
    "RevolutionTime",
    "SingleCollimationWidth",
    "TotalCollimationWidth",
    "SpiralPitchFactor",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PositionReferenceIndicator",
    "SliceLocation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "WindowCenter",
    "WindowWidth",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "VOILUTFunction",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "BurnedInAnnotation",
    "PixelData",
]
_REPLACED_UIDS = [
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SynchronizationFrameOfReferenceUID",
]
# Type 2 in the CT Image IOD: they must be there, and may be empty.
_EMPTIED = [
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
]


def deidentify(dataset: Dataset, *, patient_key: str, uid_secret: bytes) -> Dataset:
    """A copy after the Basic Application Level Confidentiality Profile (PS3.15 Annex E).

    Patient name and ID become `patient_key`. UIDs are replaced by a hash keyed with `uid_secret`:
    the same UID always becomes the same new one, so series stay series, and nobody without the
    secret can go back. Names, dates, places, free text, comments, sequences, overlays and private
    attributes are gone; a contrast agent is kept only as the word "CONTRAST". Uncompressed pixels
    are rewritten without the bits above High Bit, where old overlays hide. `dataset` is unchanged.

    Raises ValueError if text is burned into the pixels, or `uid_secret` has under 16 bytes;
    Refusal as `decoding.stored_values`.
    """
    if len(uid_secret) < 16:
        raise ValueError("uid_secret needs at least 16 bytes")
    if text(dataset, "BurnedInAnnotation", 16).upper() == "YES":
        raise ValueError("the pixels themselves carry annotations and cannot be de-identified")
    copy = FileDataset("", Dataset(), file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    copy.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _KEPT:
        if keyword in dataset:
            copy[keyword] = deepcopy(dataset[keyword])
    for keyword in _REPLACED_UIDS:
        if dataset.get(keyword):
            setattr(copy, keyword, _new_uid(str(dataset.get(keyword)), uid_secret))
    for keyword in _EMPTIED:
        setattr(copy, keyword, "")
    copy.PatientName = copy.PatientID = patient_key
    if text(dataset, "ContrastBolusAgent"):
        copy.ContrastBolusAgent = "CONTRAST"
    _state_what_was_done(copy)
    _set_transfer_syntax(copy, dataset)
    return copy


def _new_uid(uid: str, secret: bytes) -> str:
    """A UID derived from a number of 128 bits (PS3.5 B.2)."""
    digest = hmac.new(secret, uid.strip("\0 ").encode(), hashlib.sha256).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def _state_what_was_done(copy: Dataset) -> None:
    copy.PatientIdentityRemoved = "YES"
    copy.LongitudinalTemporalInformationModified = "REMOVED"
    copy.DeidentificationMethod = "PS3.15 Annex E Basic Profile"
    code = Dataset()
    code.CodeValue = "113100"
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    copy.DeidentificationMethodCodeSequence = [code]


def _set_transfer_syntax(copy: FileDataset, dataset: Dataset) -> None:
    syntax = transfer_syntax(dataset)
    if syntax in NATIVE:
        stored = stored_values(dataset)
        pixels = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        copy.PixelData = pixels + b"\0" * (len(pixels) % 2)
        copy["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
        syntax = ExplicitVRLittleEndian
    copy.file_meta.TransferSyntaxUID = syntax
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
