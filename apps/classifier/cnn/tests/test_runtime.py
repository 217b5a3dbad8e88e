import json
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest

from apps.classifier.cnn.folders import SHIPPED
from apps.classifier.cnn.runtime import Network, NetworkFailure, WeightsMismatch, load_network

TASKS = ["chest", "nodule", "malignancy"]


def meta_of(task):
    described = sorted(SHIPPED.glob("*.json"))
    return [path for path in described if json.loads(path.read_text())["task"] == task][-1]


def load(task):
    return load_network(meta_of(task).with_suffix(".tflite"), meta_of(task))


def random_batch(network, count=70):
    shape = network.meta["input"]["shape"]
    return np.random.default_rng(0).random((count, *shape)).astype(np.float32)


@pytest.mark.parametrize("task", TASKS)
def test_shipped_weights_match_their_metadata_and_give_probabilities(task):
    network = load(task)
    said = network.predict(random_batch(network))
    assert said.shape == (70,)
    assert ((said >= 0) & (said <= 1)).all()


def test_changed_weights_are_refused(tmp_path):
    changed = bytearray(meta_of("chest").with_suffix(".tflite").read_bytes())
    changed[5000] ^= 1
    (tmp_path / "chest.tflite").write_bytes(changed)
    with pytest.raises(WeightsMismatch):
        load_network(tmp_path / "chest.tflite", meta_of("chest"))


def test_a_network_that_answers_no_number_is_an_error_not_an_answer():
    network = load("chest")
    with pytest.raises(NetworkFailure):
        network.predict(random_batch(network, 2) * np.nan)


def test_the_same_input_gives_the_same_numbers_whatever_the_batch_and_threads(monkeypatch):
    network = load("malignancy")
    batch = random_batch(network)
    together = network.predict(batch)
    assert np.array_equal(together, network.predict(batch))
    alone = np.concatenate([network.predict(batch[i : i + 1]) for i in range(len(batch))])
    monkeypatch.setenv("CNN_THREADS", "1")
    one_thread = load("malignancy").predict(batch)
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(together, one_thread, atol=1e-5)


def predict_in_child(network, batch, queue):
    queue.put(network.predict(batch))


def test_a_network_used_before_a_fork_answers_in_the_child():
    network = load("chest")
    batch = random_batch(network, 3)
    expected = network.predict(batch)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=predict_in_child, args=(network, batch, queue))
    child.start()
    answered = queue.get(timeout=30)
    child.join()
    assert np.allclose(answered, expected, atol=1e-6)


def test_a_network_survives_pickling():
    network = load("chest")
    copy = pickle.loads(pickle.dumps(network))  # noqa: S301
    assert isinstance(copy, Network)
    assert copy.version == network.version


def test_an_empty_batch_gives_an_empty_answer():
    network = load("chest")
    assert network.predict(random_batch(network, 0)).shape == (0,)


def test_inference_never_loads_tensorflow():
    code = (
        "import sys\n"
        "import apps.classifier.cnn.series, apps.classifier.cnn.folders\n"
        "import apps.classifier.cnn.evaluation, apps.classifier.cnn.datasets\n"
        "print([m for m in ('tensorflow', 'keras', 'django') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("task", TASKS)
def test_the_card_states_what_the_metadata_measured(task):
    meta = json.loads(meta_of(task).read_text())
    card = (SHIPPED.parents[2] / "docs" / "models" / f"{meta['version']}.md").read_text()
    assert str(meta["metrics"]["auc"]) in card
    assert meta["sha256"] in card
