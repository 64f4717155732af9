"""A loss and a model of one's own, written as expressions; gradients, training and files follow by themselves."""

import numpy as np

from enilnets.autodiff import Model, Parameter, absolute, log, mean, sigmoid, where
from enilnets.layers import Dense


def asymmetric(output, target):
    """Too little costs three times as much as too much; outliers count by the logarithm of their distance."""
    error = target - output
    cost = where(error.data > 0, 3.0, 1.0)
    return mean(cost * log(1 + absolute(error)))


class Highway(Model):
    """Layers that decide for every feature how much of it passes unchanged (Srivastava et al. 2015, eq. 3)."""

    def __init__(self, width, depth, **settings):
        super().__init__(**settings)
        self.enter = Dense(1, width, "tanh", dtype=self.dtype, rng=self.rng)
        self.blocks = [Dense(width, width, "tanh", dtype=self.dtype, rng=self.rng) for _ in range(depth)]
        self.gates = [Parameter(0.1 * self.rng.normal(size=(width, width)), penalised=True) for _ in range(depth)]
        self.leave = Dense(width, 1, "linear", dtype=self.dtype, rng=self.rng)

    def call(self, x):
        """Return one number per row of ``x``."""
        x = self.enter(x)
        for block, gate in zip(self.blocks, self.gates, strict=True):
            share = sigmoid(x @ gate)
            x = share * block(x) + (1 - share) * x
        return self.leave(x)


rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (256, 1))
y = np.sin(3 * x) + 0.1 * rng.normal(size=x.shape)
model = Highway(16, 2, learning_rate=0.01, optimizer="adamw", l2_lambda=0.0, rng=0)
history = model.fit(x, y, loss=asymmetric, epochs=100)
above = (model.infer(x) > y).mean()
print(f"loss {history['loss'][0]:.3f} -> {history['loss'][-1]:.3f}, {above:.0%} of the outputs are too high")

model.Save("highway.safetensors")
twin = Highway(16, 2).Load("highway.safetensors")
print(f"loaded: {np.array_equal(twin.infer(x), model.infer(x))}")
