"""A card comes from the metadata alone, and from the out-of-fold answers where they are kept."""

import json

import numpy as np
import pytest

from apps.classifier.cnn import cards, evaluation
from apps.classifier.cnn.card_files import write_cards
from apps.classifier.cnn.folders import SHIPPED


@pytest.fixture
def kept(tmp_path):
    """The shipped suspicion score's metadata with made-up answers beside it."""
    meta = json.loads((sorted(SHIPPED.glob("malignancy*.json"))[-1]).read_text())
    rng = np.random.default_rng(0)
    truth = np.repeat([0.0, 1.0], 60)
    said = np.clip(0.2 + 0.5 * truth + rng.normal(0, 0.2, 120), 0, 1)
    patients = np.array([f"p{i}" for i in range(120)])
    spacing = np.array(["up to 1.25 mm", "over 2.5 mm"] * 60)
    answers = evaluation.Answers(
        list(patients), patients, truth, said, 4 + 20 * said, {"slice spacing": spacing}
    )
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "x.json").write_text(json.dumps(meta))
    cards.write_out_of_fold(tmp_path / "weights" / "x.out-of-fold.csv", answers)
    return tmp_path, answers


def test_figures_subgroups_and_pictures_come_from_the_stored_answers(kept):
    folder, answers = kept
    (path,) = write_cards(folder / "weights", folder / "out")
    text = path.read_text()
    assert f"{evaluation.auc(answers.probabilities, answers.truth):.2f}" in text
    assert "## Subgroups" in text
    assert "over 2.5 mm" in text
    drawn = {file.name.removeprefix(f"{path.stem}-") for file in (folder / "out").glob("*.png")}
    assert drawn == {"roc.png", "reliability.png"}


def test_a_card_without_stored_answers_shows_what_its_metadata_has(tmp_path):
    written = write_cards(SHIPPED, tmp_path)
    assert len(written) == len(list(SHIPPED.glob("*.json")))
    assert all("SHA-256" in path.read_text() for path in written)
