"""A signed report for DICOM systems: measurements as SR (TID 1500), marks as a presentation state.

PS3.16 TID 1500 Measurement Report in a Comprehensive SR; PS3.3 A.33.1 Grayscale Softcopy
Presentation State. Both name the study's own images and carry the patient as stored here. The
same report always gives the same SOP Instance UIDs, so that a second copy is known as one.
"""

import logging
from importlib.metadata import version
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
from django.utils import timezone
from highdicom import pr, sr
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from apps.cases import storage
from apps.cases.models import Case, Instance, Report
from apps.cases.pictures import ordered_instances
from apps.classifier.calls import version_of
from apps.classifier.models import Finding, FindingVerdict, ModelVersion
from apps.doctor.lung_rads import KINDS
from apps.doctor.structured import PLACES
from apps.imaging.refusal import Refusal

# It says at every object which study's attributes it copies; logs hold no such thing.
logging.getLogger("highdicom").setLevel(logging.WARNING)

MAKER, PROGRAM = "Cancer Prediction", "Cancer Prediction System"
# Concepts that no public scheme we may ship has; PS3.16 section 8.2 reserves "99" for such.
OWN = "99CANCERPRED"
SR_NUMBER, MARKS_NUMBER = 9001, 9002
LUNG_WINDOW = {"window_center": -600.0, "window_width": 1500.0}
MM = codes.UCUM.Millimeter
PERCENT = codes.UCUM.Percent
RATIO = CodedConcept("1", "UCUM", "no units")
NODULE = CodedConcept("27925004", "SCT", "Nodule")
LONG_AXIS = CodedConcept("103339001", "SCT", "Long axis")
SHORT_AXIS = CodedConcept("103340004", "SCT", "Short axis")
MEAN_DIAMETER = CodedConcept("mean-diameter", OWN, "Mean of long and short axis")
SUSPICION = CodedConcept("suspicion", OWN, "Suspicion score of the AI")
CHANGE_MM = CodedConcept("change", OWN, "Change of the mean diameter")
CHANGE_PERCENT = CodedConcept("change-percent", OWN, "Change of the mean diameter in percent")
VERDICT = CodedConcept("verdict", OWN, "Verdict of the doctor")
LUNG_RADS = CodedConcept("lung-rads", OWN, "Lung-RADS v2022 category")
DIAGNOSIS = CodedConcept("439401001", "SCT", "Diagnosis")
KIND = CodedConcept("nodule-type", OWN, "Type of nodule")
PLACE = CodedConcept("place", OWN, "Place")
CT_CHEST = CodedConcept("24627-2", "LN", "CT Chest")


class NoImages(FileNotFoundError):
    """None of the study's stored files can be read, so there is nothing to refer to."""


def as_sr(report: Report) -> bytes:
    """The report as a DICOM file: verdict, category, and each finding with its ring and numbers.

    Raises NoImages.
    """
    answered = _answered(report)
    evidence = _evidence(report.case, [said.finding.instance for said in answered])
    groups = [_verdict_group(report, next(iter(evidence.values())))]
    groups += [_nodule_group(report, n, one) for n, one in enumerate(report.verdict.nodules)]
    groups += [
        _finding_group(report, said)
        for said in answered
        if said.finding.instance.sop_instance_uid in evidence
    ]
    content = sr.MeasurementReport(
        observation_context=_observers(report),
        procedure_reported=CT_CHEST,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=list(evidence.values()),
    )
    document = sr.ComprehensiveSR(
        evidence=list(evidence.values()),
        content=content[0],
        series_instance_uid=_uid(report, "sr-series"),
        series_number=SR_NUMBER,
        sop_instance_uid=_uid(report, "sr"),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        is_final=True,
        is_verified=True,
        institution_name=report.case.site.name[:64],
        verifying_observer_name=_person(report),
        verifying_organization=report.case.site.name[:64],
    )
    document.VerifyingObserverSequence[0].VerificationDateTime = _moment(report)
    return _file(document, report)


