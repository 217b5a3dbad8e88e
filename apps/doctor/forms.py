"""What doctors type into forms that are pages of their own."""

from typing import Any

from django import forms

from apps.classifier.labels import LABELS
from apps.classifier.models import Confirmation

CANNOT_TELL = "cannot_tell"
WHOLE_CASE = "case"


class SearchForm(forms.Form):
    """Patients' names and numbers: posted and kept in the session, never in an address."""

    search = forms.CharField(max_length=200, required=False)


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
