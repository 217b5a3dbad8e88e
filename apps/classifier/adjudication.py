"""Whether a correction may be learnt from: conflicts, second opinions, pathology, decisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import Site, User
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case, CaseEvent
from apps.classifier.labels import (
    LABELS,
    LearningConflict,
    Task,
    label_from_verdict,
    label_in_words,
    words_of,
)
from apps.classifier.models import (
    Confirmation,
    Finding,
    FindingVerdict,
    Opinion,
    TrainingExample,
    TrainingRun,
)
from apps.classifier.places import at_same_place, looks_like_frozen_test, near_duplicates

Status = TrainingExample.Status
OPEN_RUN = [TrainingRun.Status.QUEUED, TrainingRun.Status.RUNNING]
_CORRECTED_LATER = "The doctor corrected this answer later."


@dataclass(frozen=True)
class Conflict:
    """Another doctor says something else about the same finding."""

    who: str
    label: str
    at: datetime


def conflicts(example: TrainingExample) -> list[Conflict]:
    """What other doctors say against it, whether as a correction, an opinion or a verdict."""
    found = [
        *_other_corrections(example),
        *_other_opinions(example),
        *_other_verdicts(example),
    ]
    said = {(one.who, one.label): one for one in sorted(found, key=lambda one: one.at)}
    return list(said.values())


def _other_corrections(example: TrainingExample) -> Iterable[Conflict]:
    others = at_same_place(example).exclude(label=example.label).exclude(status=Status.REJECTED)
    for other in others.exclude(sent_by=example.sent_by_id).select_related("sent_by"):
        yield Conflict(str(other.sent_by), label_in_words(other), other.sent_at)


def _other_opinions(example: TrainingExample) -> Iterable[Conflict]:
    for one in example.opinions.select_related("doctor"):
        if one.label and one.label != example.label:
            yield Conflict(str(one.doctor), words_of(example.task, one.label), one.given_at)


def _other_verdicts(example: TrainingExample) -> Iterable[Conflict]:
    """The last answer of every other doctor about the same finding."""
    if example.finding_id is None:
        return
    said = FindingVerdict.objects.filter(finding=example.finding_id).exclude(
        verdict__doctor=example.sent_by_id
    )
    last = {
        one.verdict.doctor_id: one for one in said.select_related("verdict__doctor").order_by("pk")
    }
    for one in last.values():
        label = label_from_verdict(example.task, one.label)
        if label != example.label:
            words = words_of(example.task, label)
            yield Conflict(str(one.verdict.doctor), words, one.verdict.given_at)


def confirmation_of(example: TrainingExample) -> Confirmation | None:
    """What pathology or follow-up says about the example's place, if anything.

    A confirmation of the whole case speaks for a finding when it is benign (then all are), or
    when the case has no other finding.
    """
    newest = Confirmation.objects.filter(case=example.case_id)
    own = newest.filter(finding=example.finding_id).first() if example.finding_id else None
    if own or example.finding_id is None:
        return own
    whole = newest.filter(finding=None).first()
    if whole and whole.label == Confirmation.Label.MALIGNANT:
        seen = Finding.objects.filter(case=example.case_id).exclude(prediction__shadow=True)
        others = seen.exclude(pk=example.finding_id)
        return None if others.exists() else whole
    return whole


def contradicts_confirmation(example: TrainingExample) -> Confirmation | None:
    """The pathology or follow-up that the example's label contradicts."""
    known = confirmation_of(example)
    if known is None:
        return None
    if example.task == Task.MALIGNANCY:
        return known if known.label != example.label else None
    is_none = example.task == Task.NODULE and example.label == "not_a_nodule"
    return known if is_none and known.finding_id else None


def contradictions(example: TrainingExample) -> list[TrainingExample]:
    """Accepted examples that say something else about the same place, pathology not against."""
    accepted = at_same_place(example).filter(status__in=[Status.ACCEPTED, Status.USED])
    others = accepted.exclude(label=example.label).select_related("case", "finding")
    return [other for other in others if not contradicts_confirmation(other)]


def why_not_accept(example: TrainingExample) -> str:
    """What forbids to accept the example, whatever anybody says; empty when nothing does."""
    against = contradicts_confirmation(example)
    if against:
        return (
            f"{against.get_kind_display().capitalize()} says {against.get_label_display()}, and "
            f"that outranks this label ({label_in_words(example)})."
        )
    if looks_like_frozen_test(example.perceptual_hash):
        return "It looks like an image of the frozen test set, so it must not be learnt."
    for other in near_duplicates(example):
        if other.side != example.side:
            return (
                f"It looks nearly the same as correction {other.pk}, whose patient is on the "
                "other side: the same image would be learnt and tested."
            )
    others = contradictions(example)
    if others:
        return (
            f"Example {others[0].pk} says “{label_in_words(others[0])}” about the same place "
            "and is accepted: take that one back first, or reject this one."
        )
    return ""