def as_marks(report: Report) -> bytes:
    """The findings' rings and words in the lung window as a DICOM file. Raises NoImages."""
    answered = _answered(report)
    evidence = _evidence(report.case, [said.finding.instance for said in answered])
    layer = pr.GraphicLayer("FINDINGS", order=1, description="Findings of the signed report")
    marks = [
        _annotation(said, evidence[said.finding.instance.sop_instance_uid], layer)
        for said in answered
        if said.finding.instance.sop_instance_uid in evidence
    ]
    document = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=list(evidence.values()),
        series_instance_uid=_uid(report, "marks-series"),
        series_number=MARKS_NUMBER,
        sop_instance_uid=_uid(report, "marks"),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=PROGRAM,
        software_versions=version("highdicom"),
        device_serial_number="1",
        content_label="FINDINGS",
        content_description="Findings of the signed report",
        content_creator_name=_person(report),
        institution_name=report.case.site.name[:64],
        graphic_layers=[layer] if marks else None,
        graphic_annotations=marks or None,
        voi_lut_transformations=[pr.SoftcopyVOILUTTransformation(**LUNG_WINDOW)],
    )
    return _file(document, report)


# ---------- What the report refers to ----------
def _answered(report: Report) -> list[FindingVerdict]:
    said = report.verdict.finding_verdicts.select_related("finding__instance__series")
    return list(said.order_by("finding__number"))


def _evidence(case: Case, instances: list[Instance]) -> dict[str, Dataset]:
    """The headers of the findings' images by UID; of the largest series' middle one without any."""
    wanted = {one.sop_instance_uid: one for one in instances}
    if not wanted:
        series = max(case.study.series.all(), key=lambda one: one.instances.count(), default=None)
        slices = ordered_instances(series) if series else []
        wanted = {one.sop_instance_uid: one for one in slices[len(slices) // 2 :][:1]}
    read = {uid: _header(one, case) for uid, one in wanted.items()}
    found = {uid: header for uid, header in read.items() if header is not None}
    if not found:
        raise NoImages
    return found


def _header(instance: Instance, case: Case) -> Dataset | None:
    """The file's facts with the patient as stored here; the file itself is not touched."""
    try:
        header = dcmread(storage.path_of(instance), stop_before_pixels=True)
    except (OSError, Refusal):
        return None
    patient = case.study.patient
    header.PatientName = patient.name
    header.PatientID = patient.patient_id
    header.PatientBirthDate = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
    header.PatientSex = patient.sex if patient.sex in {"M", "F", "O"} else ""
    for keyword in ("StudyID", "AccessionNumber", "StudyDate", "StudyTime"):
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _observers(report: Report) -> sr.ObservationContext:
    person = sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
            name=_person(report), organization_name=report.case.site.name[:64]
        ),
    )
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_uid(None, "program"), name=PROGRAM, manufacturer_name=MAKER, model_name=PROGRAM
        ),
    )
    return sr.ObservationContext(observer_person_context=person, observer_device_context=device)


# ---------- The groups of the SR ----------
def _verdict_group(report: Report, image: Dataset) -> sr.MeasurementsAndQualitativeEvaluations:
    verdict = report.verdict
    said = [sr.QualitativeEvaluation(VERDICT, _own(verdict.cancer, verdict.get_cancer_display()))]
    said += [
        sr.QualitativeEvaluation(DIAGNOSIS, _own(f"diagnosis-{number}", diagnosis))
        for number, diagnosis in enumerate(verdict.diagnoses, start=1)
    ]
    if verdict.lung_rads:
        said.append(sr.QualitativeEvaluation(LUNG_RADS, _own(verdict.lung_rads, verdict.lung_rads)))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(report, "verdict"),
        qualitative_evaluations=said,
        source_images=[sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )


def _nodule_group(
    report: Report, number: int, nodule: dict[str, Any]
) -> sr.MeasurementsAndQualitativeEvaluations:
    """A nodule of the structured form: sizes, growth, type, place, category."""
    sizes = [
        (LONG_AXIS, nodule["long_mm"], MM),
        (SHORT_AXIS, nodule["short_mm"], MM),
        (MEAN_DIAMETER, nodule["mean_mm"], MM),
    ]
    if grown := nodule["growth"]:
        sizes.append((CHANGE_MM, grown["change_mm"], MM))
        sizes.append((CHANGE_PERCENT, grown["change_percent"], PERCENT))
    said = [
        (KIND, _own(nodule["kind"], KINDS[nodule["kind"]])),
        (PLACE, _own(nodule["place"], PLACES[nodule["place"]])),
        (LUNG_RADS, _own(nodule["category"], nodule["category"])),
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(report, f"nodule-{number}", nodule["label"]),
        finding_type=NODULE,
        measurements=[sr.Measurement(name, value, unit) for name, value, unit in sizes],
        qualitative_evaluations=[sr.QualitativeEvaluation(*one) for one in said],
    )


