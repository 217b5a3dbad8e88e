"""A doctor's unsigned verdict, kept on the server while it is filled in."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from apps.accounts.models import User
from apps.cases.models import Case, VerdictDraft


class DraftConflict(Exception):
    """The draft was saved elsewhere since; `draft` is what is kept there."""

    def __init__(self, draft: VerdictDraft) -> None:
        super().__init__("The draft was saved elsewhere in the meantime.")
        self.draft = draft


def draft_of(case: Case, doctor: User) -> VerdictDraft:
    """The kept draft; an unsaved one of version 0 where nothing is kept."""
    kept = VerdictDraft.objects.filter(case=case, doctor=doctor).first()
    return kept or VerdictDraft(case=case, doctor=doctor, version=0)


def save_draft(case: Case, doctor: User, *, version: int, data: dict[str, Any]) -> VerdictDraft:
    """Keep `data` if `version` is the newest kept one (0: none yet); else raise DraftConflict.

    Saving what is kept already changes nothing: a retry after a lost answer is no conflict.
    """
    if version == 0 and _first(case, doctor, data):
        return draft_of(case, doctor)
    mine = VerdictDraft.objects.filter(case=case, doctor=doctor, version=version)
    saved = mine.update(data=data, version=F("version") + 1, saved_at=timezone.now())
    kept = draft_of(case, doctor)
    if not saved and kept.data != data:
        raise DraftConflict(kept)
    return kept


def _first(case: Case, doctor: User, data: dict[str, Any]) -> bool:
    try:
        with transaction.atomic():
            VerdictDraft.objects.create(case=case, doctor=doctor, data=data)
    except IntegrityError:
        return False
    return True


def forget_draft(case: Case, doctor: User) -> None:
    """What was signed, or given up, is no draft any more."""
    VerdictDraft.objects.filter(case=case, doctor=doctor).delete()
