"""What the gate lets through, and that its page says the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from django.conf import settings

from apps.classifier import gate
from apps.classifier.cnn.evaluation import Answers, Comparison, Evaluation, measure

_NAN = float("nan")


def _evaluation(**figures) -> Evaluation:
    truth = np.array([0.0, 1.0] * 10)
    answers = Answers(
        keys=[str(n) for n in range(20)],
        patients=np.array([f"P{n}" for n in range(20)]),
        truth=truth,
        probabilities=np.where(truth > 0.5, 0.8, 0.2),
        diameters=np.full(20, 8.0),
    )
    good = measure("malignancy", "v1", answers, 0.5)
    return replace(good, **{"auc": 0.9, "sensitivity": 0.9, "specificity": 0.8, **figures})


def _comparison(**figures) -> Comparison:
    even = {
        "task": "malignancy",
        "n": 20,
        "n_patients": 20,
        "auc_a": 0.9,
        "auc_b": 0.9,
        "difference": 0.0,
        "difference_ci": (-0.1, 0.1),
        "accuracy_a": 0.9,
        "accuracy_b": 0.9,
    }
    return Comparison(**{**even, **figures})


def test_an_equal_candidate_passes():
    assert gate.objections(_evaluation(), _evaluation(), _comparison()) == []


def test_a_candidate_worse_within_the_margins_passes():
    candidate = _evaluation(auc=0.885, sensitivity=0.86, specificity=0.71)
    assert gate.objections(_evaluation(), candidate, _comparison()) == []


@pytest.mark.parametrize(
    ("figure", "value", "word"),
    [
        ("auc", 0.87, "AUC"),
        ("sensitivity", 0.84, "Sensitivity"),
        ("specificity", 0.69, "Specificity"),
        ("brier", 0.5, "Brier"),
        ("auc", _NAN, "AUC"),
        ("sensitivity", _NAN, "Sensitivity"),
    ],
)
def test_each_figure_alone_can_stop_a_candidate(figure, value, word):
    found = gate.objections(_evaluation(), _evaluation(**{figure: value}), _comparison())
    assert len(found) == 1
    assert found[0].startswith(word)


def test_a_difference_that_is_surely_worse_stops_a_candidate():
    worse = _comparison(difference_ci=(-0.019, -0.001))
    assert "whole 95 % interval" in gate.objections(_evaluation(), _evaluation(), worse)[0]


def test_too_few_patients_prove_nothing():
    few = _comparison(n_patients=7)
    assert "Only 7" in gate.objections(_evaluation(), _evaluation(), few)[0]


def test_the_change_plan_states_the_margins_that_the_program_uses():
    plan = (settings.BASE_DIR / "docs" / "change-plan.md").read_text()
    rows = {
        f"| test patients | at least {gate.LEAST_PATIENTS} |",
        f"| AUC | not lower by more than {gate.AUC_MARGIN:.2f} |",
        "| sensitivity at the operating point | not lower by more than "
        f"{gate.SENSITIVITY_MARGIN:.2f} |",
        "| specificity at the operating point | not lower by more than "
        f"{gate.SPECIFICITY_MARGIN:.2f} |",
        f"| Brier score | not higher by more than {gate.BRIER_MARGIN:.2f} |",
    }
    assert rows <= set(plan.splitlines())