def must_settle(example: TrainingExample) -> list[Conflict]:
    """Conflicts that nobody has settled: not by a decision since, and not by pathology."""
    if confirmation_of(example):
        return []
    since = example.decided_at if example.status in {Status.ACCEPTED, Status.USED} else None
    return [one for one in conflicts(example) if since is None or one.at > since]


def may_be_used(example: TrainingExample) -> bool:
    """Whether an accepted example may go into a training now."""
    return not contradicts_confirmation(example) and not must_settle(example)


@transaction.atomic
def decide_example(
    example: TrainingExample, *, request: HttpRequest, accept: bool, note: str = ""
) -> None:
    """Accept or reject a waiting example. Raises LearningConflict when that cannot be.

    Where doctors disagree, accepting settles it: that needs a note, and what was sent against
    it is rejected with the same note.
    """
    _lock_place(example)
    if accept:
        _refuse(why_not_accept(example))
        if must_settle(example) and not note.strip():
            raise LearningConflict(
                "Doctors disagree about this finding. Nothing was changed: to settle it, write "
                "why you decide for this label."
            )
    status = Status.ACCEPTED if accept else Status.REJECTED
    settled = must_settle(example) if accept else []
    _move(example, [Status.QUEUED], status, request, note)
    if settled:
        _reject_others(example, request, note)


def _lock_place(example: TrainingExample) -> None:
    """Who decides about the same place waits, so that they see what was decided."""
    here = [example.pk, *at_same_place(example).values_list("pk", flat=True)]
    rows = TrainingExample.objects.filter(pk__in=here).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk"))


def _refuse(forbidden: str) -> None:
    if forbidden:
        raise LearningConflict(f"{forbidden} Nothing was changed.")


def _reject_others(example: TrainingExample, request: HttpRequest, note: str) -> None:
    others = at_same_place(example).filter(status=Status.QUEUED).exclude(label=example.label)
    for other in others:
        words = f"Settled for “{label_in_words(example)}”: {note}"
        _move(other, [Status.QUEUED], Status.REJECTED, request, words)


@transaction.atomic
def reopen_example(example: TrainingExample, *, request: HttpRequest) -> None:
    """Take a decision back, as long as no training has used or is using the example."""
    if example.runs.filter(status__in=OPEN_RUN).exists():
        raise LearningConflict("A training is using this example right now. Nothing was changed.")
    _move(example, [Status.ACCEPTED, Status.REJECTED], Status.QUEUED, request, "")


@transaction.atomic
def ask_opinion(example: TrainingExample, *, request: HttpRequest) -> None:
    """Show a waiting example to the sender's colleagues. Raises LearningConflict."""
    asked = TrainingExample.objects.filter(
        pk=example.pk, status=Status.QUEUED, opinion_asked_at=None
    ).update(opinion_asked_at=timezone.now(), opinion_asked_by=request.user)
    example.refresh_from_db()
    if not asked:
        raise LearningConflict(
            "A second opinion was asked for already."
            if example.status == Status.QUEUED
            else f"This example is {example.get_status_display()} by now. Nothing was changed."
        )
    _note_decision(example, request, "opinion_asked")


def opinions_asked_of(user: User) -> QuerySet[TrainingExample]:
    """Colleagues' corrections at the same site on which this doctor was asked, decided or not.

    None of a case whose second reading is open, or that a site which reads doctor first has not
    reported: it would tell a reader what others, or the AI, said.
    """
    alone = Q(case__stage=Case.Stage.SECOND) | Q(
        case__site__reading_mode=Site.ReadingMode.DOCTOR_FIRST
    )
    read_apart = alone & ~Q(case__status=Case.Status.REPORTED)
    return (
        TrainingExample.objects.filter(opinion_asked_at__isnull=False, case__site_id=user.site_id)
        .exclude(read_apart | Q(case__status=Case.Status.WITHDRAWN))
        .exclude(sent_by=user)
        .select_related("finding__instance", "instance__series__study", "case__site", "sent_by")
    )


def opinions_waiting(user: User) -> QuerySet[TrainingExample]:
    """Those that wait for this doctor's answer, the longest waiting first."""
    waiting = opinions_asked_of(user).filter(status=Status.QUEUED)
    return waiting.exclude(opinions__doctor=user).order_by("opinion_asked_at", "pk")


