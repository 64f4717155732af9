"""MLPClassifier and MLPRegressor: what they compute, against formulas, and when they stop."""

import math
import signal

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from enilnets import NeuralNet
from enilnets.sklearn import MLPClassifier, MLPRegressor
from enilnets.sklearn.estimator import Patience

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def blobs(rng):
    """Three classes of points in the plane, with names that do not sort as they appear."""
    centres = np.array([[0, 3], [3, 0], [-3, -3]])
    labels = np.repeat([2, 0, 1], 40)
    return centres[labels] + rng.normal(size=(120, 2)), np.array(["ant", "bee", "cow"])[labels]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


class TestClassifier:
    def test_probabilities_are_those_of_the_coefficients(self, blobs):
        x, y = blobs
        model = MLPClassifier((8, 5), "tanh", learning_rate_init=0.02, random_state=0).fit(x, y)
        (w1, w2, w3), (b1, b2, b3) = model.coefs_, model.intercepts_
        by_hand = softmax(np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3)
        np.testing.assert_allclose(model.predict_proba(x), by_hand, rtol=1e-9)
        np.testing.assert_allclose(model.predict_log_proba(x), np.log(by_hand), rtol=1e-9, atol=1e-12)
        assert model.classes_.tolist() == ["ant", "bee", "cow"]
        assert (model.predict(x) == model.classes_[by_hand.argmax(1)]).all() and model.score(x, y) > 0.95
        assert (model.n_layers_, model.n_outputs_, model.out_activation_) == (4, 3, "softmax")

    def test_loss_curve_is_the_cross_entropy_that_was_trained(self, blobs):
        x, y = blobs
        model = MLPClassifier(batch_size=120, alpha=3.0, random_state=0).partial_fit(x, y, classes=np.unique(y))
        p = model.predict_proba(x)[np.arange(120), np.searchsorted(model.classes_, y)]
        model.partial_fit(x, y)  # one batch: the loss of the whole data before the step, without the penalty
        assert model.loss_ == model.loss_curve_[1] == pytest.approx(-np.log(p).mean(), rel=1e-9)
        assert (model.n_iter_, model.t_, model.best_loss_) == (1, 240, min(model.loss_curve_))

    def test_several_labels_per_sample(self, blobs):
        x, _ = blobs
        y = np.column_stack([x[:, 0] > 0, x[:, 1] > 0, x.sum(1) > 0]).astype(int)
        model = MLPClassifier(learning_rate_init=0.02, random_state=0).fit(x, y)
        w, b = model.coefs_, model.intercepts_
        by_hand = 1 / (1 + np.exp(-(np.maximum(x @ w[0] + b[0], 0) @ w[1] + b[1])))
        np.testing.assert_allclose(model.predict_proba(x), by_hand, rtol=1e-9)
        assert (model.predict(x) == (by_hand > 0.5)).all() and model.score(x, y) > 0.9
        assert model.out_activation_ == "logistic" and model.classes_.tolist() == [0, 1, 2]
        early = MLPClassifier(early_stopping=True, random_state=0).fit(x, y)
        assert early.best_validation_score_ == max(early.validation_scores_) > 0.5
        with pytest.raises(ValueError, match="expected 3 labels, got 2"):
            early.partial_fit(x, y[:, :2])

    def test_partial_fit_needs_all_classes_and_learns_them_piecewise(self, blobs):
        x, y = blobs
        model = MLPClassifier(learning_rate_init=0.02, random_state=0)
        with pytest.raises(ValueError, match="classes"):
            model.partial_fit(x, y)
        assert not hasattr(model, "net_")
        model.partial_fit(x[:40], y[:40], classes=["cow", "ant", "bee"])
        for _ in range(60):
            for part in (slice(0, 40), slice(40, 80), slice(80, 120)):
                model.partial_fit(x[part], y[part])
        assert model.score(x, y) > 0.9
        before = model.coefs_[0].copy()
        with pytest.raises(ValueError, match="previously unseen labels"):
            model.partial_fit(x[:2], ["ant", "dog"])
        with pytest.raises(ValueError, match=r"partial_fit\(classes\): expected the classes of the first call"):
            model.partial_fit(x, y, classes=["ant", "bee"])
        with pytest.raises(ValueError, match="targets like those of the first fit"):
            model.partial_fit(x, np.eye(3, dtype=int)[np.zeros(120, int)])
        assert (model.coefs_[0] == before).all()

    def test_one_class_and_many_outputs(self, blobs):
        x, _ = blobs
        assert (MLPClassifier(max_iter=1).fit(x, np.full(120, "ant")).predict(x) == "ant").all()
        with pytest.raises(ValueError, match="one class per sample, or 0 and 1 per label"):
            MLPClassifier().fit(x, np.tile([[0, 1, 2]], (120, 1)))


