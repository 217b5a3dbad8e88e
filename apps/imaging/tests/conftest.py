"""Small synthetic CT files, and the real ones where CT_DATA_DIR names them."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from apps.imaging.phantom import PhantomSpec, chest_phantom, write_series


@pytest.fixture(scope="session")
def small_phantom():
    return chest_phantom(PhantomSpec(slices=2, matrix=64))


@pytest.fixture(scope="session")
def ct_bytes(small_phantom, tmp_path_factory) -> bytes:
    """One valid uncompressed CT file of 64 x 64 pixels."""
    return write_series(small_phantom, tmp_path_factory.mktemp("ct"))[0].read_bytes()


@pytest.fixture
def ct_path(ct_bytes, tmp_path) -> Path:
    path = tmp_path / "slice.dcm"
    path.write_bytes(ct_bytes)
    return path


@pytest.fixture
def edited(ct_path):
    """Rewrite the CT file with attributes set (None deletes); gives its path."""

    def edit(**changes) -> Path:
        dataset = dcmread(ct_path)
        for keyword, value in changes.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(ct_path)
        return ct_path

    return edit


@pytest.fixture
def with_stored(ct_path):
    """A CT dataset whose stored values, rescale and further attributes are given."""

    def build(values: list[list[int]], dtype=np.int16, slope="1", intercept="0", **more) -> Dataset:
        dataset = dcmread(ct_path)
        stored = np.array(values, dtype)
        dataset.Rows, dataset.Columns = stored.shape
        bits = 8 * stored.dtype.itemsize
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit = bits - 1
        dataset.PixelRepresentation = int(stored.dtype.kind == "i")
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = stored.tobytes()
        for keyword, value in more.items():
            setattr(dataset, keyword, value)
        return dataset

    return build