@transaction.atomic
def give_opinion(
    example: TrainingExample, *, request: HttpRequest, label: str, text: str = ""
) -> Opinion:
    """A second doctor's answer. The same label accepts the example where nothing forbids it;
    another one is a conflict that an admin settles; none says that they cannot tell either.

    Raises LearningConflict for the sender, a second answer, or an example decided meanwhile;
    ValueError for a label that the task does not know.
    """
    if label and label not in LABELS[example.task]:
        raise ValueError(f"{example.task} has no label {label!r}")
    if example.sent_by_id == request.user.pk:
        raise LearningConflict("This is your own correction; a second opinion is another's.")
    if not TrainingExample.objects.filter(pk=example.pk, status=Status.QUEUED).exists():
        raise LearningConflict("This correction was decided in the meantime. Nothing was changed.")
    try:
        with transaction.atomic():
            said = Opinion.objects.create(
                example=example, doctor=request.user, label=label, text=text
            )
    except IntegrityError:
        raise LearningConflict("You have answered this one already.") from None
    _note_decision(example, request, f"opinion: {label or 'cannot tell'}")
    agreed = label == example.label
    if agreed and not why_not_accept(example) and not must_settle(example):
        words = text or f"{request.user} is of the same opinion."
        _move(example, [Status.QUEUED], Status.ACCEPTED, request, words)
    return said


@transaction.atomic
def confirm(
    case: Case,
    *,
    request: HttpRequest,
    kind: str,
    label: str,
    finding: Finding | None = None,
    text: str = "",
) -> Confirmation:
    """Record what pathology or follow-up showed. Accepted examples against it wait again.

    The same words of the same doctor about the same place twice are one record (second click).
    """
    Case.objects.select_for_update().get(pk=case.pk)
    newest = case.confirmations.filter(finding=finding).first()
    said = (kind, label, text, request.user.pk)
    if newest and (newest.kind, newest.label, newest.text, newest.recorded_by_id) == said:
        return newest
    made = Confirmation.objects.create(
        case=case, finding=finding, kind=kind, label=label, text=text, recorded_by=request.user
    )
    CaseEvent.objects.create(
        case=case,
        kind=CaseEvent.Kind.CONFIRMED,
        actor=str(request.user),
        actor_pk=request.user.pk,
        text=f"{made}{': ' + text if text else ''}",
    )
    record(AuditEvent.Action.CONFIRMED, request=request, target=made, site_pk=case.site_id)
    for example in case.training_examples.filter(status=Status.ACCEPTED):
        if contradicts_confirmation(example):
            words = f"{made.get_kind_display().capitalize()} says {made.get_label_display()}."
            _move(example, [Status.ACCEPTED], Status.QUEUED, request, words)
    return made


@transaction.atomic
def take_back_outdated(finding: Finding, *, request: HttpRequest, label: str) -> None:
    """Take back what this doctor once sent about a finding and says no more.

    `label` is the doctor's answer now. What waits is rejected; what an admin has accepted
    already waits again, so that they look once more; what a training has used stays.
    """
    theirs = TrainingExample.objects.select_for_update().filter(
        finding=finding,
        task__in=[Task.MALIGNANCY, Task.NODULE],
        sent_by=request.user,
        status__in=[Status.QUEUED, Status.ACCEPTED],
    )
    for example in theirs:
        if example.label != label_from_verdict(example.task, label):
            take_back(example, request)


def take_back(example: TrainingExample, request: HttpRequest) -> None:
    """The sender says something else by now: reject what waits, look again at what is accepted."""
    back_to = Status.QUEUED if example.status == Status.ACCEPTED else Status.REJECTED
    _move(example, [example.status], back_to, request, _CORRECTED_LATER)


def _move(
    example: TrainingExample, allowed: list[str], status: str, request: HttpRequest, note: str
) -> None:
    back = status == Status.QUEUED
    changed = TrainingExample.objects.filter(pk=example.pk, status__in=allowed).update(
        status=status,
        decided_by=None if back else request.user,
        decided_at=None if back else timezone.now(),
        decision_note=note[:500],
    )
    example.refresh_from_db()
    if not changed:
        raise LearningConflict(
            f"This example is {example.get_status_display()} by now. Nothing was changed."
        )
    _note_decision(example, request, status)


def _note_decision(example: TrainingExample, request: HttpRequest, decision: str) -> None:
    record(
        AuditEvent.Action.EXAMPLE_DECIDED,
        request=request,
        target=example,
        site_pk=example.case.site_id,
        decision=decision,
    )
