from typing import Any

from django import forms

from apps.accounts.models import ReadingGroup, Site, User
from apps.cases.models import Case
from apps.labtech.receivers import doctors_of, groups_of

POOL = "pool"


class SearchForm(forms.Form):
    words = forms.CharField(
        required=False,
        max_length=200,
        label="Search",
        widget=forms.SearchInput(
            attrs={"placeholder": "Name, Patient ID or accession number", "class": "input"}
        ),
    )


class SendForm(forms.Form):
    """To whom, how pressing, and what the doctor should know."""

    revision = forms.IntegerField(
        min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput, required=True
    )
    receiver = forms.ChoiceField(label="Send to")
    priority = forms.TypedChoiceField(
        choices=[(value, label.capitalize()) for value, label in Case.Priority.choices],
        coerce=int,
        initial=Case.Priority.ROUTINE,
        widget=forms.RadioSelect,
    )
    clinical_question = forms.CharField(
        required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2})
    )
    note = forms.CharField(
        required=False,
        max_length=4000,
        label="Note to the doctor",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    despite_arriving = forms.BooleanField(
        required=False, label="Send it now, although more images may come"
    )

    def __init__(self, *args: Any, site: Site, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = {f"group-{one.pk}": one for one in groups_of(site)}
        self.doctors = {f"doctor-{one.pk}": one for one in doctors_of(site)}
        choices: list = [(POOL, f"Any doctor of {site}")]
        for label, known in (("Groups", self.groups), ("Doctors", self.doctors)):
            if known:
                choices.append((label, [(key, str(one)) for key, one in known.items()]))
        self.fields["receiver"].choices = choices

    @classmethod
    def of(cls, case: Case) -> "SendForm":
        """Filled with what the case already says, so that sending again asks for nothing twice."""
        return cls(
            site=case.site,
            initial={
                "revision": case.revision,
                "receiver": _receiver_key(case),
                "priority": case.priority,
                "clinical_question": case.clinical_question,
                "note": case.note,
            },
        )

    def sending(self) -> dict[str, Any]:
        """The cleaned values as `send` takes them."""
        values = dict(self.cleaned_data)
        key = values.pop("receiver")
        receiver: User | None = self.doctors.get(key)
        group: ReadingGroup | None = self.groups.get(key)
        return {**values, "receiver": receiver, "receiver_group": group}


class WithdrawForm(forms.Form):
    revision = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=1000, label="Why?", widget=forms.Textarea(attrs={"rows": 2})
    )


def _receiver_key(case: Case) -> str:
    if case.receiver_id:
        return f"doctor-{case.receiver_id}"
    return f"group-{case.receiver_group_id}" if case.receiver_group_id else POOL
