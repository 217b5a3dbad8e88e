from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import ReadingGroup, Site, User
from apps.cases.models import Case, Series
from apps.labtech.receivers import doctors_of, groups_of

POOL = "pool"


class SearchForm(forms.Form):
    words = forms.CharField(
        required=False,
        max_length=200,
        label=_("Search"),
        widget=forms.SearchInput(
            attrs={"placeholder": _("Name, Patient ID or accession number"), "class": "input"}
        ),
    )


class SendForm(forms.Form):
    """To whom, how pressing, and what the doctor should know."""

    revision = forms.IntegerField(
        min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput, required=True
    )
    receiver = forms.ChoiceField(label=_("Send to"))
    priority = forms.TypedChoiceField(
        label=_("Priority"),
        choices=[(value, label.capitalize()) for value, label in Case.Priority.choices],
        coerce=int,
        initial=Case.Priority.ROUTINE,
        widget=forms.RadioSelect,
    )
    clinical_question = forms.CharField(
        label=_("Clinical question"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    note = forms.CharField(
        required=False,
        max_length=4000,
        label=_("Note to the doctor"),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    despite_arriving = forms.BooleanField(
        required=False, label=_("Send it now, although more images may come")
    )

    def __init__(self, *args: Any, site: Site, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = {f"group-{one.pk}": one for one in groups_of(site)}
        self.doctors = {f"doctor-{one.pk}": one for one in doctors_of(site)}
        choices: list = [(POOL, _("Any doctor of {site}").format(site=site))]
        for label, known in ((_("Groups"), self.groups), (_("Doctors"), self.doctors)):
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
        max_length=1000, label=_("Why?"), widget=forms.Textarea(attrs={"rows": 2})
    )


class MoveForm(WithdrawForm):
    """Whose study it is. A patient who is not stored yet needs a name."""

    patient_id = forms.CharField(max_length=64, label=_("Patient ID of the right patient"))
    issuer = forms.CharField(
        max_length=64,
        required=False,
        label=_("Issuer of the ID"),
        help_text=_("Where IDs have one."),
    )
    family_name = forms.CharField(label=_("Family name"), max_length=60, required=False)
    given_name = forms.CharField(label=_("Given name"), max_length=60, required=False)
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    field_order = ["revision", "patient_id", "issuer", "family_name", "given_name", "reason"]


class MergeForm(WithdrawForm):
    """With which other study of the patient; each choice carries the revision that was seen."""

    field_order = ["revision", "into", "reason"]

    into = forms.ChoiceField(label=_("Put its series into"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, others: list[Case], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.others = {f"{one.public_id} {one.revision}": one for one in others}
        self.fields["into"].choices = [
            (key, f"{one.study}, {one.images} × CT, {one.get_status_display()}")
            for key, one in self.others.items()
        ]


class SplitForm(WithdrawForm):
    """Which series are another study's."""

    field_order = ["revision", "series", "reason"]

    series = forms.MultipleChoiceField(
        label=_("Series that belong to another study"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, series: list[Series], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known = {str(one.public_id): one for one in series}
        self.fields["series"].choices = [(key, str(one)) for key, one in self.known.items()]

    def chosen(self) -> list[Series]:
        return [self.known[key] for key in self.cleaned_data["series"]]


def _receiver_key(case: Case) -> str:
    if case.receiver_id:
        return f"doctor-{case.receiver_id}"
    return f"group-{case.receiver_group_id}" if case.receiver_group_id else POOL
