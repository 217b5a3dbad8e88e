from pathlib import Path

import pytest

from apps.classifier.cnn.folders import load_models
from apps.classifier.cnn.geometry import SliceInput
from apps.classifier.cnn.phantom_base import phantom_base
from apps.imaging.phantom import Nodule, PhantomSpec, abdomen_phantom, chest_phantom

NODULES = (
    Nodule(center=(-85.0, -20.0, 5.0), diameter_mm=14.0),
    Nodule(center=(85.0, 20.0, -10.0), diameter_mm=20.0),
)


def as_slices(phantom) -> list[SliceInput]:
    pixel_mm = phantom.spec.field_of_view / phantom.spec.matrix
    return [
        SliceInput(f"slice-{i}", hu, (pixel_mm, pixel_mm), phantom.image_position(i))
        for i, hu in enumerate(phantom.hu)
    ]


@pytest.fixture(scope="session")
def models():
    return load_models()


@pytest.fixture(scope="session")
def chest_slices():
    spec = PhantomSpec(seed=3, slices=12, slice_spacing=5.0, nodules=NODULES)
    return as_slices(chest_phantom(spec))


@pytest.fixture(scope="session")
def abdomen_slices():
    return as_slices(abdomen_phantom(PhantomSpec(seed=3, slices=3, slice_spacing=10.0)))


@pytest.fixture(scope="session")
def synthetic_base(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    phantom_base(directory, patients=40, seed=1)
    return directory
