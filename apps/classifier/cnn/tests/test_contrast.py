import numpy as np
import pytest

from apps.classifier.cnn.contrast import answer_of, disagreement
from apps.classifier.cnn.contrast_fit import cross_fitted, fit
from apps.classifier.cnn.evaluation import auc
from apps.classifier.cnn.lungs import find_lungs


def slab(blood_hu):
    """A body of soft tissue with a large vessel of the given HU."""
    y, x = np.mgrid[:300, :300] - 150
    hu = np.where(np.hypot(x, y) < 120, 45, -1000)
    return np.where(np.hypot(x, y - 20) < 25, blood_hu, hu).astype(np.int16)


def test_enhanced_vessels_raise_the_probability(models):
    plain = models.contrast.probability(find_lungs(slab(45), (1.0, 1.0)))
    enhanced = models.contrast.probability(find_lungs(slab(240), (1.0, 1.0)))
    assert enhanced > plain


def test_a_picture_without_a_body_has_no_answer(models):
    empty = np.full((128, 128), -1000, np.int16)
    assert models.contrast.probability(find_lungs(empty, (0.7, 0.7))) is None


@pytest.mark.parametrize(
    ("probabilities", "header", "warned"),
    [
        ([0.97], "", True),
        ([0.97], "OMNIPAQUE", False),
        ([0.02], "OMNIPAQUE", True),
        ([0.02], "", False),
        ([0.5], "OMNIPAQUE", False),
        ([], "", False),
    ],
)
def test_only_a_sure_answer_contradicts_the_header(probabilities, header, warned):
    assert (disagreement(probabilities, header) is not None) == warned


def test_between_the_sure_answers_it_abstains():
    assert [answer_of(p) for p in (0.05, 0.5, 0.95)] == ["no_contrast", "unsure", "contrast"]


def test_the_fit_separates_and_its_figures_come_from_unseen_patients():
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], 40)
    features = rng.normal(labels[:, None], 0.5, (80, 19))
    patients = np.array([f"patient-{i // 2}" for i in range(80)])
    assert auc(cross_fitted(features, labels, patients), labels) > 0.9
    assert np.mean(fit(features, labels)["weights"]) > 0
