import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from apps.classifier.cnn import calibration, cards, evaluation
from apps.classifier.cnn.chest import judge
from apps.classifier.cnn.finding_report import TrueNodule, merged
from apps.classifier.cnn.measuring import long_axis_mm
from apps.classifier.cnn.reports import wilson


def ellipse(long_mm, short_mm, pixel_mm=0.7, wall=False):
    y, x = (np.mgrid[:128, :128] - 63.5) * pixel_mm
    inside = (x / long_mm * 2) ** 2 + (y / short_mm * 2) ** 2 < 1
    if wall:
        inside |= y > short_mm * 0.42
    return np.where(inside, 40, -850).astype(np.int16)


@pytest.mark.parametrize(("long_mm", "short_mm"), [(5, 5), (8, 6), (15, 15), (24, 16), (45, 40)])
def test_the_long_axis_of_a_drawn_nodule_is_measured(long_mm, short_mm):
    measured = long_axis_mm(ellipse(long_mm, short_mm), 0.7, 63.5, 63.5, short_mm)
    assert measured == pytest.approx(long_mm, abs=1.0, rel=0.06)


@pytest.mark.parametrize("pixel_mm", [0.5, 0.98])
def test_the_pixel_size_does_not_change_the_millimetres(pixel_mm):
    image = ellipse(14, 14, pixel_mm)
    assert long_axis_mm(image, pixel_mm, 63.5, 63.5, 10) == pytest.approx(14, abs=1.2)


def test_the_chest_wall_is_not_part_of_the_nodule():
    assert long_axis_mm(ellipse(16, 16, wall=True), 0.7, 63.5, 63.5, 14) < 26


def test_where_nothing_stands_out_the_guess_stays():
    assert long_axis_mm(np.full((128, 128), -850, np.int16), 0.7, 64, 64, 7.0) == 7.0


def test_auc_agrees_with_scikit_learn_ties_included():
    rng = np.random.default_rng(1)
    truth, scores = rng.integers(0, 2, 300), rng.integers(0, 20, 300)
    assert evaluation.auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_auc_of_one_class_is_not_a_number():
    assert np.isnan(evaluation.auc(np.array([1.0, 2.0]), np.ones(2)))


def test_platt_scaling_recovers_slope_and_intercept():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20000)
    labels = (rng.random(20000) < calibration.sigmoid(2.5 * logits - 1)).astype(float)
    fitted = calibration.fit_platt(logits, labels)
    assert fitted["slope"] == pytest.approx(2.5, rel=0.05)
    assert fitted["intercept"] == pytest.approx(-1, abs=0.08)


def test_platt_scaling_of_separable_answers_stays_finite():
    fitted = calibration.fit_platt(np.array([-5.0, -4, 4, 5]), np.array([0.0, 0, 1, 1]))
    assert np.isfinite(list(fitted.values())).all()


def test_calibration_error_is_zero_for_honest_and_large_for_boastful_answers():
    labels = np.repeat([0.0, 1.0], 500)
    assert calibration.expected_calibration_error(np.full(1000, 0.5), labels) < 0.001
    assert calibration.expected_calibration_error(np.full(1000, 0.99), labels) > 0.45


def test_the_interval_resamples_patients_not_items():
    truth = np.tile([0.0, 1.0], 50)
    scores = truth + np.random.default_rng(0).normal(0, 1, 100)
    few = np.repeat(np.arange(5), 20)

    def area(index):
        return evaluation.auc(scores[index], truth[index])

    by_item, by_patient = (evaluation.bootstrap(p, area) for p in (np.arange(100), few))
    assert by_item[0] < area(np.arange(100)) < by_item[1]
    assert by_patient != by_item


def test_wilson_bounds_of_nothing_wrong_still_leave_room():
    low, high = wilson(0, 86)
    assert low == pytest.approx(0, abs=1e-9)
    assert high == pytest.approx(0.0428, abs=0.001)


@pytest.mark.parametrize(
    ("probability", "area", "answer"),
    [
        (0.99, 500, "not_chest"),
        (0.99, 4000, "unsure"),
        (0.02, 4000, "not_chest"),
        (0.99, 20000, "chest"),
        (0.30, 20000, "unsure"),
        (0.02, 20000, "unsure"),
    ],
)
def test_the_gate_needs_lung_and_network_to_agree(probability, area, answer):
    judgement = judge(probability, area)
    assert judgement.answer == answer
    assert "cm²" in judgement.reason


def test_outlines_of_several_readers_are_one_nodule():
    read = [
        TrueNodule((0, 0, 0), 10),
        TrueNodule((1, 0, 1), 12),
        TrueNodule((40, 0, 0), 6),
    ]
    nodules = merged(read)
    assert sorted((n.readers, round(n.diameter_mm)) for n in nodules) == [(1, 6), (2, 11)]


def answers(groups=None):
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 200).astype(float)
    said = np.clip(truth * 0.4 + rng.random(200) * 0.6, 0, 1)
    patients = np.array([f"patient-{i // 2}" for i in range(200)])
    sizes = 5 + 10 * rng.random(200)
    return evaluation.Answers(
        [str(i) for i in range(200)], patients, truth, said, sizes, groups or {}
    )


def test_the_area_under_the_drawn_roc_is_the_auc():
    said = answers()
    x, y = np.array(evaluation.roc(said.probabilities, said.truth)).T
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = np.trapezoid(y, x)
    assert area == pytest.approx(evaluation.auc(said.probabilities, said.truth), abs=0.01)


def test_subgroups_are_measured_apart_and_small_or_unknown_ones_left_out():
    scanner = np.array(["ACME"] * 150 + ["RARE"] * 5 + [""] * 45)
    rows = evaluation.measure("nodule", "v", answers({"manufacturer": scanner}), 0.5).subgroups
    assert [(row["group"], row["n"]) for row in rows] == [("ACME", 150)]
    assert rows[0]["auc_ci"][0] < rows[0]["auc"] < rows[0]["auc_ci"][1]


def test_stored_out_of_fold_answers_give_the_same_figures(tmp_path):
    first = answers({"manufacturer": np.array(["A", "B"] * 100)})
    again = cards.read_out_of_fold(cards.write_out_of_fold(tmp_path / "x.csv", first))
    one, two = (evaluation.measure("malignancy", "v", a, 0.5) for a in (first, again))
    assert two.auc == pytest.approx(one.auc, abs=2e-3)
    assert [r["n"] for r in two.subgroups] == [r["n"] for r in one.subgroups]
    assert "patient-" not in (tmp_path / "x.csv").read_text()
