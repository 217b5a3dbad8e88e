"""Versions, predictions, corrections and trainings: to look at; workers and services write."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.admin import ReadOnlyAdmin
from apps.cases.admin import PatientDataAdmin
from apps.classifier import admin_loop  # noqa: F401  registers its own pages
from apps.classifier.activation import activate
from apps.classifier.adjudication import decide_example
from apps.classifier.labels import LearningConflict
from apps.classifier.learning import start_run
from apps.classifier.models import (
    Finding,
    FindingHeatmap,
    FindingVerdict,
    ModelVersion,
    Prediction,
    TrainingExample,
    TrainingRun,
)


def _link(attribute: str, title: str) -> Callable[[admin.ModelAdmin, object], SafeString]:
    """A column that leads to the row of a foreign key."""

    @admin.display(description=title, ordering=attribute)
    def column(self: admin.ModelAdmin, row: object) -> SafeString:
        other = getattr(row, attribute)
        if other is None:
            return format_html("–")
        meta = other._meta
        address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[other.pk])
        return format_html('<a href="{}">{}</a>', address, other)

    return column


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__",
        "status",
        "auc",
        "shipped",
        "synthetic",
        "created_at",
        "activated_at",
    ]
    list_filter = ["task", "status", "shipped", "synthetic"]
    search_fields = ["sha256", "file", "activation_note"]
    date_hierarchy = "created_at"
    actions = ["activate_version", "train_candidate"]

    @admin.display(description="AUC")
    def auc(self, version: ModelVersion) -> str:
        value = version.metrics.get("auc")
        return "–" if value is None else f"{value:.3f}"

    @admin.action(description="Activate (exactly one)")
    def activate_version(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        if chosen.count() != 1:
            self.message_user(request, "Choose exactly one version.", messages.ERROR)
            return
        version = chosen.get()
        try:
            activate(version, request=request, note="Activated in admin.")
        except LearningConflict as conflict:
            self.message_user(request, conflict.message, messages.ERROR)
        else:
            self.message_user(request, f"{version} is active.", messages.SUCCESS)

    @admin.action(description="Train a candidate for the tasks of these")
    def train_candidate(self, request: HttpRequest, chosen: QuerySet[ModelVersion]) -> None:
        for task in sorted({version.task for version in chosen}):
            try:
                run = start_run(task, request=request)
            except LearningConflict as conflict:
                self.message_user(request, conflict.message, messages.ERROR)
            else:
                self.message_user(request, f"{run} is queued.", messages.SUCCESS)


class FindingInline(admin.TabularInline):
    model = Finding
    fields = ["number", "diameter_mm", "nodule_probability", "malignancy_probability"]
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Prediction)
class PredictionAdmin(PatientDataAdmin):
    list_display = ["pk", "case_link", "status", "series_score", "models_key", "queued_at", "code"]
    list_filter = ["status", "shadow", "override", "code", "queued_at"]
    search_fields = ["public_id", "case__public_id", "models_key"]
    date_hierarchy = "queued_at"
    list_select_related = ["case"]
    inlines = [FindingInline]
    case_link = _link("case", "case")


@admin.register(Finding)
class FindingAdmin(PatientDataAdmin):
    list_display = ["pk", "case_link", "source", "number", "diameter_mm", "malignancy_probability"]
    list_filter = ["source", "created_at"]
    search_fields = ["public_id", "case__public_id"]
    list_select_related = ["case"]
    case_link = _link("case", "case")


@admin.register(FindingHeatmap)
class FindingHeatmapAdmin(PatientDataAdmin):
    list_display = ["pk", "finding_link", "method", "strength"]
    list_filter = ["method"]
    search_fields = ["finding__public_id", "finding__case__public_id"]
    list_select_related = ["finding"]
    finding_link = _link("finding", "finding")


@admin.register(FindingVerdict)
class FindingVerdictAdmin(PatientDataAdmin):
    list_display = ["pk", "finding_link", "label", "verdict"]
    list_filter = ["label", "finding__source"]
    search_fields = ["finding__public_id", "finding__case__public_id", "verdict__doctor__email"]
    list_select_related = ["finding", "verdict__doctor"]
    finding_link = _link("finding", "finding")


@admin.register(TrainingExample)
class TrainingExampleAdmin(PatientDataAdmin):
    list_display = [
        "pk",
        "task",
        "label",
        "predicted",
        "predicted_by",
        "status",
        "side",
        "case_link",
        "sent_by",
        "sent_at",
    ]
    list_filter = ["status", "task", "label", "side", "reason", "sent_at"]
    search_fields = ["public_id", "case__public_id", "sent_by__email", "text"]
    date_hierarchy = "sent_at"
    list_select_related = ["case", "sent_by"]
    actions = ["accept", "reject"]
    case_link = _link("case", "case")

    @admin.action(description="Accept for training")
    def accept(self, request: HttpRequest, chosen: QuerySet[TrainingExample]) -> None:
        self._decide(request, chosen, accept=True)

    @admin.action(description="Reject")
    def reject(self, request: HttpRequest, chosen: QuerySet[TrainingExample]) -> None:
        self._decide(request, chosen, accept=False)

    def _decide(
        self, request: HttpRequest, chosen: QuerySet[TrainingExample], *, accept: bool
    ) -> None:
        done = 0
        for example in chosen:
            try:
                decide_example(example, request=request, accept=accept, note="Decided in admin.")
                done += 1
            except LearningConflict as conflict:
                self.message_user(request, f"{example}: {conflict.message}", messages.ERROR)
        words = "accepted" if accept else "rejected"
        self.message_user(request, f"{done} {words}.", messages.SUCCESS)


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = [
        "pk",
        "task",
        "status",
        "candidate_link",
        "active_link",
        "requested_by",
        "requested_at",
        "finished_at",
    ]
    list_filter = ["task", "status", "requested_at"]
    search_fields = ["public_id", "reason"]
    date_hierarchy = "requested_at"
    list_select_related = ["candidate", "active_version", "requested_by"]
    candidate_link = _link("candidate", "candidate")
    active_link = _link("active_version", "tested against")