class TestRegressor:
    @pytest.mark.parametrize("targets", [1, 2])
    def test_sgd_step_is_the_formula(self, targets, rng):
        """w <- w - lr (2 Xᵀ(Xw + b - y) / (n targets) + alpha w / n), b without the penalty."""
        x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, targets))
        model = MLPRegressor((), solver="sgd", momentum=0.0, learning_rate_init=0.1, alpha=2.0, random_state=0)
        model.partial_fit(x, y)
        w, b = model.coefs_[0].copy(), model.intercepts_[0].copy()
        error = x @ w + b - y
        model.partial_fit(x, y)
        gradient = 2 * x.T @ error / error.size
        np.testing.assert_allclose(model.coefs_[0], w - 0.1 * (gradient + 2.0 * w / 20), rtol=1e-10)
        np.testing.assert_allclose(model.intercepts_[0], b - 0.1 * 2 * error.sum(0) / error.size, rtol=1e-10)
        assert model.loss_ == pytest.approx(np.mean(error**2)) and model.out_activation_ == "identity"

    @pytest.mark.parametrize("nesterov", [True, False])
    def test_momentum_is_the_formula(self, nesterov, rng):
        """v <- 0.5 v - lr g; w <- w + (0.5 v - lr g with Nesterov's, else v)."""
        x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
        settings = dict(solver="sgd", momentum=0.5, learning_rate_init=0.1, alpha=0.0, random_state=0)
        model = MLPRegressor((), nesterovs_momentum=nesterov, **settings).partial_fit(x, y)
        model.net_.opt_state = []
        w, b, v = model.coefs_[0].copy(), model.intercepts_[0].copy(), 0.0
        for _ in range(3):
            error = x @ w + b - y
            step = -0.1 * 2 * np.vstack([x.T @ error, error.sum(0)]) / 20
            v = 0.5 * v + step
            move = 0.5 * v + step if nesterov else v
            w, b = w + move[:3], b + move[3]
            model.partial_fit(x, y)
        np.testing.assert_allclose(model.coefs_[0], w, rtol=1e-10)
        np.testing.assert_allclose(model.intercepts_[0], b, rtol=1e-10)

    def test_predictions_have_the_shape_of_the_targets(self, rng):
        x = rng.normal(size=(30, 3))
        for y in (x[:, 0], x[:, :1], x[:, :2]):
            assert MLPRegressor(max_iter=2).fit(x, y).predict(x).shape == y.shape
        with pytest.raises(ValueError, match="2 targets per sample, got 1"):
            MLPRegressor(max_iter=2).partial_fit(x, x[:, :2]).partial_fit(x, x[:, 0])

    def test_what_overflows_is_an_error(self, rng):
        x = rng.normal(size=(30, 3))
        with pytest.raises(ValueError, match="lower the learning rate"):
            MLPRegressor(solver="sgd", learning_rate_init=1e3).fit(x, x[:, 0])


@pytest.mark.parametrize("dtype, inside", [("float32", "float32"), ("float64", "float64"), ("int32", "float64")])
def test_the_network_has_the_dtype_of_the_first_data(dtype, inside, blobs):
    x, y = blobs
    model = MLPClassifier(max_iter=2, random_state=0).fit(x.astype(dtype), y)
    assert model.net_.dtype == model.predict_proba(x).dtype == inside
    assert model.partial_fit(x, y).net_.dtype == inside
    assert MLPRegressor(max_iter=2).fit(x.astype(dtype), x[:, 0]).predict(x).dtype == inside


@pytest.mark.parametrize("ours, theirs", [("linear", "identity"), ("sigmoid", "logistic")])
def test_activations_have_both_names(ours, theirs, blobs):
    x, y = blobs
    one, other = (MLPClassifier((4,), name, max_iter=3, random_state=0).fit(x, y) for name in (ours, theirs))
    assert (one.predict_proba(x) == other.predict_proba(x)).all() and one.net_.layers[0].activation == ours


