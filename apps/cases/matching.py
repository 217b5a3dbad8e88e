"""To which patient, study and series a file belongs; two people are never mixed."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction

from apps.accounts.models import Site
from apps.cases.locks import hold
from apps.cases.models import Patient, Series, Study
from apps.imaging.reading import InstanceFacts, Refusal

_STUDY_FACTS = [
    "accession_number",
    "study_date",
    "study_time",
    "study_description",
    "referring_physician_name",
    "institution_name",
    "patient_age",
    "patient_name",
    "number_of_study_related_instances",
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
    "number_of_series_related_instances",
]


def hold_new_patients(files: Iterable[InstanceFacts], site: Site) -> None:
    """Let one upload at a time make patients that are not stored yet, all that it may make.

    Else two uploads that bring the same ones in another order would wait for each other.
    """
    wanted = {(one.issuer_of_patient_id, one.patient_id) for one in files if one.patient_id}
    stored = Patient.objects.filter(site=site, patient_id__in={number for _, number in wanted})
    new = wanted - set(stored.values_list("issuer_of_patient_id", "patient_id"))
    hold(f"patient {site.pk}\n{issuer}\n{number}" for issuer, number in new)


def study_of(facts: InstanceFacts, site: Site) -> Study:
    """The study that a file belongs to, made if it is new.

    Raises Refusal where the file says another patient than the study or the Patient ID.
    """
    uid = facts.study_instance_uid
    study = Study.objects.select_related("patient", "filed_patient").filter(
        site=site, study_instance_uid=uid
    )
    found = study.first()
    if found is None:
        try:
            with transaction.atomic():
                return _create_study(facts, site)
        except IntegrityError:
            found = study.get()
    refuse_other_patient(found, facts)
    return found


def series_of(study: Study, facts: InstanceFacts) -> Series:
    """The series that a file belongs to, made if it is new; it may count to another study now."""
    moved = Series.objects.filter(
        study__site=study.site_id,
        filed_under=study.study_instance_uid,
        series_instance_uid=facts.series_instance_uid,
    ).select_related("study")
    if found := moved.first():
        return found
    series, _ = Series.objects.get_or_create(
        study=study,
        series_instance_uid=facts.series_instance_uid,
        defaults={name: getattr(facts, name) for name in _SERIES_FACTS},
    )
    return series


def refuse_other_patient(study: Study, facts: InstanceFacts) -> None:
    """Raise Refusal where a file of a known study says another patient than its first files."""
    filed = study.filed_patient or study.patient
    if (filed.patient_id, filed.issuer_of_patient_id) != (
        facts.patient_id,
        facts.issuer_of_patient_id,
    ):
        raise Refusal(
            "other_patient",
            "This image says it belongs to a study that is stored under another Patient ID. "
            "It was not stored, so that two patients are never mixed.",
        )
    _refuse_other_person(filed, facts)


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
