"""Files that Enilnets 2.1.0, 3.1.0 and 4.11.0 wrote; fixtures/make.py says how they were made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ModelFormatError
from enilnets.layers import LAYERS
from enilnets.optim import OPTIMIZERS
from enilnets.storage import original
from tests.test_net import mlp, same, snapshot

FIXTURES = Path(__file__).parent / "fixtures"
FILES = sorted(path for path in FIXTURES.iterdir() if path.suffix in (".json", ".pkl"))

#: Files that only load with a difference, and what the warning says.
NOTES = {
    "2.1.0-stride.json": "stride 1, since Enilnets 2 ignored the stride 2",
    "2.1.0-rich.json": "use_bias=True",
    "2.1.0-rich.pkl": "use_bias=True",
    "4.11.0-extra.json": "'extra_state' is not loaded",
    "4.11.0-extra.pkl": "'extra_state' is not loaded",
}

#: Files that do not load, and what the error says.
REFUSED = {
    "4.11.0-lstm.json": r"layer 0: expected a layer of type dense, .*, got 'lstm'",
}


def document(path):
    return json.loads(path.with_suffix(".json").read_text())


def known(path):
    """Whether this package has all that the network is made of."""
    content = document(path)
    return {layer["type"] for layer in content["layers"]} <= LAYERS.keys() and content["optimizer"] in OPTIMIZERS


def expected(path):
    return json.loads(path.with_suffix(".expected").read_text())


def load(path):
    if path.name in NOTES:
        with pytest.warns(UserWarning, match=NOTES[path.name]):
            return NeuralNet(rng=0).Load(path)
    if "nan" in path.name:
        with pytest.warns(UserWarning, match="holds NaN"):
            return NeuralNet(rng=0).Load(path)
    return NeuralNet(rng=0).Load(path)


LOADABLE = [path for path in FILES if known(path) and path.name not in REFUSED]


@pytest.mark.contract("I1", "I2")
@pytest.mark.parametrize("path", LOADABLE, ids=lambda path: path.name)
def test_predicts_as_the_original_did(path):
    net, content = load(path), document(path)
    said = expected(path)
    if "nan" not in path.name:
        tolerance = 1e-6 if net.dtype == np.float32 else 1e-12
        x = np.array(said["x"], float if "tokens" not in path.name else int)
        np.testing.assert_allclose(net.predict(x), said["output"], rtol=0, atol=tolerance)
    assert net.dtype == np.dtype(content.get("dtype", "float64"))
    assert (net.t, net.learning_rate, net.l2_lambda, net.momentum, net.optimizer_type) == tuple(
        content[name] for name in ("t", "learning_rate", "l2_lambda", "momentum", "optimizer")
    )
    for layer, entry in zip(net.layers, content["layers"], strict=True):
        assert layer.frozen == entry.get("_frozen", False)
        for name, array in layer.arrays().items():
            stored = np.array(entry[name], net.dtype).reshape(array.shape)
            assert array.dtype == net.dtype and np.array_equal(array, stored, equal_nan=True), name


@pytest.mark.contract("I2")
def test_version_3_starts_the_optimizer_afresh():
    net = NeuralNet().Load(FIXTURES / "2.1.0-adam.json")
    assert net.opt_state == [] and net.t == 3


#: What goes on by another formula: here NAdam's momentum grows, as in its paper, and AdamW's decay is of the weights
#: before the step, not after it.
OTHERWISE = ("4.11.0-nadam.json", "4.11.0-adamw.json")


@pytest.mark.parametrize(
    "path", [p for p in LOADABLE if "then" in expected(p) and p.name not in OTHERWISE], ids=lambda path: path.name
)
def test_training_goes_on_as_in_the_original(path):
    """One more step from the file, optimizer state and settings included, gives the weights that the original got."""
    net, said = load(path), expected(path)
    x = np.array(said["x"])
    net.TrainBatch(x, np.arange(len(x)) % 2)
    for mine, theirs in zip(net.get_weights(), said["then"], strict=True):
        for name, values in theirs.items():
            np.testing.assert_allclose(mine[name], values, rtol=0, atol=1e-6 if net.dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("path", [p for p in FILES if not known(p) or p.name in REFUSED], ids=lambda path: path.name)
def test_what_is_not_known_here_is_named(path):
    net = mlp()
    before = snapshot(net)
    content = document(path)
    missing = [layer["type"] for layer in content["layers"] if layer["type"] not in LAYERS] or [content["optimizer"]]
    with pytest.raises(ModelFormatError, match=REFUSED.get(path.name, rf"got '{missing[0]}'")):
        net.Load(path)
    assert same(before, snapshot(net))


def test_what_the_file_does_not_say_stays_as_it_was():
    net = NeuralNet(rng=7)
    net.eval()
    net.Load(FIXTURES / "2.1.0-adam.json")
    assert net.training is False and net.rng.normal() == np.random.default_rng(7).normal()


def test_everything_saves_again(tmp_path):
    for path in LOADABLE:
        if "nan" not in path.name:
            net = load(path)
            net.Save(tmp_path / "again.json")
            assert same(snapshot(net), snapshot(NeuralNet().Load(tmp_path / "again.json")))


def change(tmp_path, name, **entries):
    content = {**document(FIXTURES / name), **entries}
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.defect("I2")
@pytest.mark.parametrize("version", [0, 1, 2, 4, 7, 99, 3.0, "3", None, True, [3]])
def test_unknown_versions_are_refused(tmp_path, version):
    with pytest.raises(ModelFormatError, match="version"):
        NeuralNet().Load(change(tmp_path, "2.1.0-adam.json", version=version))


@pytest.mark.parametrize("name", ["layers", "optimizer", "learning_rate", "l2_lambda", "momentum", "t"])
def test_missing_entries_are_refused(tmp_path, name):
    content = document(FIXTURES / "2.1.0-adam.json")
    del content[name]
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(ModelFormatError, match=name):
        NeuralNet().Load(tmp_path / "x.json")


@pytest.mark.parametrize("key", ["weights", "bias", "activation"])
@pytest.mark.parametrize("value", [[], [[1.0]], "x", 3, {}, None, [[[["NaN"]]]], [{"a": []}]])
def test_wrong_entries_are_refused(tmp_path, key, value):
    layers = document(FIXTURES / "4.11.0-adam.json")["layers"]
    layers[0][key] = value
    net = mlp()
    before = snapshot(net)
    with pytest.raises(ModelFormatError):
        net.Load(change(tmp_path, "4.11.0-adam.json", layers=layers))
    assert same(before, snapshot(net))


@pytest.mark.parametrize("state", [3, [3], [{}] * 9, [{"m_weights": [1.0]}], [{"m_weights": "x"}]])
def test_wrong_optimizer_state_is_refused(tmp_path, state):
    with pytest.raises(ModelFormatError):
        NeuralNet().Load(change(tmp_path, "4.11.0-adam.json", opt_state=state))


def test_state_that_the_original_keeps_none_of_is_zero(tmp_path):
    state = document(FIXTURES / "4.11.0-adam.json")["opt_state"]
    net = NeuralNet().Load(change(tmp_path, "4.11.0-adam.json", opt_state=[None, state[1]]))
    assert not net.opt_state[0]["m_weights"].any() and net.opt_state[1]["m_weights"].any()


def test_optimizers_that_the_original_took_for_adam(tmp_path):
    with pytest.warns(UserWarning, match="'adamm'"):
        assert NeuralNet().Load(change(tmp_path, "2.1.0-adam.json", optimizer="Adamm")).optimizer_type == "adam"
    with pytest.raises(ModelFormatError, match="'adamm'"):
        NeuralNet().Load(change(tmp_path, "4.11.0-adam.json", optimizer="adamm"))


def test_settings_of_the_optimizer(tmp_path):
    path = change(tmp_path, "4.11.0-adam.json", adam_beta1=0.5, adam_epsilon=1e-3, grad_clip_norm=2.0)
    settings = NeuralNet().Load(path).optimizer.config()
    assert (settings["beta1"], settings["beta2"], settings["epsilon"]) == (0.5, 0.999, 1e-3)
    assert settings["clip_norm"] == 2.0
    rmsprop = NeuralNet().Load(change(tmp_path, "4.11.0-rmsprop.json", rmsprop_decay=0.7)).optimizer.config()
    assert rmsprop["rho"] == 0.7
    assert NeuralNet().Load(FIXTURES / "2.1.0-rmsprop.json").optimizer.config()["rho"] == 0.999


def test_pruned_networks_say_how_to_be_saved(tmp_path):
    layers = document(FIXTURES / "4.11.0-adam.json")["layers"]
    layers[0]["prune_mask"] = {"weights": [[1.0]]}
    with pytest.raises(ModelFormatError, match="clear_masks"):
        NeuralNet().Load(change(tmp_path, "4.11.0-adam.json", layers=layers))


def test_extension_in_capitals(tmp_path):
    shutil.copy(FIXTURES / "2.1.0-adam.pkl", tmp_path / "NET.PKL")
    assert NeuralNet().Load(tmp_path / "NET.PKL").t == 3


def test_the_table_names_layers_of_this_package():
    assert all(LAYERS[name].type == name for name in original.LAYER_SETTINGS if name in LAYERS)
