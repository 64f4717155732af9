"""The Eigen3 trading networks: an encoder of market columns, attention over them, actor and critics."""

from .actor import Actor
from .attention import AttentionModule, CrossAttentionModule, SelfAttentionModule
from .critic import Critic, DoubleCritic
from .feature_extractor import FeatureExtractor
from .population import over_population, soft_update

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
