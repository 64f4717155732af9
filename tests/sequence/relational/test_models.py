"""LSTM, RelationalMemory and RelationalRNN: the three methods, gradients, independence of samples, copies, files."""

import inspect

import numpy as np
import pytest

from enilnets import layers
from enilnets.errors import ConfigError, DataError, DTypeError, EnilnetsError, ModelFormatError, ShapeError
from enilnets.optim import OPTIMIZERS
from enilnets.sequence import LSTM, RelationalMemory, RelationalRNN, cross_entropy_loss, mse_loss, train_step
from tests.gradients import check_direction

#: Input 3, output 2; the hidden size is 4, so a batch of 4 is as long as the state is wide.
MODELS = {
    "LSTM": lambda **options: LSTM(3, 4, 2, **options),
    "RelationalRNN": lambda **options: RelationalRNN(3, 4, 2, num_slots=3, slot_size=10, num_heads=2, **options),
    "RelationalMemory": lambda **options: RelationalMemory(3, 2, 3, 5, 2, readout=(6,), **options),
    "RelationalMemory alone": lambda **options: RelationalMemory(3, None, 2, 6, 1, gate_style="memory", **options),
}


@pytest.fixture(params=MODELS)
def make(request):
    return MODELS[request.param]


def test_shapes(make, rng):
    """C1.12: the last step is the last of all steps."""
    model, X = make(rng=0), rng.normal(size=(5, 6, 3))
    every, last = model.forward(X, return_sequences=True), model.forward(X)
    assert every.shape[:2] == (5, 6) and every.shape[2:] == last.shape[1:]
    np.testing.assert_allclose(every[:, -1], last, rtol=1e-12)
    parameters = list(inspect.signature(type(model).forward).parameters.values())[1:]
    assert [(p.name, p.default) for p in parameters] == [("X", inspect.Parameter.empty), ("return_sequences", False)]


@pytest.mark.parametrize("batch", [1, 4, 5])
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("every", [False, True])
def test_gradients(make, batch, task, every, rng):
    """C-1: every parameter against central differences in float64, with a batch of the hidden size too."""
    model, X = make(rng=0), rng.normal(size=(batch, 5, 3))
    outputs = model.forward(X, every)
    y = rng.integers(0, 2, outputs.shape[:-1]) if task == "classification" else rng.normal(size=outputs.shape)
    loss_fn = cross_entropy_loss if task == "classification" else mse_loss
    params = model.get_params()
    loss, again, gradients = model.gradients(X, y, task, every)
    assert loss == pytest.approx(loss_fn(outputs, y), rel=1e-12)
    np.testing.assert_allclose(again, outputs, rtol=1e-12)
    assert gradients.keys() == params.keys()

    def value(name, array):
        model.set_params({**params, name: array})
        return loss_fn(model.forward(X, every), y)

    for name, gradient in gradients.items():
        check_direction(lambda array, name=name: value(name, array), params[name], gradient, rng)


def test_gradients_of_a_bidirectional_lstm(rng):
    """C-1: both directions, with a batch of the hidden size."""
    layer = layers.LSTM(3, 4, bidirectional=True, return_sequences=True, rng=0)
    x, dy = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 5, 8))
    _, saved = layer.forward(x)
    dx = layer.backward(dy, saved)
    check_direction(lambda a: float((layer.forward(a)[0] * dy).sum()), x, dx, rng)
    for name, parameter in layer.parameters.items():
        start = parameter.value.copy()

        def value(array, name=name):
            layer[name] = array
            return float((layer.forward(x)[0] * dy).sum())

        check_direction(value, start, parameter.grad, rng)
        layer[name] = start


def test_samples_do_not_meet(make, rng):
    """C3.6: a sample's output is the same alone, in a batch of the hidden size and in any other."""
    model, X = make(rng=0), rng.normal(size=(9, 5, 3))
    alone = np.concatenate([model.forward(x[None]) for x in X])
    for batch in (2, 3, 4, 5, 9):
        np.testing.assert_allclose(model.forward(X[:batch]), alone[:batch], rtol=1e-10)


