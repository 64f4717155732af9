"""A training loop of one's own over the model protocol: contexts, a gradient of one's own making, input gradients."""

import numpy as np

from enilnets import NeuralNet, optim

rng = np.random.default_rng(0)
net = NeuralNet(learning_rate=0.01, optimizer=optim.Adam(clip_norm=1.0), l2_lambda=0.0, rng=0)
net.add_dense(2, 32, activation="gelu").add_dense(32, 1, activation="linear")

for _ in range(500):
    x = rng.uniform(-1, 1, (64, 2))
    target = x[:, :1] * x[:, 1:]
    y, ctx = net.forward(x, train=True)
    error = y - target
    net.backward(ctx, np.sign(error) / len(x))  # gradient of the mean absolute error
    net.step()

# How does the output change with the input? For xy the gradient at (0.5, -0.5) is (-0.5, 0.5).
y, ctx = net.forward(np.array([[0.5, -0.5]]))
gradient = net.backward(ctx, np.ones((1, 1)), params=False, inputs=True)
print(f"mean absolute error {np.abs(error).mean():.3f}, gradient {gradient[0].round(2)}")
