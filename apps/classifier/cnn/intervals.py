"""Bounds of a measured share; light enough for a web process."""

import math


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % bounds of a share (Wilson 1927)."""
    if total == 0:
        return float("nan"), float("nan")
    share = count / total
    middle = (share + z * z / 2 / total) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + (z / 2 / total) ** 2)
    return middle - half, middle + half
