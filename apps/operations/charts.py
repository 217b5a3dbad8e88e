"""Figures and curves as points of small pictures that the templates draw as SVG."""

from typing import Any

WIDTH, HEIGHT = 600, 160
SIDE = 200
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


def pictures_of(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """ROC, reliability and FROC of a version, each where it was measured, as squares of SVG."""
    bins = metrics.get("reliability") or []
    said = [("network", [(one["stated"], one["observed"]) for one in bins])] if bins else []
    roc = _named(metrics, {"roc": "network", "diameter_roc": "diameter alone"})
    froc = _named(metrics, {"froc": "network"})
    found = [
        _square("ROC", "of benign, called malignant", "of malignant, found", roc),
        _square("Reliability", "stated", "observed", said, diagonal=True),
        _square("FROC, phantoms", "other marks per series", "of nodules from 6 mm, found", froc),
    ]
    return [picture for picture in found if picture["lines"]]


def _named(metrics: dict[str, Any], names: dict[str, str]) -> list[tuple[str, list]]:
    return [(words, metrics[name]) for name, words in names.items() if metrics.get(name)]


def _square(
    name: str, x: str, y: str, curves: list[tuple[str, list]], *, diagonal: bool = False
) -> dict[str, Any]:
    """Curves scaled to SIDE squared; `right` is the value at the right edge."""
    right = max([1.0, *(point[0] for _, points in curves for point in points)])
    return {
        "name": name,
        "x": x,
        "y": y,
        "right": right,
        "side": SIDE,
        "diagonal": diagonal,
        "lines": [
            {
                "words": words,
                "points": " ".join(
                    f"{a / right * SIDE:.1f},{SIDE - b * SIDE:.1f}" for a, b in points
                ),
            }
            for words, points in curves
        ],
    }


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
