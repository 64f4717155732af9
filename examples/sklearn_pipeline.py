"""Handwritten digits in scikit-learn's hands: a search over a pipeline, then a convolutional network of one's own."""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from enilnets import NeuralNet
from enilnets.sklearn import MLPClassifier, NeuralNetClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

mlp = MLPClassifier(hidden_layer_sizes=(64,), early_stopping=True, random_state=0)
search = GridSearchCV(
    make_pipeline(MinMaxScaler(), mlp), {"mlpclassifier__learning_rate_init": [0.001, 0.01]}, cv=3
).fit(X_train, y_train)
print(f"multi-layer perceptron: {search.score(X_test, y_test):.3f} of the test digits with {search.best_params_}")


def build(n_features, n_outputs, rng):
    """Return two convolutions with pooling and a dense layer, untrained."""
    net = NeuralNet(learning_rate=0.005, l2_lambda=0.0, dtype="float32", rng=rng)
    net.add_conv2d(1, 16, 3, padding="same").add_maxpool2d(2).add_conv2d(16, 32, 3, padding="same").add_maxpool2d(2)
    return net.add_flatten().add_dense(32 * 2 * 2, n_outputs, activation="softmax")


cnn = NeuralNetClassifier(build, input_shape=(1, 8, 8), batch_size=64, early_stopping=True, random_state=0)
cnn = make_pipeline(MinMaxScaler(), cnn).fit(X_train, y_train)
print(f"convolutional network:  {cnn.score(X_test, y_test):.3f} after {cnn[-1].n_iter_} epochs")
assert cnn.score(X_test, y_test) > 0.95
