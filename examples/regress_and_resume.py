"""Regression, a model file, and training that goes on after loading exactly where it stopped."""

import numpy as np

from enilnets import NeuralNet

x = np.linspace(-3, 3, 200)[:, None]
y = np.sin(2 * x)

net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, rng=0)
net.add_dense(1, 32, activation="tanh").add_dense(32, 32, activation="tanh").add_dense(32, 1, activation="linear")
net.Train(x, y, epochs=150, verbose=0)
net.Save("sine.safetensors")

again = NeuralNet().Load("sine.safetensors")
one, other = (model.Train(x, y, epochs=50, verbose=0)["loss"] for model in (net, again))
assert one == other  # bit for bit: weights, optimizer, shuffling
print(f"mean squared error {one[-1]:.2e}; the reloaded network took the same {len(one)} epochs")
