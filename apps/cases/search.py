"""Finding cases by what people have in hand: a name, a Patient ID, an accession number.

Quick among a million cases: a word that not many patients match is looked up in the trigram
indexes first; one that many match is tested row by row, where any page soon is full.
"""

from django.db.models import Q

from apps.cases.models.imaging import Patient, Study
from apps.cases.models.work import CaseQuerySet

FEW = 2000
MOST_WORDS = 10
SHORT = 3
"""Words below it match at the beginning only: no index finds two letters in the middle."""


def matching(cases: CaseQuerySet, words: str) -> CaseQuerySet:
    """The cases in which every word is part of the name, the Patient ID or the accession number."""
    for word in words.replace("^", " ").replace(",", " ").split()[:MOST_WORDS]:
        cases = cases.filter(_holding(word))
    return cases


def _holding(word: str) -> Q:
    how = "istartswith" if len(word) < SHORT else "icontains"
    patients = Patient.objects.filter(
        Q(**{f"name__{how}": word}) | Q(**{f"patient_id__{how}": word})
    )
    numbers = Study.objects.filter(**{f"accession_number__{how}": word})
    found = list(patients.values_list("pk", flat=True)[: FEW + 1])
    studies = list(numbers.values_list("pk", flat=True)[: FEW + 1])
    if len(found) > FEW or len(studies) > FEW:
        return (
            Q(**{f"study__patient__name__{how}": word})
            | Q(**{f"study__patient__patient_id__{how}": word})
            | Q(**{f"study__accession_number__{how}": word})
        )
    theirs = Study.objects.filter(patient__in=found).values_list("pk", flat=True)
    return Q(study__in=[*theirs, *studies])
