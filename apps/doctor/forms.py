"""What doctors type into forms that are pages of their own."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import Absence, User
from apps.accounts.permissions import Role
from apps.cases.models import CriticalResult
from apps.classifier.labels import LABELS
from apps.classifier.models import Confirmation

CANNOT_TELL = "cannot_tell"
WHOLE_CASE = "case"


class SearchForm(forms.Form):
    """Patients' names and numbers: posted and kept in the session, never in an address."""

    search = forms.CharField(max_length=200, required=False)


class UuidList(forms.MultipleChoiceField):
    """Ticked rows by their public ids."""

    def clean(self, value: Any) -> list[UUID]:
        try:
            chosen = [UUID(one) for one in value or []]
        except (ValueError, AttributeError, TypeError):
            chosen = []
        if not chosen:
            raise forms.ValidationError("Tick the cases first.")
        return chosen


class AssignForm(forms.Form):
    """Which cases, and to whom."""

    cases = UuidList()
    doctor = forms.ModelChoiceField(
        User.objects.none(),
        error_messages={
            "required": "Choose a doctor.",
            "invalid_choice": "You may give cases only to doctors of a group that you lead.",
        },
    )

    def __init__(self, doctors: QuerySet[User], *args: Any) -> None:
        super().__init__(*args)
        self.fields["doctor"].queryset = doctors


class CriticalResultForm(forms.ModelForm):
    """Who was told what, when, and whether they read it back."""

    class Meta:
        model = CriticalResult
        fields = ["told_to", "how", "what", "told_at", "read_back"]
        labels = {
            "told_to": "Who was told",
            "how": "How",
            "what": "What was said",
            "told_at": "When",
            "read_back": "They read it back, and it was right",
        }
        widgets = {
            "what": forms.Textarea(attrs={"rows": 3}),
            "told_at": forms.DateTimeInput(
                attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"
            ),
            "told_to": forms.TextInput(attrs={"autocomplete": "off"}),
        }

    def clean_told_at(self) -> datetime:
        told_at = self.cleaned_data["told_at"]
        if told_at > timezone.now() + timedelta(minutes=5):
            raise forms.ValidationError("This moment has not come yet.")
        return told_at


class AbsenceForm(forms.ModelForm):
    """From when to when, and who reads meanwhile."""

    class Meta:
        model = Absence
        fields = ["first_day", "last_day", "deputy"]
        labels = {"first_day": "First day away", "last_day": "Last day away"}
        widgets = {
            name: forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
            for name in ("first_day", "last_day")
        }

    def __init__(self, doctor: User, *args: Any) -> None:
        super().__init__(*args)
        colleagues = User.objects.filter(site=doctor.site_id, role=Role.DOCTOR, is_active=True)
        self.fields["deputy"].queryset = colleagues.exclude(pk=doctor.pk)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first and last and last < first:
            self.add_error("last_day", "The last day is before the first.")
        if last and last < timezone.localdate():
            self.add_error("last_day", "This is over already.")
        return cleaned


class BreakGlassFindForm(forms.Form):
    number = forms.CharField(
        max_length=64,
        label="Patient ID or accession number",
        help_text="The whole number, exactly as it is written.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class BreakGlassForm(BreakGlassFindForm):
    case = forms.UUIDField(
        error_messages={"required": "Choose the case.", "invalid": "Choose the case."}
    )
    reason = forms.CharField(
        min_length=10,
        max_length=500,
        label="Why do you need this case?",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"min_length": "Say in at least 10 characters why you need this case."},
    )


class OpinionForm(forms.Form):
    """A second doctor's answer; its labels are those of the correction's task."""

    label = forms.ChoiceField(
        error_messages={
            "required": "Choose an answer; “cannot tell” is one.",
            "invalid_choice": "Choose one of the answers on the card.",
        }
    )
    text = forms.CharField(max_length=1000, required=False)

    def __init__(self, task: str, *args: Any) -> None:
        super().__init__(*args)
        self.fields["label"].choices = [*LABELS[task].items(), (CANNOT_TELL, "cannot tell")]

    def clean_label(self) -> str:
        said = self.cleaned_data["label"]
        return "" if said == CANNOT_TELL else said


class ConfirmationForm(forms.Form):
    """What pathology or follow-up showed, of the whole case or of one of its findings."""

    finding = forms.ChoiceField(
        label="Of what",
        error_messages={"invalid_choice": "This finding is not of this case. Choose again."},
    )
    kind = forms.ChoiceField(
        label="Known from",
        choices=Confirmation.Kind.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Say whether pathology or follow-up showed it."},
    )
    label = forms.ChoiceField(
        label="It is",
        choices=Confirmation.Label.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Say what it is: malignant or benign."},
    )
    text = forms.CharField(
        label="Details",
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="For example the diagnosis and its date. No names: it is kept with the case.",
    )

    def __init__(self, findings: list[tuple[str, str]], *args: Any) -> None:
        super().__init__(*args)
        self.fields["finding"].choices = [(WHOLE_CASE, "the whole case"), *findings]
