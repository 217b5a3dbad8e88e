"""The contrast check in the technician's Checks: a hint, never a block."""

import pytest

from apps.classifier.models import Prediction
from apps.labtech.checks import ai_checks


def checked(**contrast):
    return [
        (check.sign, check.text)
        for check in ai_checks([Prediction(status="done", contrast=contrast)])[1:]
    ]


def test_a_header_that_the_pixels_contradict_is_a_warning():
    warning = "Contrast agent seems visible, but the header names none."
    assert checked(answer="contrast", warning=warning) == [("warn", warning)]


def test_agreement_is_said_in_one_line():
    said = checked(answer="no_contrast", warning="")
    assert said == [("ok", "Contrast agent agrees with the header")]


@pytest.mark.parametrize("contrast", [{}, {"answer": "unsure", "warning": ""}, {"answer": None}])
def test_what_the_pixels_leave_open_is_not_mentioned(contrast):
    assert checked(**contrast) == []
