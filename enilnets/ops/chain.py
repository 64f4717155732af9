"""Programs: chains of layers that run forward and backward in one compiled call each; see csrc/parallel/chain.h."""

from __future__ import annotations

from .._ext.chain import Pass, Program

__all__ = ["Pass", "Program"]
