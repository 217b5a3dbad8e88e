"""What admins fill in."""

from typing import Any

from django import forms
from django.apps import apps

from apps.accounts.forms import LowerCaseEmail
from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.classifier.learning import TRAINABLE

_LARGEST_SEED = 2**31 - 1


class ActivateForm(forms.Form):
    note = forms.CharField(
        label="Why",
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept in the history beside your name.",
        error_messages={"required": "Say in a few words why: it is kept in the history."},
    )


class ShadowForm(forms.Form):
    step = forms.ChoiceField(choices=[("start", "start"), ("stop", "stop")])
    note = forms.CharField(
        max_length=1000,
        error_messages={"required": "Say in a few words why: it is kept in the audit trail."},
    )


class DisplayForm(forms.Form):
    show = forms.ChoiceField(choices=[("on", "on"), ("off", "off")])
    note = forms.CharField(
        max_length=400,
        error_messages={"required": "Say in a few words why: it is kept, and doctors read it."},
    )


class StartRunForm(forms.Form):
    task = forms.ChoiceField(
        label="What to train", choices=[(task.value, task.label) for task in TRAINABLE]
    )
    epochs = forms.IntegerField(
        required=False, min_value=1, max_value=500, help_text="Empty: the usual number."
    )
    seed = forms.IntegerField(min_value=0, max_value=_LARGEST_SEED, initial=1)


class DecideForm(forms.Form):
    decision = forms.ChoiceField(
        choices=[
            ("accept", "accept"),
            ("reject", "reject"),
            ("opinion", "ask for a second opinion"),
            ("reopen", "reopen"),
        ]
    )
    note = forms.CharField(max_length=500, required=False)

    def clean(self) -> dict:
        data = super().clean()
        if data.get("decision") == "reject" and not data.get("note", "").strip():
            self.add_error("note", "Say why it is rejected; the doctor can read it.")
        return data


class AuditFilterForm(forms.Form):
    action = forms.ChoiceField(
        required=False, choices=[("", "everything"), *AuditEvent.Action.choices]
    )
    actor = forms.CharField(required=False, max_length=254, label="Who (e-mail)")
    role = forms.ChoiceField(
        required=False,
        choices=[
            ("", "all roles"),
            ("labtech", "technician"),
            ("doctor", "doctor"),
            ("admin", "admin"),
        ],
    )
    target_type = forms.ChoiceField(required=False, label="To what")
    target_id = forms.CharField(required=False, max_length=64, label="Its number")
    address = forms.GenericIPAddressField(required=False, label="From (address)")
    since = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        required=False, label="To", widget=forms.DateInput(attrs={"type": "date"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ours = [model._meta for model in apps.get_models() if model.__module__.startswith("apps.")]
        kinds = sorted((meta.label_lower, str(meta.verbose_name)) for meta in ours)
        self.fields["target_type"].choices = [("", "anything"), *kinds]


class InviteForm(LowerCaseEmail, forms.ModelForm):
    class Meta:
        model = User
        fields = ["email", "first_name", "last_name", "role", "site"]
