"""Sequence models."""

from .eigen3 import (
    Actor,
    AttentionModule,
    Critic,
    CrossAttentionModule,
    DoubleCritic,
    FeatureExtractor,
    SelfAttentionModule,
)

__all__ = [
    "Actor",
    "AttentionModule",
    "Critic",
    "CrossAttentionModule",
    "DoubleCritic",
    "FeatureExtractor",
    "SelfAttentionModule",
]
