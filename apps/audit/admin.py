"""Django admin: the audit trail to read, and the classes that every other admin page builds on."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse

from apps.audit.models import AuditEvent, Tombstone
from apps.audit.services import record


class KnownIds(admin.ModelAdmin):
    """Answers 400 where something else than a row's number is posted: Django's pages fail on it."""

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _refuse_odd_ids(request, [ACTION_CHECKBOX_NAME])
        return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _refuse_odd_ids(request, self.autocomplete_fields)
        return super().changeform_view(request, *args, **kwargs)


def _refuse_odd_ids(request: HttpRequest, fields: Iterable[str]) -> None:
    for posted in (one for field in fields for one in request.POST.getlist(field) if one):
        if not (posted.isascii() and posted.isdecimal() and int(posted) < 2**63):
            raise BadRequest("not the number of a row")


class ReadOnlyAdmin(KnownIds):
    """Shows rows that nobody may add, change or delete by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class AuditedAdmin(KnownIds):
    """Writes an audit row for whatever is added, changed or deleted on its pages.

    The row names the fields; values, old and new, only of those in `audited_values`, so that
    no secret gets into the trail.
    """

    audited_values: tuple[str, ...] = ()

    def construct_change_message(
        self, request: HttpRequest, form: Form, formsets: Any, add: bool = False
    ) -> Any:
        """Called once for each saved form, inside the transaction that saves it."""
        target = getattr(form, "instance", None) or form.user  # the password form has a user
        if add or form.changed_data:
            record(
                AuditEvent.Action.ADMIN_CHANGED,
                request=request,
                target=target,
                step="added" if add else "changed",
                fields=list(form.changed_data),
                values=self._values(form),
            )
        return super().construct_change_message(request, form, formsets, add)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet) -> Any:
        """Called before the rows go."""
        for target in queryset:
            record(AuditEvent.Action.ADMIN_CHANGED, request=request, target=target, step="deleted")
        return super().log_deletions(request, queryset)

    def _values(self, form: Form) -> dict[str, list[Any]]:
        return {
            name: [_plain(form.initial.get(name)), _plain(form.cleaned_data.get(name))]
            for name in form.changed_data
            if name in self.audited_values
        }


def _plain(value: Any) -> Any:
    """What JSON can hold: keys for rows."""
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, QuerySet | list):
        return sorted(one.pk if isinstance(one, Model) else one for one in value)
    return value


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor", "actor_role", "action", "target_type", "target_id", "address"]
    list_filter = ["action", "actor_role", "target_type", "at"]
    search_fields = ["actor", "target_id", "address"]
    date_hierarchy = "at"
    show_full_result_count = False


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnlyAdmin):
    list_display = ["at", "cause", "reason", "actor", "case_pk", "images"]
    list_filter = ["cause", "at"]
    search_fields = ["reason", "actor", "study_sha256", "images_sha256", "case_pk"]
    date_hierarchy = "at"
