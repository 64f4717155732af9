"""Models of one's own: what belongs to them, the model protocol, training with every optimizer."""

import copy

import numpy as np
import pytest

from enilnets import autodiff as ad
from enilnets.autodiff import Model, Parameter, Tensor, grad, loss
from enilnets.autodiff.parts import SETTINGS as SETTINGS_OF_MODELS
from enilnets.errors import ConfigError, DataError, DTypeError, LabelError, ShapeError, StateError
from enilnets.layers import LSTM, BatchNorm, Dense, Dropout, Sequential
from enilnets.net import NeuralNet
from enilnets.optim import OPTIMIZERS, LRScheduler
from enilnets.training import EMA, Checkpoint, EarlyStopping, find_learning_rate, reestimate_batchnorm


class Gated(Model):
    """Layers, a Parameter, a list of layers and another Model."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.first = Dense(3, 4, "tanh", dtype=self.dtype, rng=self.rng)
        self.scale = Parameter(np.full(4, 0.5))
        self.blocks = [Dense(4, 4, "tanh", dtype=self.dtype, rng=self.rng) for _ in range(2)]
        self.head_part = Head(dtype=self.dtype, rng=self.rng)

    def call(self, x):
        x = self.first(x) * self.scale
        for block in self.blocks:
            x = x + block(x)
        return self.head_part(x)


class Head(Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.norm = BatchNorm(4, dtype=self.dtype)
        self.weights = Parameter(np.linspace(-1, 1, 8).reshape(4, 2), penalised=True)

    def call(self, x):
        return self.norm(x) @ self.weights


NAMES = [
    "first.weights",
    "first.bias",
    "scale",
    "blocks.0.weights",
    "blocks.0.bias",
    "blocks.1.weights",
    "blocks.1.bias",
    "head_part.norm.gamma",
    "head_part.norm.beta",
    "head_part.weights",
]


def test_parameters_are_found_by_name_in_order_of_definition():
    model = Gated(rng=0)
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [name for name, _ in model.named_buffers()] == ["head_part.norm.running_mean", "head_part.norm.running_var"]
    assert model.arena.parameters == [p for _, p in model.named_parameters()]
    assert all(p.arena is model.arena for p in model.arena.parameters)


def test_what_is_set_twice_is_there_once():
    class Tied(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.one = self.two = Dense(3, 3, rng=0)
            self.transposed = self.one.parameters["weights"]

        def call(self, x):
            return self.two(self.one(x)) @ self.transposed

    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["one.weights", "one.bias"]


def test_the_protocol(rng):
    model = Gated(rng=0, dtype="float64")
    x, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    y, ctx = model.forward(x, train=True)
    dx = model.backward(ctx, dy, inputs=True)
    assert y.shape == (5, 2) and dx.shape == x.shape
    gradients = model.arena.gradients.copy()
    model.arena.zero_grad()
    assert model.backward(ctx, dy) is None
    assert np.array_equal(model.arena.gradients, gradients)
    model.arena.zero_grad()
    assert np.array_equal(model.backward(ctx, dy, params=False, inputs=True), dx)
    assert not model.arena.gradients.any()
    with pytest.raises(ShapeError, match=r"backward\(dy\)"):
        model.backward(ctx, dy[:2])


def test_two_contexts_alive(rng):
    model = Gated(rng=0)
    a, b, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    _, ctx = model.forward(a, train=True)
    alone = model.backward(ctx, dy, inputs=True)
    _, ctx = model.forward(a, train=True)
    model.forward(b, train=True)
    assert np.array_equal(model.backward(ctx, dy, inputs=True), alone)


def test_same_gradients_as_a_network_of_the_same_layers(rng):
    class Chain(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.a = Dense(3, 4, "gelu", rng=1)
            self.b = Dense(4, 2, "linear", rng=2)

        def call(self, x):
            return self.b(self.a(x))

    model = Chain(learning_rate=0.01, optimizer="adam", l2_lambda=0.01, rng=0)
    net = NeuralNet(learning_rate=0.01, optimizer="adam", l2_lambda=0.01, rng=0)
    net.add(Dense(3, 4, "gelu", rng=1)).add(Dense(4, 2, "linear", rng=2))
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    for _ in range(5):
        value = model.train_batch(lambda out, y: loss("mse", out, y), x, y)
        assert value == net.TrainBatch(x, y, loss_function="mse")[0]
    assert np.array_equal(model.arena.values, net.arena.values)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trains_with_every_optimizer(name, rng, dtype):
    model = Gated(optimizer=name, learning_rate=1.0 if name == "adadelta" else 0.01, l2_lambda=0.0, dtype=dtype, rng=0)
    x = rng.normal(size=(64, 3)).astype(dtype)
    y = np.tanh(x[:, :2] * x[:, 1:])

    def squares(out, y):
        return ((out - y) ** 2).mean()

    values = [model.train_batch(squares, x, y) for _ in range(60)]
    assert values[-1] < (0.99 if name == "adadelta" else 0.8) * values[0]
    assert model.arena.dtype == dtype and model.optimizer.t == 60
    assert model(x).dtype == dtype


def test_batchnorm_and_dropout_in_training_and_inference(rng):
    class Noisy(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.norm, self.dropout = BatchNorm(3), Dropout(0.5)

        def call(self, x):
            return self.dropout(self.norm(x))

    model = Noisy(rng=0)
    x = rng.normal(size=(100, 3)) + 5
    before = model.infer(x)
    assert np.array_equal(model(x).data, before) and np.array_equal(model(Tensor(x)).data, before)
    trained = model(x, train=True).data
    assert (trained == 0).any() and abs(trained.mean()) < 0.5
    assert not np.array_equal(model.infer(x), before)  # the running statistics have moved
    model.training = False
    assert np.array_equal(model(x, train=True).data, model.infer(x))


def test_models_inside_follow_the_pass_around_them(rng):
    class Outer(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.inner = Head(rng=0)

        def call(self, x):
            return self.inner(x)

    model = Outer(rng=0)
    x = rng.normal(size=(9, 4)) + 3
    before = model.inner.norm["running_mean"].copy()
    model(x)
    assert np.array_equal(model.inner.norm["running_mean"], before)
    model(x, train=True)
    assert not np.array_equal(model.inner.norm["running_mean"], before)


def test_gradients_of_parts(rng):
    model = Gated(rng=0)
    x = rng.normal(size=(5, 3))
    value = (model(x, train=True) ** 2).sum()
    found = grad(value, [model.scale, model.first.parameters["weights"]])
    value.backward()
    assert np.array_equal(found[0].data, model.scale.grad)
    np.testing.assert_allclose(found[1].data, model.first["d_weights"], rtol=1e-12)


def test_a_step_between_forward_and_backward_is_noticed(rng):
    model = Gated(rng=0)
    x = rng.normal(size=(5, 3))
    y, ctx = model.forward(x, train=True)
    model.backward(ctx, np.ones_like(y))
    model.step()
    with pytest.raises(StateError, match="changed since"):
        model.backward(ctx, np.ones_like(y))


def test_what_does_not_fit_is_named():
    class Wrong(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.part = Dense(3, 3)

        def call(self, x):
            return self.part(x).data

    with pytest.raises(DTypeError, match=r"Wrong.part: expected a float32 layer.*dtype=self.dtype"):
        Wrong(dtype="float32")(np.ones((1, 3)))
    with pytest.raises(DTypeError, match="a Tensor or a tuple"):
        Wrong().forward(np.ones((1, 3)))

    class Early(Model):
        def __init__(self):
            self.part = Dense(3, 3)
            super().__init__()

    with pytest.raises(StateError, match="super"):
        Early()
    part = Gated(rng=0)
    _ = part.head_part.arena
    with pytest.raises(StateError, match=r"head_part.*another"):
        _ = part.arena


def test_names_of_methods_are_refused():
    class Shadow(Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.layers = [Dense(3, 3, rng=0)]
            self.head = Dense(3, 2, rng=0)

        def call(self, x):
            return self.head(self.layers[0](x))

    model = Shadow(rng=0)
    assert len(model.arena.parameters) == 4 and len(model.all_layers()) == 2
    with pytest.raises(ConfigError, match=r"Shadow.step = ...: expected a name of its own"):
        model.step = Dense(3, 3)


def test_networks_are_no_parts_but_copies_of_their_layers_are(rng):
    """A network has an arena and an optimizer of its own: it would be neither trained nor saved."""
    net, model = NeuralNet(rng=0).add_dense(2, 1, "tanh"), Model()
    with pytest.raises(ConfigError, match=r"Model.chain = ...: expected layers.*got a NeuralNet; set Sequential"):
        model.chain = net
    model.chain = Sequential(copy.deepcopy(net.layers))
    x = rng.normal(size=(3, 2))
    assert np.array_equal(model.chain(Tensor(x)).data, net.predict(x)) and len(model.arena) > 0


def test_lists_may_grow_before_and_after_the_first_use():
    model = Gated(rng=0)
    size = len(model.arena.parameters)
    model.blocks.append(Dense(4, 4, rng=0))
    assert len(model.arena.parameters) == size + 2


# The loop over the model protocol


class Small(Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.hidden = Dense(2, 16, "tanh", dtype=self.dtype, rng=self.rng)
        self.out = Dense(16, 2, "linear", dtype=self.dtype, rng=self.rng)

    def call(self, x):
        return self.out(self.hidden(x))


def small_net(**settings):
    net = NeuralNet(**settings)
    rng = np.random.default_rng(0)
    return net.add(Dense(2, 16, "tanh", rng=rng)).add(Dense(16, 2, "linear", rng=rng))


X = np.random.default_rng(3).normal(size=(200, 2))
LABELS = (X[:, 0] > X[:, 1]).astype(int)
SETTINGS = {"learning_rate": 0.01, "l2_lambda": 0.0}


def test_fit_is_the_loop_that_networks_train_by():
    model, net = Small(**SETTINGS, rng=0), small_net(**SETTINGS)
    net.rng = copy.deepcopy(model.rng)
    options = {"epochs": 5, "batch_size": 32, "verbose": 0}
    history = model.fit(X, LABELS, loss="softmax_cross_entropy", validation=(X[:50], LABELS[:50]), **options)
    expected = net.Train(X, LABELS, loss_function="softmax_cross_entropy", X_val=X[:50], Y_val=LABELS[:50], **options)
    assert history == expected and history["accuracy"][-1] > 0.8
    assert np.array_equal(model.arena.values, net.arena.values)


class Reader(Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.lstm = LSTM(2, 5, return_sequences=True, rng=0)
        self.out = Dense(5, 3, "linear", rng=0)

    def call(self, x, lengths=None):
        return self.out(self.lstm(x, lengths=lengths))


def test_fit_leaves_padding_out_as_networks_do(rng):
    """Whatever stands behind the end of a sequence, NaN included, changes nothing."""
    x, y, lengths = rng.normal(size=(24, 6, 2)), rng.integers(0, 3, (24, 6)), rng.integers(1, 7, 24)
    x[np.arange(6) >= lengths[:, None]] = np.nan
    options = {"epochs": 2, "batch_size": 8, "lengths": lengths, "verbose": 0}
    model = Reader(**SETTINGS, rng=0)
    net = NeuralNet(**SETTINGS, rng=0)
    net.add(LSTM(2, 5, return_sequences=True, rng=0)).add(Dense(5, 3, "linear", rng=0))
    net.rng = copy.deepcopy(model.rng)
    history = model.fit(x, y, loss="softmax_cross_entropy", validation=(x[:4], y[:4], lengths[:4]), **options)
    settings = {"X_val": x[:4], "Y_val": y[:4], "lengths_val": lengths[:4]}
    assert history == net.Train(x, y, loss_function="softmax_cross_entropy", **settings, **options)
    assert np.array_equal(model.arena.values, net.arena.values)
    with pytest.raises(DataError, match=r"Reader.fit\(lengths\)"):
        model.fit(x, y, loss="softmax_cross_entropy", lengths=lengths + 9)


def test_fit_takes_weights_schedules_and_callbacks(tmp_path):
    model = Small(**SETTINGS, rng=0)
    early = EarlyStopping(monitor="loss", patience=1, min_delta=10.0)
    weight = np.where(LABELS == 1, 1.0, 0.0)
    history = model.fit(
        X,
        LABELS,
        loss="softmax_cross_entropy",
        epochs=9,
        sample_weight=weight,
        scheduler=LRScheduler(0.05, mode="exponential", decay=0.5),
        callbacks=[early, Checkpoint(tmp_path / "best.safetensors", monitor="loss")],
    )
    assert len(history["loss"]) < 9 and history["lr"][:2] == [0.05, 0.025]
    assert (model.infer(X).argmax(1) == 1).mean() > 0.75  # the only class with a weight
    Small(rng=1).Load(tmp_path / "best.safetensors")


def test_fit_with_a_loss_of_ones_own():
    """The same numbers as the loss in the table, and targets of any kind."""

    def cross_entropy(out, labels):
        return -ad.log_softmax(out)[np.arange(len(labels)), labels].mean()

    model, twin = Small(**SETTINGS, rng=0), Small(**SETTINGS, rng=0)
    history = model.fit(X, LABELS, loss=cross_entropy, epochs=3, validation=(X[:20], LABELS[:20]), accumulation_steps=2)
    expected = twin.fit(
        X, LABELS, loss="softmax_cross_entropy", epochs=3, validation=(X[:20], LABELS[:20]), accumulation_steps=2
    )
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-10)
    np.testing.assert_allclose(history["val_loss"], expected["val_loss"], rtol=1e-10)


def test_fit_goes_on_bit_for_bit(tmp_path):
    whole = Small(**SETTINGS, rng=0)
    whole.fit(X, LABELS, loss="softmax_cross_entropy", epochs=4)
    half = Small(**SETTINGS, rng=0)
    half.fit(X, LABELS, loss="softmax_cross_entropy", epochs=2)
    half.Save(tmp_path / "half.json")
    other = Small(rng=9).Load(tmp_path / "half.json")
    other.fit(X, LABELS, loss="softmax_cross_entropy", epochs=2, resume=True)
    assert np.array_equal(other.arena.values, whole.arena.values)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"x": X[:0]}, DataError, r"Small.fit\(x\)"),
        ({"y": LABELS[:9]}, ShapeError, r"fit\(y\): expected 200 targets"),
        ({"x": np.where(X > 1, np.nan, X)}, DataError, r"fit\(x\): expected finite"),
        ({"y": LABELS + 5}, LabelError, "class labels"),
        ({"loss": "nothing"}, ConfigError, "one of mse"),
        ({"loss": 3}, ConfigError, r"fit\(loss\)"),
        ({"delta": 1.0}, ConfigError, "label_smoothing, got delta"),
        ({"loss": lambda o, t: o.sum(), "delta": 1.0}, ConfigError, "delta"),
        ({"epochs": 0}, ConfigError, "epochs"),
        ({"loss": lambda o, t: float(o.sum())}, DTypeError, "a function that returns a Tensor.*float"),
        ({"validation": 3}, DataError, r"fit\(validation\).*\(x, y\)"),
    ],
)
def test_fit_refuses_what_does_not_fit(arguments, error, message):
    model = Small(rng=0)
    before = model.arena.values.copy()
    given = {"x": X, "y": LABELS, "loss": "softmax_cross_entropy"} | arguments
    with pytest.raises(error, match=message):
        model.fit(given.pop("x"), given.pop("y"), **given)
    assert np.array_equal(model.arena.values, before) and model.optimizer.t == 0


def test_a_loss_function_that_returns_no_tensor_is_named():
    model = Small(rng=0)
    with pytest.raises(DTypeError, match=r"Small.train_batch\(loss\).*a Tensor.*NoneType.*itself"):
        model.train_batch(lambda output, target: None, X, LABELS)
    assert model.optimizer.t == 0


def test_tools_of_the_protocol_take_models():
    """What is written for the protocol runs on a Model: learning-rate finder, batch-norm statistics, averages."""
    model = Gated(rng=0, **SETTINGS)
    x, y = np.random.default_rng(0).normal(size=(64, 3)), np.zeros((64, 2))
    before = model.head_part.norm["running_mean"].copy()
    reestimate_batchnorm(model, x)
    assert not np.array_equal(model.head_part.norm["running_mean"], before)
    find_learning_rate(model, x, y, loss_function="mse", steps=20)
    model.fit(x, y, epochs=3, callbacks=[EMA(decay=0.9)])


def test_attributes_of_every_model_are_known():
    """They are not searched for parts; one that is missing there costs time, and run_state would be searched too."""
    assert {*vars(Model(rng=0)), "_arena"} == SETTINGS_OF_MODELS
