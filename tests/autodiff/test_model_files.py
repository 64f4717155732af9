"""Copies, pickles and files of models: independent, complete, exact in a new process, refused as a whole."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from enilnets.autodiff import Model, Parameter, loss
from enilnets.errors import ConfigError, ModelFormatError, StateError
from enilnets.layers import BatchNorm, Dense, Dropout, Embedding, Sequential
from enilnets.net import NeuralNet


class Everything(Model):
    def __init__(self, width=4, **settings):
        super().__init__(**settings)
        d, r = {"dtype": self.dtype}, {"rng": self.rng}
        self.table = Embedding(6, 3, **d, **r)
        self.parts = {"chain": Sequential([Dense(3, width, "tanh", **d, **r), BatchNorm(width, **d)])}
        self.scale = Parameter(np.ones(width))
        self.drop = Dropout(0.2, **d)
        self.out = (Dense(width, 2, "linear", **d, **r),)
        self.vocabulary = ["a", "b"]

    def call(self, ids):
        x = self.table(ids).mean(1)
        return self.out[0](self.drop(self.parts["chain"](x) * self.scale))


IDS = np.random.default_rng(0).integers(0, 6, (16, 3))
TARGET = np.random.default_rng(1).normal(size=(16, 2))


def squares(out, y):
    return loss("mse", out, y)


def trained(optimizer="adam", steps=3, **settings):
    model = Everything(optimizer=optimizer, learning_rate=0.02, rng=5, **settings)
    for _ in range(steps):
        model.train_batch(squares, IDS, TARGET)
    return model


def go_on(model, steps=3):
    return [model.train_batch(squares, IDS, TARGET) for _ in range(steps)]


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, Model.clone, through_pickle])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lamb"])
def test_copies_are_independent_and_complete(duplicate, optimizer):
    model = trained(optimizer)
    twin = duplicate(model)
    before = model.arena.values.copy()
    expected = go_on(duplicate(model))
    assert np.array_equal(model.arena.values, before)
    assert go_on(twin) == expected
    assert np.array_equal(model.arena.values, before)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert all(p.arena is twin.arena for _, p in twin.named_parameters())
    assert go_on(model) == expected


@pytest.mark.parametrize("duplicate", [copy.deepcopy, through_pickle])
def test_copies_of_models_without_an_arena(duplicate):
    model = Everything(rng=5)
    twin = duplicate(model)
    assert go_on(model) == go_on(twin)


def test_deepcopy_keeps_gradients_and_ties():
    class Tied(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.one = Dense(3, 3, "linear", rng=0)
            self.same = self.one
            self.transposed = self.one.parameters["weights"]

        def call(self, x):
            return self.same(self.one(x)) @ self.transposed

    model = Tied()
    (model(np.ones((2, 3))) ** 2).sum().backward()
    twin = model.clone()
    assert twin.same is twin.one and twin.transposed is twin.one.parameters["weights"]
    assert np.array_equal(twin.arena.gradients, model.arena.gradients) and twin.arena.gradients.any()
    with pytest.raises(StateError, match=r"Tied.transposed.*Save and Load"):
        pickle.dumps(model)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "model.pkl"])
def test_files_hold_everything(name, tmp_path):
    model = trained(l2_lambda=0.03)
    model.parts["chain"].children["0"].frozen = True
    model.Save(tmp_path / name)
    twin = Everything(optimizer="sgd", rng=99)
    go_on(twin, 1)
    assert twin.Load(tmp_path / name) is twin
    assert (twin.learning_rate, twin.l2_lambda, twin.optimizer.name, twin.optimizer.t) == (0.02, 0.03, "adam", 3)
    assert twin.parts["chain"].children["0"].frozen and not twin.out[0].frozen
    assert np.array_equal(twin.infer(IDS), model.infer(IDS))
    assert go_on(twin) == go_on(model)


SCRIPT = """
import sys
from tests.autodiff.test_model_files import Everything, go_on
model = Everything(rng=1).Load(sys.argv[1])
print([value.hex() for value in go_on(model)])
"""


def test_a_new_process_goes_on_bit_for_bit(tmp_path):
    model = trained()
    model.Save(tmp_path / "model.safetensors")
    expected = [value.hex() for value in go_on(model)]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.safetensors")]
    root = Path(__file__).parent.parent.parent
    result = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120)
    assert result.stdout.strip() == str(expected), result.stderr


def test_what_does_not_fit_is_refused_as_a_whole(tmp_path):
    path = tmp_path / "model.safetensors"
    trained().Save(path)
    wide = Everything(width=5, rng=0)
    before = wide.arena.values.copy()
    with pytest.raises(ModelFormatError, match=r"parameters.parts.chain.0.weights.*\(5, 3\).*\(4, 3\)"):
        wide.Load(path)
    assert np.array_equal(wide.arena.values, before) and wide.optimizer.t == 0
    with pytest.raises(ModelFormatError, match="float32 model"):
        Everything(dtype="float32", rng=0).Load(path)
    more = Everything(rng=0)
    more.another = Parameter([1.0])
    with pytest.raises(ModelFormatError, match=r"parameters.another.*nothing"):
        more.Load(path)
    less = Everything(rng=0)
    del less.scale
    with pytest.raises(ModelFormatError, match="no further arrays"):
        less.Load(path)
    with pytest.raises(FileNotFoundError):
        more.Load(tmp_path / "none.json")
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelFormatError):
        Everything(rng=0).Load(path)


def test_models_and_networks_do_not_load_each_other(tmp_path):
    trained().Save(tmp_path / "model.json")
    with pytest.raises(ModelFormatError):
        NeuralNet().Load(tmp_path / "model.json")
    NeuralNet(rng=0).add_dense(2, 2).Save(tmp_path / "net.json")
    with pytest.raises(ModelFormatError, match="the state of a Model"):
        Everything(rng=0).Load(tmp_path / "net.json")
    with pytest.raises(ConfigError):
        trained().Save(tmp_path / "model.pkl", arrays="base64")
