"""When a candidate may replace the active version. docs/change-plan.md states these rules."""

from apps.classifier.cnn.evaluation import Comparison, Evaluation

AUC_MARGIN = 0.02
SENSITIVITY_MARGIN = 0.05
SPECIFICITY_MARGIN = 0.10
BRIER_MARGIN = 0.02
LEAST_PATIENTS = 8

MARGINS = {
    "auc": AUC_MARGIN,
    "sensitivity": SENSITIVITY_MARGIN,
    "specificity": SPECIFICITY_MARGIN,
    "brier": BRIER_MARGIN,
    "least_patients": LEAST_PATIENTS,
}


def objections(active: Evaluation, candidate: Evaluation, comparison: Comparison) -> list[str]:
    """What speaks against the candidate, in plain words; nothing when it may be activated.

    A figure that cannot be measured speaks against it too: nothing passes unproven.
    """
    found = []
    if comparison.n_patients < LEAST_PATIENTS:
        found.append(f"Only {comparison.n_patients} test patients; {LEAST_PATIENTS} are the least.")
    if comparison.b_is_worse:
        found.append("The AUC is worse, and the whole 95 % interval of the difference says so.")
    drops = [
        ("AUC", active.auc, candidate.auc, AUC_MARGIN),
        ("Sensitivity", active.sensitivity, candidate.sensitivity, SENSITIVITY_MARGIN),
        ("Specificity", active.specificity, candidate.specificity, SPECIFICITY_MARGIN),
        # A lower Brier score is the better one.
        ("Brier score", -active.brier, -candidate.brier, BRIER_MARGIN),
    ]
    return found + [
        f"{name} {abs(new):.3f} instead of {abs(old):.3f}: worse by more than {margin}."
        for name, old, new, margin in drops
        if not new - old >= -margin
    ]
