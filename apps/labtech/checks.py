"""What a technician should know of a study before sending it: short lines with a sign each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.cases.models import Case, Instance, Series, Study
from apps.cases.pictures import orientations
from apps.classifier.models import Prediction
from apps.imaging.geometry import is_regular, slice_spacing, sort_key

_CHEST_WORDS = ("CHEST", "THORAX", "LUNG")
_SAME_SITTING = timedelta(minutes=30)


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


def checks_of(case: Case, series: list[Series], user: User | None = None) -> list[Check]:
    """The checks over all series (with prefetched instances) of a case, as `user` sees it."""
    found = [_counted(series), *_body_part(series), *_announced(case.study, series)]
    for one in series:
        found += _of_series(one, list(one.instances.all()), named=len(series) > 1)
    if other_name := case.study.other_name:
        found.append(
            Check(
                "warn",
                _("The files say {other_name}").format(other_name=other_name),
                _(
                    "This Patient ID is stored under another name. Check that it is the same "
                    "person."
                ),
            )
        )
    found += _last_upload(case, user)
    if not case.study.patient.patient_id:
        found.append(
            Check(
                "warn", _("No Patient ID"), _("It will not be found beside this patient's others.")
            )
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
        return Check("warn", _("Only one image"), _("Doctors usually ask for the whole series."))
    number = _("{count} series").format(count=len(series)) if len(series) != 1 else _("one series")
    return Check("ok", _("{images} images in {number}").format(images=images, number=number))


def _body_part(series: list[Series]) -> Iterator[Check]:
    """Whether the header calls it a chest; the AI looks at the pixels once it is asked."""
    said = {one.body_part_examined.upper() for one in series if one.body_part_examined}
    chest = [part for part in said if any(word in part for word in _CHEST_WORDS)]
    if chest:
        yield Check("ok", _("The header says {part}").format(part=chest[0]))
    elif said:
        yield Check(
            "warn",
            _("The header says {part}").format(part=sorted(said)[0]),
            _(
                "The AI looks for nodules in the chest only. If it is a chest, send it all the "
                "same."
            ),
        )


def _last_upload(case: Case, user: User | None) -> Iterator[Check]:
    """Whether this is the person of the technician's last upload, under another ID perhaps."""
    if user is None or case.sent_at:
        return
    since = case.created_at - _SAME_SITTING
    before = Case.objects.filter(created_by=user, created_at__gte=since, pk__lt=case.pk)
    last = before.select_related("study__patient").order_by("-pk").first()
    if last is None or last.study.patient_id == case.study.patient_id:
        return
    mine, other = case.study.patient, last.study.patient
    alike = mine.name and mine.name.casefold() == other.name.casefold()
    alike = alike or (mine.birth_date and mine.birth_date == other.birth_date)
    if alike:
        yield Check(
            "warn",
            _("Your last upload was {display_name}, under another Patient ID").format(
                display_name=other.display_name
            ),
            _(
                "Name or day of birth is the same. If it is one person, one of the IDs is wrong: "
                "“Filed wrongly?” moves the study."
            ),
        )
    else:
        yield Check(
            "ok",
            _("Another patient than your last upload ({display_name})").format(
                display_name=other.display_name
            ),
        )


def _announced(study: Study, series: list[Series]) -> Iterator[Check]:
    """Where the files say how many there are: whether all of them came."""
    here = sum(len(one.instances.all()) for one in series)
    counts = [(_("the study"), study.number_of_study_related_instances, here)]
    counts += [
        (f"“{one}”", one.number_of_series_related_instances, len(one.instances.all()))
        for one in series
    ]
    told = [(what, said, came) for what, said, came in counts if said is not None]
    missing = [(what, said, came) for what, said, came in told if came < said]
    for what, said, came in missing:
        yield Check(
            "warn",
            _("{came} of {said} images of {what}").format(came=came, said=said, what=what),
            _("The files say how many there are. Send the rest, if they are images of this CT."),
        )
    if told and all(came == said for _what, said, came in told):
        yield Check("ok", _("As many images as the files say"))


