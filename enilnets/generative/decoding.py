"""Token by token: a network sees each token once, and remembers of those before what its layers need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError, ShapeError
from ..layers import Mode, Past
from ..network import Network
from ..ops.array import as_data
from ..ops.gather import as_ids
from .sampling import top_p_sampling

__all__ = ["Decoder", "generate"]


class Decoder:
    """Runs sequences through a network part by part, as if each had come as a whole.

    Parameters
    ----------
    net : Network
        Of layers that treat a step without those behind it: embeddings, positional encodings, causal attention and
        transformer blocks, layer normalisation over features, dense layers, activations, dropout.

    Raises
    ------
    ConfigError
        If a layer cannot do without the steps behind, or mixes steps in another way.

    Notes
    -----
    Attention keeps the keys and values of the tokens before, so a token costs one row of every product instead of the
    whole sequence again. A decoder is the memory of one batch of sequences: make a new one for others. The network may
    not learn in between.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(rng=0).add_embedding(10, 8).add_transformer_block(8, 2, causal=True, rotary=True)
    >>> ids, decoder = np.array([[3, 1, 4, 1, 5]]), Decoder(net)
    >>> parts = [decoder(ids[:, :3]), decoder(ids[:, 3:4]), decoder(ids[:, 4:])]
    >>> bool(np.allclose(np.concatenate(parts, axis=1), net.predict(ids)))
    True
    """

    def __init__(self, net: Network) -> None:
        if not isinstance(net, Network):
            raise ConfigError("Decoder(net)", "a network", type(net).__name__)
        unfit = next((layer for layer in net.layers if not layer.decodes), None)
        if unfit is not None or not net.layers:
            got = "no layers" if unfit is None else unfit.name
            way_out = "make attention with causal=True, and leave out layers that mix the steps of a sequence"
            raise ConfigError("Decoder(net)", "layers that do not look at the steps behind", got, way_out)
        self._net = net
        self._mode = Mode(backward=False, past=Past())
        self._batch: int | None = None

    def __call__(self, x: Any) -> np.ndarray:
        """Return the outputs of the next tokens.

        Parameters
        ----------
        x : array_like (batch, tokens, ...)
            The next tokens of every sequence, at least one: ids before an embedding.

        Raises
        ------
        ShapeError
            If there is no token, another number of sequences than before, or more tokens than positions were learned.
        LabelError
            If an id is out of range.
        """
        chain = self._net.chain
        if chain.takes_ids:
            x = as_ids("Decoder", "x", x, chain.vocab_size)
        else:
            x = as_data("Decoder", "x", x, self._net.dtype)
        if x.ndim < 2 or 0 in x.shape:
            raise ShapeError("Decoder(x)", "shape (batch, tokens, ...) with at least one token", f"shape {x.shape}")
        if self._batch not in (None, len(x)):  # before any layer has moved on
            way_out = "make a new Decoder for other sequences"
            raise ShapeError("Decoder(x)", f"{self._batch} sequences, as before", str(len(x)), way_out)
        chain.through(x.shape[1:])
        y = chain.infer(x, self._mode)
        self._batch = len(x)
        return y


def generate(
    net: Network,
    prompt: Any,
    n_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    rng: Any = None,
) -> Iterator[np.ndarray]:
    """Continue sequences: yield one token after the other, each drawn from what the network says of the next.

    Parameters
    ----------
    net : Network
        From ids (batch, tokens) to logits, or probabilities after a softmax, (batch, tokens, vocabulary); see
        ``Decoder``.
    prompt : array_like of int (batch, tokens) or (tokens,)
        What comes before, at least one token.
    n_tokens : int >= 0
        Tokens to draw.
    temperature, top_k, top_p, rng
        See ``sampling.top_p_sampling``; ``top_p=0`` takes the likeliest token.

    Yields
    ------
    ndarray of int64 (batch,), or () for a prompt of one axis

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(rng=0).add_embedding(10, 8).add_transformer_block(8, 2, causal=True).add_dense(8, 10, "softmax")
    >>> len([int(token) for token in generate(net, [3, 1, 4], 5, rng=0)])
    5
    """
    where = "generate"
    n_tokens, random = checks.integer(where, "n_tokens", n_tokens, 0), checks.generator(where, rng)
    decoder = Decoder(net)
    if not net.chain.takes_ids:
        raise ConfigError(f"{where}(net)", "an embedding as the first layer", net.layers[0].name)
    ids = as_ids(where, "prompt", prompt, net.chain.vocab_size)
    if ids.ndim not in (1, 2) or not ids.size:
        raise ShapeError(f"{where}(prompt)", "shape (batch, tokens) or (tokens,), not empty", f"shape {ids.shape}")
    settings = {"p": top_p, "temperature": temperature, "top_k": top_k, "rng": random}
    top_p_sampling(np.zeros((1, 1)), top_p, temperature, top_k=top_k)  # refuses settings here, not at the first token
    return _drawn(decoder, ids if ids.ndim == 2 else ids[None], n_tokens, ids.ndim, net.head == "softmax", settings)


def _drawn(
    decoder: Decoder, ids: np.ndarray, n_tokens: int, ndim: int, normalised: bool, settings: dict[str, Any]
) -> Iterator[np.ndarray]:
    for _ in range(n_tokens):
        scores = decoder(ids)[:, -1]
        if normalised:
            with np.errstate(divide="ignore"):
                scores = np.log(scores)
        ids = top_p_sampling(scores, **settings).argmax(axis=-1)[:, None]
        yield ids[:, 0] if ndim == 2 else ids[0, 0]
