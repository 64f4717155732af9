"""The best instruction set is in use whichever module a program imports first."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["enilnets.losses", "enilnets.ops.losses", "enilnets.ops.dropout", "enilnets.ops.array"]
)
def test_importing_any_op_selects_the_instruction_set(module):
    program = f"import sys, {module}; sys.exit('enilnets.ops.isa' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
