"""A character-level language model: a small transformer learns a made-up language and writes in it."""

import sys

import numpy as np

from enilnets import NeuralNet
from enilnets.generative.decoding import generate

CONTEXT = 64
SINGULAR = ("the cat", "a bird", "the old fox", "one tiny mouse", "my neighbour")
PLURAL = ("the cats", "two birds", "all foxes", "many mice", "my neighbours")
VERBS = (("sees", "see"), ("follows", "follow"), ("likes", "like"), ("finds", "find"), ("sings to", "sing to"))
WHEN = ("in the morning", "at noon", "every evening", "when it rains", "all day long")


def sentence(rng):
    """Subject, a verb that agrees with it, object, and sometimes a time or a relative clause, which must agree too."""
    number = int(rng.integers(2))
    subject = str(rng.choice((SINGULAR, PLURAL)[number]))
    target = str(rng.choice(SINGULAR + PLURAL))
    if rng.random() < 0.3:
        subject += f" that {VERBS[rng.integers(5)][number]} {rng.choice(SINGULAR + PLURAL)}"
    ending = f" {rng.choice(WHEN)}" if rng.random() < 0.5 else ""
    return f"{subject} {VERBS[rng.integers(5)][number]} {target}{ending}. "


def text(rng, size):
    """At least ``size`` characters of the language."""
    return "".join(sentence(rng) for _ in range(size // 20))[:size]


def unigram_bits(train, held_out, n):
    """Bits per character of a model that knows how often each character occurs."""
    counts = np.bincount(train, minlength=n) + 1.0
    return float(-np.log2(counts / counts.sum())[held_out].mean())


def bigram_bits(train, held_out, n):
    """Bits per character of a model that knows the character before."""
    counts = np.ones((n, n))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    return float(-np.log2(counts / counts.sum(axis=1, keepdims=True))[held_out[:-1], held_out[1:]].mean())


def bits(net, ids, n_windows=64):
    """Bits per character of the network on windows of text that it has not seen."""
    starts = np.linspace(0, len(ids) - CONTEXT - 1, n_windows).astype(int)
    windows = ids[starts[:, None] + np.arange(CONTEXT + 1)]
    probabilities = net.predict(windows[:, :-1])
    return float(-np.log2(np.take_along_axis(probabilities, windows[:, 1:, None], axis=-1)).mean())


def main(quick):
    """Train, compare with models that count characters, and write."""
    rng = np.random.default_rng(0)
    corpus = text(rng, 60_000)
    alphabet = sorted(set(corpus))
    ids = np.searchsorted(alphabet, list(corpus))
    train, held_out = ids[:-10_000], ids[-10_000:]

    net = NeuralNet(learning_rate=3e-3, l2_lambda=0.0, dtype="float32", rng=0)
    # Rotations tell distances, and no character looks further back than the window: so what is written may be longer
    # than the texts of the training.
    net.add_embedding(len(alphabet), 64, input_shape=(CONTEXT,))
    for _ in range(2):
        net.add_transformer_block(num_heads=4, causal=True, rotary=True, window=48)
    net.add_layernorm().add_dense(n_out=len(alphabet), activation="softmax")

    steps, one_hot = (20 if quick else 400), np.eye(len(alphabet), dtype=np.float32)
    for step in range(steps):
        net.set_lr(3e-3 * min(1.0, (step + 1) / 20) * (1 - step / steps))
        windows = train[rng.integers(0, len(train) - CONTEXT, 32)[:, None] + np.arange(CONTEXT + 1)]
        net.TrainBatch(windows[:, :-1], one_hot[windows[:, 1:]])
        if step % 100 == 99:
            print(f"step {step + 1}: {bits(net, held_out):.3f} bits per character on text it has not seen")

    n = len(alphabet)
    print(f"held out: transformer {bits(net, held_out):.3f} bits per character,", end=" ")
    print(f"bigrams {bigram_bits(train, held_out, n):.3f}, single characters {unigram_bits(train, held_out, n):.3f}")
    prompt = np.searchsorted(alphabet, list("the old fox "))
    for settings in ({"top_k": 1}, {"temperature": 0.7}, {"temperature": 1.0, "top_p": 0.9}, {"top_k": 5}):
        drawn = generate(net, prompt, 40 if quick else 120, rng=1, **settings)
        print(f"{settings}: the old fox {''.join(alphabet[int(token)] for token in drawn)}")


if __name__ == "__main__":
    main("--quick" in sys.argv)
