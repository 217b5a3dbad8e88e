"""Figures and curves as points of small pictures that the templates draw as SVG."""

from typing import Any

WIDTH, HEIGHT = 600, 160
_FIGURES = [
    ("auc", "AUC"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("ece", "Calibration error"),
    ("brier", "Brier score"),
]


def figures_of(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The key figures of a version that were measured, with their 95 % intervals."""
    return [
        {"name": words, "key": name, **_figure(metrics, name)}
        for name, words in _FIGURES
        if metrics.get(name) is not None
    ]


def _figure(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    interval = metrics.get(f"{name}_ci")
    known = bool(interval) and None not in interval
    return (
        {"value": metrics[name], "low": interval[0], "high": interval[1]}
        if known
        else {"value": metrics[name]}
    )


def side_by_side(active: dict[str, Any], candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """Each figure of both, and which of the two is better; for the last two less is better."""
    old = {figure["key"]: figure for figure in figures_of(active)}
    new = {figure["key"]: figure for figure in figures_of(candidate)}
    return [
        {
            "name": words,
            "active": old.get(name),
            "candidate": new.get(name),
            **_gain(old, new, name),
        }
        for name, words in _FIGURES
        if name in old or name in new
    ]


def paired_figures(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures of a proof, in the usual order; a positive gain is always good."""
    return [{"name": words, **figures[name]} for name, words in _FIGURES if name in figures]


def _gain(old: dict, new: dict, name: str) -> dict[str, Any]:
    if name not in old or name not in new:
        return {"gain": None}
    gain = new[name]["value"] - old[name]["value"]
    return {"gain": gain, "better": gain < 0 if name in {"ece", "brier"} else gain > 0}


def loss_curves(progress: dict[str, Any]) -> dict[str, Any] | None:
    """One polyline per network of the ensemble; None before there are two points."""
    losses = progress.get("losses", [])
    if len(losses) < 2:
        return None
    highest = max(loss for _, _, loss in losses) or 1
    last = max(progress.get("epochs", 1), 2)
    members: dict[int, list[str]] = {}
    for member, epoch, loss in losses:
        x = (epoch - 1) / (last - 1) * WIDTH
        y = HEIGHT - loss / highest * HEIGHT
        members.setdefault(member, []).append(f"{x:.1f},{y:.1f}")
    return {
        "lines": [" ".join(points) for points in members.values()],
        "highest": highest,
        "epochs": last,
        "width": WIDTH,
        "height": HEIGHT,
    }
