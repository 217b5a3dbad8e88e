"""Train the networks as they were shipped, from a directory with the public data sets.

Imports TensorFlow: training side only.
"""

from pathlib import Path
from typing import Any

from apps.classifier.cnn import hard_negatives, training
from apps.classifier.cnn.datasets import read_nodules

SEED = 1
TASKS = ("chest", "nodule", "malignancy")


def train_shipped(
    task: str, directory: Path, *, out_dir: Path, seed: int = SEED, **settings: Any
) -> training.TrainedNetwork:
    """Train one of TASKS; settings as in training.train. The finder also learns look-alikes.

    Raises ValueError for an unknown task, DatasetError when the data cannot be read.
    """
    if task == "chest":
        return training.train_chest(directory, seed=seed, out_dir=out_dir, **settings)
    examples = read_nodules(directory)
    if task == "nodule":
        examples += hard_negatives.of_public_data(directory)
    return training.train(task, examples, seed=seed, out_dir=out_dir, **settings)
