"""The networks, each one plain function. Imports TensorFlow: training side only.

Flatten instead of global pooling, because pooling forgets size and centring.
"""

import keras
from keras import layers


def convolution(inputs: keras.KerasTensor, filters: int, size: int = 3, stride: int = 1):  # noqa: ANN201
    """Convolution, batch normalisation, ReLU."""
    outputs = layers.Conv2D(filters, size, stride, "same", use_bias=False)(inputs)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(outputs))


def patch_network(side: int, channels: int, outputs: int, widths: tuple[int, int, int]):  # noqa: ANN201
    """(side, side, channels) patch → raw outputs: logit first, log diameter second."""
    inputs = keras.Input((side, side, channels))
    hidden = layers.MaxPool2D()(convolution(inputs, widths[0], 5, 2))
    for width in widths[1:]:
        hidden = convolution(convolution(hidden, width), width)
        hidden = layers.MaxPool2D()(hidden)
    hidden = layers.Dropout(0.4)(layers.Flatten()(hidden))
    hidden = layers.Dropout(0.3)(layers.Dense(64, activation="relu")(hidden))
    return keras.Model(inputs, layers.Dense(outputs)(hidden))


def average(members: list[keras.Model]) -> keras.Model:
    """One graph whose outputs are the mean of the members' outputs."""
    inputs = keras.Input(members[0].input_shape[1:])
    answers = [member(inputs, training=False) for member in members]
    return keras.Model(inputs, layers.Average()(answers) if len(answers) > 1 else answers[0])
