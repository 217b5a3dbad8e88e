"""Model cards as files: Markdown and pictures, made from the metadata beside the weights."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from apps.classifier.cnn import cards, evaluation


def write_cards(weights: Path, out: Path) -> list[Path]:
    """A card for every network in `weights`; returns the Markdown files."""
    out.mkdir(parents=True, exist_ok=True)
    return [write_card(described(path), out) for path in sorted(weights.glob("*.json"))]


def described(path: Path) -> dict[str, Any]:
    """The metadata, its figures measured anew where the out-of-fold answers lie beside it."""
    meta, stored = json.loads(path.read_text()), path.with_suffix(".out-of-fold.csv")
    if not stored.is_file():
        return meta
    answers, threshold = cards.read_out_of_fold(stored), meta["operating_point"]["threshold"]
    again = evaluation.measure(meta["task"], meta["version"], answers, threshold).as_dict()
    return meta | {"metrics": meta["metrics"] | again}


def write_card(meta: dict[str, Any], out: Path) -> Path:
    """`version`.md with the pictures that its figures allow."""
    shown = {"roc": draw_roc, "reliability": draw_reliability, "froc": draw_froc}
    pictures = [
        f"![{name}]({draw(name, one, meta, out).name})"
        for name, one in shown.items()
        if meta["metrics"].get(name)
    ]
    pictures += [
        f"![{words}](../../static/cards/{name})" for name, words in meta.get("drawings", [])
    ]
    parts = [cards.card(meta), *(["## Pictures"] if pictures else []), *pictures]
    path = out / f"{meta['version']}.md"
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    return path


def draw(name: str, drawing: Any, meta: dict[str, Any], out: Path) -> Path:
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    drawing(axes, meta["metrics"])
    path = out / f"{meta['version']}-{name}.png"
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return path


def draw_froc(axes: Axes, metrics: dict[str, Any]) -> None:
    """Recall of synthetic nodules from 6 mm against marks that match none."""
    axes.set(xlabel="other marks per series", ylabel="share found", title="FROC, phantoms")
    axes.plot(*zip(*metrics["froc"], strict=True), marker="o", ms=3)
    axes.set_xlim(left=0)


def square(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), aspect="equal")
    axes.plot([0, 1], [0, 1], color="0.6", ls=":", lw=1)


def draw_roc(axes: Axes, metrics: dict[str, Any]) -> None:
    """The network's curve, and that of the readers' diameter where it was measured."""
    square(axes)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC, patients never trained on")
    axes.plot(*zip(*metrics["roc"], strict=True), label=f"network, AUC {metrics['auc']:.3f}")
    if metrics.get("diameter_roc"):
        label = f"diameter alone, AUC {metrics['diameter_auc']:.3f}"
        axes.plot(*zip(*metrics["diameter_roc"], strict=True), ls="--", label=label)
    axes.legend(loc="lower right")


def draw_reliability(axes: Axes, metrics: dict[str, Any]) -> None:
    """Stated against observed frequency; the size of a point is the number of items."""
    bins = metrics["reliability"]
    square(axes)
    axes.set(xlabel="stated probability", ylabel="observed share", title="Reliability")
    axes.plot([b["stated"] for b in bins], [b["observed"] for b in bins], lw=1)
    axes.scatter(
        [b["stated"] for b in bins],
        [b["observed"] for b in bins],
        s=[10 + 200 * b["n"] / metrics["n"] for b in bins],
    )