def test_batch_of_the_readme(rng):
    """C3.6: hidden 32 and batch 32, as documented."""
    model, X = LSTM(10, 32, 3, rng=0), rng.normal(size=(32, 20, 10))
    np.testing.assert_allclose(model.forward(X)[:31], model.forward(X[:31]), rtol=1e-10)


def test_parameters_go_round(make, rng):
    """C-1: get_params gives copies, set_params takes copies; a round trip changes nothing."""
    model, other, X = make(rng=0), make(rng=1), rng.normal(size=(2, 3, 3))
    before, params = model.forward(X), model.get_params()
    assert not np.array_equal(other.forward(X), before)
    other.set_params(params)
    np.testing.assert_array_equal(other.forward(X), before)
    for value in params.values():
        value[...] = 7
    np.testing.assert_array_equal(model.forward(X), before)
    np.testing.assert_array_equal(other.forward(X), before)
    assert sum(value.size for value in params.values()) == model.n_parameters


def test_parameters_are_checked_before_any_is_set(make):
    model = make(rng=0)
    params = model.get_params()
    last = list(params)[-1]
    changed = {name: value + 1 for name, value in params.items()}
    for bad, error in (
        ({name: value for name, value in changed.items() if name != last}, ConfigError),
        ({**changed, "more": np.zeros(1)}, ConfigError),
        ({**changed, last: changed[last][..., None]}, ShapeError),
        ({**changed, last: np.full_like(changed[last], np.nan)}, DataError),
        ({**changed, last: changed[last].astype(str)}, DTypeError),
        (None, DTypeError),
        ([1.0], DTypeError),
    ):
        with pytest.raises(error, match="set_params"):
            model.set_params(bad)
        for name, value in model.get_params().items():
            np.testing.assert_array_equal(value, params[name])


def test_what_is_no_sequence(make):
    model = make(rng=0)
    for X in (np.zeros((2, 3)), np.zeros((2, 3, 4)), np.zeros((2, 0, 3))):
        with pytest.raises(ShapeError, match=r"forward\(X\)"):
            model.forward(X)
    with pytest.raises(DataError):
        model.forward(np.full((1, 2, 3), np.nan))
    with pytest.raises(ConfigError, match="return_sequences"):
        model.forward(np.zeros((1, 2, 3)), return_sequences=1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains(make, optimizer, rng):
    """C1.14: ten steps on one batch."""
    model, X = make(rng=0), rng.normal(size=(6, 4, 3))
    y, rule = rng.integers(0, 2, 6), OPTIMIZERS[optimizer]()
    rate = {"adadelta": 1.0, "lion": 1e-3, "rmsprop": 1e-3}.get(optimizer, 1e-2)
    losses = [train_step(model, X, y, rate, optimizer=rule)[0] for _ in range(10)]
    assert losses[-1] < losses[0] and rule.t == 10


def test_clone_and_files(make, tmp_path, rng):
    model, X = make(rng=0), rng.normal(size=(4, 3, 3))
    y, before = rng.integers(0, 2, 4), model.forward(X)
    twin = model.clone()
    train_step(twin, X, y, 0.5)
    np.testing.assert_array_equal(model.forward(X), before)
    assert not np.array_equal(twin.forward(X), before)
    twin.Save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(model.Load(tmp_path / "model.safetensors").forward(X), twin.forward(X))
    train_step(model, X, y, 0.5)
    other = LSTM(3, 7, 2, rng=0)
    params = other.get_params()
    with pytest.raises(ModelFormatError):
        other.Load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.get_params()["W_f"], params["W_f"])


def test_the_same_seed_gives_the_same_bits(make):
    for dtype in ("float32", "float64"):
        a, b = make(rng=3, dtype=dtype).get_params(), make(rng=3, dtype=dtype).get_params()
        for name, value in a.items():
            assert value.dtype == dtype
            np.testing.assert_array_equal(value, b[name])


