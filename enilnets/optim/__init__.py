"""Optimizers, one file per rule, and learning-rate schedules."""

from __future__ import annotations

from .. import checks
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam
from .adamax import Adamax
from .adamw import AdamW
from .amsgrad import AMSGrad
from .base import Optimizer
from .lamb import LAMB
from .lion import Lion
from .nadam import NAdam
from .radam import RAdam
from .rmsprop import RMSprop
from .schedules import SCHEDULES, LRScheduler
from .sgd import SGD

__all__ = [
    "LAMB",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LRScheduler",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "make_optimizer",
]

#: Every optimizer by the name that ``NeuralNet(optimizer=...)`` takes.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
    "amsgrad": AMSGrad,
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "adadelta": Adadelta,
    "lion": Lion,
    "lamb": LAMB,
}


def make_optimizer(where: str, optimizer: str | Optimizer, momentum: float) -> Optimizer:
    """Return ``optimizer`` itself, or a new one of that name (any case); SGD gets ``momentum``."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    name = optimizer.lower() if isinstance(optimizer, str) else optimizer
    rule = OPTIMIZERS[checks.choice(where, "optimizer", name, OPTIMIZERS)]
    return rule(momentum=momentum) if rule is SGD else rule()
