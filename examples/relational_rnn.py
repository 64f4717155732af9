"""Train an LSTM and a relational RNN on the same task, and a relational memory to remember pairs."""

import numpy as np

from enilnets import LRScheduler
from enilnets.optim import Adam
from enilnets.sequence import LSTM, RelationalMemory, RelationalRNN, evaluate, tasks, train_model, train_step

# Which of three features is the largest at the last step? 1,000 sequences to learn from, 200 that choose the best
# epoch, 200 that nothing is chosen by.
X, y = tasks.largest_of_last_step(1400, length=6, rng=0)
train, validation, test = ((X[part], y[part]) for part in (slice(1000), slice(1000, 1200), slice(1200, None)))
for model in (LSTM(10, 32, 3, rng=0), RelationalRNN(10, 32, 3, num_slots=2, slot_size=16, rng=0)):
    history = train_model(
        model,
        train,
        validation,
        epochs=8,
        optimizer="adam",
        scheduler=LRScheduler(0.01, mode="warmup_cosine", warmup_epochs=2, max_epochs=8),
        verbose=False,
        rng=0,
    )
    loss, accuracy = evaluate(model, *test)
    print(f"{type(model).__name__}: {len(history['val_loss'])} epochs, test accuracy {accuracy:.2f}")

# Which symbol came behind this one? A loop of one's own: every step sees new samples.
rng = np.random.default_rng(0)
memory = RelationalMemory(5, 4, mem_slots=4, head_size=8, num_heads=2, readout=(32,), dtype="float32", rng=0)
optimizer = Adam()
for _ in range(800):
    X, y = tasks.pair_matching(64, pairs=2, vocabulary=4, rng=rng)
    train_step(memory, X, y, learning_rate=3e-3, clip_norm=1.0, optimizer=optimizer)
loss, accuracy = evaluate(memory, *tasks.pair_matching(1000, pairs=2, vocabulary=4, rng=rng))
print(f"RelationalMemory, {memory.n_parameters:,} parameters: {accuracy:.2f} of the pairs remembered")
