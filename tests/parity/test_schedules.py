"""Every schedule that PyTorch has too, over 60 epochs."""

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from enilnets import LRScheduler

#: Our mode and settings, and PyTorch's schedule with the same.
PAIRS = [
    ("step", {"drop": 0.3, "epochs_drop": 7}, theirs.StepLR, {"gamma": 0.3, "step_size": 7}),
    ("exponential", {"decay": 0.9}, theirs.ExponentialLR, {"gamma": 0.9}),
    ("polynomial", {"max_epochs": 40, "power": 2.0}, theirs.PolynomialLR, {"total_iters": 40, "power": 2.0}),
    (
        "cosine_warm_restarts",
        {"period": 9, "end_lr": 0.01},
        theirs.CosineAnnealingWarmRestarts,
        {"T_0": 9, "eta_min": 0.01},
    ),
    (
        "cosine_warm_restarts",
        {"period": 4, "period_factor": 2},
        theirs.CosineAnnealingWarmRestarts,
        {"T_0": 4, "T_mult": 2},
    ),
    *(
        (
            "cyclic",
            {"max_lr": 0.8, "epochs_up": 5, "epochs_down": 3, "policy": policy, "gamma": 0.97},
            theirs.CyclicLR,
            {"base_lr": 0.1, "max_lr": 0.8, "step_size_up": 5, "step_size_down": 3, "mode": policy, "gamma": 0.97},
        )
        for policy in ("triangular", "triangular2", "exp_range")
    ),
    ("one_cycle", {"max_epochs": 60}, theirs.OneCycleLR, {"max_lr": 0.1, "total_steps": 60}),
    (
        "one_cycle",
        {"max_epochs": 60, "pct_start": 0.45, "div_factor": 7, "final_div_factor": 30, "base_momentum": 0.7},
        theirs.OneCycleLR,
        {
            "max_lr": 0.1,
            "total_steps": 60,
            "pct_start": 0.45,
            "div_factor": 7,
            "final_div_factor": 30,
            "base_momentum": 0.7,
        },
    ),
    (
        "lambda",
        {"function": lambda epoch: 1 / (1 + epoch)},
        theirs.LambdaLR,
        {"lr_lambda": lambda epoch: 1 / (1 + epoch)},
    ),
]


@pytest.mark.parametrize("mode, settings, their_class, their_settings", PAIRS)
def test_rates(mode, settings, their_class, their_settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    if their_class is theirs.CyclicLR:
        their_settings = {**their_settings, "cycle_momentum": False}
    schedule, ours = their_class(optimizer, **their_settings), LRScheduler(0.1, mode, **settings)
    for epoch in range(60):
        group = optimizer.param_groups[0]
        assert ours.step(epoch) == pytest.approx(group["lr"], rel=1e-9, abs=1e-12)
        if ours.momentum(epoch) is not None:
            assert ours.momentum(epoch) == pytest.approx(group["momentum"], rel=1e-9)
        optimizer.step()
        if epoch < 59:
            schedule.step()


@pytest.mark.parametrize("cooldown", [0, 3])
def test_plateau(cooldown, rng):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    settings = {"factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": cooldown, "min_lr": 0.002}
    schedule, ours = theirs.ReduceLROnPlateau(optimizer, **settings), LRScheduler(0.1, "plateau", **settings)
    for epoch in range(60):
        assert ours.step(epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        loss = 1 / (1 + epoch // 8) + 0.05 * rng.random()
        schedule.step(loss)
        ours.observe(loss)
