"""docs/migrating.md: the names it gives exist."""

import importlib
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs" / "migrating.md").read_text()
NAMES = sorted(set(re.findall(r"`(enilnets(?:\.\w+)+)`", TEXT)))


@pytest.mark.contract("P4", "P5")
@pytest.mark.parametrize("name", NAMES)
def test_names_exist(name):
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        assert getattr(importlib.import_module(module), attribute).__doc__


def test_there_are_names():
    assert len(NAMES) > 8
