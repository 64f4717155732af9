"""Every script of examples/ runs as it stands, in an empty folder, without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

#: What shortens an example that learns for longer.
ARGUMENTS = {"char_language_model.py": ["--quick"]}
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.contract("P6")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_runs(path, tmp_path):
    command = [sys.executable, "-W", "error", str(path), *ARGUMENTS.get(path.name, [])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert result.returncode == 0 and result.stdout and not result.stderr, result.stderr
