"""Layers, one file per family."""

from __future__ import annotations

from .activation import Activation
from .base import INFERENCE, Layer, Mode
from .conv import Conv2D
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .norm import BatchNorm
from .pool import AvgPool2D, MaxPool2D
from .sequential import Sequential

__all__ = [
    "INFERENCE",
    "LAYERS",
    "Activation",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "MaxPool2D",
    "Mode",
    "Sequential",
]

#: Every layer that a network is built of, by the name that ``layer["type"]`` and model files use.
LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "conv2d": Conv2D,
    "flatten": Flatten,
    "maxpool2d": MaxPool2D,
    "avgpool2d": AvgPool2D,
    "batchnorm": BatchNorm,
    "dropout": Dropout,
    "activation": Activation,
}
