"""Sequence models."""

from .eigen3 import (
    Actor,
    AttentionModule,
    Critic,
    CrossAttentionModule,
    DoubleCritic,
    FeatureExtractor,
    SelfAttentionModule,
    over_population,
    soft_update,
)

__all__ = [
    "Actor",
    "AttentionModule",
    "Critic",
    "CrossAttentionModule",
    "DoubleCritic",
    "FeatureExtractor",
    "SelfAttentionModule",
    "over_population",
    "soft_update",
]
