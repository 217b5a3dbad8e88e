"""What one CT image says about itself, as plain values."""

import re
from dataclasses import dataclass
from datetime import date, time

from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from apps.imaging.refusal import Refusal
from apps.imaging.values import clock, day, identifier, number, numbers, one_line, text, whole
from apps.imaging.voi import is_inverted, voi_function, voi_luts

_ALWAYS_LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit}
_LOSSY_UNLESS_STATED = {JPEGLSNearLossless, JPEG2000, HTJ2K}
# Leading zeros in a component are forbidden (PS3.5 9.1) and yet sent by real devices; they are
# harmless in a path. Anything but digits and single dots is not.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_PERSON_NAME_LENGTH = 324  # three representations of 64 characters and more, as real files have
_DESCRIPTION_LENGTH = 256  # LO holds 64; real files hold more, and a column holds this
_MOST_WINDOWS = 16
_LEAST_SPACING, _LARGEST_SPACING = 0.001, 100.0  # mm
_FARTHEST = 100_000.0  # mm; no scanner's table is a hundred metres long


@dataclass(frozen=True)
class InstanceFacts:
    """Facts of a CT instance, read from its file and never edited.

    Texts are stripped, without control characters and bounded (64 characters, 256 for free
    text); absent texts are "". Numbers are finite or None. Lengths are mm, positions and
    directions in the patient coordinate system (PS3.3 C.7.6.2.1.1), kvp in kV, tube current in
    mA, angles in degrees. `pixel_spacing` is (between rows, between columns).
    `image_type` has its values joined by ", ".
    `pixel_sha256` is the SHA-256 of the HU array as little-endian int16.
    """

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str
    patient_age: str
    study_instance_uid: str
    study_date: date | None
    study_time: time | None
    accession_number: str
    study_description: str
    referring_physician_name: str
    institution_name: str
    number_of_study_related_instances: int | None
    series_instance_uid: str
    modality: str
    series_number: int | None
    series_description: str
    protocol_name: str
    body_part_examined: str
    convolution_kernel: str
    manufacturer: str
    manufacturer_model_name: str
    kvp: float | None
    x_ray_tube_current: float | None
    slice_thickness: float | None
    contrast_bolus_agent: str
    gantry_detector_tilt: float | None
    number_of_series_related_instances: int | None
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    image_type: str
    instance_number: int | None
    rows: int
    columns: int
    number_of_frames: int
    pixel_spacing: tuple[float, float] | None
    image_position_patient: tuple[float, float, float] | None
    image_orientation_patient: tuple[float, float, float, float, float, float] | None
    slice_location: float | None
    rescale_slope: float
    rescale_intercept: float
    window_center: float | None
    window_width: float | None
    windows: tuple[dict[str, float | str], ...]
    voi_lut_function: str
    voi_luts: tuple[dict[str, str], ...]
    inverted: bool
    lossy: bool
    burned_in_annotation: bool
    pixel_sha256: str


def patient_facts(dataset: Dataset) -> dict[str, object]:
    """The Patient module (PS3.3 C.7.1.1) and the age from C.7.2.2."""
    return {
        "patient_id": identifier(dataset, "PatientID"),
        "issuer_of_patient_id": identifier(dataset, "IssuerOfPatientID"),
        "patient_name": text(dataset, "PatientName", _PERSON_NAME_LENGTH),
        "patient_birth_date": day(dataset, "PatientBirthDate"),
        "patient_sex": text(dataset, "PatientSex", 16),
        "patient_age": text(dataset, "PatientAge", 16),
    }


def study_facts(dataset: Dataset) -> dict[str, object]:
    """The General Study module (PS3.3 C.7.2.1), and how many instances the study has.

    Number of Study Related Instances belongs to queries (PS3.4 C.6.2.1), yet archives write it
    into what they export. Raises Refusal: missing_uid, malformed_uid.
    """
    return {
        "study_instance_uid": uid(dataset, "StudyInstanceUID", "study"),
        "study_date": day(dataset, "StudyDate"),
        "study_time": clock(dataset, "StudyTime"),
        "accession_number": identifier(dataset, "AccessionNumber"),
        "study_description": text(dataset, "StudyDescription", _DESCRIPTION_LENGTH),
        "referring_physician_name": text(dataset, "ReferringPhysicianName", _PERSON_NAME_LENGTH),
        "institution_name": text(dataset, "InstitutionName", _DESCRIPTION_LENGTH),
        "number_of_study_related_instances": _count(dataset, "NumberOfStudyRelatedInstances"),
    }


def series_facts(dataset: Dataset) -> dict[str, object]:
    """General Series, Equipment and CT Image technique (PS3.3 C.7.3.1, C.7.5.1, C.8.2.1).

    Raises Refusal: missing_uid, malformed_uid.
    """
    return {
        "series_instance_uid": uid(dataset, "SeriesInstanceUID", "series"),
        "modality": text(dataset, "Modality", 16) or "CT",
        "series_number": whole(dataset, "SeriesNumber"),
        "series_description": text(dataset, "SeriesDescription", _DESCRIPTION_LENGTH),
        "protocol_name": text(dataset, "ProtocolName", _DESCRIPTION_LENGTH),
        "body_part_examined": text(dataset, "BodyPartExamined"),
        "convolution_kernel": text(dataset, "ConvolutionKernel"),
        "manufacturer": text(dataset, "Manufacturer"),
        "manufacturer_model_name": text(dataset, "ManufacturerModelName"),
        "kvp": number(dataset, "KVP"),
        "x_ray_tube_current": number(dataset, "XRayTubeCurrent"),
        "slice_thickness": number(dataset, "SliceThickness"),
        "contrast_bolus_agent": text(dataset, "ContrastBolusAgent"),
        "gantry_detector_tilt": number(dataset, "GantryDetectorTilt"),
        "number_of_series_related_instances": _count(dataset, "NumberOfSeriesRelatedInstances"),
    }