def test_settings_reach_the_optimizer(blobs):
    x, y = blobs
    adam = MLPClassifier(beta_1=0.8, beta_2=0.9, epsilon=1e-6, learning_rate_init=0.5, max_iter=1).fit(x, y).net_
    assert (adam.optimizer.beta1, adam.optimizer.beta2, adam.optimizer.epsilon) == (0.8, 0.9, 1e-6)
    assert adam.learning_rate == 0.5 and adam.l2_lambda == 0.0001 / 120
    for nesterov in (True, False):
        sgd = MLPClassifier(solver="sgd", momentum=0.3, nesterovs_momentum=nesterov, max_iter=1).fit(x, y).net_
        assert (sgd.momentum, sgd.optimizer.nesterov) == (0.3, nesterov)
    assert MLPClassifier().nesterovs_momentum is True  # as in scikit-learn
    assert MLPClassifier(solver="rmsprop", max_iter=1).fit(x, y).net_.optimizer_type == "rmsprop"


class TestStopping:
    def test_patience_counts_epochs_in_vain(self):
        patience = Patience(tol=0.5, epochs=1)
        scores = [-9.0, -8.6, -8.5, -8.5, -8.0, math.nan, -7.0, -7.0]
        # gains over the best: first, 0.4 no, 0.5 - 0.4 no (twice: lost), no, 0.5 yes, no, 1.0 yes, no
        assert [patience.lost(score) for score in scores] == [False, False, True, True, False, False, False, False]
        assert patience.best == -7.0 and patience.waited == 1

    def test_stops_n_iter_no_change_epochs_after_the_last_gain(self, blobs):
        x, y = blobs
        model = MLPClassifier(tol=100.0, n_iter_no_change=4, random_state=0).fit(x, y)
        assert model.n_iter_ == 6 == len(model.loss_curve_)  # the first gains, five do not

    def test_reaching_max_iter_is_a_convergence_warning(self, blobs):
        with pytest.warns(ConvergenceWarning, match="MLPClassifier: max_iter=3"):
            model = MLPClassifier(max_iter=3, n_iter_no_change=np.inf).fit(*blobs)
        assert model.n_iter_ == 3

    def test_adaptive_rate_falls_five_times_and_then_stops(self, blobs):
        model = MLPClassifier(solver="sgd", learning_rate="adaptive", tol=100.0, n_iter_no_change=1).fit(*blobs)
        assert model.net_.learning_rate == pytest.approx(0.001 / 5**5)
        assert model.n_iter_ == 1 + 2 * 6
        assert model.partial_fit(*blobs).net_.learning_rate == pytest.approx(0.001 / 5**5)  # goes on with it
        assert model.set_params(warm_start=True).fit(*blobs).n_iter_ == 1 + 2 * 6  # a fit begins with the first rate
        constant = MLPClassifier(solver="sgd", tol=100.0, n_iter_no_change=1).fit(*blobs)
        assert constant.net_.learning_rate == 0.001 and constant.n_iter_ == 3

    def test_invscaling(self, blobs):
        model = MLPClassifier(solver="sgd", learning_rate="invscaling", power_t=0.3, max_iter=2).fit(*blobs)
        assert model.net_.learning_rate == pytest.approx(0.001 / 241**0.3)
        assert model.fit(*blobs).net_.learning_rate == pytest.approx(0.001 / 241**0.3)  # fit begins anew

    def test_early_stopping_keeps_the_best_weights(self, blobs):
        x, y = blobs
        settings = dict(early_stopping=True, validation_fraction=0.3, learning_rate_init=0.01, random_state=1)
        y = np.where(np.arange(120) % 4, y, "ant")  # wrong labels, so that the score goes up and down
        model = MLPClassifier(**settings).fit(x, y)
        scores = model.validation_scores_
        assert model.best_validation_score_ == max(scores) and model.n_iter_ == len(scores) < 200
        first_best = int(np.argmax(scores)) + 1
        assert first_best < len(scores) and scores[-1] < max(scores)
        shorter = MLPClassifier(**settings, max_iter=first_best).fit(x, y)
        assert all((a == b).all() for a, b in zip(model.coefs_, shorter.coefs_, strict=True))

    def test_early_stopping_of_a_regression_watches_r2(self, rng):
        x = rng.normal(size=(200, 3))
        model = MLPRegressor(early_stopping=True, learning_rate_init=0.02, random_state=0).fit(x, x @ [1, 2, 3])
        assert 0.9 < model.best_validation_score_ == max(model.validation_scores_) <= 1

    def test_the_validation_part_holds_all_classes(self, blobs):
        x, y = blobs
        y = np.where(np.arange(120) < 4, "rare", "common")
        for seed in range(5):  # one of the four is among the 30, never none: constant predictions are not all right
            model = MLPClassifier(
                early_stopping=True, validation_fraction=0.25, max_iter=1, warm_start=True, random_state=seed
            ).partial_fit(x, y, classes=np.unique(y))
            for coefficients in (*model.coefs_, *model.intercepts_):
                coefficients[...] = 0
            model.intercepts_[-1][0] = 9
            assert model.fit(x, y).validation_scores_ == [29 / 30]

    def test_one_sample_validates_nothing(self, rng):
        x = rng.normal(size=(5, 3))
        with pytest.raises(ValueError, match=r"validation_fraction\): expected at least 2 samples .*, got 1 of 5"):
            MLPRegressor(early_stopping=True).fit(x, x[:, 0])

    def test_ctrl_c_keeps_what_was_learned(self, blobs, monkeypatch):
        steps = []

        def step(net):
            steps.append(net)
            if len(steps) == 3:
                signal.raise_signal(signal.SIGINT)
            original(net)

        original = NeuralNet.step
        monkeypatch.setattr(NeuralNet, "step", step)
        with pytest.warns(UserWarning, match="MLPClassifier: the training was interrupted"):
            model = MLPClassifier(random_state=0).fit(*blobs)
        assert model.n_iter_ == 2 and model.predict(blobs[0]).shape == (120,)


