"""Heatmaps of the leading findings: made with the prediction, kept as 64 x 64 bytes each."""

from collections.abc import Sequence

import numpy as np

from apps.classifier.cnn.heatmap import Heatmap, heatmap
from apps.classifier.cnn.runtime import Network
from apps.classifier.cnn.series import FoundNodule, SliceInput
from apps.classifier.models import Finding, FindingHeatmap

MOST = 12  # findings per series, best first; each costs about 0.06 s on two threads


def heatmaps_of(
    slices: Sequence[SliceInput], found: Sequence[FoundNodule], malignancy: Network
) -> list[Heatmap]:
    """Where the suspicion of the first findings comes from, in their order."""
    return [
        heatmap(slices, one.key, one.row, one.column, malignancy, one.diameter_mm)
        for one in found[:MOST]
    ]


def store_heatmaps(findings: Sequence[Finding], heatmaps: Sequence[Heatmap]) -> None:
    """Keep each heatmap with its finding; later findings have none."""
    FindingHeatmap.objects.bulk_create(
        FindingHeatmap(
            finding=finding,
            method=heatmap.method,
            values=np.round(heatmap.values * 255).astype(np.uint8).tobytes(),
            side_pixels=len(heatmap.values),
            top=heatmap.top,
            left=heatmap.left,
            side=heatmap.side,
            strength=heatmap.strength,
        )
        for finding, heatmap in zip(findings, heatmaps, strict=False)
    )
