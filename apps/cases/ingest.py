"""From an uploaded file to rows: received, already known, or refused with the reason."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import Site, User
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage
from apps.cases.models import Case, CaseEvent, Instance, Patient, Series, Study
from apps.imaging.reading import InstanceFacts, Refusal, read_instance

_STUDY_FACTS = [
    "accession_number",
    "study_date",
    "study_time",
    "study_description",
    "referring_physician_name",
    "institution_name",
    "patient_age",
    "patient_name",
]
_SERIES_FACTS = [
    "modality",
    "series_number",
    "series_description",
    "protocol_name",
    "body_part_examined",
    "convolution_kernel",
    "manufacturer",
    "manufacturer_model_name",
    "contrast_bolus_agent",
    "slice_thickness",
    "kvp",
    "x_ray_tube_current",
    "gantry_detector_tilt",
]
_INSTANCE_FACTS = [
    "sop_class_uid",
    "transfer_syntax_uid",
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
    "lossy",
    "burned_in_annotation",
    "pixel_sha256",
]


@dataclass(frozen=True)
class Received:
    """The answer for one stored file; `new` is False when the very same bytes were known."""

    instance: Instance
    case: Case
    new: bool


def ingest_instance(
    incoming: Path, *, site: Site, user: User | None, request: HttpRequest | None = None
) -> Received:
    """Check one file and store it once, with its audit row.

    `incoming` lies in `storage.incoming_dir()` and is used up: moved to its place, or removed.
    Raises Refusal with plain words, or storage.DiskNearlyFull; then nothing of the file is kept.
    """
    try:
        storage.ensure_room(0)
        facts = read_instance(incoming)
        sha256 = storage.sha256_of(incoming)
        with transaction.atomic():
            received = _store(incoming, facts, sha256, site, user)
            record(
                AuditEvent.Action.UPLOADED,
                request=request,
                user=user,
                target=received.instance,
                site_pk=site.pk,
                new=received.new,
            )
        return received
    finally:
        incoming.unlink(missing_ok=True)


def _store(
    incoming: Path, facts: InstanceFacts, sha256: str, site: Site, user: User | None
) -> Received:
    known = _known(facts, sha256, site)
    if known:
        _put_back_if_lost(incoming, known.instance)
        return known
    try:
        with transaction.atomic():
            instance = _create_rows(incoming, facts, sha256, site, user)
            case = _case_of(instance.series.study, user)
            # The file is in place before its row is committed; without the row nothing serves it.
            storage.settle(incoming, storage.path_of(instance))
    except IntegrityError:
        # Somebody stored the same SOP Instance UID at the same moment: theirs counts.
        known = _known(facts, sha256, site)
        if known is None:
            raise
        return known
    return Received(instance, case, new=True)


def _put_back_if_lost(incoming: Path, instance: Instance) -> None:
    """The same bytes came again and the stored file is gone: a second chance, taken."""
    final = storage.path_of(instance)
    if not final.exists():
        storage.settle(incoming, final)


def _known(facts: InstanceFacts, sha256: str, site: Site) -> Received | None:
    instance = (
        Instance.objects.select_related("series__study__case")
        .filter(site=site, sop_instance_uid=facts.sop_instance_uid)
        .first()
    )
    if instance is None:
        return None
    if instance.sha256 != sha256:
        raise Refusal(
            "other_bytes",
            "Another image with the same identification (SOP Instance UID) is already stored. "
            "The stored one was kept.",
        )
    return Received(instance, instance.series.study.case, new=False)


def _create_rows(
    incoming: Path, facts: InstanceFacts, sha256: str, site: Site, user: User | None
) -> Instance:
    study = _study_of(facts, site)
    series, _ = Series.objects.get_or_create(
        study=study,
        series_instance_uid=facts.series_instance_uid,
        defaults={name: getattr(facts, name) for name in _SERIES_FACTS},
    )
    return Instance.objects.create(
        site=site,
        series=series,
        sop_instance_uid=facts.sop_instance_uid,
        sha256=sha256,
        file_size=incoming.stat().st_size,
        received_from=user,
        **{name: getattr(facts, name) for name in _INSTANCE_FACTS},
    )


def _study_of(facts: InstanceFacts, site: Site) -> Study:
    uid = facts.study_instance_uid
    study = Study.objects.select_related("patient").filter(site=site, study_instance_uid=uid)
    found = study.first()
    if found is None:
        try:
            with transaction.atomic():
                return _create_study(facts, site)
        except IntegrityError:
            found = study.get()
    if (found.patient.patient_id, found.patient.issuer_of_patient_id) != (
        facts.patient_id,
        facts.issuer_of_patient_id,
    ):
        raise Refusal(
            "other_patient",
            "This image says it belongs to a study that is stored under another Patient ID. "
            "It was not stored, so that two patients are never mixed.",
        )
    _refuse_other_person(found.patient, facts)
    return found


def _create_study(facts: InstanceFacts, site: Site) -> Study:
    return Study.objects.create(
        site=site,
        patient=_patient_of(facts, site),
        study_instance_uid=facts.study_instance_uid,
        **{name: getattr(facts, name) for name in _STUDY_FACTS},
    )


def _patient_of(facts: InstanceFacts, site: Site) -> Patient:
    identity = {
        "site": site,
        "patient_id": facts.patient_id,
        "issuer_of_patient_id": facts.issuer_of_patient_id,
    }
    about = {
        "name": facts.patient_name,
        "birth_date": facts.patient_birth_date,
        "sex": facts.patient_sex,
    }
    if not facts.patient_id:  # an empty ID matches nobody, not even another empty one
        return Patient.objects.create(**identity, **about)
    patient, created = Patient.objects.get_or_create(**identity, defaults=about)
    if not created:
        _refuse_other_person(patient, facts)
    return patient


def _refuse_other_person(patient: Patient, facts: InstanceFacts) -> None:
    """A Patient ID that was typed wrongly must not put a study under somebody else's name.

    Names are spelt in many ways, so they do not decide; nobody has two days of birth or sexes.
    """
    pairs = [
        (patient.birth_date, facts.patient_birth_date),
        (_sex(patient.sex), _sex(facts.patient_sex)),
    ]
    if any(stored and said and stored != said for stored, said in pairs):
        raise Refusal(
            "other_person",
            "This Patient ID is stored for a person with another date of birth or sex. The image "
            "was not stored, so that two patients are never mixed. Check the Patient ID.",
        )


def _sex(coded: str) -> str:
    """Male or female as DICOM codes them (PS3.3 C.7.1.1); anything else decides nothing."""
    return coded if coded in {"M", "F"} else ""


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
