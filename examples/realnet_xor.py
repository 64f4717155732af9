"""RealNet: XOR with three neurons and no hidden layer, then pruning and the sparse form."""

import numpy as np

from enilnets.sequence import RealNet, RealNetTrainer

X = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
Y = [[-1], [1], [1], [-1]]

model = RealNet(3, [0, 1], [2], rng=0)  # two inputs, one output, nothing between them but time
trainer = RealNetTrainer(model, gradient_decay=0.1)
trainer.fit(X, Y, epochs=100, thinking_steps=5, verbose=False)
for x, y in zip(X, trainer.predict(X, thinking_steps=5)[:, 0], strict=True):
    print(f"{x[0]:+d} xor {x[1]:+d}: {y:+.2f}")

# A larger network, thinking for any number of steps, that loses its weak synapses after every epoch.
rng = np.random.default_rng(0)
features = rng.uniform(-1, 1, (512, 2))
labels = np.sign(features[:, :1] * features[:, 1:])
model = RealNet(40, [0, 1], [39], dropout_rate=0.0, rng=0)
trainer = RealNetTrainer(model)
trainer.fit(features, labels, epochs=30, thinking_steps=(4, 8), verbose=False)
trainer.fit(features, labels, epochs=10, thinking_steps=(4, 8), pruning_threshold=0.02, verbose=False)
sparse_model = model.make_sparse()
right = np.mean(np.sign(sparse_model.predict(features, thinking_steps=6)) == labels)
print(f"{1 - model.mask.mean():.0%} of the synapses are dead, {right:.0%} of the signs are right")
