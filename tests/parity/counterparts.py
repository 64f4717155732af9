"""What stands beside what: PyTorch's name for each of our activations, and how two results are compared."""

from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

#: Our activation -> PyTorch's function. Its softplus turns linear above the threshold; at 40 that is below rounding.
ACTIVATIONS = {
    "relu": F.relu,
    "leakyrelu": partial(F.leaky_relu, negative_slope=0.01),
    "elu": F.elu,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": partial(torch.softmax, dim=-1),
    "softplus": partial(F.softplus, threshold=40),
    "gelu": partial(F.gelu, approximate="tanh"),
    "swish": F.silu,
    "mish": F.mish,
    "linear": torch.nn.Identity(),
}


def tensor(array, learn=True):
    """A tensor with a copy of ``array``; ``learn`` asks for its gradient."""
    return torch.tensor(np.asarray(array), requires_grad=learn)


def assert_close(ours, theirs, ulps, what=""):
    """Assert that shapes, dtypes and values agree to ``ulps`` roundings of the largest element.

    Both sides round differently on the way (order of sums, fused operations), so one element may lose what is lost
    relative to the largest numbers that went into it.
    """
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, what
    bound = ulps * np.finfo(ours.dtype).eps
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound * scale, err_msg=what)
