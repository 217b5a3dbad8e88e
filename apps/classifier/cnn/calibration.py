"""Turn logits into probabilities that mean what they say, and measure whether they do."""

import numpy as np

SMALL = 1e-6


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -40, 40)))


def fit_platt(logits: np.ndarray, labels: np.ndarray, rounds: int = 100) -> dict[str, float]:
    """Slope and intercept by Newton's method on the cross-entropy (Platt 1999).

    labels: 0…1, soft ones allowed. A weak pull towards slope 1 keeps separable sets finite.
    """
    design = np.stack([logits, np.ones_like(logits)], axis=1).astype(float)
    theta, pull = np.array([1.0, 0.0]), np.diag([0.5, 0.01])
    for _ in range(rounds):
        probability = sigmoid(design @ theta)
        gradient = design.T @ (probability - labels) + pull @ (theta - [1.0, 0.0])
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + pull
        step = np.linalg.solve(curvature, gradient)
        theta -= step
        if np.abs(step).max() < 1e-9:
            break
    return {"slope": float(theta[0]), "intercept": float(theta[1])}


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 10
) -> float:
    """Mean gap between stated and observed frequency over equal-width bins, weighted by size."""
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [abs(probabilities[index == b].sum() - labels[index == b].sum()) for b in range(bins)]
    return float(sum(gaps) / max(len(labels), 1))


def chance_calibration_error(
    probabilities: np.ndarray, rounds: int = 1000
) -> tuple[float, tuple[float, float]]:
    """Mean and 95 % range of the error that a perfectly calibrated score would show by chance.

    Truths are drawn from the probabilities themselves. On few items it is far from zero, so an
    error inside the range says nothing against the calibration.
    """
    rng = np.random.default_rng(0)
    drawn = [
        expected_calibration_error(probabilities, rng.random(len(probabilities)) < probabilities)
        for _ in range(rounds)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(np.mean(drawn)), (float(low), float(high))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance between probability and label."""
    return float(np.mean((probabilities - labels) ** 2))


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 10
) -> list[dict[str, float]]:
    """Stated and observed frequency per occupied bin: the reliability diagram's points."""
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        {
            "stated": round(float(probabilities[index == b].mean()), 4),
            "observed": round(float(labels[index == b].mean()), 4),
            "n": int((index == b).sum()),
        }
        for b in range(bins)
        if (index == b).any()
    ]
