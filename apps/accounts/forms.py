"""What people are asked about themselves, and admins about people; and what is refused."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import ReadingGroup, User
from apps.accounts.permissions import Role


class LowerCaseEmail:
    """One spelling of an address, so that it is one account."""

    def clean_email(self) -> str:
        return self.cleaned_data["email"].lower()


class PersonCreationForm(LowerCaseEmail, UserCreationForm):
    class Meta:
        model = User
        fields = ["email", "first_name", "last_name", "role", "site"]


class PersonForm(LowerCaseEmail, UserChangeForm):
    class Meta:
        model = User
        fields = ["email", "password", "first_name", "last_name", "role", "site", "is_active"]

    def clean(self) -> dict[str, Any]:
        """Somebody must stay who can let people in."""
        cleaned = super().clean()
        stays = cleaned.get("role") == Role.ADMIN and cleaned.get("is_active")
        if not stays and is_last_admin(self.instance.pk):
            raise forms.ValidationError(
                "This is the last active admin. Make somebody else an admin first."
            )
        return cleaned


class NewPasswordForm(AdminPasswordChangeForm):
    """Sets a password; switching log-in off is what "active" is for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
        self.fields["password1"].required = self.fields["password2"].required = True


class ReadingGroupForm(forms.ModelForm):
    class Meta:
        model = ReadingGroup
        fields = ["name", "site", "members", "leads"]

    def clean(self) -> dict[str, Any]:
        """A member sees every case sent to the group, so only doctors of its site may be one."""
        cleaned = super().clean()
        for member in cleaned.get("members", []):
            if member.role != Role.DOCTOR or member.site != cleaned.get("site"):
                self.add_error("members", f"{member} is not a doctor of this site.")
        for lead in cleaned.get("leads", []):
            if lead not in cleaned.get("members", []):
                self.add_error("leads", f"{lead} is not a member of this group.")
        return cleaned


class ProfileForm(forms.ModelForm):
    """How the pages behave for oneself; empty is what the installation says."""

    time_zone = forms.ChoiceField(
        required=False,
        label=_("Time zone"),
        help_text=_("Times on every page are shown in it. Studies keep the time of their scanner."),
    )

    class Meta:
        model = User
        fields = ["first_name", "last_name", "language", "time_zone", "mail_news", "theme", "keys"]
        widgets = {"theme": forms.RadioSelect, "keys": forms.RadioSelect}
        labels = {"theme": _("Display"), "keys": _("Shortcuts")}
        help_texts = {
            "mail_news": _(
                "What the bell tells, by mail too: only that it happened and the way there, never "
                "who the patient is."
            ),
            "theme": _("“As the computer” leaves the pages with images dark."),
            "keys": _("Keys such as J, K or 1 that act without being typed into a field."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")
        usual = _("as the installation ({zone})").format(zone=settings.TIME_ZONE)
        self.fields["language"].choices = [("", _("English, as usual")), *settings.LANGUAGES]
        self.fields["time_zone"].choices = [("", usual), *((zone, zone) for zone in zones)]


def is_last_admin(pk: int | None) -> bool:
    """Whether no other admin can log in; the rows stay locked until the form is saved."""
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True)
    return {user.pk for user in admins.order_by("pk")} == {pk}
