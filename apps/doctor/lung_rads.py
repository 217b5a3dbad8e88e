"""Lung-RADS v2022: the category of a nodule and of a screening CT, with the rule that gave it.

After the American College of Radiology's assessment categories of November 2022 (Christensen et
al., CHEST 2024;165:738-753). Compared with what was at hand: the size limits of baseline, new and
growing nodules with the table of v1.1, which v2022 kept (NCBI Bookshelf NBK568579, appendix A
table 2), growth and the rule on crossing a limit with the ACR's notes as published for readers,
airways, cysts, slow growth and stepping down with summaries of the release
(diagnosticimaging.com, ECR 2025 C-22137). The ACR's own v2022 table was not at hand. Sizes are
mean diameters in mm, to one decimal. Only for screening CT; the doctor may give another category
and say why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

SOLID, PART_SOLID, GROUND_GLASS = "solid", "part_solid", "ground_glass"
JUXTAPLEURAL, AIRWAY, AIRWAY_SMALL = "juxtapleural", "airway", "airway_subsegmental"
CYST_THICK, CYST_MULTI, CYST_WALL = "cyst_thick", "cyst_multilocular", "cyst_wall_growing"
BENIGN = "benign_pattern"
KINDS = {
    SOLID: "solid",
    PART_SOLID: "part-solid",
    GROUND_GLASS: "ground-glass",
    JUXTAPLEURAL: "juxtapleural, smooth",
    AIRWAY: "airway, segmental or more central",
    AIRWAY_SMALL: "airway, subsegmental",
    CYST_THICK: "thick-walled cyst",
    CYST_MULTI: "multilocular cyst",
    CYST_WALL: "thick-walled cyst with growing wall or nodule",
    BENIGN: "benign calcification or fat",
}
BASELINE, NEW, STABLE, GROWING, SLOW = "baseline", "new", "stable", "growing", "slowly_growing"
BEHAVIOURS = {
    BASELINE: "first CT",
    NEW: "new",
    STABLE: "stable or smaller",
    GROWING: "growing",
    SLOW: "slowly growing",
}
CATEGORIES = ["0", "1", "2", "3", "4A", "4B", "4X"]
GROWTH_MM = 1.5
YEAR_DAYS = 365.25


@dataclass(frozen=True)
class Nodule:
    """One nodule as the doctor describes it. `earlier` is its category at the last CT, or empty."""

    kind: str
    long_mm: float
    short_mm: float
    solid_mm: float | None = None
    behaviour: str = BASELINE
    earlier: str = ""
    suspicious: bool = False

    @property
    def mean_mm(self) -> float:
        """Mean of the long and the short axis, to one decimal."""
        return round((self.long_mm + self.short_mm) / 2 + 1e-9, 1)


@dataclass(frozen=True)
class Category:
    """A category and the rule that gave it, in words."""

    name: str
    rule: str


@dataclass(frozen=True)
class Growth:
    """What became of a nodule since an earlier CT; `behaviour` as Lung-RADS counts it."""

    change_mm: float
    change_percent: float
    days: int
    doubling_days: int | None
    behaviour: str


def category_of(nodule: Nodule) -> Category:
    """The category of one nodule."""
    found = _by_kind(nodule)
    stepped = _stepped_down(nodule, found)
    if stepped:
        return stepped
    if nodule.suspicious and found.name in {"3", "4A", "4B"}:
        return Category("4X", f"{found.rule} Further suspicious features make it 4X.")
    return found


def overall(nodules: Sequence[Nodule], *, incomplete: bool = False) -> Category:
    """The category of the CT: that of its most suspicious nodule."""
    if incomplete:
        return Category("0", "Part of the lungs cannot be assessed, or a prior CT is awaited: 0.")
    if not nodules:
        return Category("1", "No lung nodule: 1.")
    return max((category_of(one) for one in nodules), key=lambda one: CATEGORIES.index(one.name))


def growth(before_mm: float, now_mm: float, days: int) -> Growth:
    """Growth between two mean diameters (mm) measured `days` apart.

    Growing is more than 1.5 mm within 12 months; the same rate over a longer time counts too.
    The doubling time is that of the volume of a sphere. Raises ValueError without time or size.
    """
    if days <= 0 or before_mm <= 0 or now_mm <= 0:
        raise ValueError("Growth needs two sizes and an earlier date.")
    change = round(now_mm - before_mm, 1)
    per_year = change * YEAR_DAYS / max(days, YEAR_DAYS)
    behaviour = STABLE
    if change > GROWTH_MM:
        behaviour = GROWING if per_year > GROWTH_MM else SLOW
    return Growth(
        change,
        round(100 * change / before_mm, 1),
        days,
        _doubling(before_mm, now_mm, days),
        behaviour,
    )


def _doubling(before_mm: float, now_mm: float, days: int) -> int | None:
    return round(days * log(2) / (3 * log(now_mm / before_mm))) if now_mm > before_mm else None


def _by_kind(nodule: Nodule) -> Category:
    size = nodule.mean_mm
    if nodule.kind == BENIGN:
        return Category("1", "Complete, central, popcorn or ring calcification, or fat: 1.")
    if nodule.kind == JUXTAPLEURAL and size < 10 and nodule.behaviour in {BASELINE, NEW, STABLE}:
        return Category("2", f"Smooth juxtapleural nodule of {size} mm, below 10 mm: 2.")
    if nodule.kind in {SOLID, JUXTAPLEURAL}:
        return _solid(size, nodule.behaviour)
    if nodule.kind == PART_SOLID:
        return _part_solid(size, nodule.solid_mm or 0.0, nodule.behaviour)
    if nodule.kind == GROUND_GLASS:
        return _ground_glass(size, nodule.behaviour)
    return _airway_or_cyst(nodule.kind, nodule.behaviour)


def _solid(size: float, behaviour: str) -> Category:
    if behaviour == GROWING:
        limit = "below 8 mm is 4A" if size < 8 else "8 mm or more is 4B"
        return Category("4A" if size < 8 else "4B", f"Solid, {size} mm, growing: {limit}.")
    if behaviour == SLOW:
        return Category("4B", f"Solid, {size} mm, slowly growing over several CTs: 4B.")
    if behaviour == NEW:
        return _step(f"Solid, {size} mm, new", size, [(4, "2"), (6, "3"), (8, "4A")])
    return _step(f"Solid, {size} mm{_as_first(behaviour)}", size, [(6, "2"), (8, "3"), (15, "4A")])


def _part_solid(size: float, solid: float, behaviour: str) -> Category:
    words = f"Part-solid, {size} mm with {solid} mm solid"
    if behaviour == SLOW:
        return Category("4B", f"{words}, slowly growing over several CTs: 4B.")
    if behaviour in {NEW, GROWING}:
        if solid >= 4:
            return Category(
                "4B", f"{words}, {BEHAVIOURS[behaviour]}: a solid part of 4 mm or more is 4B."
            )
        if behaviour == NEW and size < 6:
            return Category("3", f"{words}, new: below 6 mm in all is 3.")
        return Category("4A", f"{words}, {BEHAVIOURS[behaviour]}: a solid part below 4 mm is 4A.")
    words += _as_first(behaviour)
    if size < 6:
        return Category("2", f"{words}: below 6 mm in all is 2.")
    return _step(f"{words}; by the solid part", solid, [(6, "3"), (8, "4A")])


def _ground_glass(size: float, behaviour: str) -> Category:
    words = f"Ground-glass, {size} mm, {BEHAVIOURS[behaviour]}"
    if size < 30:
        return Category("2", f"{words}: below 30 mm is 2.")
    if behaviour in {STABLE, SLOW}:
        return Category("2", f"{words}: 30 mm or more, stable or slowly growing, is 2.")
    return Category("3", f"{words}: 30 mm or more is 3.")


def _airway_or_cyst(kind: str, behaviour: str) -> Category:
    words = f"{KINDS[kind].capitalize()}, {BEHAVIOURS[behaviour]}"
    grows = behaviour in {GROWING, SLOW}
    if kind == AIRWAY_SMALL:
        return (
            Category("3", f"{words}: 3, to be followed.")
            if grows
            else Category("2", f"{words}: 2.")
        )
    if kind == AIRWAY:
        later = behaviour in {STABLE, GROWING, SLOW}
        return Category("4B" if later else "4A", f"{words}: {'4B' if later else '4A'}.")
    if kind == CYST_WALL:
        return Category("4B", f"{words}: 4B.")
    if kind == CYST_MULTI:
        return Category("4B" if grows else "4A", f"{words}: {'4B' if grows else '4A'}.")
    return (
        Category("3", f"{words}: a growing cystic part is 3.")
        if grows
        else Category("4A", f"{words}: 4A.")
    )


def _stepped_down(nodule: Nodule, by_size: Category) -> Category | None:
    """Stable since a 3 is 2, since a 4A is 3; not for airways, nor across a size threshold."""
    down = {"3": "2", "4A": "3"}.get(nodule.earlier)
    if nodule.behaviour != STABLE or not down or nodule.kind == AIRWAY or nodule.suspicious:
        return None
    if CATEGORIES.index(by_size.name) > CATEGORIES.index(nodule.earlier):
        return None
    return Category(
        down,
        f"{KINDS[nodule.kind].capitalize()}, {nodule.mean_mm} mm, "
        f"stable since a {nodule.earlier}: {down}.",
    )


def _step(words: str, size: float, limits: list[tuple[float, str]]) -> Category:
    lower = 0.0
    for limit, name in limits:
        if size < limit:
            span = f"{lower:g} to below {limit:g} mm" if lower else f"below {limit:g} mm"
            return Category(name, f"{words}: {span} is {name}.")
        lower = limit
    return Category("4B", f"{words}: {lower:g} mm or more is 4B.")


def _as_first(behaviour: str) -> str:
    return ", stable" if behaviour == STABLE else " at the first CT"
