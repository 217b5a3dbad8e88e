"""German pages keep the decimal point: the viewer, reports and DICOM write it, and so does SVG."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = "\u202f"
