"""The estimators in scikit-learn's hands: clones, pickles, pipelines, searches; and without scikit-learn."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from enilnets.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn import networks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    MLPClassifier((8,), max_iter=5, random_state=0),
    MLPRegressor((8,), max_iter=5, random_state=0),
    NeuralNetClassifier(networks.softmax, max_iter=5, random_state=0),
    NeuralNetRegressor(networks.linear, max_iter=5, random_state=0),
]


@pytest.fixture
def data(rng):
    x = rng.normal(size=(90, 3))
    return x, np.digitize(x[:, 0], [-0.5, 0.5])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_and_pickles_train_on_bit_for_bit(estimator, again, data):
    model = clone(estimator).fit(*data)
    twin = again(model)
    assert twin.partial_fit(*data).loss_ == model.partial_fit(*data).loss_
    assert (twin.predict(data[0]) == model.predict(data[0])).all()
    before = model.loss_
    twin.partial_fit(*data)
    assert model.partial_fit(*data).loss_ < before and twin.loss_ == model.loss_  # they share nothing


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_clones_are_unfitted_and_equal(estimator, data):
    model = clone(estimator).fit(*data)
    twin = clone(model)
    assert twin.get_params() == model.get_params() and not hasattr(twin, "net_")
    assert twin.fit(*data).loss_curve_ == model.loss_curve_
    assert type(estimator).__name__ in repr(estimator)


def test_grid_search_over_a_pipeline(data):
    x, y = data
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=40, random_state=0))
    grid = {"mlpclassifier__learning_rate_init": [1e-6, 0.02], "mlpclassifier__hidden_layer_sizes": [(4,), (16, 8)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(100 * x + 7, y)
    assert search.best_params_["mlpclassifier__learning_rate_init"] == 0.02
    assert search.score(100 * x + 7, y) > 0.8


def test_grid_search_over_networks(data):
    search = GridSearchCV(NeuralNetClassifier(networks.softmax, random_state=0), {"build": [networks.linear]}, cv=2)
    assert search.fit(*data).best_estimator_.net_.head == "linear"


def test_scores_by_probability_and_several_targets(data):
    x, y = data
    model = MLPClassifier(learning_rate_init=0.02, max_iter=40, random_state=0)
    assert cross_val_score(model, x, y, cv=3, scoring="roc_auc_ovr").mean() > 0.9
    assert cross_val_score(model, x, y, cv=3, scoring="neg_log_loss").mean() > -1
    both = MultiOutputClassifier(model).fit(x, np.column_stack([y, y % 2]))
    assert both.predict(x).shape == (90, 2)


def test_without_scikit_learn_the_extra_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import enilnets; import enilnets.sklearn"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stderr.splitlines()[-1] == (
        "ImportError: enilnets.sklearn needs scikit-learn: pip install enilnets[sklearn]"
    )