def _finding_group(
    report: Report, said: FindingVerdict
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """A finding: its ring on the image, its size, the AI's score with its version, the answer."""
    finding = said.finding
    measured = [sr.Measurement(LONG_AXIS, round(finding.diameter_mm, 1), MM)]
    if finding.malignancy_probability is not None:
        measured.append(_score(finding))
    region = sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.CIRCLE,
        graphic_data=_ring(finding),
        source_image=sr.SourceImageForRegion(
            referenced_sop_class_uid=_sop_class(finding.instance),
            referenced_sop_instance_uid=finding.instance.sop_instance_uid,
        ),
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(report, f"finding-{finding.pk}", f"Finding {finding.number}"),
        referenced_region=region,
        finding_type=NODULE,
        measurements=measured,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(VERDICT, _own(said.label, said.get_label_display()))
        ],
    )


def _score(finding: Finding) -> sr.Measurement:
    name = version_of(finding.prediction, ModelVersion.Task.MALIGNANCY) or "unknown"
    return sr.Measurement(
        SUSPICION,
        round(finding.malignancy_probability, 4),
        RATIO,
        algorithm_id=sr.AlgorithmIdentification(name=PROGRAM, version=name),
    )


def _annotation(
    said: FindingVerdict, image: Dataset, layer: pr.GraphicLayer
) -> pr.GraphicAnnotation:
    finding = said.finding
    ring = _ring(finding)
    words = f"{finding.number}: {finding.diameter_mm:.0f} mm, {said.get_label_display()}"
    return pr.GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        graphic_objects=[
            pr.GraphicObject(
                graphic_type=pr.GraphicTypeValues.CIRCLE,
                graphic_data=ring,
                units=pr.AnnotationUnitsValues.PIXEL,
            )
        ],
        text_objects=[
            pr.TextObject(
                text_value=words,
                units=pr.AnnotationUnitsValues.PIXEL,
                anchor_point=(float(ring[1, 0]), float(ring[1, 1])),
            )
        ],
    )


# ---------- Small parts ----------
def _ring(finding: Finding) -> np.ndarray:
    """(2, 2) centre and a point on the ring, (column, row). DICOM counts from the corner of the
    first pixel, whose middle is 0.5 (PS3.3 C.18.6.1.2); ours from its middle, 0."""
    pixel_mm = (finding.instance.pixel_spacing or [1.0])[0]
    radius = max(finding.diameter_mm / 2 / pixel_mm, 1.0)
    centre = (finding.column + 0.5, finding.row + 0.5)
    inside = min(centre[0] + radius, float(finding.instance.columns))
    return np.array([centre, (inside, centre[1])])


def _own(code: str, meaning: str) -> CodedConcept:
    """A coded answer of our own scheme; Code Meaning is at most 64 letters, on one line."""
    return CodedConcept(code[:16], OWN, " ".join(meaning.split())[:64] or code)


def _tracked(report: Report, what: str, words: str = "") -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=_uid(report, what), identifier=words or what)


def _sop_class(instance: Instance) -> str:
    return instance.sop_class_uid


def _uid(report: Report | None, what: str) -> str:
    """Always the same UID for the same part of the same report."""
    about = f"{report.case.public_id} {report.pk}" if report else PROGRAM
    return generate_uid(entropy_srcs=[about, what])


def _person(report: Report) -> str:
    """The doctor as a DICOM person name (PS3.5 section 6.2.1.2)."""
    doctor = report.signed_by
    return f"{doctor.last_name}^{doctor.first_name}".strip("^") or doctor.email


def _moment(report: Report) -> str:
    return f"{timezone.localtime(report.signed_at):%Y%m%d%H%M%S}"


def _file(document: hd.base.SOPClass, report: Report) -> bytes:
    """The object as a DICOM Part 10 file, dated when it was signed and not when it was fetched."""
    moment = timezone.localtime(report.signed_at)
    day, hour = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    for date_of, time_of in (
        ("ContentDate", "ContentTime"),
        ("InstanceCreationDate", "InstanceCreationTime"),
        ("SeriesDate", "SeriesTime"),
        ("PresentationCreationDate", "PresentationCreationTime"),
    ):
        if date_of in document:
            setattr(document, date_of, day)
            setattr(document, time_of, hour)
    target = BytesIO()
    # Type 2C: empty, because the marks may lie on both sides.
    document.setdefault("Laterality", "")
    document.save_as(target, enforce_file_format=True)
    return target.getvalue()
