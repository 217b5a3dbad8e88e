"""Cases and images in Django admin: to look up, never to edit, and never with pixels."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from apps.audit.admin import ReadOnlyAdmin
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import (
    AccessGrant,
    Addendum,
    Case,
    CaseEvent,
    CriticalResult,
    Instance,
    Measurement,
    Patient,
    PatientAssignment,
    Presentation,
    Reading,
    Report,
    Series,
    SeriesAssignment,
    Study,
    UnaidedOpinion,
    Verdict,
)


def link_to(field: str) -> Callable[[Model], str]:
    """A column that leads to the row behind a foreign key."""

    @admin.display(description=field.replace("_", " "), ordering=field)
    def column(row: Model) -> str:
        other = getattr(row, field)
        if other is None:
            return "-"
        name = f"admin:{other._meta.app_label}_{other._meta.model_name}_change"
        return format_html('<a href="{}">{}</a>', reverse(name, args=[other.pk]), other)

    return column


def rows_of(app_model: str, query: str, label: str) -> Callable[[Model], str]:
    """A column that leads to the list of the rows which belong to this one."""

    @admin.display(description=label)
    def column(row: Model) -> str:
        address = reverse(f"admin:{app_model}_changelist")
        return format_html('<a href="{}?{}={}">{}</a>', address, query, row.pk, label)

    return column


class PatientDataAdmin(ReadOnlyAdmin):
    """Looking at a patient's data is audited here as everywhere.

    What is searched for is posted and kept in the session: names never stand in an address.
    """

    change_list_template = "admin/patient_data_list.html"
    show_full_result_count = False
    list_per_page = 50

    @property
    def _kept_search(self) -> str:
        return f"admin_search_{self.opts.label_lower}"

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and "search" in request.POST:
            request.session[self._kept_search] = request.POST["search"][:200].replace("\0", "")
            return redirect(request.path)
        if SEARCH_VAR in request.GET:
            return redirect(request.path)
        answer = super().changelist_view(request, *args, **kwargs)
        record(AuditEvent.Action.VIEWED, request=request, admin_list=self.opts.label_lower)
        return answer

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        shown = super().get_changelist_instance(request)
        shown.query = request.session.get(self._kept_search, "")
        return shown

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        kept = request.session.get(self._kept_search, "")
        return super().get_search_results(request, queryset, kept)

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Model | None:
        found = super().get_object(request, *args, **kwargs)
        if found is not None:
            record(AuditEvent.Action.VIEWED, request=request, target=found, admin=True)
        return found


@admin.register(Patient)
class PatientAdmin(PatientDataAdmin):
    list_display = ["display_name", "patient_id", "issuer_of_patient_id", "birth_date", "sex"]
    list_display += ["site", rows_of("cases_study", "patient__id__exact", "studies")]
    list_filter = ["site", "sex"]
    search_fields = ["name", "patient_id"]
    list_select_related = ["site"]


@admin.register(Study)
class StudyAdmin(PatientDataAdmin):
    list_display = ["study_description", link_to("patient"), "study_date", "accession_number"]
    list_display += ["site", "received_at", link_to("case")]
    list_display += [rows_of("cases_series", "study__id__exact", "series")]
    list_filter = ["site", "received_at"]
    search_fields = ["patient__name", "patient__patient_id", "accession_number"]
    search_fields += ["study_instance_uid", "study_description"]
    list_select_related = ["patient", "site", "case"]
    date_hierarchy = "received_at"


@admin.register(Series)
class SeriesAdmin(PatientDataAdmin):
    list_display = ["__str__", link_to("study"), "series_number", "body_part_examined"]
    list_display += ["slice_thickness", "manufacturer", "images"]
    list_display += [rows_of("cases_instance", "series__id__exact", "instances")]
    list_filter = ["manufacturer", "study__site"]
    search_fields = ["series_instance_uid", "series_description", "study__patient__name"]
    list_select_related = ["study"]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(images=Count("instances"))

    @admin.display(ordering="images")
    def images(self, series: Series) -> int:
        return series.images


@admin.register(Instance)
class InstanceAdmin(PatientDataAdmin):
    list_display = ["__str__", link_to("series"), "rows", "columns", "transfer_syntax_uid"]
    list_display += ["lossy", "file_size", "received_at", "received_from"]
    list_filter = ["lossy", "transfer_syntax_uid", "burned_in_annotation", "site", "received_at"]
    search_fields = ["sop_instance_uid", "sha256", "series__series_instance_uid"]
    list_select_related = ["series", "received_from"]


@admin.register(Presentation)
class PresentationAdmin(PatientDataAdmin):
    list_display = ["__str__", link_to("series"), link_to("author"), "rotation", "saved_at"]
    list_filter = ["rotation", "saved_at"]
    search_fields = ["author__email"]
    list_select_related = ["series", "author"]


@admin.register(Measurement)
class MeasurementAdmin(PatientDataAdmin):
    list_display = ["__str__", "kind", link_to("instance"), link_to("author"), "created_at"]
    list_display += ["changed_at", "deleted_at"]
    list_filter = ["kind", "created_at"]
    search_fields = ["author__email", "instance__sop_instance_uid"]
    list_select_related = ["instance__series", "author"]


class CaseEventInline(admin.TabularInline):
    model = CaseEvent
    fields = readonly_fields = ["at", "kind", "actor", "text"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Case)
class CaseAdmin(PatientDataAdmin):
    list_display = ["__str__", link_to("study"), "status", "priority", "site"]
    list_display += [link_to("receiver"), link_to("receiver_group"), link_to("claimed_by")]
    list_display += ["created_at", "sent_at", "reported_at"]
    list_filter = ["status", "priority", "site", "sent_at"]
    search_fields = ["public_id", "study__patient__name", "study__patient__patient_id"]
    search_fields += ["study__accession_number"]
    list_select_related = ["study", "site", "receiver", "receiver_group", "claimed_by"]
    date_hierarchy = "created_at"
    inlines = [CaseEventInline]


@admin.register(CaseEvent)
class CaseEventAdmin(PatientDataAdmin):
    list_display = ["at", "kind", "actor", link_to("case"), "text"]
    list_filter = ["kind", "at"]
    search_fields = ["actor", "text", "case__public_id"]
    list_select_related = ["case"]
    date_hierarchy = "at"


@admin.register(AccessGrant)
class AccessGrantAdmin(PatientDataAdmin):
    list_display = ["granted_at", link_to("user"), link_to("case"), "reason", "expires_at"]
    list_filter = ["granted_at"]
    search_fields = ["user__email", "reason"]
    list_select_related = ["user", "case"]
    date_hierarchy = "granted_at"


@admin.register(PatientAssignment)
class PatientAssignmentAdmin(PatientDataAdmin):
    list_display = ["at", link_to("author"), "study", link_to("from_patient")]
    list_display += [link_to("to_patient"), "reason"]
    list_filter = ["at"]
    search_fields = ["author__email", "reason"]
    list_select_related = ["author", "study", "from_patient", "to_patient"]


@admin.register(SeriesAssignment)
class SeriesAssignmentAdmin(PatientDataAdmin):
    list_display = ["at", link_to("author"), "series", "from_study", "to_study", "reason"]
    list_filter = ["at"]
    search_fields = ["author__email", "reason"]
    list_select_related = ["author", "series", "from_study", "to_study"]


@admin.register(Reading)
class ReadingAdmin(PatientDataAdmin):
    list_display = [link_to("case"), link_to("doctor"), "opened_at", "ai_first_shown_at"]
    list_display += ["finished_at"]
    list_filter = ["opened_at"]
    search_fields = ["doctor__email", "case__public_id"]
    list_select_related = ["case", "doctor"]


@admin.register(UnaidedOpinion)
class UnaidedOpinionAdmin(PatientDataAdmin):
    list_display = ["given_at", "cancer", link_to("reading")]
    list_filter = ["cancer", "given_at"]
    search_fields = ["reading__doctor__email", "reading__case__public_id", "text"]
    list_select_related = ["reading"]
    date_hierarchy = "given_at"


@admin.register(Verdict)
class VerdictAdmin(PatientDataAdmin):
    list_display = ["given_at", "cancer", link_to("doctor"), link_to("case"), "diagnoses"]
    list_filter = ["cancer", "given_at"]
    search_fields = ["doctor__email", "text", "case__public_id"]
    list_select_related = ["case", "doctor"]
    date_hierarchy = "given_at"


@admin.register(Addendum)
class AddendumAdmin(PatientDataAdmin):
    list_display = ["signed_at", link_to("signed_by"), link_to("report")]
    list_filter = ["signed_at"]
    search_fields = ["signed_by__email", "report__case__public_id", "text"]
    list_select_related = ["signed_by", "report"]


@admin.register(CriticalResult)
class CriticalResultAdmin(PatientDataAdmin):
    list_display = ["told_at", "told_to", "how", "read_back", link_to("told_by"), link_to("case")]
    list_filter = ["how", "read_back", "told_at"]
    search_fields = ["told_by__email", "case__public_id", "told_to", "what"]
    list_select_related = ["told_by", "case"]


@admin.register(Report)
class ReportAdmin(PatientDataAdmin):
    list_display = ["signed_at", link_to("signed_by"), link_to("case"), link_to("verdict")]
    list_filter = ["signed_at"]
    search_fields = ["signed_by__email", "case__public_id", "body"]
    list_select_related = ["signed_by", "case", "verdict__doctor"]
    date_hierarchy = "signed_at"
