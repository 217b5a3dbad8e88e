"""Several doctors' verdicts on one case, side by side."""

from dataclasses import dataclass

from apps.cases.models import Case, Verdict


@dataclass(frozen=True)
class Row:
    """One question and each reader's answer, in the order of the verdicts."""

    question: str
    answers: list[str]

    @property
    def differs(self) -> bool:
        return len({" ".join(one.casefold().split()) for one in self.answers}) > 1


def last_verdicts(case: Case) -> list[Verdict]:
    """The last verdict of each doctor, in the order in which they were given."""
    given = case.verdicts.select_related("doctor", "reading").prefetch_related(
        "finding_verdicts__finding"
    )
    by_doctor = {verdict.doctor_id: verdict for verdict in given.order_by("pk")}
    return sorted(by_doctor.values(), key=lambda verdict: verdict.pk)


def compared(verdicts: list[Verdict]) -> list[Row]:
    """Cancer, diagnoses, every finding that anybody answered, and the text."""
    answers = [
        {said.finding: said.get_label_display() for said in verdict.finding_verdicts.all()}
        for verdict in verdicts
    ]
    findings = sorted({one for given in answers for one in given}, key=lambda one: one.number)
    return [
        Row("Cancer", [verdict.get_cancer_display() for verdict in verdicts]),
        Row("Diagnoses", ["; ".join(verdict.diagnoses) or "none" for verdict in verdicts]),
        *(Row(str(one), [given.get(one, "not answered") for given in answers]) for one in findings),
        Row("Text", [verdict.text or "none" for verdict in verdicts]),
    ]
