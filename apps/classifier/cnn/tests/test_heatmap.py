import numpy as np
import pytest

from apps.classifier.cnn.heatmap import enlarged, falls, heatmap
from apps.classifier.cnn.tests.conftest import NODULES


def patch_with_nodule(row, column):
    y, x = np.mgrid[:64, :64]
    blob = 0.1 + 0.8 * (np.hypot(y - row, x - column) < 9)
    return np.repeat(blob[..., None], 3, axis=2).astype(np.float32)


def centre_of_mass(values):
    y, x = np.mgrid[:64, :64]
    return (y * values).sum() / values.sum(), (x * values).sum() / values.sum()


def test_the_heatmap_moves_with_the_nodule(models):
    upper, _ = falls(patch_with_nodule(24, 32), models.malignancy)
    lower, _ = falls(patch_with_nodule(40, 32), models.malignancy)
    assert centre_of_mass(lower)[0] > centre_of_mass(upper)[0] + 3


def test_the_heatmap_collapses_without_trained_weights(models):
    import keras

    from apps.classifier.cnn.export import to_litert
    from apps.classifier.cnn.networks import patch_network
    from apps.classifier.cnn.runtime import Network

    keras.utils.set_random_seed(1)
    untrained = Network(to_litert(patch_network(64, 3, 2, (8, 12, 16))), {"version": "untrained"})
    patch = patch_with_nodule(32, 32)
    assert falls(patch, untrained)[1] < 0.2 * falls(patch, models.malignancy)[1]
    if models.malignancy.heat(patch[None]) is not None:
        shown = explained(patch, models.malignancy)[1]
        # Random weights give a positive map too: 0.02 to 0.28 of the trained one over six seeds.
        assert explained(patch, untrained)[1] < shown / 3


def test_the_heatmap_says_where_it_lies_on_the_slice(chest_slices, models):
    slice_ = chest_slices[3]
    made = heatmap(chest_slices, slice_.key, 285.0, 377.0, models.malignancy)
    assert made.top + made.side / 2 == pytest.approx(285)
    assert made.left + made.side / 2 == pytest.approx(377)
    assert made.side * slice_.pixel_spacing[0] == pytest.approx(32.0)
    assert 0 <= made.values.min() <= made.values.max() <= 1


def test_a_heatmap_is_called_what_it_is(chest_slices, models):
    made = heatmap(chest_slices, "slice-3", 285.0, 377.0, models.malignancy)
    patch = patch_with_nodule(32, 32)[None]
    has_gradient = models.malignancy.heat(patch) is not None
    assert made.method == ("Grad-CAM" if has_gradient else "occlusion")


def explained(patch, network):
    """What the product shows of a patch: Grad-CAM where the graph has it, else occlusion."""
    heat = network.heat(patch[None])
    return falls(patch, network) if heat is None else enlarged(heat[0])


def test_the_shown_map_moves_when_the_nodule_is_pasted_elsewhere(models):
    upper, _ = explained(patch_with_nodule(24, 32), models.malignancy)
    lower, _ = explained(patch_with_nodule(40, 32), models.malignancy)
    assert centre_of_mass(lower)[0] > centre_of_mass(upper)[0] + 3


def test_an_unknown_slice_is_an_error(chest_slices, models):
    with pytest.raises(KeyError):
        heatmap(chest_slices, "unknown", *NODULES[0].center[:2], models.malignancy)
