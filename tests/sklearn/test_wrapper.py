"""NeuralNetClassifier and NeuralNetRegressor: any network that a function builds."""

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.sklearn import MLPClassifier, NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn import networks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def points(rng):
    x = rng.normal(size=(100, 4))
    return x, np.where(x[:, 0] > 0, "up", "down")


def test_build_gets_sizes_and_the_source_of_randomness(points):
    x, y = points
    calls = []

    def build(n_features, n_outputs, rng):
        calls.append((n_features, n_outputs, type(rng)))
        return networks.softmax(n_features, n_outputs, rng)

    one, other = (NeuralNetClassifier(build, max_iter=5, random_state=7).fit(x, y) for _ in range(2))
    assert calls == [(4, 2, np.random.Generator)] * 2
    assert (one.predict_proba(x) == other.predict_proba(x)).all() and one.loss_curve_ == other.loss_curve_
    NeuralNetRegressor(networks.linear, max_iter=1).fit(x, x[:, :3])
    assert one.net_.learning_rate == 0.01 and one.classes_.tolist() == ["down", "up"]


def test_is_the_mlp_if_that_is_what_is_built(points):
    """Same layers, optimizer and seed: the same bits as MLPClassifier."""
    x, y = points

    def build(n_features, n_outputs, rng):
        net = NeuralNet(learning_rate=0.001, l2_lambda=0.0001 / 100, rng=rng)
        return net.add_dense(n_features, 100).add_dense(100, n_outputs, activation="softmax")

    ours = NeuralNetClassifier(build, max_iter=5, random_state=0).fit(x, y)
    assert ours.loss_curve_ == MLPClassifier(max_iter=5, random_state=0).fit(x, y).loss_curve_


@pytest.mark.parametrize("build", [networks.softmax, networks.linear])
def test_classes_from_probabilities_and_from_logits(build, points):
    x, y = points
    model = NeuralNetClassifier(build, random_state=0).fit(x, y)
    p, outputs = model.predict_proba(x), model.net_.predict(x)
    e = np.exp(outputs)
    np.testing.assert_allclose(p, outputs if build is networks.softmax else e / e.sum(1, keepdims=True), rtol=1e-12)
    assert model.score(x, y) > 0.95 and (model.predict(x) == model.classes_[p.argmax(1)]).all()


@pytest.mark.parametrize("build", [networks.sigmoid, networks.linear])
def test_labels_from_probabilities_and_from_logits(build, points):
    x, _ = points
    y = (x[:, :3] > 0).astype(int)
    model = NeuralNetClassifier(build, early_stopping=True, n_iter_no_change=50, random_state=0).fit(x, y)
    p, outputs = model.predict_proba(x), model.net_.predict(x)
    np.testing.assert_allclose(p, outputs if build is networks.sigmoid else 1 / (1 + np.exp(-outputs)), rtol=1e-12)
    assert (model.predict(x) == (p > 0.5)).all() and model.score(x, y) > 0.8


def test_images_come_as_rows(rng):
    images = rng.normal(size=(120, 1, 8, 8))
    y = (images[:, 0, :4].mean((1, 2)) > images[:, 0, 4:].mean((1, 2))).astype(int)
    rows = images.reshape(120, 64)
    model = NeuralNetClassifier(networks.convolution, input_shape=(1, 8, 8), batch_size=20, max_iter=30, random_state=0)
    model.fit(rows, y)
    assert model.predict_proba(rows).dtype == np.float32
    assert (model.predict_proba(rows) == model.net_.predict(images)).all()
    assert model.partial_fit(rows, y).score(rows, y) > 0.8


def test_the_loss_may_be_chosen(points):
    x, y = points
    model = NeuralNetClassifier(networks.softmax, loss="mse", random_state=0)
    model.partial_fit(x, y, classes=["up", "down"])
    error = model.predict_proba(x) - (y[:, None] == model.classes_)
    assert model.partial_fit(x, y).loss_ == pytest.approx(np.mean(error**2))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"build": None}, r"NeuralNetClassifier\(build\): expected a function build"),
        ({"build": lambda *_: "net"}, "a function that returns a NeuralNet, got str"),
        ({"build": lambda n, k, rng: networks.softmax(n, k + 1, rng)}, r"2 outputs per sample, got shape \(3,\)"),
        ({"build": lambda n, k, rng: networks.softmax(n + 1, k, rng)}, r"expected input of shape \(batch, 5\)"),
        ({"build": networks.sigmoid}, "ends in softmax or linear for classes, got sigmoid"),
        ({"input_shape": (1, 5)}, r"input_shape\): expected a shape of 4 numbers, got \(1, 5\)"),
        ({"input_shape": (2, -2)}, "an integer >= 1"),
        ({"loss": "square"}, "one of mse"),
        ({"max_iter": 0}, r"NeuralNetClassifier\(max_iter\)"),
    ],
)
def test_what_cannot_work_is_explained(settings, message, points):
    model = NeuralNetClassifier(**{"build": networks.softmax, **settings})
    with pytest.raises(ValueError, match=message):
        model.fit(*points)
    assert not hasattr(model, "net_")


def test_several_labels_need_independent_outputs(points):
    with pytest.raises(ValueError, match="ends in sigmoid or linear for several labels per sample, got softmax"):
        NeuralNetClassifier(networks.softmax).fit(points[0], (points[0] > 0).astype(int))
