"""Age String (VR AS, PS3.5 6.2): "060Y", "018M"."""

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 1 / 52.18, "D": 1 / 365.25}


def years(text: str) -> float:
    """An age in years from an Age String or a plain number; else NaN."""
    digits, unit = (text[:-1], text[-1]) if text[-1:] in _YEARS else (text, "Y")
    return int(digits) * _YEARS[unit] if digits.isdigit() else float("nan")
