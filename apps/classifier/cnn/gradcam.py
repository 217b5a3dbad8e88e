"""Grad-CAM (Selvaraju et al., ICCV 2017) as part of the exported graph.

Imports TensorFlow: training side only. The pass backwards is written out, because LiteRT has no
operations for TensorFlow's own gradients; it goes through Dense and Flatten layers only.
"""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers

Heat = Callable[[tf.Tensor], tf.Tensor]
PASSED = (layers.Flatten, layers.Dropout)


def heat_of(model: keras.Model) -> Heat | None:
    """A function (n, side, side, channels) -> (n, rows, columns): what raises the first output,
    as the last convolution sees it, mean of the ensemble's members.

    None for a network without a convolution or whose head has other layers than Dense.
    """
    members = [layer for layer in model.layers if isinstance(layer, keras.Model)] or [model]
    maps = [member_heat(member) for member in members]
    known = [one for one in maps if one is not None]
    if len(known) < len(maps):
        return None
    return lambda batch: tf.add_n([one(batch) for one in known]) / len(known)


def member_heat(member: keras.Model) -> Heat | None:
    at = next((i for i, layer in reversed([*enumerate(member.layers)]) if is_pool(layer)), None)
    if at is None:
        return None
    head = member.layers[at + 1 :]
    dense = [layer for layer in head if isinstance(layer, layers.Dense)]
    if not dense or len(dense) + sum(isinstance(layer, PASSED) for layer in head) < len(head):
        return None
    pool = member.layers[at]
    joint = keras.Model(member.inputs, [pool.input, *(layer.output for layer in dense)])

    def heat(batch: tf.Tensor) -> tf.Tensor:
        features, *answers = joint(batch, training=False)
        # Each pooled value is one feature value, so the sum over places is the same for both.
        slope = tf.reshape(backwards(dense, answers), [-1, *pool.output.shape[1:]])
        weight = tf.reduce_sum(slope, axis=[1, 2], keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weight * features, axis=-1))

    return heat


def is_pool(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.MaxPool2D)


def backwards(dense: list[keras.Layer], answers: list[tf.Tensor]) -> tf.Tensor:
    """(n, inputs of the first layer): slope of the last layer's first output."""
    slope = tf.ones_like(answers[-1][:, :1]) * dense[-1].kernel[:, 0]
    for layer, answer in zip(dense[-2::-1], answers[-2::-1], strict=True):
        open_units = tf.cast(answer > 0, tf.float32)
        slope = tf.matmul(slope * open_units, layer.kernel, transpose_b=True)
    return slope
