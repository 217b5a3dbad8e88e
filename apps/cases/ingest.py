"""From uploaded files to rows: each is received, already known, or refused with the reason."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import Site, User
from apps.audit.models import AuditEvent
from apps.audit.services import record_each
from apps.cases import storage
from apps.cases.matching import hold_new_patients, refuse_other_patient, series_of, study_of
from apps.cases.models import Case, CaseEvent, Instance, Series, Study
from apps.imaging.reading import InstanceFacts, Refusal, read_instance

_INSTANCE_FACTS = [
    "sop_class_uid",
    "transfer_syntax_uid",
    "image_type",
    "instance_number",
    "rows",
    "columns",
    "pixel_spacing",
    "image_position_patient",
    "image_orientation_patient",
    "slice_location",
    "rescale_slope",
    "rescale_intercept",
    "window_center",
    "window_width",
    "windows",
    "voi_lut_function",
    "voi_luts",
    "inverted",
    "lossy",
    "burned_in_annotation",
    "pixel_sha256",
]
# Whoever loses a race for the same image finds the winner's row at the next look.
_LOOKS = 3


@dataclass(frozen=True)
class Received:
    """The answer for one stored file; `new` is False when the very same bytes were known."""

    instance: Instance
    case: Case
    new: bool


@dataclass(frozen=True)
class _Checked:
    """A file that was read and lies on the disk for good, but not yet in its place."""

    path: Path
    facts: InstanceFacts
    sha256: str


Answer = Received | Refusal


def ingest_instance(
    incoming: Path, *, site: Site, user: User | None, request: HttpRequest | None = None
) -> Received:
    """Take in one file as `ingest_files` does; a Refusal is raised."""
    (answer,) = ingest_files([incoming], site=site, user=user, request=request)
    if isinstance(answer, Refusal):
        raise answer
    return answer


def ingest_files(
    incoming: Sequence[Path], *, site: Site, user: User | None, request: HttpRequest | None = None
) -> list[Answer]:
    """Check files and store each once, with its audit row; the answers in the files' order.

    The files lie in `storage.incoming_dir()` and are used up: moved to their places, or removed.
    All that is new is committed in one transaction: many files cost little more than one.
    Raises storage.DiskNearlyFull; then nothing of them is kept.
    """
    try:
        storage.ensure_room(0)
        sums = {path: storage.sha256_of(path) for path in incoming}
        answers = _known_bytes(sums, site)
        checked = _check({path: sha for path, sha in sums.items() if path not in answers}, answers)
        with transaction.atomic():
            answers |= _store(checked, site, user)
            _audit([one for one in answers.values() if isinstance(one, Received)], request, user)
        return [answers[path] for path in incoming]
    finally:
        for path in incoming:
            path.unlink(missing_ok=True)


def known_instances(site: Site, sop_instance_uids: Sequence[str]) -> list[Received]:
    """Those of the images that the site has, their files in place; what is lost may come again."""
    stored = _instances(site).filter(sop_instance_uid__in=sop_instance_uids)
    return [
        Received(one, one.series.study.case, new=False)
        for one in stored
        if storage.path_of(one).exists()
    ]


def _known_bytes(sums: dict[Path, str], site: Site) -> dict[Path, Answer]:
    """The files whose very bytes are stored already: they need not be read again."""
    known = {one.sha256: one for one in _instances(site).filter(sha256__in=set(sums.values()))}
    answers = {path: _again(path, known[sha]) for path, sha in sums.items() if sha in known}
    return {path: answer for path, answer in answers.items() if answer}


def _check(sums: dict[Path, str], answers: dict[Path, Answer]) -> list[_Checked]:
    """Read what is not known; what is refused goes to `answers`, the rest is made durable."""
    checked = []
    for path, sha256 in sums.items():
        try:
            checked.append(_Checked(path, read_instance(path), sha256))
        except Refusal as refusal:
            answers[path] = refusal
    storage.sync([one.path for one in checked])
    return checked


def _store(checked: list[_Checked], site: Site, user: User | None) -> dict[Path, Answer]:
    """Rows and places, study by study.

    Two uploads of the same new patient or study wait for each other, but never both: each takes
    its new patients first and then its studies, both in sorted order.
    """
    hold_new_patients([one.facts for one in checked], site)
    studies: dict[str, list[_Checked]] = defaultdict(list)
    for one in sorted(checked, key=lambda c: c.facts.sop_instance_uid):
        studies[one.facts.study_instance_uid].append(one)
    answers: dict[Path, Answer] = {}
    for uid in sorted(studies):
        answers |= _store_study(studies[uid], site, user)
    return answers


def _store_study(files: list[_Checked], site: Site, user: User | None) -> dict[Path, Answer]:
    for look in range(_LOOKS):
        try:
            with transaction.atomic():
                return _store_once(files, site, user)
        except IntegrityError:
            # Somebody stored one of these images at the same moment: theirs counts.
            if look == _LOOKS - 1:
                raise
    raise AssertionError("unreachable")


def _store_once(files: list[_Checked], site: Site, user: User | None) -> dict[Path, Answer]:
    answers, new = _sorted_out(files, site)
    created: list[tuple[_Checked, Instance]] = []
    study: Study | None = None
    series: dict[str, Series] = {}
    for one in new:
        try:
            if study is None:
                study = study_of(one.facts, site)
            else:
                refuse_other_patient(study, one.facts)
        except Refusal as refusal:
            answers[one.path] = refusal
            continue
        uid = one.facts.series_instance_uid
        if uid not in series:
            series[uid] = series_of(study, one.facts)
        created.append((one, _row(one, series[uid], site, user)))
    if study is None:
        return answers | _twins(files, answers)
    Instance.objects.bulk_create([instance for _, instance in created])
    studies = {one.study_id: one.study for one in series.values()}
    cases = {pk: _case_of(known, user) for pk, known in studies.items()}
    # The files are in place before their rows are committed; without a row nothing serves them.
    _into_place(created)
    answers |= {
        one.path: Received(instance, cases[instance.series.study_id], new=True)
        for one, instance in created
    }
    return answers | _twins(files, answers)


def _sorted_out(files: list[_Checked], site: Site) -> tuple[dict[Path, Answer], list[_Checked]]:
    """The answers for images that are known, and the files that are new, each UID once."""
    uids = {one.facts.sop_instance_uid for one in files}
    stored = {
        one.sop_instance_uid: one for one in _instances(site).filter(sop_instance_uid__in=uids)
    }
    answers: dict[Path, Answer] = {}
    first: dict[str, _Checked] = {}
    for one in files:
        uid = one.facts.sop_instance_uid
        if uid in stored:
            answers[one.path] = _known(one, stored[uid])
        elif uid not in first:
            first[uid] = one
        elif first[uid].sha256 != one.sha256:
            answers[one.path] = _other_bytes()
    return answers, list(first.values())


def _twins(files: list[_Checked], answers: dict[Path, Answer]) -> dict[Path, Answer]:
    """The same bytes twice in one upload: the second is known by the time it is answered."""
    by_sum = {one.sha256: answers[one.path] for one in files if one.path in answers}
    left = {one.path: by_sum[one.sha256] for one in files if one.path not in answers}
    return {
        path: Received(answer.instance, answer.case, new=False)
        if isinstance(answer, Received)
        else answer
        for path, answer in left.items()
    }


def _into_place(created: list[tuple[_Checked, Instance]]) -> None:
    finals = [storage.path_of(instance) for _, instance in created]
    for (one, _), final in zip(created, finals, strict=True):
        storage.settle(one.path, final)
    storage.sync_folders_of(finals)


def _instances(site: Site) -> QuerySet[Instance]:
    return Instance.objects.filter(site=site).select_related(
        "series__study__case", "series__study__patient"
    )


def _known(one: _Checked, instance: Instance) -> Answer:
    if instance.sha256 != one.sha256:
        return _other_bytes()
    answer = _again(one.path, instance)
    if answer is None:
        raise IntegrityError("its study was deleted at this moment: look again")
    return answer


def _again(incoming: Path, instance: Instance) -> Received | None:
    """The same bytes came again; where the stored file is gone or altered, they take its place.

    None when the study was just deleted: then the row is gone as well.
    """
    final = storage.path_of(instance)
    if not _is_whole(final, instance):
        storage.sync([incoming])
        with transaction.atomic():
            # Whoever deletes the study holds the row, and its files are set aside already.
            if not Instance.objects.select_for_update().filter(pk=instance.pk).exists():
                return None
            storage.settle(incoming, final)
            storage.sync_folders_of([final])
    return Received(instance, instance.series.study.case, new=False)


def _is_whole(final: Path, instance: Instance) -> bool:
    try:
        return storage.sha256_of(final) == instance.sha256
    except FileNotFoundError:
        return False


def _other_bytes() -> Refusal:
    return Refusal(
        "other_bytes",
        "Another image with the same identification (SOP Instance UID) is already stored. "
        "The stored one was kept.",
    )


def _row(one: _Checked, series: Series, site: Site, user: User | None) -> Instance:
    return Instance(
        site=site,
        series=series,
        sop_instance_uid=one.facts.sop_instance_uid,
        sha256=one.sha256,
        file_size=one.path.stat().st_size,
        received_from=user,
        **{name: getattr(one.facts, name) for name in _INSTANCE_FACTS},
    )


def _audit(received: list[Received], request: HttpRequest | None, user: User | None) -> None:
    record_each(
        AuditEvent.Action.UPLOADED,
        [(one.instance, {"new": one.new}) for one in received],
        request=request,
        user=user,
        site_pk=received[0].case.site_id if received else None,
    )


def _case_of(study: Study, user: User | None) -> Case:
    case, created = Case.objects.get_or_create(
        study=study, defaults={"site": study.site, "created_by": user}
    )
    if created:
        _note(case, CaseEvent.Kind.CREATED, user)
    elif case.status != Case.Status.DRAFT:
        _note_late_images(case, user)
    return case


def _note_late_images(case: Case, user: User | None) -> None:
    """One event for a burst of late slices, not one for each."""
    last = case.events.last()
    recent = last and last.at > timezone.now() - timedelta(minutes=1)
    if not (recent and last.kind == CaseEvent.Kind.IMAGES_ADDED):
        _note(case, CaseEvent.Kind.IMAGES_ADDED, user)


def _note(case: Case, kind: CaseEvent.Kind, user: User | None) -> None:
    CaseEvent.objects.create(
        case=case, kind=kind, actor=str(user or "system"), actor_pk=user.pk if user else None
    )
