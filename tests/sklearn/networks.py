"""Functions that build networks, in a module so that estimators which hold them can be pickled."""

from enilnets import NeuralNet


def softmax(n_features, n_outputs, rng):
    net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, rng=rng)
    return net.add_dense(n_features, 32).add_dense(32, n_outputs, activation="softmax")


def sigmoid(n_features, n_outputs, rng):
    net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, rng=rng)
    return net.add_dense(n_features, 32).add_dense(32, n_outputs, activation="sigmoid")


def linear(n_features, n_outputs, rng):
    net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, rng=rng)
    return net.add_dense(n_features, 32).add_dense(32, n_outputs, activation="linear")


def convolution(n_features, n_outputs, rng):
    net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, dtype="float32", rng=rng)
    net.add_conv2d(1, 8, 3, activation="linear").add_batchnorm(8).add_activation("relu").add_maxpool2d(2).add_flatten()
    return net.add_dense(8 * 3 * 3, n_outputs, activation="softmax")
