import numpy as np
import pytest

from apps.classifier.cnn.heatmap import enlarged, falls, heatmap
from apps.classifier.cnn.tests.conftest import NODULES


def patch_with_nodule(row, column):
    y, x = np.mgrid[:64, :64]
    blob = 0.1 + 0.8 * (np.hypot(y - row, x - column) < 9)
    return np.repeat(blob[..., None], 3, axis=2).astype(np.float32)


PATCHES = np.stack(
    [patch_with_nodule(*place) for place in ((32, 32), (24, 32), (40, 32), (32, 24), (32, 40))]
)


def centre_of_mass(values):
    y, x = np.mgrid[:64, :64]
    return (y * values).sum() / values.sum(), (x * values).sum() / values.sum()


def test_the_heatmap_moves_with_the_nodule(models):
    upper, _ = falls(patch_with_nodule(24, 32), models.malignancy)
    lower, _ = falls(patch_with_nodule(40, 32), models.malignancy)
    assert centre_of_mass(lower)[0] > centre_of_mass(upper)[0] + 3


@pytest.fixture(scope="module")
def untrained():
    """Grad-CAM maps (9, 5, 8, 8) of networks like a shipped member, with weights by chance.

    Nine, because a single one can resemble a trained network by accident (Adebayo et al.,
    Sanity Checks for Saliency Maps, NeurIPS 2018, randomise the weights for the same reason).
    """
    import keras

    from apps.classifier.cnn.gradcam import heat_of
    from apps.classifier.cnn.networks import patch_network
    from apps.classifier.cnn.training import SHIPPED

    maps = []
    for seed in range(1, 10):
        keras.utils.set_random_seed(seed)
        maps.append(heat_of(patch_network(64, 3, 2, SHIPPED["malignancy"].widths))(PATCHES).numpy())
    return np.stack(maps)


def ranks_agree(one, other):
    """Mean rank correlation of two sets of maps."""
    pairs = zip(one.reshape(len(one), -1), other.reshape(len(other), -1), strict=True)
    order = [[np.argsort(np.argsort(values)) for values in pair] for pair in pairs]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in order]))


def test_the_map_collapses_without_trained_weights(models, untrained):
    trained = models.malignancy.heat(PATCHES).max(axis=(1, 2))
    shares = (untrained.max(axis=(2, 3)) / trained).mean(axis=1)
    assert np.median(shares) < 0.15  # 0.08 when this was written, 0.16 at most
    assert shares.max() < 0.3


def test_the_map_comes_from_the_weights_and_not_from_the_picture_alone(models, untrained):
    trained = models.malignancy.heat(PATCHES)
    noise = np.random.default_rng(0).normal(0, 0.01, PATCHES.shape)
    disturbed = models.malignancy.heat(np.clip(PATCHES + noise, 0, 1).astype(np.float32))
    assert ranks_agree(trained, disturbed) > 0.8
    assert np.mean([ranks_agree(trained, one) for one in untrained]) < 0.4


def test_covering_matters_less_without_trained_weights(models):
    import keras

    from apps.classifier.cnn.export import to_litert
    from apps.classifier.cnn.networks import patch_network
    from apps.classifier.cnn.runtime import Network

    keras.utils.set_random_seed(1)
    untrained = Network(to_litert(patch_network(64, 3, 2, (8, 12, 16))), {"version": "untrained"})
    patch = patch_with_nodule(32, 32)
    assert falls(patch, untrained)[1] < 0.2 * falls(patch, models.malignancy)[1]


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
