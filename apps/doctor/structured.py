"""The structured part of a verdict: nodules as described, growth, and the Lung-RADS category.

The category is calculated here, from the doctor's own measurements; the doctor may give another
one and says why. Nothing is taken over from the AI by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from apps.cases.models import Case, Verdict
from apps.doctor.lung_rads import (
    BASELINE,
    BEHAVIOURS,
    CATEGORIES,
    KINDS,
    Category,
    Growth,
    Nodule,
    category_of,
    growth,
    overall,
)

PLACES = {
    "rul": "right upper lobe",
    "rml": "right middle lobe",
    "rll": "right lower lobe",
    "lul": "left upper lobe",
    "lingula": "lingula",
    "lll": "left lower lobe",
    "airway": "trachea or main bronchus",
    "unknown": "place not given",
}


CHOICES = {
    "places": PLACES,
    "kinds": KINDS,
    "behaviours": BEHAVIOURS,
    "categories": CATEGORIES,
}
"""What the form offers."""


@dataclass(frozen=True)
class NoduleEntry:
    """One nodule as the doctor fills it in. Sizes in mm; `before_mm` is an earlier mean diameter.

    Without a behaviour of the doctor's own, the earlier size and its date give it.
    """

    kind: str
    long_mm: float
    short_mm: float
    place: str = "unknown"
    label: str = ""
    solid_mm: float | None = None
    behaviour: str = ""
    earlier: str = ""
    suspicious: bool = False
    before_mm: float | None = None
    before_date: date | None = None


@dataclass(frozen=True)
class AssessedNodule:
    """An entry with its growth and its category, and the rule that gave it."""

    entry: NoduleEntry
    mean_mm: float
    behaviour: str
    growth: Growth | None
    category: Category


@dataclass(frozen=True)
class Assessment:
    """All nodules of a CT, and the category of the CT."""

    nodules: list[AssessedNodule]
    category: Category


@dataclass(frozen=True)
class Structured:
    """The structured part of a verdict; `lung_rads` is what the doctor says it is, or empty."""

    nodules: list[NoduleEntry] = field(default_factory=list)
    incomplete: bool = False
    lung_rads: str = ""
    lung_rads_reason: str = ""


def assess(
    nodules: Sequence[NoduleEntry], *, study_date: date | None, incomplete: bool = False
) -> Assessment:
    """Growth and category of each nodule, and the category of the CT."""
    assessed = [_assessed(one, study_date) for one in nodules]
    category = overall([_as_nodule(one) for one in assessed], incomplete=incomplete)
    return Assessment(assessed, category)


def _assessed(entry: NoduleEntry, study_date: date | None) -> AssessedNodule:
    mean = Nodule(entry.kind, entry.long_mm, entry.short_mm).mean_mm
    grown = _growth(entry, mean, study_date)
    behaviour = entry.behaviour or (grown.behaviour if grown else BASELINE)
    found = AssessedNodule(entry, mean, behaviour, grown, Category("", ""))
    return AssessedNodule(entry, mean, behaviour, grown, category_of(_as_nodule(found)))


def _growth(entry: NoduleEntry, mean_mm: float, study_date: date | None) -> Growth | None:
    if not (entry.before_mm and entry.before_date and study_date):
        return None
    days = (study_date - entry.before_date).days
    return growth(entry.before_mm, mean_mm, days) if days > 0 else None


def _as_nodule(one: AssessedNodule) -> Nodule:
    entry = one.entry
    return Nodule(
        kind=entry.kind,
        long_mm=entry.long_mm,
        short_mm=entry.short_mm,
        solid_mm=entry.solid_mm,
        behaviour=one.behaviour,
        earlier=entry.earlier,
        suspicious=entry.suspicious,
    )


def as_stored(assessed: Sequence[AssessedNodule]) -> list[dict[str, Any]]:
    """The nodules as a verdict keeps them: what was filled in and what was calculated."""
    return [
        {
            **asdict(one.entry),
            "before_date": one.entry.before_date.isoformat() if one.entry.before_date else None,
            "behaviour": one.behaviour,
            "mean_mm": one.mean_mm,
            "growth": asdict(one.growth) if one.growth else None,
            "category": one.category.name,
            "rule": one.category.rule,
        }
        for one in assessed
    ]


def kept_structure(case: Case, given: Structured) -> dict[str, Any]:
    """The structured columns of a verdict. Nothing where the doctor described nothing."""
    if not (given.nodules or given.incomplete or given.lung_rads):
        return {"nodules": [], "lung_rads": "", "lung_rads_rule": "", "lung_rads_reason": ""}
    found = assess(given.nodules, study_date=case.study.study_date, incomplete=given.incomplete)
    changed = given.lung_rads and given.lung_rads != found.category.name
    return {
        "nodules": as_stored(found.nodules),
        "lung_rads": given.lung_rads or found.category.name,
        "lung_rads_rule": f"{found.category.name}. {found.category.rule}",
        "lung_rads_reason": given.lung_rads_reason if changed else "",
    }


def nodules_before(case: Case, priors: Sequence[Case]) -> list[dict[str, Any]]:
    """The nodules that reports of this patient's earlier CTs describe, the newest CT first."""
    day = case.study.study_date
    earlier = {
        prior.pk: prior.study.study_date
        for prior in priors
        if prior.status == Case.Status.REPORTED
        and day
        and prior.study.study_date
        and prior.study.study_date < day
    }
    newest = {}
    for verdict in Verdict.objects.filter(case__in=earlier).order_by("pk"):
        newest[verdict.case_id] = verdict
    return [
        {
            "date": date_of.isoformat(),
            "mean_mm": nodule["mean_mm"],
            "category": nodule["category"],
            "kind": nodule["kind"],
            "place": nodule["place"],
            "label": nodule["label"],
        }
        for pk, date_of in earlier.items()
        if pk in newest
        for nodule in newest[pk].nodules
    ]


def in_words(nodule: dict[str, Any]) -> str:
    """One stored nodule as a line of the report."""
    label = f"{nodule['label']}: " if nodule["label"] else ""
    size = f"{nodule['long_mm']:.1f} x {nodule['short_mm']:.1f} mm, mean {nodule['mean_mm']:.1f} mm"
    parts = [f"{label}{PLACES[nodule['place']]}", KINDS[nodule["kind"]], size]
    if nodule["solid_mm"] is not None:
        parts.append(f"solid part {nodule['solid_mm']:.1f} mm")
    parts.append(growth_in_words(nodule) or BEHAVIOURS[nodule["behaviour"]])
    return f"{', '.join(parts)}. Lung-RADS {nodule['category']}: {nodule['rule']}"


def growth_in_words(nodule: dict[str, Any]) -> str:
    """What became of it since the earlier CT, in mm and percent; empty where none was given."""
    grown = nodule["growth"]
    if not grown:
        return ""
    words = (
        f"{grown['change_mm']:+.1f} mm ({grown['change_percent']:+.1f} %) since "
        f"{nodule['before_date']}, {BEHAVIOURS[nodule['behaviour']]}"
    )
    doubling = grown["doubling_days"]
    return f"{words}, volume doubling time {doubling} days" if doubling else words
