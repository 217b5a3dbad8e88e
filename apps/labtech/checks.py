"""What a technician should know of a study before sending it: short lines with a sign each."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from apps.cases.models import Case, Instance, Series, Study
from apps.cases.pictures import orientations
from apps.classifier.models import Prediction
from apps.imaging.geometry import slice_spacing, sort_key


@dataclass(frozen=True)
class Check:
    """`sign` is ok, warn or wait; the words stand for themselves without colour.

    `remedy` is what a technician can do about a prediction: "retry" or "override".
    """

    sign: str
    text: str
    detail: str = ""
    remedy: str = ""
    prediction: Prediction | None = None


def checks_of(case: Case, series: list[Series]) -> list[Check]:
    """The checks over all series (with prefetched instances) of a case."""
    found = [_counted(series), *_announced(case.study, series)]
    for one in series:
        found += _of_series(one, list(one.instances.all()), named=len(series) > 1)
    if other_name := case.study.other_name:
        found.append(
            Check(
                "warn",
                f"The files say {other_name}",
                "This Patient ID is stored under another name. Check that it is the same person.",
            )
        )
    if not case.study.patient.patient_id:
        found.append(
            Check("warn", "No Patient ID", "It will not be found beside this patient's others.")
        )
    return found


def ai_checks(predictions: list[Prediction]) -> list[Check]:
    """What the AI said of the series, one line each, and where the header seems wrong."""
    return [_answer(one) for one in predictions] + [
        check for one in predictions if (check := _contrast(one))
    ]


def _counted(series: list[Series]) -> Check:
    images = sum(len(one.instances.all()) for one in series)
    if images == 1:
        return Check("warn", "Only one image", "Doctors usually ask for the whole series.")
    number = f"{len(series)} series" if len(series) != 1 else "one series"
    return Check("ok", f"{images} images in {number}")


def _announced(study: Study, series: list[Series]) -> Iterator[Check]:
    """Where the files say how many there are: whether all of them came."""
    here = sum(len(one.instances.all()) for one in series)
    counts = [("the study", study.number_of_study_related_instances, here)]
    counts += [
        (f"“{one}”", one.number_of_series_related_instances, len(one.instances.all()))
        for one in series
    ]
    told = [(what, said, came) for what, said, came in counts if said is not None]
    missing = [(what, said, came) for what, said, came in told if came < said]
    for what, said, came in missing:
        yield Check(
            "warn",
            f"{came} of {said} images of {what}",
            "The files say how many there are. Send the rest, if they are images of this CT.",
        )
    if told and not missing:
        yield Check("ok", "As many images as the files say")


def _of_series(series: Series, instances: list[Instance], *, named: bool) -> Iterator[Check]:
    prefix = f"{series}: " if named else ""
    localizers = sum(one.is_localizer for one in instances)
    if localizers:
        number = f"{localizers} localizers" if localizers != 1 else "one localizer"
        overview = "An overview for planning, not a slice: no gap is looked for around it."
        yield Check("ok", prefix + number, overview)
    problems = list(_problems(instances))
    for text, detail in problems:
        yield Check("warn", prefix + text, detail)
    spacing = slice_spacing(_slices(instances))
    if not problems and spacing is not None:
        yield Check("ok", f"{prefix}No gaps between slices", f"Slices are {spacing:.2f} mm apart.")


def _problems(instances: list[Instance]) -> Iterator[tuple[str, str]]:
    slices = _slices(instances)
    directions = orientations(slices)
    if directions > 1:
        yield (
            f"slices in {directions} directions",
            "A localizer may lie among them; the AI reads only slices across the body.",
        )
    elif len(slices) > 1:
        yield from _along_the_normal(slices)
    if any(one.lossy for one in instances):
        yield "compressed with loss", "Small findings may have suffered. Send the originals."
    if any(one.burned_in_annotation for one in instances):
        yield "text in the image", "The file says that text is burned into the picture."


def _slices(instances: list[Instance]) -> list[Instance]:
    return [one for one in instances if not one.is_localizer]


def _along_the_normal(instances: list[Instance]) -> Iterator[tuple[str, str]]:
    spacing = slice_spacing(instances)
    if spacing is None:
        yield "positions unknown", "The files do not say where the slices lie."
        return
    places = sorted(sort_key(one)[1] for one in instances)
    gaps = [b - a for a, b in pairwise(places)]
    doubled = sum(gap < 0.01 for gap in gaps)
    if doubled:
        yield f"{doubled} doubled", "Several images lie at the same place."
    missing = sum(round(gap / spacing) - 1 for gap in gaps if spacing and gap > 1.5 * spacing)
    if missing:
        yield (
            f"about {missing} missing",
            f"Slices are {spacing:.2f} mm apart, but there are gaps up to {max(gaps):.1f} mm.",
        )


def _contrast(prediction: Prediction) -> Check | None:
    """Whether pixels and header agree on contrast agent; none where the pixels leave it open."""
    said = prediction.contrast
    if said.get("warning"):
        only = "This is only a hint: check the protocol. The case can be sent as it is."
        return Check("warn", said["warning"], only)
    if said.get("answer") in {"contrast", "no_contrast"}:
        return Check("ok", "Contrast agent agrees with the header")
    return None


def _answer(prediction: Prediction) -> Check:
    status = Prediction.Status
    if prediction.status == status.DONE:
        return Check("ok", "The AI has read the series", " ".join(map(str, prediction.warnings)))
    if prediction.status == status.REFUSED:
        remedy = "" if prediction.override else "override"
        still_read = "The AI gives no score. The doctor still reads it."
        return Check("warn", prediction.reason, still_read, remedy, prediction)
    if prediction.status == status.FAILED:
        reason = prediction.reason
        return Check("warn", "The AI could not answer", reason, "retry", prediction)
    if prediction.status == status.RUNNING:
        return Check("wait", "The AI is working", "It goes on by itself; you need not wait.")
    return Check("wait", "Waiting for the AI", "It goes on by itself; you need not wait.")
