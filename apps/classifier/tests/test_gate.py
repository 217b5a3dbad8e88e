"""What the gate lets through, and that its page says the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from django.conf import settings

from apps.classifier import gate
from apps.classifier.cnn.evaluation import Answers
from apps.classifier.cnn.proof import Paired, Proof, Subgroup, compare_answers
from apps.classifier.models import LoopSettings

_NAN = float("nan")
MARGINS = gate.Margins()


def _even(value: float = 0.9) -> Paired:
    return Paired(value, value, 0.0, (-0.1, 0.1), 1.0)


def _proof(**figures: Paired) -> Proof:
    usual = {name: _even() for name in gate.WORDS}
    return Proof(n=40, n_patients=20, n_positive=20, figures=usual | figures, subgroups=[])


def _lost(by: float) -> Paired:
    return Paired(0.9, 0.9 - by, -by, (-0.5, 0.5), 0.5)


def test_an_equal_candidate_passes():
    assert gate.objections(_proof(), MARGINS) == []


@pytest.mark.parametrize("figure", list(gate.WORDS))
def test_a_candidate_worse_within_the_margin_passes(figure):
    assert gate.objections(_proof(**{figure: _lost(0.9 * getattr(MARGINS, figure))}), MARGINS) == []


@pytest.mark.parametrize("figure", list(gate.WORDS))
def test_each_figure_alone_can_stop_a_candidate(figure):
    found = gate.objections(_proof(**{figure: _lost(1.1 * getattr(MARGINS, figure))}), MARGINS)
    assert len(found) == 1
    assert found[0].startswith(gate.WORDS[figure])


@pytest.mark.parametrize("figure", list(gate.WORDS))
def test_what_cannot_be_measured_stops_a_candidate(figure):
    unknown = Paired(0.9, _NAN, _NAN, (_NAN, _NAN), _NAN)
    assert len(gate.objections(_proof(**{figure: unknown}), MARGINS)) == 1


def test_a_difference_that_is_surely_worse_stops_a_candidate():
    worse = Paired(0.9, 0.89, -0.01, (-0.019, -0.001), 0.02)
    assert "whole 95 % interval" in gate.objections(_proof(auc=worse), MARGINS)[0]


def test_too_few_patients_prove_nothing():
    assert "Only 7" in gate.objections(replace(_proof(), n_patients=7), MARGINS)[0]


@pytest.mark.parametrize(
    ("auc", "patients", "stopped"),
    [
        (Paired(0.9, 0.7, -0.2, (-0.3, -0.1), 0.0), 12, True),
        (Paired(0.9, 0.7, -0.2, (-0.5, 0.1), 0.2), 12, False),
        (Paired(0.9, 0.7, -0.2, (-0.3, -0.1), 0.0), 7, False),
        (Paired(_NAN, _NAN, _NAN, (_NAN, _NAN), _NAN), 12, False),
    ],
)
def test_a_subgroup_stops_a_candidate_only_when_the_loss_is_sure(auc, patients, stopped):
    group = Subgroup("sex", "F", 20, patients, 10, _proof(auc=auc).figures)
    found = gate.objections(replace(_proof(), subgroups=[group]), MARGINS)
    assert bool(found) == stopped
    assert not found or "sex is F" in found[0]


def test_the_site_s_own_set_speaks_under_its_name():
    found = gate.objections(_proof(auc=_lost(0.3)), MARGINS, on="This site's test patients")
    assert found[0].startswith("This site's test patients: AUC")


def _answers(probabilities: np.ndarray, truth: np.ndarray) -> Answers:
    return Answers(
        keys=[f"P{n}/0" for n in range(len(truth))],
        patients=np.array([f"P{n}" for n in range(len(truth))]),
        truth=truth,
        probabilities=probabilities,
        diameters=np.full(len(truth), 8.0),
    )


def test_paired_figures_see_a_candidate_that_learnt_and_one_that_was_spoilt():
    truth = np.array([0.0, 1.0] * 30)
    rng = np.random.default_rng(1)
    dull = np.clip(0.5 + 0.1 * (truth - 0.5) + rng.normal(0, 0.2, 60), 0, 1)
    sharp = np.where(truth > 0.5, 0.9, 0.1)
    better = compare_answers(_answers(dull, truth), _answers(sharp, truth), (0.5, 0.5))
    assert better.figures["auc"].gain_ci[0] > 0
    assert better.figures["auc"].p < 0.05
    assert better.figures["brier"].gain > 0
    assert gate.objections(better, MARGINS) == []
    worse = compare_answers(_answers(sharp, truth), _answers(dull, truth), (0.5, 0.5))
    assert worse.figures["auc"].surely_worse
    assert len(gate.objections(worse, MARGINS)) >= 3


def test_subgroups_are_measured_apart():
    truth = np.array([0.0, 1.0] * 20)
    said = np.where(truth > 0.5, 0.9, 0.1)
    spoilt = np.where(np.arange(40) < 20, 1 - said, said)
    traits = {f"P{n}/0": {"sex": "F" if n < 20 else "M"} for n in range(40)}
    proof = compare_answers(_answers(said, truth), _answers(spoilt, truth), (0.5, 0.5), traits)
    by_value = {group.value: group.figures["auc"].candidate for group in proof.subgroups}
    assert by_value == {"F": 0.0, "M": 1.0}


@pytest.mark.django_db
def test_admins_set_the_margins():
    assert gate.configured() == MARGINS
    LoopSettings.objects.create(pk=1, margin_auc=0.5, least_patients=30)
    assert gate.configured() == replace(MARGINS, auc=0.5, least_patients=30)


def test_the_change_plan_states_the_margins_that_the_program_uses():
    plan = (settings.BASE_DIR / "docs" / "change-plan.md").read_text()
    rows = {
        f"| test patients | at least {MARGINS.least_patients} |",
        f"| AUC | not lower by more than {MARGINS.auc:.2f} |",
        "| sensitivity at the operating point | not lower by more than "
        f"{MARGINS.sensitivity:.2f} |",
        "| specificity at the operating point | not lower by more than "
        f"{MARGINS.specificity:.2f} |",
        f"| calibration error (ECE) | not higher by more than {MARGINS.ece:.2f} |",
        f"| Brier score | not higher by more than {MARGINS.brier:.2f} |",
        f"| AUC of a subgroup | not surely lower by more than {MARGINS.subgroup_auc:.2f} |",
    }
    assert rows <= set(plan.splitlines())
