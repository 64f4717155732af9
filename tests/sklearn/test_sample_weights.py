"""sample_weight: one of weight 2 is two samples, one of weight 0 is none, and scikit-learn takes the same steps."""

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone, is_classifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

import enilnets.sklearn
from enilnets.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn import networks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    MLPClassifier((8,), learning_rate_init=0.01, random_state=0),
    MLPRegressor((8,), learning_rate_init=0.01, random_state=0),
    NeuralNetClassifier(networks.linear, random_state=0),
    NeuralNetRegressor(networks.linear, random_state=0),
]
each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)


def outputs(model, x):
    return model.predict_proba(x) if is_classifier(model) else model.predict(x)


@pytest.fixture
def data(rng):
    x = rng.normal(size=(90, 3))
    return x, np.digitize(x[:, 0] + 0.5 * rng.normal(size=90), [-0.5, 0.5]), rng.integers(0, 4, size=90).astype(float)


@pytest.mark.skipif(
    not has_fit_parameter(neural_network.MLPClassifier, "sample_weight"), reason="weights came with scikit-learn 1.7"
)
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("kind, factor", [("MLPClassifier", 1), ("MLPRegressor", 2)])
def test_steps_are_those_of_scikit_learn(kind, factor, nesterov, data):
    """From the same coefficients, penalty included; the loss of our regressor is twice theirs."""
    x, y, weights = data
    settings = dict(hidden_layer_sizes=(5,), activation="tanh", solver="sgd", nesterovs_momentum=nesterov)
    settings |= dict(batch_size=90, max_iter=7, tol=0.0, warm_start=True)
    ours, theirs = (
        getattr(module, kind)(alpha=2.0 * f, learning_rate_init=0.1 / f, random_state=0, **settings).fit(x, y)
        for module, f in ((enilnets.sklearn, factor), (neural_network, 1))
    )
    for mine, other in zip((*ours.coefs_, *ours.intercepts_), (*theirs.coefs_, *theirs.intercepts_), strict=True):
        mine[...] = other
    ours.net_.opt_state = []  # scikit-learn's fits begin with a new optimizer
    start = theirs.coefs_[0].copy()
    for model in (ours, theirs):
        model.fit(x, y, sample_weight=weights)
    assert np.abs(theirs.coefs_[0] - start).max() > 1e-3
    for mine, other in zip((*ours.coefs_, *ours.intercepts_), (*theirs.coefs_, *theirs.intercepts_), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-10)


def test_loss_is_the_weighted_mean(data):
    x, y, weights = data
    model = MLPClassifier(batch_size=90, random_state=0).fit(x, y)
    p = model.predict_proba(x)[np.arange(90), y]
    assert model.partial_fit(x, y, weights).loss_ == pytest.approx(-(weights * np.log(p)).sum() / weights.sum())
    regressor = MLPRegressor(batch_size=90, random_state=0).fit(x, y)
    error = regressor.predict(x) - y
    assert regressor.partial_fit(x, y, weights).loss_ == pytest.approx((weights * error**2).sum() / weights.sum())


@each
def test_samples_of_weight_zero_are_none(estimator, data):
    """Bit for bit: in mini-batches, in the validation part, in what is counted."""
    x, y, weights = data
    kept = weights > 0
    settings = dict(early_stopping=True, validation_fraction=0.3, batch_size=16, max_iter=12)
    with_zeros = clone(estimator).set_params(**settings).fit(x, y, sample_weight=weights)
    without = clone(estimator).set_params(**settings).fit(x[kept], y[kept], sample_weight=weights[kept])
    for model, part in ((with_zeros, slice(None)), (without, kept)):
        model.partial_fit(x[part], y[part], sample_weight=weights[part])
    assert with_zeros.loss_curve_ == without.loss_curve_ and with_zeros.t_ == without.t_
    assert with_zeros.validation_scores_ == without.validation_scores_
    assert (outputs(with_zeros, x) == outputs(without, x)).all()


