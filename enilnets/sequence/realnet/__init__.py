"""RealNet: a single layer of neurons, all connected with all, that replaces depth by time.

>>> from enilnets.sequence.realnet import RealNet, RealNetTrainer
>>> trainer = RealNetTrainer(RealNet(3, [0, 1], [2], rng=0))
>>> trainer.predict([[1, -1]], thinking_steps=5).shape
(1, 1)
"""

from .network import RealNet
from .protocol import UnrolledRealNet
from .pruning import SynapticPruner
from .sparse import SparseRealNet
from .trainer import RealNetTrainer

__all__ = ["RealNet", "RealNetTrainer", "SparseRealNet", "SynapticPruner", "UnrolledRealNet"]
