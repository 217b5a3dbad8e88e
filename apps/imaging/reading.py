"""Decide whether a file is a CT image this system can show, and say what it holds."""

import hashlib
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from apps.imaging.decoding import NATIVE, stored_values, transfer_syntax
from apps.imaging.facts import (
    InstanceFacts,
    image_facts,
    patient_facts,
    series_facts,
    study_facts,
    uid,
)
from apps.imaging.loading import MAX_PIXELS, damaged, load
from apps.imaging.pixels import hounsfield, rescale
from apps.imaging.refusal import Refusal
from apps.imaging.trial import survives
from apps.imaging.values import text

__all__ = ["InstanceFacts", "Refusal", "read_instance"]

_MULTIFRAME = {EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
_KINDS = {
    "MR": "an MR image",
    "PT": "a PET image",
    "US": "an ultrasound image",
    "CR": "an X-ray image",
    "DX": "an X-ray image",
    "MG": "a mammogram",
    "NM": "a nuclear medicine image",
    "SR": "a report",
    "PR": "a presentation state",
    "SEG": "a segmentation",
    "RTSTRUCT": "a radiotherapy contour set",
}


def read_instance(path: Path, *, max_pixels: int = MAX_PIXELS) -> InstanceFacts:
    """The facts of one single-frame CT image, after its pixels were decoded to prove it whole.

    Raises Refusal, and nothing else, for whatever the file may hold. `path` must exist.
    """
    try:
        return _read(Path(path), max_pixels)
    except Refusal:
        raise
    except (FileNotFoundError, PermissionError):
        raise
    except Exception:
        raise damaged() from None


def _read(path: Path, max_pixels: int) -> InstanceFacts:
    dataset = load(path, max_pixels=max_pixels)
    _check_kind(dataset)
    # The whole header is judged before the costly part, the pixels.
    found = {**patient_facts(dataset), **study_facts(dataset), **series_facts(dataset)}
    for keyword, what in (("SOPInstanceUID", "image"), ("SOPClassUID", "image type")):
        uid(dataset, keyword, what)
    slope, intercept = rescale(dataset)
    syntax = transfer_syntax(dataset)
    if syntax not in NATIVE:
        _try_out(dataset, max_pixels)
    hu = hounsfield(dataset, max_pixels=max_pixels)
    return InstanceFacts(
        **found,
        **image_facts(dataset, syntax),
        rescale_slope=slope,
        rescale_intercept=intercept,
        pixel_sha256=hashlib.sha256(hu.astype("<i2", copy=False).tobytes()).hexdigest(),
    )


def _try_out(dataset: Dataset, max_pixels: int) -> None:
    """Refuse pixels that take the process down, before they are decoded in this one."""
    try:
        survived = survives(lambda: stored_values(dataset, max_pixels=max_pixels))
    except TimeoutError:
        words = "The system was too busy to check this image. Send it again."
        raise Refusal("too_busy", words) from None
    if not survived:
        raise Refusal("bad_pixels", "The image in this file is damaged and cannot be decoded.")


def _check_kind(dataset: Dataset) -> None:
    """CT Image Storage with modality CT; localizers are sent under this class too."""
    modality = text(dataset, "Modality", 16).upper()
    sop_class = str(dataset.get("SOPClassUID") or "").strip("\0 ")
    if sop_class in _MULTIFRAME:
        raise Refusal(
            "multiframe",
            "This file holds many frames (Enhanced CT). "
            "Export the study as single-frame CT images and send those.",
        )
    if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise Refusal("not_ct", "This is a table of contents (DICOMDIR), not an image.")
    if modality not in ("", "CT"):
        kind = _KINDS.get(modality, "not a CT image")
        raise Refusal("not_ct", f"This is {kind}; only CT can be sent.")
    if sop_class and sop_class != CTImageStorage:
        raise Refusal("not_ct", "This is not a CT image but an object made from one or about one.")
