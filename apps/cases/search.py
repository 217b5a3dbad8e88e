"""Finding cases by what people have in hand: a name, a Patient ID, an accession number.

Quick among a million cases: a word that few patients match is looked up in the trigram indexes
first; one that many match (two letters, say) is tested row by row, where any page soon is full.
"""

from django.db.models import Q

from apps.cases.models.imaging import Patient, Study
from apps.cases.models.work import CaseQuerySet

FEW = 500
MOST_WORDS = 10


def matching(cases: CaseQuerySet, words: str) -> CaseQuerySet:
    """The cases in which every word is part of the name, the Patient ID or the accession number."""
    for word in words.replace("^", " ").replace(",", " ").split()[:MOST_WORDS]:
        cases = cases.filter(_holding(word))
    return cases


def _holding(word: str) -> Q:
    patients = Patient.objects.filter(Q(name__icontains=word) | Q(patient_id__icontains=word))
    numbers = Study.objects.filter(accession_number__icontains=word)
    found = list(patients.values_list("pk", flat=True)[: FEW + 1])
    studies = list(numbers.values_list("pk", flat=True)[: FEW + 1])
    if len(found) > FEW or len(studies) > FEW:
        return (
            Q(study__patient__name__icontains=word)
            | Q(study__patient__patient_id__icontains=word)
            | Q(study__accession_number__icontains=word)
        )
    theirs = Study.objects.filter(patient__in=found).values_list("pk", flat=True)
    return Q(study__in=[*theirs, *studies])
