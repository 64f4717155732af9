"""Small trainings beside PyTorch's, from the same weights on the same batches."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from enilnets import LRScheduler, NeuralNet, optim
from enilnets.training.batches import shuffled_batches
from tests.parity.counterparts import tensor

STEPS = 20

#: Our name of a parameter or buffer -> PyTorch's.
NAMES = {
    "weights": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
}


def cnn(dtype, **settings):
    net = NeuralNet(**settings, dtype=dtype, rng=7)
    net.add_conv2d(1, 4, 3, activation="linear", padding=1).add_batchnorm(4).add_activation("relu").add_maxpool2d(2)
    net.add_conv2d(4, 6, 3, stride=2, padding="same").add_flatten().add_dropout(0.0)
    return net.add_dense(6 * 2 * 2, 5, activation="softmax")


def their_cnn():
    # Pooling makes 4x3 of the 9x7 images; for 2x2 outputs "same" adds one row below and a column on both sides.
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.ZeroPad2d((1, 1, 0, 1)), nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.0)),
        nn.Linear(6 * 2 * 2, 5),
    )


def mlp(dtype, **settings):
    net = NeuralNet(**settings, dtype=dtype, rng=8)
    return net.add_dense(6, 17, "tanh").add_batchnorm(17).add_dense(17, 9, "gelu").add_dense(9, 3, "linear")


def their_mlp():
    return nn.Sequential(
        *(nn.Linear(6, 17), nn.Tanh(), nn.BatchNorm1d(17)),
        *(nn.Linear(17, 9), nn.GELU(approximate="tanh"), nn.Linear(9, 3)),
    )


def images(rng, n):
    return rng.normal(size=(n, 1, 9, 7)), rng.integers(0, 5, n)


def vectors(rng, n):
    x = rng.normal(size=(n, 6))
    return x, np.tanh(x @ rng.normal(size=(6, 3)))


def pairs(net, theirs):
    """Yield (layer and name of each of our arrays, our array, their tensor)."""
    modules = [module for module in theirs if list(module.parameters())]
    layers = [layer for layer in net.layers if layer.parameters]
    for i, (layer, module) in enumerate(zip(layers, modules, strict=True)):
        for name, array in layer.arrays().items():
            yield f"{i} {layer.type} {name}", array, getattr(module, NAMES[name])


def same_weights(net, theirs):
    """Give ``theirs`` the weights of ``net``; return it."""
    theirs = theirs.to(tensor(np.empty(0, net.dtype)).dtype)
    with torch.no_grad():
        for _, ours, other in pairs(net, theirs):
            other.copy_(torch.from_numpy(ours.copy()))
    return theirs


def penalised(theirs, l2):
    """Parameter groups with weight decay on the weights of convolutions and linear maps, as ours are penalised."""
    weights = [m.weight for m in theirs if isinstance(m, (nn.Conv2d, nn.Linear))]
    others = [p for p in theirs.parameters() if not any(p is w for w in weights)]
    return [{"params": weights, "weight_decay": l2}, {"params": others, "weight_decay": 0.0}]


def their_step(theirs, rule, x, y, max_norm=None):
    """One step of PyTorch: cross-entropy of class labels, mean squared error otherwise; return the loss before it."""
    rule.zero_grad()
    outputs = theirs(tensor(x, learn=False))
    y = torch.from_numpy(y)
    loss = F.mse_loss(outputs, y) if y.is_floating_point() else F.cross_entropy(outputs, y)
    loss.backward()
    if max_norm is not None:
        nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
    rule.step()
    return float(loss.detach())


def assert_same_network(net, theirs, atol, but=()):
    for name, ours, other in pairs(net, theirs):
        if "running_var" not in name and name not in but:  # PyTorch keeps the unbiased variance
            np.testing.assert_allclose(ours, other.detach().numpy(), rtol=0, atol=atol, err_msg=name)


RUNS = {
    "cnn, adam, l2": (cnn, their_cnn, images, "adam", 0.01, 0.01, torch.optim.Adam, {}),
    "mlp, sgd, l2": (mlp, their_mlp, vectors, optim.SGD(0.9), 0.05, 0.01, torch.optim.SGD, {"momentum": 0.9}),
    "mlp, sgd": (mlp, their_mlp, vectors, optim.SGD(0.9), 0.05, 0.0, torch.optim.SGD, {"momentum": 0.9}),
    "cnn, rmsprop": (cnn, their_cnn, images, optim.RMSprop(0.99), 0.003, 0.0, torch.optim.RMSprop, {"alpha": 0.99}),
    "mlp, adagrad, l2": (mlp, their_mlp, vectors, "adagrad", 0.05, 0.1, torch.optim.Adagrad, {"eps": 1e-8}),
}


@pytest.fixture(params=RUNS)
def run(request):
    ours, theirs, data, rule, lr, l2, their_rule, settings = RUNS[request.param]

    def start(dtype):
        net = ours(dtype, optimizer=copy.deepcopy(rule), learning_rate=lr, l2_lambda=l2)
        twin = same_weights(net, theirs())
        return net, twin, their_rule(penalised(twin, l2), lr=lr, **settings), data

    return start


def train(run, dtype, rng):
    """Train both for STEPS batches of 16; return the networks and the losses of both."""
    net, theirs, rule, data = run(dtype)
    losses = []
    for _ in range(STEPS):
        x, y = data(rng, 16)
        x, y = x.astype(dtype), y if y.dtype.kind == "i" else y.astype(dtype)
        losses.append((net.TrainBatch(x, y)[0], their_step(theirs, rule, x, y)))
    return net, theirs, np.array(losses)


def test_training_step_by_step(run, rng):
    net, theirs, losses = train(run, np.float64, rng)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-12)
    assert_same_network(net, theirs, 1e-9)
    assert np.ptp(losses[:, 0]) > 0.05


def test_inference_after_training(run, rng):
    net, theirs, _ = train(run, np.float64, rng)
    theirs = same_weights(net, theirs).eval()  # our running variance
    x, _ = run(np.float64)[3](rng, 5)
    outputs = theirs(tensor(x, learn=False)).detach()
    if net.head == "softmax":
        outputs = torch.softmax(outputs, -1)
    np.testing.assert_allclose(net.predict(x), outputs.numpy(), rtol=1e-12, atol=1e-14)


def test_training_in_float32(run, rng):
    net, theirs, losses = train(run, np.float32, rng)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-5)
    # The gradient of a bias before a batch normalisation is zero but for rounding; Adam and RMSprop make steps of it.
    assert_same_network(net, theirs, 1e-4, but=("0 conv2d bias", "1 batchnorm running_mean"))


def test_gradients_of_one_batch(run, rng):
    net, theirs, rule, data = run(np.float64)
    x, y = data(rng, 16)
    net.Forward(x, training=True)
    net.Backward(y, loss_function="cross_entropy" if net.head == "softmax" else "mse")
    their_step(theirs, rule, x, y)
    for ours, other in zip(net.arena.parameters, theirs.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, other.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("max_norm", [0.05, 0.5])
@pytest.mark.parametrize("by_hand", [True, False])
def test_clipped_training(max_norm, by_hand, rng):
    rule = optim.Adam(clip_norm=None if by_hand else max_norm)
    net = cnn(np.float64, optimizer=rule, learning_rate=0.01, l2_lambda=0.01)
    theirs = same_weights(net, their_cnn())
    rule = torch.optim.Adam(penalised(theirs, 0.01), lr=0.01)
    for _ in range(STEPS):
        x, y = images(rng, 16)
        if by_hand:
            net.Forward(x, training=True)
            net.Backward(y, loss_function="cross_entropy")
            assert net.clip_gradients(max_norm) > 0
            net.update()
        else:
            net.TrainBatch(x, y)
        their_step(theirs, rule, x, y, max_norm)
    assert_same_network(net, theirs, 1e-5)  # PyTorch adds 1e-6 to the norm


def test_whole_epochs_with_a_schedule(rng):
    # 50 samples in batches of 16: the last batch of an epoch is smaller, and counts for as much as it holds.
    x, y = images(rng, 50)
    net = cnn(np.float64, optimizer="adam", learning_rate=0.01, l2_lambda=0.01)
    theirs = same_weights(net, their_cnn())
    rule = torch.optim.Adam(penalised(theirs, 0.01), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rule, T_max=5)
    order = copy.deepcopy(net.rng)
    expected, rates = [], []
    for _ in range(4):
        rates.append(rule.param_groups[0]["lr"])
        total = sum(len(ys) * their_step(theirs, rule, xs, ys) for xs, ys in shuffled_batches(x, y, 16, order))
        expected.append(total / len(x))
        schedule.step()
    ours = LRScheduler(0.01, mode="cosine", max_epochs=5)
    history = net.Train(x, y, epochs=4, batch_size=16, verbose=0, scheduler=ours, X_val=x[:7], Y_val=y[:7])
    np.testing.assert_allclose(history["lr"], rates, rtol=1e-12)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-9)
    assert_same_network(net, theirs, 1e-8)
    theirs = same_weights(net, theirs).eval()
    with torch.no_grad():
        logits = theirs(tensor(x[:7], learn=False))
        expected = float(F.cross_entropy(logits, torch.from_numpy(y[:7])))
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-12)
    assert history["val_accuracy"][-1] == pytest.approx(float(np.mean(logits.numpy().argmax(1) == y[:7])))


def test_frozen_layers(rng):
    # Ours leaves a frozen batch normalisation's running statistics alone and uses them: PyTorch's eval().
    net = cnn(np.float64, optimizer="adam", learning_rate=0.01, l2_lambda=0.01)
    net.layers[1]["running_mean"] = rng.normal(size=4)
    net.layers[1]["running_var"] = rng.uniform(0.5, 2, 4)
    theirs = same_weights(net, their_cnn())
    for i, j in ((0, 0), (1, 1)):
        net.freeze(i)
        theirs[j].requires_grad_(False)
    theirs[1].eval()
    rule = torch.optim.Adam(penalised(theirs, 0.01), lr=0.01)
    for _ in range(STEPS):
        x, y = images(rng, 16)
        assert net.TrainBatch(x, y)[0] == pytest.approx(their_step(theirs, rule, x, y), rel=1e-9)
    assert_same_network(net, theirs, 1e-8)
    np.testing.assert_array_equal(net.layers[1]["running_var"], theirs[1].running_var.numpy())


def test_input_gradient(rng):
    net = cnn(np.float64)
    theirs = same_weights(net, their_cnn())
    x, y = images(rng, 6)
    z = tensor(x)
    F.cross_entropy(theirs(z), torch.from_numpy(y)).backward()
    output, context = net.forward(x, train=True)
    dx = net.backward(context, (output - np.eye(5)[y]) / 6, inputs=True, at_pre_activation=True)
    np.testing.assert_allclose(dx, z.grad.numpy(), rtol=1e-10, atol=1e-14)
