"""Grad-CAM in the exported graph: the same map as TensorFlow's own gradient gives."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def member():
    import keras

    from apps.classifier.cnn.networks import patch_network

    # Some random networks have nowhere a positive map, which would compare nothing.
    keras.utils.set_random_seed(1)
    return patch_network(64, 3, 2, (8, 12, 16))


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).random((4, 64, 64, 3)).astype(np.float32)


def by_gradient_tape(model, batch):
    import keras
    import tensorflow as tf

    pool = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPool2D)][-1]
    joint = keras.Model(model.inputs, [pool.input, model.output])
    with tf.GradientTape() as tape:
        features, answers = joint(batch)
        logit = answers[:, 0]
    slope = tf.reduce_sum(tape.gradient(logit, features), axis=[1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(slope * features, axis=-1)).numpy()


def test_the_exported_map_is_that_of_the_gradient(member, batch):
    from apps.classifier.cnn.export import to_litert
    from apps.classifier.cnn.networks import average
    from apps.classifier.cnn.runtime import Network

    exported = Network(to_litert(average([member])), {"version": "test"}).heat(batch)
    expected = by_gradient_tape(member, batch)
    assert exported.shape == (4, 8, 8)
    assert expected.max() > 0
    assert np.allclose(exported, expected, atol=1e-5)


def test_the_map_of_an_ensemble_is_the_mean_of_its_members(member, batch):
    from apps.classifier.cnn.gradcam import heat_of
    from apps.classifier.cnn.networks import average, patch_network

    other = patch_network(64, 3, 2, (8, 12, 16))
    together = heat_of(average([member, other]))(batch).numpy()
    apart = [by_gradient_tape(one, batch) for one in (member, other)]
    assert np.allclose(together, np.mean(apart, axis=0), atol=1e-5)


def test_a_network_without_convolutions_has_no_map():
    import keras

    from apps.classifier.cnn.gradcam import heat_of

    assert heat_of(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])) is None
