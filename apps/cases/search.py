"""Finding cases by what people have in hand: a name, a Patient ID, an accession number."""

from django.db.models import Q

from apps.cases.models.work import CaseQuerySet


def matching(cases: CaseQuerySet, words: str) -> CaseQuerySet:
    """The cases in which every word is part of the name, the Patient ID or the accession number."""
    for word in words.replace("^", " ").replace(",", " ").split()[:10]:
        cases = cases.filter(
            Q(study__patient__name__icontains=word)
            | Q(study__patient__patient_id__icontains=word)
            | Q(study__accession_number__icontains=word)
        )
    return cases
