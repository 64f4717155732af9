"""docs/migrating.md: the names it gives exist."""

import importlib
import re
import subprocess
import sys
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


@pytest.mark.contract("P4")
def test_names_are_there_after_importing_the_package_alone():
    code = "import enilnets, operator, sys; [operator.attrgetter(n.partition('.')[2])(enilnets) for n in sys.argv[1:]]"
    result = subprocess.run([sys.executable, "-c", code, *NAMES], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
