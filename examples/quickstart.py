"""The first thing to try: a classifier of flat data, dropout against overfitting, a cosine schedule."""

import numpy as np

from enilnets import LRScheduler, NeuralNet

rng = np.random.default_rng(0)
centres = rng.normal(size=(10, 784))
label = rng.integers(0, 10, 1000)
x = centres[label] + 5 * rng.normal(size=(1000, 784))
y = np.eye(10)[label]  # one-hot; label itself would do as well

model = NeuralNet(learning_rate=0.001, optimizer="adam", l2_lambda=0.01)
model.add_dense(784, 256, activation="relu")
model.add_dropout(0.3)
model.add_dense(256, 10, activation="softmax")

scheduler = LRScheduler(initial_lr=0.001, mode="cosine", max_epochs=10)
history = model.Train(x, y, epochs=10, batch_size=32, scheduler=scheduler)
print(f"loss {history['loss'][0]:.2f} -> {history['loss'][-1]:.2f}, accuracy {history['accuracy'][-1]:.2f}")
