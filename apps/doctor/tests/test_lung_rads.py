"""Lung-RADS v2022, row by row of its table, with the limits themselves."""

import pytest

from apps.doctor.lung_rads import CATEGORIES, Nodule, category_of, growth, overall


def nodule(kind, size, behaviour="baseline", **more):
    return Nodule(kind, size, size, behaviour=behaviour, **more)


@pytest.mark.parametrize(
    ("kind", "size", "behaviour", "expected"),
    [
        ("solid", 5.9, "baseline", "2"),
        ("solid", 6.0, "baseline", "3"),
        ("solid", 7.9, "baseline", "3"),
        ("solid", 8.0, "baseline", "4A"),
        ("solid", 14.9, "baseline", "4A"),
        ("solid", 15.0, "baseline", "4B"),
        ("solid", 3.9, "new", "2"),
        ("solid", 4.0, "new", "3"),
        ("solid", 6.0, "new", "4A"),
        ("solid", 8.0, "new", "4B"),
        ("solid", 7.9, "growing", "4A"),
        ("solid", 8.0, "growing", "4B"),
        ("solid", 6.0, "slowly_growing", "4B"),
        ("ground_glass", 29.9, "growing", "2"),
        ("ground_glass", 30.0, "baseline", "3"),
        ("ground_glass", 30.0, "new", "3"),
        ("ground_glass", 31.0, "stable", "2"),
        ("ground_glass", 31.0, "slowly_growing", "2"),
        ("juxtapleural", 9.9, "baseline", "2"),
        ("juxtapleural", 10.0, "baseline", "4A"),
        ("airway_subsegmental", 5.0, "new", "2"),
        ("airway", 5.0, "baseline", "4A"),
        ("airway", 5.0, "stable", "4B"),
        ("cyst_thick", 12.0, "baseline", "4A"),
        ("cyst_thick", 12.0, "growing", "3"),
        ("cyst_multilocular", 12.0, "growing", "4B"),
        ("cyst_wall_growing", 12.0, "growing", "4B"),
        ("benign_pattern", 20.0, "baseline", "1"),
    ],
)
def test_a_nodule_gets_the_category_of_its_row(kind, size, behaviour, expected):
    found = category_of(nodule(kind, size, behaviour))
    assert found.name == expected
    assert expected in found.rule


@pytest.mark.parametrize(
    ("size", "solid", "behaviour", "expected"),
    [
        (5.9, 3.0, "baseline", "2"),
        (6.0, 5.9, "baseline", "3"),
        (12.0, 6.0, "baseline", "4A"),
        (12.0, 8.0, "baseline", "4B"),
        (5.9, 2.0, "new", "3"),
        (9.0, 3.9, "new", "4A"),
        (9.0, 4.0, "new", "4B"),
        (9.0, 3.9, "growing", "4A"),
        (9.0, 4.0, "growing", "4B"),
    ],
)
def test_a_part_solid_nodule_goes_by_its_solid_part(size, solid, behaviour, expected):
    assert category_of(nodule("part_solid", size, behaviour, solid_mm=solid)).name == expected


def test_what_stayed_as_it_was_steps_down_unless_it_crossed_a_limit():
    assert category_of(nodule("solid", 7.0, "stable", earlier="3")).name == "2"
    assert category_of(nodule("solid", 9.0, "stable", earlier="4A")).name == "3"
    assert category_of(nodule("solid", 8.1, "stable", earlier="3")).name == "4A"
    assert category_of(nodule("airway", 9.0, "stable", earlier="4A")).name == "4B"


def test_suspicious_features_lift_3_and_4_only():
    assert category_of(nodule("solid", 7.0, suspicious=True)).name == "4X"
    assert category_of(nodule("solid", 5.0, suspicious=True)).name == "2"


def test_the_mean_of_both_axes_counts_to_one_decimal():
    assert Nodule("solid", 9.0, 6.9).mean_mm == 8.0
    assert category_of(Nodule("solid", 9.0, 6.8)).name == "3"


def test_the_ct_is_as_suspicious_as_its_most_suspicious_nodule():
    assert overall([]).name == "1"
    assert overall([nodule("solid", 5), nodule("solid", 9)]).name == "4A"
    assert overall([nodule("solid", 9)], incomplete=True).name == "0"
    assert CATEGORIES.index("4X") > CATEGORIES.index("4B") > CATEGORIES.index("4A")


def test_growth_is_told_in_mm_percent_and_doubling_time():
    grown = growth(8.0, 10.0, 365)
    assert (grown.change_mm, grown.change_percent, grown.behaviour) == (2.0, 25.0, "growing")
    assert grown.doubling_days == 378  # 365 ln 2 / (3 ln 1.25)
    assert growth(8.0, 9.5, 200).behaviour == "stable"
    assert growth(8.0, 9.6, 200).behaviour == "growing"
    assert growth(8.0, 9.6, 1100).behaviour == "slowly_growing"
    assert growth(8.0, 6.0, 90).doubling_days is None
    with pytest.raises(ValueError, match="earlier date"):
        growth(8.0, 9.0, 0)
