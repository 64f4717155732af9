"""Models of sequences."""

from .realnet import RealNet, RealNetTrainer, SparseRealNet, SynapticPruner

__all__ = ["RealNet", "RealNetTrainer", "SparseRealNet", "SynapticPruner"]