def image_facts(dataset: Dataset, syntax: str) -> dict[str, object]:
    """SOP Common, Image Plane and VOI LUT (PS3.3 C.12.1, C.7.6.2, C.11.2).

    Raises Refusal: missing_uid, malformed_uid, bad_geometry.
    """
    width = number(dataset, "WindowWidth")
    return {
        "sop_instance_uid": uid(dataset, "SOPInstanceUID", "image"),
        "sop_class_uid": uid(dataset, "SOPClassUID", "image type"),
        "transfer_syntax_uid": str(syntax),
        "image_type": text(dataset, "ImageType", _DESCRIPTION_LENGTH),
        "instance_number": whole(dataset, "InstanceNumber"),
        "rows": int(dataset.Rows),
        "columns": int(dataset.Columns),
        "number_of_frames": 1,
        **_plane(dataset),
        "slice_location": number(dataset, "SliceLocation"),
        "window_center": number(dataset, "WindowCenter"),
        "window_width": width if width is not None and width >= 1 else None,
        "windows": windows(dataset),
        "voi_lut_function": voi_function(dataset),
        "voi_luts": voi_luts(dataset),
        "inverted": is_inverted(dataset),
        "lossy": _lossy(dataset, syntax),
        "burned_in_annotation": text(dataset, "BurnedInAnnotation", 16).upper() == "YES",
    }


def windows(dataset: Dataset) -> tuple[dict[str, float | str], ...]:
    """All windows the file offers, in its order (PS3.3 C.11.2.1.2): center, width, explanation.

    HU; those without two numbers, or narrower than 1, are left out. Window Center & Width
    Explanation is "" where the file has none.
    """
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    words = dataset.get("WindowCenterWidthExplanation") or []
    words = [words] if isinstance(words, str) else list(words)
    words += [""] * (len(centers) - len(words))
    return tuple(
        {"center": center, "width": width, "explanation": one_line(said)[:64]}
        for center, width, said in zip(centers[:_MOST_WINDOWS], widths, words, strict=False)
        if center is not None and width is not None and width >= 1
    )


def uid(dataset: Dataset, keyword: str, what: str) -> str:
    """A UID (PS3.5 9.1): digits and dots, at most 64 characters, so never a path.

    Raises Refusal: missing_uid, malformed_uid.
    """
    found = str(dataset.get(keyword) or "").strip("\0 ")
    if not found:
        raise Refusal("missing_uid", f"The identifier (UID) of the {what} is missing.")
    if len(found) > 64 or not _UID.fullmatch(found):
        raise Refusal("malformed_uid", f"The identifier (UID) of the {what} is not valid.")
    return found


def _count(dataset: Dataset, keyword: str) -> int | None:
    found = whole(dataset, keyword)
    return found if found is not None and found > 0 else None


def _plane(dataset: Dataset) -> dict[str, object]:
    """Absent geometry is None; wrong geometry would put findings in wrong places: refused."""
    spacing = _exactly(dataset, "PixelSpacing", 2)
    if spacing and not (min(spacing) >= _LEAST_SPACING and max(spacing) <= _LARGEST_SPACING):
        raise _bad_geometry()
    position = _exactly(dataset, "ImagePositionPatient", 3)
    if position and max(abs(part) for part in position) > _FARTHEST:
        raise _bad_geometry()
    orientation = _exactly(dataset, "ImageOrientationPatient", 6)
    if orientation and not _perpendicular_units(orientation):
        raise _bad_geometry()
    return {
        "pixel_spacing": spacing,
        "image_position_patient": position,
        "image_orientation_patient": orientation,
    }


def _exactly(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    if keyword not in dataset or dataset[keyword].is_empty:
        return None
    found = numbers(dataset, keyword)
    if len(found) != count or None in found:
        raise _bad_geometry()
    return found


def _perpendicular_units(orientation: tuple[float, ...], tolerance: float = 0.01) -> bool:
    along_row, along_column = orientation[:3], orientation[3:]
    lengths = [sum(part * part for part in one) for one in (along_row, along_column)]
    between = sum(a * b for a, b in zip(along_row, along_column, strict=True))
    return abs(between) < tolerance and all(abs(one - 1) < tolerance for one in lengths)


def _bad_geometry() -> Refusal:
    return Refusal("bad_geometry", "The position or pixel size in this file is not valid.")


def _lossy(dataset: Dataset, syntax: str) -> bool:
    stated = text(dataset, "LossyImageCompression", 16)
    if syntax in _ALWAYS_LOSSY or stated == "01":
        return True
    return syntax in _LOSSY_UNLESS_STATED and stated != "00"
