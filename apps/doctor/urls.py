"""Addresses under /doctor/."""

from django.urls import path

from apps.doctor.views import (
    absence,
    break_glass,
    confirming,
    corrections,
    critical,
    opinions,
    reading,
    report,
    statistics,
    worklist,
)

app_name = "doctor"
urlpatterns = [
    path("", worklist.worklist, name="worklist"),
    path("rows/", worklist.rows, name="worklist_rows"),
    path("search/", worklist.search, name="worklist_search"),
    path("next/", worklist.next_case, name="next"),
    path("cases/<uuid:public_id>/", reading.case, name="case"),
    path("cases/<uuid:public_id>/state/", reading.state, name="case_state"),
    path("cases/<uuid:public_id>/history/", reading.history, name="case_history"),
    path("cases/<uuid:public_id>/compare/", reading.compare, name="case_compare"),
    path("cases/<uuid:public_id>/report.pdf", report.pdf, name="report_pdf"),
    path("cases/<uuid:public_id>/report.json", report.fhir, name="report_fhir"),
    path("cases/<uuid:public_id>/report.sr.dcm", report.structured, name="report_sr"),
    path("cases/<uuid:public_id>/report.marks.dcm", report.marks, name="report_marks"),
    path("assign/", worklist.assign_cases, name="assign"),
    path("absences/", absence.absences, name="absences"),
    path("absences/<int:pk>/cancel/", absence.cancel, name="absence_cancel"),
    path("statistics/", statistics.statistics, name="statistics"),
    path("cases/<uuid:public_id>/critical/", critical.critical_result, name="critical"),
    path("cases/<uuid:public_id>/confirm/", confirming.confirm_case, name="confirm"),
    path("opinions/", opinions.opinions, name="opinions"),
    path("opinions/<uuid:public_id>/answer/", opinions.answer, name="opinion_answer"),
    path("opinions/<uuid:public_id>/crop.png", opinions.crop, name="opinion_crop"),
    path("corrections/", corrections.corrections, name="corrections"),
    path("break-glass/", break_glass.break_glass, name="break_glass"),
]
