"""Save and Load of whole networks: everything comes back, or nothing does."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from enilnets import NeuralNet, optim
from enilnets.errors import ConfigError, EnilnetsError, ModelFormatError
from enilnets.storage import safetensors
from tests.test_net import cnn, mlp, same, snapshot

#: A name of every format, and how Save writes arrays into it.
FORMATS = {
    "safetensors": ("net.safetensors", "lists"),
    "pkl": ("net.pkl", "lists"),
    "json": ("net.json", "lists"),
    "base64": ("net.json", "base64"),
}

X = np.random.default_rng(0).normal(size=(30, 1, 8, 8))
Y = np.random.default_rng(1).integers(0, 3, 30)


@pytest.fixture(params=[*optim.OPTIMIZERS, "adam with settings"])
def trained(request, dtype):
    optimizer = optim.Adam(0.8, 0.95, 1e-6, clip_norm=0.5) if request.param == "adam with settings" else request.param
    net = cnn(optimizer=optimizer, dtype=dtype, learning_rate=0.003, momentum=0.8)
    net.Train(X, Y, epochs=2, batch_size=8, verbose=0)
    return net


@pytest.fixture(params=FORMATS.values(), ids=FORMATS)
def save(request, tmp_path):
    """Return a function that saves a network in one of the formats and returns the file."""
    name, arrays = request.param

    def save(net):
        net.Save(tmp_path / name, arrays=arrays)
        return tmp_path / name

    return save


@pytest.mark.contract("I1", "I3")
@pytest.mark.defect("I2")
def test_everything_comes_back(trained, save):
    trained.freeze(4)
    trained.eval()
    twin = NeuralNet(optimizer="sgd").add_dense(2, 2)
    assert twin.Load(save(trained)) is twin
    assert same(snapshot(trained), snapshot(twin))
    assert [layer.config() for layer in twin.layers] == [layer.config() for layer in trained.layers]
    assert (twin.optimizer_type, twin.optimizer.config()) == (trained.optimizer_type, trained.optimizer.config())
    assert (twin.learning_rate, twin.l2_lambda, twin.momentum, twin.dtype, twin.training) == (
        trained.learning_rate,
        trained.l2_lambda,
        trained.momentum,
        trained.dtype,
        False,
    )
    assert [layer.frozen for layer in twin.layers] == [layer.frozen for layer in trained.layers]
    assert np.array_equal(twin.predict(X), trained.predict(X))


@pytest.mark.contract("I3")
@pytest.mark.defect("I2")
def test_training_goes_on_bit_for_bit(trained, save):
    twin = NeuralNet().Load(save(trained))
    assert trained.Train(X, Y, epochs=2, batch_size=8, verbose=0) == twin.Train(X, Y, epochs=2, batch_size=8, verbose=0)
    assert same(snapshot(trained), snapshot(twin))


@pytest.mark.parametrize(
    "kind", [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
)
def test_every_random_generator(kind, save):
    net = mlp(rng=np.random.Generator(kind(7)))
    net.rng.normal(size=3)
    net.rng.integers(5, dtype=np.uint32)  # leaves half a draw behind
    twin = NeuralNet().Load(save(net))
    assert np.array_equal(
        net.rng.integers(1000, size=50, dtype=np.uint32), twin.rng.integers(1000, size=50, dtype=np.uint32)
    )


RUN = """
import sys
import numpy as np
from enilnets import LRScheduler, NeuralNet
rng = np.random.default_rng(0)
x, y = rng.normal(size=(60, 1, 8, 8)), rng.integers(0, 3, 60)
def make():
    net = NeuralNet(0.01, l2_lambda=0.01, dtype=sys.argv[2], rng=3)
    net.add_conv2d(1, 4, 3, activation="linear").add_batchnorm(4).add_activation("relu").add_maxpool2d(2).add_flatten()
    return net.add_dropout(0.3).add_dense(36, 3, activation="softmax")
def train(net, first, count):
    return net.Train(x, y, epochs=count, batch_size=16, X_val=x[:10], Y_val=y[:10], verbose=0, initial_epoch=first,
                     scheduler=LRScheduler(0.01, "cosine", max_epochs=10))
