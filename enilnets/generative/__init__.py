"""Generative models and sampling."""

from . import decoding, sampling

__all__ = ["decoding", "sampling"]
