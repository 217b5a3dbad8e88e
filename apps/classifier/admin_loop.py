"""Admin's pages of the learning loop: its settings to change, the rest to look at."""

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from apps.audit.admin import AuditedAdmin, ReadOnlyAdmin
from apps.cases.admin import PatientDataAdmin
from apps.classifier.models import (
    Alert,
    Confirmation,
    FrozenTestSet,
    LoopSettings,
    Opinion,
    WatchSettings,
    WatchState,
)
from apps.classifier.models.watching import Figure


class OneRowAdmin(AuditedAdmin):
    """Settings of which there is one row."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not self.model.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def save_form(self, request: HttpRequest, form: object, change: bool) -> Model:
        """The first save makes row 1, which is the only one there may be."""
        row = super().save_form(request, form, change)
        row.pk = 1
        return row


@admin.register(LoopSettings)
class LoopSettingsAdmin(OneRowAdmin):
    """When trainings start by themselves, and the gate's margins."""

    audited_values = tuple(
        field.name for field in LoopSettings._meta.concrete_fields if field.editable
    )
    list_display = ["__str__", "train_after", "schedule", "schedule_hour"]
    fieldsets = [
        ("When trainings start", {"fields": ["train_after", "schedule", "schedule_hour"]}),
        (
            "How much worse a candidate may be",
            {
                "fields": [
                    "margin_auc",
                    "margin_sensitivity",
                    "margin_specificity",
                    "margin_ece",
                    "margin_brier",
                    "margin_subgroup_auc",
                    "least_patients",
                ]
            },
        ),
    ]


class WatchSettingsForm(forms.ModelForm):
    stop_on = forms.MultipleChoiceField(
        choices=Figure.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Switch the AI display off on",
        help_text=WatchSettings._meta.get_field("stop_on").help_text,
    )


@admin.register(WatchSettings)
class WatchSettingsAdmin(OneRowAdmin):
    """Limits of the monitoring, and the stop-rule."""

    form = WatchSettingsForm
    audited_values = tuple(
        field.name for field in WatchSettings._meta.concrete_fields if field.editable
    )
    list_display = ["__str__", "window_days", "least_cases", "stop_on"]
    fieldsets = [
        ("Measured over", {"fields": ["window_days", "least_cases"]}),
        (
            "Limits",
            {"fields": [f.name for f in WatchSettings._meta.fields if f.name.startswith("limit_")]},
        ),
        ("Stop-rule", {"fields": ["stop_on"]}),
    ]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["figure", "value", "limit", "n", "raised_at", "ended_at", "stopped_display"]
    list_filter = ["figure", "stopped_display", "raised_at"]
    search_fields = ["words"]


@admin.register(WatchState)
class WatchStateAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "measured_at", "off_since", "changed_by"]
    search_fields = ["off_reason"]
    list_filter = ["off_since"]


@admin.register(Opinion)
class OpinionAdmin(PatientDataAdmin):
    list_display = ["pk", "example", "doctor", "label", "given_at"]
    list_filter = ["label", "given_at"]
    search_fields = ["example__public_id", "example__case__public_id", "doctor__email", "text"]
    list_select_related = ["example", "doctor"]


@admin.register(Confirmation)
class ConfirmationAdmin(PatientDataAdmin):
    list_display = ["pk", "case", "finding", "kind", "label", "recorded_by", "recorded_at"]
    list_filter = ["kind", "label", "recorded_at"]
    search_fields = ["case__public_id", "finding__public_id", "recorded_by__email", "text"]
    list_select_related = ["case", "finding", "recorded_by"]


@admin.register(FrozenTestSet)
class FrozenTestSetAdmin(ReadOnlyAdmin):
    list_display = ["pk", "patients", "items", "sha256", "frozen_at", "note"]
    list_filter = ["frozen_at"]
    search_fields = ["sha256", "note"]
