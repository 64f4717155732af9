"""The suite that sets every layer, loss, optimizer and small trainings beside PyTorch; collected only where it is.

PyTorch is no dependency of the tests: without it the ordinary run does not see this folder.
"""

import importlib.util

import pytest

collect_ignore_glob = ["test_*.py"] if importlib.util.find_spec("torch") is None else []


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Arrays here are small: PyTorch's pool would only wait for itself."""
    import torch

    torch.set_num_threads(1)
