"""Layers, one file per family."""

from __future__ import annotations

from .activation import Activation
from .attention import MultiHeadAttention
from .base import INFERENCE, Layer, Mode
from .concat import Concat
from .container import Container, inside, parts_of
from .conv import Conv2D, DepthwiseConv2D
from .conv1d import Conv1D
from .conv_transpose import ConvTranspose2D
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .flatten import Flatten
from .gru import GRU
from .layernorm import GroupNorm, InstanceNorm, LayerNorm
from .lstm import LSTM
from .norm import BatchNorm
from .past import Past
from .pool import AdaptiveAvgPool2D, AdaptiveMaxPool2D, AvgPool2D, GlobalAvgPool2D, GlobalMaxPool2D, MaxPool2D
from .positions import PositionalEncoding
from .relational_memory import RelationalMemory
from .residual import Residual
from .rnn import RNN
from .sequential import Sequential
from .sparse import Sparse
from .transformer import TransformerBlock
from .upsample import Upsample2D

__all__ = [
    "GRU",
    "INFERENCE",
    "LAYERS",
    "LSTM",
    "RNN",
    "Activation",
    "AdaptiveAvgPool2D",
    "AdaptiveMaxPool2D",
    "AvgPool2D",
    "BatchNorm",
    "Concat",
    "Container",
    "Conv1D",
    "Conv2D",
    "ConvTranspose2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "MaxPool2D",
    "Mode",
    "MultiHeadAttention",
    "Past",
    "PositionalEncoding",
    "RelationalMemory",
    "Residual",
    "Sequential",
    "Sparse",
    "TransformerBlock",
    "Upsample2D",
    "inside",
    "parts_of",
]

#: Every layer that a network is built of, by the name that ``layer["type"]`` and model files use.
LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "sparse": Sparse,
    "conv2d": Conv2D,
    "conv1d": Conv1D,
    "depthwiseconv2d": DepthwiseConv2D,
    "convtranspose2d": ConvTranspose2D,
    "flatten": Flatten,
    "maxpool2d": MaxPool2D,
    "avgpool2d": AvgPool2D,
    "globalavgpool2d": GlobalAvgPool2D,
    "globalmaxpool2d": GlobalMaxPool2D,
    "adaptive_avgpool2d": AdaptiveAvgPool2D,
    "adaptive_maxpool2d": AdaptiveMaxPool2D,
    "upsample2d": Upsample2D,
    "batchnorm": BatchNorm,
    "layernorm": LayerNorm,
    "groupnorm": GroupNorm,
    "instancenorm": InstanceNorm,
    "dropout": Dropout,
    "embedding": Embedding,
    "positional_encoding": PositionalEncoding,
    "multihead_attention": MultiHeadAttention,
    "transformer_block": TransformerBlock,
    "relationalmemory": RelationalMemory,
    "activation": Activation,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "sequential": Sequential,
    "residual": Residual,
    "concat": Concat,
}