path = sys.argv[3]
if sys.argv[1] == "whole":
    net = make(); train(net, 0, 10)
elif sys.argv[1] == "first":
    net = make(); train(net, 0, 5)
else:
    net = NeuralNet().Load(path + sys.argv[4]); train(net, 5, 5)
net.Save(path + (sys.argv[4] if sys.argv[1] == "first" else "." + sys.argv[1] + ".safetensors"))
"""


@pytest.mark.contract("I3")
@pytest.mark.parametrize("extension", [".safetensors", ".pkl", ".json"])
def test_resume_in_a_new_process_is_bit_exact(tmp_path, dtype, extension):
    """Train 10 = train 5, save, new process, load, train 5."""
    for part in ("whole", "first", "second"):
        arguments = [part, dtype.name, str(tmp_path / "net"), extension]
        subprocess.run([sys.executable, "-c", RUN, *arguments], check=True, timeout=120)
    whole, second = (safetensors.load(tmp_path / f"net.{part}.safetensors") for part in ("whole", "second"))
    assert whole[0].keys() == second[0].keys()
    assert all(np.array_equal(whole[0][name], second[0][name]) for name in whole[0])
    assert whole[1] == second[1]  # settings, counter and random state


@pytest.mark.defect("O7")
def test_weights_by_hand_carry_the_running_statistics(save):
    net = cnn()
    net.Train(X, Y, epochs=1, batch_size=8, verbose=0)
    net.Forward(X)  # after which the original failed on the mask of the dropout layer
    twin = cnn(rng=9)
    twin.set_weights(NeuralNet().Load(save(net)).get_weights())
    assert np.array_equal(twin.predict(X), net.predict(X))


def test_saving_does_not_disturb_training(tmp_path):
    first, second = cnn(), cnn()
    for net in (first, second):
        net.TrainBatch(X, Y)
        if net is second:
            net.Save(tmp_path / "net.safetensors")
        net.TrainBatch(X, Y)
    assert same(snapshot(first), snapshot(second))


@pytest.mark.contract("I1")
@pytest.mark.parametrize(
    "name, start",
    [
        ("NET.SAFETENSORS", None),
        ("net.PKL", b"\x80\x04"),
        ("net.Json", b"{"),
        ("net", b"{"),
        ("net.npz", b"{"),
        ("net.pkl.txt", b"{"),
    ],
)
def test_the_extension_decides_in_any_case_and_stands_for_json_otherwise(tmp_path, name, start):
    net = mlp()
    net.Save(str(tmp_path / name))
    assert start is None or (tmp_path / name).read_bytes().startswith(start)
    assert same(snapshot(net), snapshot(NeuralNet().Load(str(tmp_path / name))))


@pytest.mark.parametrize("name", ["net.json", "net.pkl", "net.safetensors", "net"])
@pytest.mark.parametrize("other", ["net.json", "net.pkl", "net.safetensors"])
def test_a_file_under_the_name_of_another_format_is_refused(tmp_path, name, other):
    (tmp_path / "saved").mkdir()
    mlp().Save(tmp_path / "saved" / other)
    (tmp_path / "saved" / other).rename(tmp_path / name)
    if name == other or (name, other) == ("net", "net.json"):
        NeuralNet().Load(tmp_path / name)
    else:
        with pytest.raises(ModelFormatError):
            NeuralNet().Load(tmp_path / name)


@pytest.mark.parametrize(
    "name, arrays", [("a.json", "hex"), ("a.json", None), ("a.pkl", "base64"), ("a.safetensors", "base64")]
)
def test_forms_of_arrays_that_do_not_exist(tmp_path, name, arrays):
    with pytest.raises(ConfigError, match=r"Save\(arrays\)"):
        mlp().Save(tmp_path / name, arrays=arrays)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["nothing.safetensors", "nothing.pkl", "nothing.json"])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        NeuralNet().Load(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("name", ["net.safetensors", "net.pkl", "net.json"])
def test_what_is_no_file_is_refused_before_it_can_block(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelFormatError, match="a FIFO"):
        NeuralNet().Load(tmp_path / name)


@pytest.fixture
def parts(tmp_path):
    net = cnn()
    net.TrainBatch(X, Y)
    net.Save(tmp_path / "net.safetensors")
    arrays, metadata = safetensors.load(tmp_path / "net.safetensors")
    return arrays, json.loads(metadata["enilnets"])


def edit_settings(path, value):
    """Return an edit that sets the entry at ``path``."""

    def edit(arrays, config):
        *parents, last = path
        for key in parents:
            config = config[key]
        if value is None:
            del config[last]
        else:
            config[last] = value

    return edit


EDITS = {
    "version": edit_settings(["version"], 99),
    "version missing": edit_settings(["version"], None),
    "layers missing": edit_settings(["layers"], None),
    "layers of wrong type": edit_settings(["layers"], 3),
    "layer of wrong type": edit_settings(["layers", 0], "dense"),
    "layer type": edit_settings(["layers", 0, "type"], "os.system"),
    "layer type number": edit_settings(["layers", 0, "type"], 3),
    "settings": edit_settings(["layers", 0, "settings"], []),
    "superfluous setting": edit_settings(["layers", 0, "settings", "device"], "cuda"),
    "missing setting": edit_settings(["layers", 0, "settings", "in_ch"], None),
    "sneaky rng": edit_settings(["layers", 0, "settings", "rng"], 3),
    "sneaky dtype": edit_settings(["layers", 0, "settings", "dtype"], "float32"),
    "huge layer": edit_settings(["layers", 0, "settings", "out_ch"], 10**15),
    "huger layer": edit_settings(["layers", 0, "settings", "k"], 10**400),
    "fractional size": edit_settings(["layers", 0, "settings", "out_ch"], 3.5),
    "size of wrong type": edit_settings(["layers", 0, "settings", "out_ch"], {"a": 1}),
    "activation": edit_settings(["layers", 0, "settings", "activation"], "__import__"),
    "momentum": edit_settings(["layers", 1, "settings", "momentum"], 7),
    "frozen": edit_settings(["layers", 0, "frozen"], "yes"),
    "optimizer": edit_settings(["optimizer", "name"], "adamm"),
    "optimizer settings": edit_settings(["optimizer", "settings", "beta1"], 2),
    "optimizer count": edit_settings(["optimizer", "t"], -1),
    "slots": edit_settings(["optimizer", "slots"], ["m"]),
    "slots gone": edit_settings(["optimizer", "slots"], []),
    "learning rate": edit_settings(["learning_rate"], "x"),
    "dtype": edit_settings(["dtype"], "object"),
    "other dtype": edit_settings(["dtype"], "float32"),
    "training": edit_settings(["training"], 1),
    "random generator": edit_settings(["rng", "bit_generator"], "Random"),
    "random state": edit_settings(["rng", "state"], {"state": 1}),
    "random state type": edit_settings(["rng", "state", "inc"], "x"),
    "random state size": edit_settings(["rng", "state", "state"], 2**200),
    "random state negative": edit_settings(["rng", "has_uint32"], -5),
    "missing weights": lambda arrays, config: arrays.pop("layers.0.weights"),
    "missing state": lambda arrays, config: arrays.pop("optimizer.m.0.weights"),
    "superfluous array": lambda arrays, config: arrays.update(extra=np.zeros(3)),
    "wrong shape": lambda arrays, config: arrays.update({"layers.0.bias": np.zeros(4)}),
    "wrong array dtype": lambda arrays, config: arrays.update({"layers.0.bias": np.zeros(3, np.float32)}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_files_are_refused_and_nothing_is_half_loaded(parts, tmp_path, edit):
    arrays, config = parts
    edit(arrays, config)
    safetensors.save(tmp_path / "bad.safetensors", arrays, {"enilnets": json.dumps(config)})
    net = mlp()
    before = snapshot(net)
    with pytest.raises(ModelFormatError) as caught:
        net.Load(tmp_path / "bad.safetensors")
    assert "bad.safetensors" in str(caught.value)
    assert same(before, snapshot(net)) and len(net.layers) == 2


def nested(**settings):
    """An edit that puts layers inside of layers where the first dense layer was."""

    def edit(arrays, config):
        config["layers"][-1] = {"type": "residual", "settings": settings, "frozen": False}

    return edit


FLATTEN = {"type": "flatten", "settings": {}, "frozen": False}


def deep(levels):
    entry = FLATTEN
    for _ in range(levels):
        entry = {"type": "sequential", "settings": {"layers": [entry]}, "frozen": False}
    return entry


@pytest.mark.parametrize(
    "edit",
    [
        nested(layers=[]),
        nested(layers=[], shortcut=None),
        nested(layers=FLATTEN, shortcut=None),
        nested(layers=3, shortcut=None),
        nested(layers=[FLATTEN], shortcut=[FLATTEN]),
        nested(layers=[FLATTEN], shortcut="identity"),
        nested(layers=[{**FLATTEN, "type": "os.system"}], shortcut=None),
        nested(layers=[{**FLATTEN, "frozen": 1}], shortcut=None),
        nested(layers=[deep(300)], shortcut=None),
    ],
)
def test_edited_containers_are_refused(parts, tmp_path, edit):
    test_edited_files_are_refused_and_nothing_is_half_loaded(parts, tmp_path, edit)


def test_files_of_before_a_setting_load_with_what_they_meant(parts, tmp_path):
    arrays, config = parts
    for entry in config["layers"]:
        for name in ("dilation", "groups"):
            entry["settings"].pop(name, None)
    safetensors.save(tmp_path / "old.safetensors", arrays, {"enilnets": json.dumps(config)})
    old, new = (NeuralNet().Load(tmp_path / f"{name}.safetensors") for name in ("old", "net"))
    assert old.layers[0]["dilation"] == old.layers[0]["groups"] == 1
    assert same(snapshot(old), snapshot(new)) and np.array_equal(old.predict(X), new.predict(X))


@pytest.mark.parametrize("settings", ["", "nonsense", "[]", "3", "{}", "[" * 100_000])
def test_settings_that_are_no_settings(parts, tmp_path, settings):
    safetensors.save(tmp_path / "bad.safetensors", parts[0], {"enilnets": settings})
    with pytest.raises(ModelFormatError):
        NeuralNet().Load(tmp_path / "bad.safetensors")


def test_arrays_of_other_tools_are_not_taken_for_a_network(parts, tmp_path):
    safetensors.save(tmp_path / "other.safetensors", parts[0], {"format": "pt"})
    with pytest.raises(ModelFormatError, match="Save"):
        NeuralNet().Load(tmp_path / "other.safetensors")


def test_truncated_and_flipped_files(parts, tmp_path, rng):
    path = tmp_path / "net.safetensors"
    content = path.read_bytes()
    net = mlp()
    before = snapshot(net)
    for cut in rng.integers(0, len(content), 60):
        path.write_bytes(content[:cut])
        with pytest.raises(ModelFormatError):
            net.Load(path)
    for bit in rng.integers(0, 8 * len(content), 200):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError):
            net.Load(path)
    assert same(before, snapshot(net))


def test_nan_weights_are_reported(save):
    net = mlp()
    net.layers[0]["weights"][0, :3] = np.nan, np.inf, -np.inf
    path = save(net)
    with pytest.warns(UserWarning, match=r"layers\.0\.weights.*NaN"):
        twin = NeuralNet().Load(path)
    assert np.array_equal(twin.layers[0]["weights"], net.layers[0]["weights"], equal_nan=True)


def test_a_failed_save_keeps_the_old_file(save, tmp_path, monkeypatch):
    path = save(mlp())
    content = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        save(cnn())
    assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such folder.*nowhere'$"):
        mlp().Save(tmp_path / "nowhere" / "net.safetensors")


def test_errors_are_ours(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(EnilnetsError):
        NeuralNet().Load(tmp_path / "x.json")


@pytest.mark.defect("O11")
def test_settings_of_numpy_types(save):
    net = mlp()
    net.set_lr(np.float32(0.1))
    net.l2_lambda = np.float64(0.5)
    net.t = np.int64(3)
    twin = NeuralNet().Load(save(net))
    assert (twin.get_lr(), twin.l2_lambda, twin.t) == (float(np.float32(0.1)), 0.5, 3)
