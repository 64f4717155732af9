"""All ids, and those that the tests carry (read from their source)."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def _numbered(**counts: int) -> list[str]:
    return [f"{letter}{i}" for letter, count in counts.items() for i in range(1, count + 1)]


#: What the documentation promises: package (P), NeuralNet (N), layers (L), Forward (F), Backward (B), optimizers (O),
#: losses (S), activations and initialisers (A), training (T), reinforcement learning (R), sampling (M), files (I).
CONTRACT = _numbered(P=7, N=16, L=14, F=4, B=6, O=6, S=8, A=7, T=8, R=6, M=6, I=3)

#: What the original got wrong: losses and gradients (L), layers (Y), optimizers and training (O), files (I),
#: reinforcement learning (R), sampling (G8, G9).
DEFECTS = [*_numbered(L=10, Y=12, O=11, I=2, R=6), "G8", "G9"]


def carried(mark: str) -> dict[str, list[str]]:
    """Return for every id the tests that carry it under ``pytest.mark.<mark>``, as ``file::function``."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{mark}":
                    for argument in call.args:
                        name = ast.literal_eval(argument)
                        found.setdefault(name, []).append(f"{path.relative_to(TESTS)}::{node.name}")
    return found
