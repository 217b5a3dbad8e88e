import numpy as np
import pytest

from apps.classifier.cnn import evaluation
from apps.classifier.cnn.datasets import fingerprint, read_nodules, split_by_patient
from apps.classifier.cnn.runtime import load_network


@pytest.fixture(scope="module")
def trained(synthetic_base, tmp_path_factory):
    from apps.classifier.cnn.training import train

    told = []
    folder = tmp_path_factory.mktemp("trained")
    result = train(
        "malignancy",
        synthetic_base,
        seed=1,
        epochs=2,
        quick=True,
        out_dir=folder,
        checkpoint_dir=folder / "checkpoints",
        on_progress=told.append,
        version="malignancy-test",
    )
    return result, told, folder


def test_training_leaves_weights_that_load_and_a_learning_curve(trained):
    result, _, _ = trained
    network = load_network(result.weights, result.meta_path)
    assert network.version == "malignancy-test"
    assert result.learning_curve.stat().st_size > 5000


def test_the_exported_network_was_compared_on_every_patch(trained):
    result, _, _ = trained
    assert 0 <= result.meta["training"]["export_difference"] <= 1e-4


def test_one_patch_that_differs_stops_the_export(tmp_path):
    import keras

    from apps.classifier.cnn import export
    from apps.classifier.cnn.networks import patch_network

    keras.utils.set_random_seed(1)
    model, other = (patch_network(64, 3, 2, (8, 12, 16)) for _ in range(2))
    batches = [np.zeros((4, 64, 64, 3), np.float32), np.ones((4, 64, 64, 3), np.float32)]
    content = export.to_litert(model)
    assert export.check_same(model, content, batches) <= 1e-4
    other.set_weights(model.get_weights())
    first = other.layers[1]
    first.set_weights([kernel + 0.01 for kernel in first.get_weights()])
    same_on_zeros = export.check_same(other, content, batches[:1])
    assert same_on_zeros <= 1e-4
    with pytest.raises(export.ExportError):
        export.check_same(other, content, batches)


def test_progress_is_told_after_every_epoch(trained):
    _, told, _ = trained
    assert [p.fraction for p in told] == [0.25, 0.5, 0.75, 1.0]
    assert all(np.isfinite(p.loss) for p in told)


def test_held_out_patients_are_never_trained_on(trained, synthetic_base):
    result, _, _ = trained
    _, held_out = split_by_patient(read_nodules(synthetic_base), "")
    seen = set(result.meta["training"]["patient_fingerprints"])
    assert held_out
    assert not seen & {fingerprint(example.patient_id) for example in held_out}


def test_the_metadata_says_that_the_base_is_synthetic(trained):
    result, _, _ = trained
    assert result.meta["training"]["synthetic"] is True


def test_a_finished_training_resumes_to_the_same_weights(trained, synthetic_base, tmp_path):
    from apps.classifier.cnn.training import train

    result, _, folder = trained
    told = []
    again = train(
        "malignancy",
        synthetic_base,
        seed=1,
        epochs=2,
        quick=True,
        out_dir=tmp_path,
        checkpoint_dir=folder / "checkpoints",
        on_progress=told.append,
    )
    assert told == []
    batch = np.random.default_rng(0).random((8, 64, 64, 3)).astype(np.float32)
    first = load_network(result.weights, result.meta_path).logits(batch)
    second = load_network(again.weights, again.meta_path).logits(batch)
    assert np.allclose(first, second, atol=1e-5)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(trained, synthetic_base, tmp_path):
    from apps.classifier.cnn.training import train

    def interrupt(told) -> None:
        if (told.member, told.epoch) == (2, 1):
            raise KeyboardInterrupt

    how = {"seed": 1, "epochs": 2, "quick": True, "checkpoint_dir": tmp_path / "checkpoints"}
    with pytest.raises(KeyboardInterrupt):
        train("malignancy", synthetic_base, out_dir=tmp_path, on_progress=interrupt, **how)
    again = train("malignancy", synthetic_base, out_dir=tmp_path, **how)
    batch = np.random.default_rng(0).random((8, 64, 64, 3)).astype(np.float32)
    first = load_network(trained[0].weights, trained[0].meta_path).logits(batch)
    assert np.allclose(first, load_network(again.weights, again.meta_path).logits(batch), atol=1e-5)


def test_two_networks_are_compared_on_the_same_held_out_patients(trained, synthetic_base):
    result, _, _ = trained
    network = load_network(result.weights, result.meta_path)
    _, held_out = split_by_patient(read_nodules(synthetic_base), "")
    comparison = evaluation.compare("malignancy", network, network, held_out)
    assert comparison.difference == 0
    assert comparison.n_patients == len({example.patient_id for example in held_out})
    assert not comparison.b_is_better


def test_an_unknown_task_is_an_error(tmp_path):
    from apps.classifier.cnn.training import train

    with pytest.raises(ValueError, match="not trained from nodules"):
        train("mammography", [], seed=1, out_dir=tmp_path)
