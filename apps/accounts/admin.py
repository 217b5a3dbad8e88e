"""People, sites, reading groups and API tokens. Every change here writes an audit row."""

from typing import Any

from allauth.account.admin import EmailAddress  # this import registers what goes below
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.http import HttpRequest
from rest_framework.authtoken.admin import TokenAdmin
from rest_framework.authtoken.models import TokenProxy

from apps.accounts.forms import (
    NewPasswordForm,
    PersonCreationForm,
    PersonForm,
    ReadingGroupForm,
)
from apps.accounts.models import ApiToken, ReadingGroup, Site, User
from apps.audit.admin import AuditedAdmin

admin.site.unregister(Group)
admin.site.unregister(EmailAddress)
admin.site.unregister(TokenProxy)
admin.site.site_header = "Cancer Prediction System"
admin.site.site_title = "Cancer Prediction System"
admin.site.index_title = "Administration"


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):
    add_form = PersonCreationForm
    form = PersonForm
    change_password_form = NewPasswordForm
    audited_values = ("email", "role", "site", "is_active")
    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "role", "site", "is_active", "last_login"]
    list_filter = ["role", "site", "is_active", "reading_groups"]
    search_fields = ["email", "first_name", "last_name"]
    list_select_related = ["site"]
    filter_horizontal: list[str] = []
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Person", {"fields": ["first_name", "last_name"]}),
        ("Access", {"fields": ["role", "site", "is_active"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": [
                    "email",
                    "first_name",
                    "last_name",
                    "role",
                    "site",
                    "password1",
                    "password2",
                ]
            },
        )
    ]

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """People are deactivated, not deleted: their work names them."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:
        """What the old address, role or site opened, it opens no more."""
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            EmailAddress.objects.filter(user=obj).delete()
        if {"role", "site"} & set(form.changed_data) and obj.reading_groups.exists():
            obj.reading_groups.clear()
            obj.led_groups.clear()
            messages.warning(request, f"{obj} is in no reading group any more.")


@admin.register(Site)
class SiteAdmin(AuditedAdmin):
    audited_values = ("name", "reads_twice", "reading_mode", "shows_statistics", "retention_days")
    list_display = ["name", "reads_twice", "reading_mode", "retention_days"]
    search_fields = ["name"]

    def has_delete_permission(self, request: HttpRequest, obj: Site | None = None) -> bool:
        """People, studies and audit rows name their site."""
        return False


@admin.register(ReadingGroup)
class ReadingGroupAdmin(AuditedAdmin):
    form = ReadingGroupForm
    audited_values = ("name", "site", "members", "leads")
    list_display = ["name", "site"]
    list_filter = ["site"]
    list_select_related = ["site"]
    search_fields = ["name", "members__email", "members__last_name"]
    autocomplete_fields = ["members", "leads"]


@admin.register(ApiToken)
class ApiTokenAdmin(AuditedAdmin, TokenAdmin):
    """A token is shown once, when it is made; who holds it acts as its user."""

    audited_values = ("user",)
    list_display = ["user", "created"]
    autocomplete_fields = ["user"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """To change a token is to delete it and make another."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        messages.success(request, f"The token, shown only this once: {obj.key}")