def test_names_and_start_of_the_lstm():
    """C2: four matrices per gate under their documented names, as they are drawn."""
    params = LSTM(5, 4, 3, rng=0).get_params()
    shapes = {"W": (4, 5), "U": (4, 4), "b": (4, 1)}
    expected = {f"{kind}_{gate}": shape for kind, shape in shapes.items() for gate in "fico"}
    expected |= {"W_out": (3, 4), "b_out": (3, 1)}
    assert {name: value.shape for name, value in params.items()} == expected
    for gate in "fico":
        np.testing.assert_array_equal(params[f"b_{gate}"], np.full((4, 1), float(gate == "f")))
        np.testing.assert_allclose(params[f"U_{gate}"] @ params[f"U_{gate}"].T, np.eye(4), atol=1e-12)
        assert 0 < np.abs(params[f"W_{gate}"]).max() <= np.sqrt(6 / 9)


def test_an_lstm_by_the_equations(rng):
    """C2: step by step from the parameters by their names."""
    model, X = LSTM(3, 4, 2, rng=0), rng.normal(size=(1, 5, 3))
    p = {name: value + 0.1 * rng.normal(size=value.shape) for name, value in model.get_params().items()}
    model.set_params(p)
    h, c = np.zeros((4, 1)), np.zeros((4, 1))
    outputs = []
    for x in X[0]:
        z = {gate: p[f"W_{gate}"] @ x[:, None] + p[f"U_{gate}"] @ h + p[f"b_{gate}"] for gate in "fico"}
        i, f, o = (1 / (1 + np.exp(-z[gate])) for gate in "ifo")
        c = f * c + i * np.tanh(z["c"])
        h = o * np.tanh(c)
        outputs.append((p["W_out"] @ h + p["b_out"])[:, 0])
    np.testing.assert_allclose(model.forward(X, return_sequences=True)[0], outputs, rtol=1e-10)


def test_slots_differ_after_one_step(rng):
    """C-1, C3.7"""
    model = RelationalRNN(3, 4, 2, num_slots=4, slot_size=6, num_heads=2, rng=0)
    core, x = model.parts["memory"], rng.normal(size=(3, 1, 4))
    slots = core.forward(x)[0].reshape(3, 4, 6)
    for i in range(4):
        for j in range(i):
            assert np.abs(slots[:, i] - slots[:, j]).max() > 1e-3


def test_other_names_of_the_memory():
    """C2: num_slots, slot_size, use_gate and use_input_attention."""
    core = RelationalMemory(5, num_slots=3, slot_size=12, num_heads=4, use_gate=False, rng=0).parts["memory"]
    assert (core.mem_slots, core.head_size, core.gate_style, core.input_attention) == (3, 3, None, True)
    core = RelationalMemory(5, use_input_attention=False, rng=0).parts["memory"]
    assert (core.mem_slots, core.width, core.gate_style, core.input_attention) == (8, 64, "unit", False)
    with pytest.raises(ConfigError, match="slot_size"):
        RelationalMemory(5, slot_size=10, num_heads=4)
    with pytest.raises(ConfigError, match="gate_style, input_attention"):
        RelationalMemory(5, use_gate=False, use_input_attention=False)
    for settings in ({"readout": (3,)}, {"output_size": 2, "readout": 5}):
        with pytest.raises(ConfigError, match="readout"):
            RelationalMemory(5, **settings)
    with pytest.raises(ConfigError, match="slot_size"):
        RelationalRNN(3, 4, 2, slot_size=9, num_heads=2)


@pytest.mark.parametrize("kind", [LSTM, RelationalRNN, RelationalMemory])
def test_sizes_are_checked(kind):
    for bad in (0, -1, 2.5, True, "3"):
        with pytest.raises(EnilnetsError, match="input_size"):
            kind(bad, 4, 2)


def test_wrong_targets_are_named(make, rng):
    model = make(rng=0)
    with pytest.raises(ShapeError, match=r"\.gradients\(y\)"):
        model.gradients(rng.normal(size=(3, 4, model.input_size)), np.zeros((2, 1)))