def _of_series(series: Series, instances: list[Instance], *, named: bool) -> Iterator[Check]:
    prefix = f"{series}: " if named else ""
    localizers = sum(one.is_localizer for one in instances)
    if localizers:
        number = (
            _("{localizers} localizers").format(localizers=localizers)
            if localizers != 1
            else _("one localizer")
        )
        overview = _("An overview for planning, not a slice: no gap is looked for around it.")
        yield Check("ok", prefix + number, overview)
    problems = list(_problems(instances))
    for text, detail in problems:
        yield Check("warn", prefix + text, detail)
    spacing = slice_spacing(_slices(instances))
    if not problems and spacing is not None:
        yield Check(
            "ok",
            _("{prefix}No gaps between slices").format(prefix=prefix),
            _("Slices are {spacing:.2f} mm apart.").format(spacing=spacing),
        )


def _problems(instances: list[Instance]) -> Iterator[tuple[str, str]]:
    slices = _slices(instances)
    directions = orientations(slices)
    if directions > 1:
        yield (
            _("slices in {directions} directions").format(directions=directions),
            _("A localizer may lie among them; the AI reads only slices across the body."),
        )
    elif len(slices) > 1:
        yield from _along_the_normal(slices)
    if any(one.lossy for one in instances):
        yield _("compressed with loss"), _("Small findings may have suffered. Send the originals.")
    if any(one.burned_in_annotation for one in instances):
        yield _("text in the image"), _("The file says that text is burned into the picture.")


def _slices(instances: list[Instance]) -> list[Instance]:
    return [one for one in instances if not one.is_localizer]


def _along_the_normal(instances: list[Instance]) -> Iterator[tuple[str, str]]:
    spacing = slice_spacing(instances)
    if spacing is None:
        yield _("positions unknown"), _("The files do not say where the slices lie.")
        return
    places = sorted(sort_key(one)[1] for one in instances)
    gaps = [b - a for a, b in pairwise(places)]
    doubled = sum(gap < 0.01 for gap in gaps)
    if doubled:
        yield (
            _("{doubled} doubled").format(doubled=doubled),
            _("Several images lie at the same place."),
        )
    missing = sum(round(gap / spacing) - 1 for gap in gaps if spacing and gap > 1.5 * spacing)
    if missing:
        yield (
            _("about {missing} missing").format(missing=missing),
            _(
                "Slices are {spacing:.2f} mm apart, but there are gaps up to {largest:.1f} mm."
            ).format(spacing=spacing, largest=max(gaps)),
        )
    if not (doubled or missing or is_regular(instances)):
        yield (
            _("unequal distances"),
            _("Slices lie from {least:.2f} to {largest:.2f} mm apart.").format(
                least=min(gaps), largest=max(gaps)
            ),
        )


def _contrast(prediction: Prediction) -> Check | None:
    """Whether pixels and header agree on contrast agent; none where the pixels leave it open."""
    said = prediction.contrast
    if said.get("warning"):
        only = _("This is only a hint: check the protocol. The case can be sent as it is.")
        return Check("warn", said["warning"], only)
    if said.get("answer") in {"contrast", "no_contrast"}:
        return Check("ok", _("Contrast agent agrees with the header"))
    return None


def _answer(prediction: Prediction) -> Check:
    status = Prediction.Status
    if prediction.status == status.DONE:
        return Check("ok", _("The AI has read the series"), " ".join(map(str, prediction.warnings)))
    if prediction.status == status.REFUSED:
        remedy = "" if prediction.override else "override"
        still_read = _("The AI gives no score. The doctor still reads it.")
        return Check("warn", prediction.reason, still_read, remedy, prediction)
    if prediction.status == status.FAILED:
        reason = prediction.reason
        return Check("warn", _("The AI could not answer"), reason, "retry", prediction)
    if prediction.status == status.RUNNING:
        return Check("wait", _("The AI is working"), _("It goes on by itself; you need not wait."))
    return Check("wait", _("Waiting for the AI"), _("It goes on by itself; you need not wait."))
