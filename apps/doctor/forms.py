"""What doctors type into forms that are pages of their own."""

from django import forms


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
