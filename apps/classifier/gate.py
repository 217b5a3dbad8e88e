"""When a candidate may replace the active version. docs/change-plan.md states these rules."""

from dataclasses import asdict, dataclass

from apps.classifier.cnn.proof import Paired, Proof, Subgroup
from apps.classifier.models import LoopSettings

WORDS = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ece": "Calibration error",
    "brier": "Brier score",
}


@dataclass(frozen=True)
class Margins:
    """How much worse each figure may be; the values here are those of the change plan."""

    auc: float = 0.02
    sensitivity: float = 0.05
    specificity: float = 0.10
    ece: float = 0.05
    brier: float = 0.02
    subgroup_auc: float = 0.05
    least_patients: int = 8

    def as_dict(self) -> dict[str, float]:
        """For the run's result: what it was judged by."""
        return asdict(self)


def configured() -> Margins:
    """The margins as admins have set them."""
    row = LoopSettings.current()
    return Margins(
        auc=row.margin_auc,
        sensitivity=row.margin_sensitivity,
        specificity=row.margin_specificity,
        ece=row.margin_ece,
        brier=row.margin_brier,
        subgroup_auc=row.margin_subgroup_auc,
        least_patients=row.least_patients,
    )


def objections(proof: Proof, margins: Margins, *, on: str = "") -> list[str]:
    """What speaks against the candidate, in plain words; nothing when it may be activated.

    A figure that cannot be measured speaks against it too: nothing passes unproven. `on` says
    which set, where it is not the global one.
    """
    found = []
    if proof.n_patients < margins.least_patients:
        found.append(
            f"Only {proof.n_patients} test patients; {margins.least_patients} are the least."
        )
    for name, figure in proof.figures.items():
        found += _against(WORDS[name], figure, getattr(margins, name))
    for group in proof.subgroups:
        found += _against_subgroup(group, margins)
    return [f"{on}: {words}" for words in found] if on else found


def _against(name: str, figure: Paired, margin: float) -> list[str]:
    if not figure.gain >= -margin:
        return [
            f"{name} {figure.candidate:.3f} instead of {figure.active:.3f}: "
            f"worse by more than {margin:g}."
        ]
    if name == WORDS["auc"] and figure.surely_worse:
        return ["The AUC is worse, and the whole 95 % interval of the difference says so."]
    return []


def _against_subgroup(group: Subgroup, margins: Margins) -> list[str]:
    """Subgroups are small, so only a loss beyond the margin that is surely one counts."""
    auc = group.figures["auc"]
    enough = group.n_patients >= margins.least_patients and auc.gain == auc.gain
    if not enough or auc.gain >= -margins.subgroup_auc or not auc.surely_worse:
        return []
    return [
        f"AUC {auc.candidate:.3f} instead of {auc.active:.3f} where {group.trait} is "
        f"{group.value} ({group.n_patients} patients): surely worse, by more than "
        f"{margins.subgroup_auc:g}."
    ]
