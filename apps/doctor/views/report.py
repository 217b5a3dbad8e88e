"""A signed report to download."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.permissions import require
from apps.cases.looks import record_look
from apps.cases.models import Case, Report
from apps.doctor.views.reading import LOOK, visible_case

KINDS = {
    "pdf": ("application/pdf", "pdf"),
    "fhir": ("application/fhir+json", "json"),
    "sr": ("application/dicom", "sr.dcm"),
    "marks": ("application/dicom", "marks.dcm"),
}


def newest_report(case: Case) -> Report | None:
    """The report that counts, once the case is reported."""
    if case.status != Case.Status.REPORTED:
        return None
    return case.reports.select_related("verdict", "signed_by").last()


def _make(report: Report, wanted: str) -> bytes | str:
    # Loaded when asked for: the formats' libraries cost every web process 17 MB and more.
    if wanted in {"sr", "marks"}:
        from apps.doctor.report_dicom import as_marks, as_sr

        return as_sr(report) if wanted == "sr" else as_marks(report)
    from apps.doctor.report_files import as_fhir, as_pdf

    return as_pdf(report) if wanted == "pdf" else as_fhir(report).model_dump_json()


def _download(request: HttpRequest, public_id: UUID, wanted: str) -> HttpResponse:
    """The newest signed report as a file; the name of the file tells nothing of the patient."""
    case = visible_case(request, public_id)
    report = newest_report(case)
    if report is None:
        return _words("This case is not reported yet, so there is no report to download.", 409)
    record_look(request, case, what=f"report as {wanted}")
    content_type, ending = KINDS[wanted]
    try:
        made = _make(report, wanted)
    except FileNotFoundError:
        words = "No image of this study can be read on the server, so there is nothing to refer to."
        return _words(f"{words} The report as PDF is complete. Please tell your admin.", 503)
    name = f'attachment; filename="report-{case.public_id}.{ending}"'
    return HttpResponse(made, content_type=content_type, headers={"Content-Disposition": name})


def _words(words: str, status: int) -> HttpResponse:
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
@require(LOOK)
def pdf(request: HttpRequest, public_id: UUID) -> HttpResponse:
    return _download(request, public_id, "pdf")


@never_cache
@require_safe
@require(LOOK)
def fhir(request: HttpRequest, public_id: UUID) -> HttpResponse:
    return _download(request, public_id, "fhir")


@never_cache
@require_safe
@require(LOOK)
def structured(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """DICOM SR, TID 1500."""
    return _download(request, public_id, "sr")


@never_cache
@require_safe
@require(LOOK)
def marks(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """DICOM Grayscale Softcopy Presentation State."""
    return _download(request, public_id, "marks")