@each
def test_mini_batches_learn_the_weighted_mean(estimator):
    """The same point again and again, with answers 0 and 1 whose weights are as 1 to 3."""
    x, y = np.ones((400, 2)), np.arange(400) % 2
    model = clone(estimator).set_params(batch_size=50, max_iter=150, n_iter_no_change=150)
    model.fit(x, y, sample_weight=np.where(y, 0.6, 0.2))
    share = outputs(model, x[:1]).ravel()[-1]
    assert share == pytest.approx(0.75, abs=0.03)


def test_a_class_without_weight_is_still_a_class(data):
    x, y, _ = data
    model = MLPClassifier(learning_rate_init=0.02, random_state=0).fit(x, y, sample_weight=y != 1)
    assert model.classes_.tolist() == [0, 1, 2] and model.predict_proba(x).shape == (90, 3)
    assert 1 not in model.predict(x)


def test_several_labels_per_sample(data):
    x, _, weights = data
    y = (x > 0).astype(int)
    model = MLPClassifier(learning_rate_init=0.02, early_stopping=True, random_state=0).fit(x, y, sample_weight=weights)
    assert model.score(x, y, weights) > 0.7


class TestValidation:
    def test_accuracy_is_weighted(self, data):
        """Always "common": of the 30 samples to validate with, one is "rare", of weight 9."""
        x = np.vstack([data[0], data[0][:30]])
        y = np.where(np.arange(120) < 4, "rare", "common")
        model = MLPClassifier(early_stopping=True, validation_fraction=0.25, max_iter=1, warm_start=True)
        model.partial_fit(x, y, classes=np.unique(y))
        for coefficients in (*model.coefs_, *model.intercepts_):
            coefficients[...] = 0
        model.intercepts_[-1][0] = 9
        assert model.fit(x, y, sample_weight=np.where(y == "rare", 9, 1)).validation_scores_ == [29 / 38]

    def test_r2_is_weighted(self, monkeypatch):
        """Always 1 where a third is 0 and two thirds, by weight, are 3: residuals 1 and 4, variance 2 about 2."""
        y = np.tile([0.0, 3.0], 20)
        model = MLPRegressor((), early_stopping=True, validation_fraction=0.5, max_iter=1, warm_start=True)
        model.set_params(learning_rate_init=1e-12).partial_fit(np.zeros((40, 1)), y)
        model.intercepts_[0][...] = 1
        monkeypatch.setattr(model, "_strata", lambda targets: targets[:, 0])  # as many of one as of the other
        model.fit(np.zeros((40, 1)), y, sample_weight=np.where(y > 0, 2.0, 1.0))
        assert model.validation_scores_ == pytest.approx([1 - (1 * 1 / 3 + 4 * 2 / 3) / 2])


def test_weights_go_through_a_pipeline(data):
    x, y, weights = data
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=5, random_state=0))
    pipeline.fit(x, y, mlpclassifier__sample_weight=weights)
    alone = MLPClassifier((8,), max_iter=5, random_state=0).fit(pipeline[0].transform(x), y, sample_weight=weights)
    assert alone.loss_curve_ == pipeline[1].loss_curve_


@each
@pytest.mark.parametrize(
    "weights, message",
    [
        (np.ones(89), r"expected shape \(90,\), one weight per sample, got shape \(89,\)"),
        (np.ones((90, 3)), r"shape \(90, 3\)"),
        (2.0, "one weight per sample"),
        (np.arange(90) - 1.0, "numbers >= 0, got -1"),
        (np.full(90, np.nan), "finite numbers"),
        (np.zeros(90), "at least one weight above 0, got only zeros"),
    ],
)
def test_bad_weights_are_named_and_change_nothing(estimator, weights, message, data):
    x, y, _ = data
    model = clone(estimator).set_params(max_iter=1).fit(x, y)
    before = outputs(model, x)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=rf"{type(model).__name__}.*sample_weight\): .*{message}"):
            train(x, y + 5 if train == model.fit else y, sample_weight=weights)
    assert (outputs(model, x) == before).all()
    if is_classifier(model):
        assert model.classes_.tolist() == [0, 1, 2]
