"""scikit-learn's own checks of an estimator, none of them expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from enilnets.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn import networks


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the checks' data are hard to learn
@parametrize_with_checks(
    [
        MLPClassifier(),
        MLPClassifier(solver="sgd", learning_rate="adaptive"),
        MLPRegressor(),
        NeuralNetClassifier(networks.softmax),
        NeuralNetClassifier(networks.linear),
        NeuralNetRegressor(networks.linear),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)
