"""Generative models and sampling."""

from . import sampling

__all__ = ["sampling"]