class TestGoingOn:
    def test_warm_start_goes_on(self, blobs):
        x, y = blobs
        whole = MLPClassifier(max_iter=6, random_state=0).fit(x, y)
        parts = MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(x, y).fit(x, y)
        assert parts.loss_curve_ == whole.loss_curve_ and parts.n_iter_ == 3 and parts.t_ == 720
        assert MLPClassifier(max_iter=3, random_state=0).fit(x, y).fit(x, y).loss_curve_ == whole.loss_curve_[:3]

    def test_partial_fit_goes_on_after_fit(self, blobs):
        x, y = blobs
        whole = MLPClassifier(max_iter=4, random_state=0).fit(x, y)
        parts = MLPClassifier(max_iter=3, random_state=0).fit(x, y).partial_fit(x, y)
        assert parts.loss_curve_ == whole.loss_curve_ and (parts.coefs_[0] == whole.coefs_[0]).all()

    def test_early_stopping_may_begin_with_a_warm_start(self, blobs):
        model = MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(*blobs)
        assert model.validation_scores_ is None
        assert len(model.set_params(early_stopping=True).fit(*blobs).validation_scores_) == 3


def test_random_state_fixes_all(blobs):
    def curve(seed):
        return MLPClassifier(early_stopping=True, max_iter=5, random_state=seed).fit(*blobs).loss_curve_

    assert curve(0) == curve(0) != curve(1)
    stream = np.random.RandomState(0)
    assert curve(stream) != curve(stream)


def test_verbose_prints_loss_and_score(blobs, capsys):
    MLPClassifier(max_iter=2, random_state=0).fit(*blobs)
    assert capsys.readouterr().out == ""
    model = MLPClassifier(max_iter=2, verbose=True, early_stopping=True, random_state=0).fit(*blobs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {model.loss_curve_[0]:.8f}"
    assert lines[1] == f"Validation score: {model.validation_scores_[0]:.6f}" and len(lines) == 4


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("hidden_layer_sizes", (3, 0), "an integer >= 1"),
        ("hidden_layer_sizes", 2.5, "an integer >= 1"),
        ("activation", "step", "one of identity, logistic, relu"),
        ("solver", "lbfgs", "one of .*adam"),
        ("alpha", -1, ">= 0"),
        ("batch_size", 0, "an integer >= 1"),
        ("batch_size", "all", "an integer >= 1"),
        ("learning_rate", "falling", "one of constant, invscaling, adaptive"),
        ("learning_rate_init", 0.0, "> 0"),
        ("power_t", math.nan, "a finite number"),
        ("max_iter", True, "an integer >= 1"),
        ("tol", -1e-3, ">= 0"),
        ("warm_start", 1, "True or False"),
        ("momentum", 1.5, r"\[0, 1\]"),
        ("nesterovs_momentum", 1, "True or False"),
        ("early_stopping", "yes", "True or False"),
        ("validation_fraction", 1.0, r"\[0, 1\)"),
        ("beta_1", 1.0, r"\[0, 1\)"),
        ("epsilon", 0, "> 0"),
        ("n_iter_no_change", 0, "an integer >= 1"),
    ],
)
def test_bad_settings_are_named_and_change_nothing(name, value, expected, blobs):
    model = MLPClassifier(max_iter=1).fit(*blobs)
    before = model.predict_proba(blobs[0])
    with pytest.raises(ValueError, match=rf"MLPClassifier\({name}.*expected .*{expected}"):
        model.set_params(**{name: value}).fit(*blobs)
    assert (model.predict_proba(blobs[0]) == before).all()
