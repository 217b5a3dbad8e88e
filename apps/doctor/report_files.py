"""A signed report as a file for other systems: PDF for people, FHIR R4B for programs."""

import base64
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np
from django.utils import timezone
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer

from apps.cases.models import Addendum, CaseEvent, Report
from apps.cases.pictures import as_the_file_says, hu_of
from apps.classifier.models import Finding, FindingVerdict
from apps.doctor.phrases import code_of
from apps.imaging.refusal import Refusal
from apps.imaging.rendering import png

LUNG_WINDOW = {"center": -600.0, "width": 1500.0}
MOST_KEY_IMAGES = 6
CT_CHEST = {"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}
RADIOLOGY = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}
ICD_10_CM_SYSTEM = "http://hl7.org/fhir/sid/icd-10-cm"
FONT, BOLD = "DejaVuSans", "DejaVuSans-Bold"
_PLAIN = ParagraphStyle("plain", fontName=FONT, fontSize=9.5, leading=14, spaceAfter=7)
_HEAD = ParagraphStyle("head", parent=_PLAIN, fontName=BOLD, fontSize=14, leading=19)
_SMALL = ParagraphStyle("small", parent=_PLAIN, fontSize=8, leading=11, textColor="#444444")


def as_pdf(report: Report) -> bytes:
    """The signed words unchanged, then the findings that the doctor answered as key images."""
    _load_fonts()
    title, *paragraphs = report.body.split("\n\n")
    first, *facts = title.split("\n")
    parts: list[Flowable] = [Paragraph(escape(first), _HEAD), _words("\n".join(facts))]
    parts += [_words(text) for text in paragraphs]
    parts += [_words(addendum_in_words(one)) for one in report.addenda.select_related("signed_by")]
    target = BytesIO()
    document = SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=20 * mm,
        title=f"Report {report.pk}",
        author=str(report.signed_by),
        invariant=True,
    )
    foot = _foot_of(report)
    document.build([*parts, *_key_images(report)], onFirstPage=foot, onLaterPages=foot)
    return target.getvalue()


def _words(text: str) -> Paragraph:
    return Paragraph(escape(text).replace("\n", "<br/>"), _PLAIN)


def addendum_in_words(added: Addendum) -> str:
    """An addition with who signed it and when."""
    when = f"{timezone.localtime(added.signed_at):%d %B %Y, %H:%M %Z}"
    return f"Addendum, signed by {added.signed_by} on {when}\n{added.text}"


def _key_images(report: Report) -> list[Flowable]:
    answered = report.verdict.finding_verdicts.select_related("finding__instance__series")
    shown = answered.order_by("finding__number")[:MOST_KEY_IMAGES]
    return [picture for said in shown for picture in _key_image(said)]


def _key_image(said: FindingVerdict) -> list[Flowable]:
    """The slice of a finding in the lung window; words alone where its file cannot be read."""
    finding = said.finding
    words = (
        f"Finding {finding.number}, image {finding.instance.instance_number or 'without number'}, "
        f"{finding.diameter_mm:.0f} mm: {said.get_label_display()}. Lung window, −600/1500 HU."
    )
    caption = Paragraph(escape(words), _SMALL)
    slice_ = finding.instance
    try:
        drawn = _ringed(png(hu_of(slice_), **LUNG_WINDOW, **as_the_file_says(slice_)), finding)
    except (OSError, Refusal):
        return [caption, Paragraph("The image cannot be read on the server.", _SMALL)]
    wide = 90 * mm
    high = wide * finding.instance.rows / finding.instance.columns
    return [KeepTogether([Image(BytesIO(drawn), wide, high, hAlign="LEFT"), Spacer(1, 4), caption])]


def _ringed(picture: bytes, finding: Finding) -> bytes:
    """The PNG with a ring round the finding, outlined in black to stand out on any grey."""
    drawn = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    pixel_mm = (finding.instance.pixel_spacing or [1.0])[0]
    centre = (round(finding.column), round(finding.row))
    radius = max(round(0.8 * finding.diameter_mm / pixel_mm), 6)
    for colour, width in (((0, 0, 0), 3), ((0, 220, 255), 1)):
        cv2.circle(drawn, centre, radius, colour, width, cv2.LINE_AA)
    return cv2.imencode(".png", drawn)[1].tobytes()


def _foot_of(report: Report):
    def foot(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.setFont(FONT, 7.5)
        canvas.drawString(20 * mm, 11 * mm, "Research use. Not a diagnosis by a certified device.")
        page = f"Report {report.pk}, page {document.page}"
        canvas.drawRightString(A4[0] - 20 * mm, 11 * mm, page)

    return foot


def _load_fonts() -> None:
    """DejaVu, which matplotlib brings: Latin, Greek and Cyrillic names are all readable."""
    if FONT in pdfmetrics.getRegisteredFontNames():
        return
    folder = Path(find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf"
    for name in (FONT, BOLD):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))


def as_fhir(report: Report) -> DiagnosticReport:
    """The report as a FHIR R4B DiagnosticReport; the signed words are its presented form."""
    case, verdict = report.case, report.verdict
    study, patient = case.study, case.study.patient
    corrected = case.events.filter(kind=CaseEvent.Kind.CORRECTED).exists()
    added = [addendum_in_words(one) for one in report.addenda.select_related("signed_by")]
    conclusion = [verdict.get_cancer_display().capitalize(), *verdict.diagnoses, verdict.text]
    if verdict.lung_rads:
        conclusion.insert(1, f"Lung-RADS v2022 category {verdict.lung_rads}")
    data = {
        "id": str(case.public_id),
        "status": "appended" if added else "corrected" if corrected else "final",
        "category": [{"coding": [RADIOLOGY]}],
        "code": {"coding": [CT_CHEST]},
        "subject": {
            "display": patient.display_name,
            **({"identifier": {"value": patient.patient_id}} if patient.patient_id else {}),
        },
        "issued": report.signed_at,
        "resultsInterpreter": [{"display": str(report.signed_by)}],
        "imagingStudy": [
            {
                "identifier": {
                    "system": "urn:dicom:uid",
                    "value": f"urn:oid:{study.study_instance_uid}",
                }
            }
        ],
        "conclusion": ". ".join(part for part in conclusion if part),
        "presentedForm": [
            {
                "contentType": "text/plain; charset=utf-8",
                "data": base64.b64encode("\n\n".join([report.body, *added]).encode()).decode(),
            }
        ],
    }
    if study.accession_number:
        data["identifier"] = [{"value": study.accession_number}]
    if codes := [code for line in verdict.diagnoses if (code := code_of(line))]:
        data["conclusionCode"] = [
            {"coding": [{"system": ICD_10_CM_SYSTEM, "code": code, "display": words}]}
            for code, words in codes
        ]
    if study.study_date:
        data["effectiveDateTime"] = study.study_date
    return DiagnosticReport(**data)
