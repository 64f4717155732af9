"""Classification: two moons of noisy points, a dense network, integer labels and a learning-rate schedule."""

import numpy as np

from enilnets import LRScheduler, NeuralNet

rng = np.random.default_rng(0)
angle = rng.uniform(0, np.pi, 400)
label = rng.integers(0, 2, 400)
moons = np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(label, -1, 1)[:, None]
x = moons + label[:, None] * [1.0, 0.5] + 0.15 * rng.normal(size=(400, 2))

net = NeuralNet(learning_rate=0.03, optimizer="adam", l2_lambda=0.0, dtype="float32", rng=0)
net.add_dense(2, 32, activation="tanh").add_dense(32, 2, activation="softmax")
net.summary()
schedule = LRScheduler(0.03, mode="cosine", max_epochs=60)
history = net.Train(x[:300], label[:300], epochs=60, X_val=x[300:], Y_val=label[300:], scheduler=schedule, verbose=0)
print(f"validation accuracy {history['val_accuracy'][-1]:.3f}")
