"""A signed report to download."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.permissions import require
from apps.cases.looks import record_look
from apps.cases.models import Case, Report
from apps.doctor.views.reading import LOOK, visible_case

KINDS = {"pdf": "application/pdf", "fhir": "application/fhir+json"}


def newest_report(case: Case) -> Report | None:
    """The report that counts, once the case is reported."""
    if case.status != Case.Status.REPORTED:
        return None
    return case.reports.select_related("verdict", "signed_by").last()


def _make(report: Report, wanted: str) -> bytes | str:
    # Loaded when asked for: the formats' libraries cost every web process 17 MB.
    from apps.doctor.report_files import as_fhir, as_pdf

    return as_pdf(report) if wanted == "pdf" else as_fhir(report).model_dump_json()


def _download(request: HttpRequest, public_id: UUID, wanted: str) -> HttpResponse:
    """The newest signed report as a file; the name of the file tells nothing of the patient."""
    case = visible_case(request, public_id)
    report = newest_report(case)
    if report is None:
        words = "This case is not reported yet, so there is no report to download."
        return HttpResponse(words, status=409, content_type="text/plain; charset=utf-8")
    record_look(request, case, what=f"report as {wanted}")
    ending = "json" if wanted == "fhir" else wanted
    name = f'attachment; filename="report-{case.public_id}.{ending}"'
    headers = {"Content-Disposition": name}
    return HttpResponse(_make(report, wanted), content_type=KINDS[wanted], headers=headers)


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
