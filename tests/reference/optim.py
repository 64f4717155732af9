"""NumPy oracles of the kernels in csrc/kernels/optim.c, in float64, straight from the papers' equations."""

import numpy as np

from enilnets._ext import optim

SPANS = np.array([[0, 700, 1], [700, 2000, 0], [2100, 2500, 1]])
L2, SCALE = 0.01, 0.5


#: Parameters of the spans, for the rule that looks at whole parameters: the second has two spans.
OWNERS = np.array([0, 1, 1])


def masks(n):
    """Which of n elements lie in SPANS, and which of them are penalised."""
    inside, penalised = np.zeros((2, n), bool)
    for start, stop, is_penalised in SPANS:
        inside[start:stop] = True
        penalised[start:stop] = is_penalised
    return inside, penalised


def sgd_step(w, velocity, g, lr, momentum):
    velocity = momentum * velocity - lr * g
    return w + velocity, velocity


def rmsprop_step(w, v, g, lr, rho, eps):
    v = rho * v + (1 - rho) * g**2
    return w - lr * g / (np.sqrt(v) + eps), v


def adagrad_step(w, v, g, lr, eps):
    v = v + g**2
    return w - lr * g / (np.sqrt(v) + eps), v


def adam_step(w, m, v, g, lr, beta1, beta2, eps, t):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def nesterov_step(w, velocity, g, lr, momentum):
    velocity = momentum * velocity - lr * g
    return w + momentum * velocity - lr * g, velocity


def adadelta_step(w, d, v, g, lr, rho, eps):
    v = rho * v + (1 - rho) * g**2
    step = np.sqrt(d + eps) / np.sqrt(v + eps) * g
    return w - lr * step, rho * d + (1 - rho) * step**2, v


def adamw_step(w, m, v, g, decay, lr, *settings):
    shrunk = w - lr * decay * w
    new, m, v = adam_step(w, m, v, g, lr, *settings)
    return shrunk + (new - w), m, v


def amsgrad_step(w, m, v, u, g, lr, beta1, beta2, eps, t):
    _, m, v = adam_step(w, m, v, g, lr, beta1, beta2, eps, t)
    u = np.maximum(u, v)
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(u / (1 - beta2**t)) + eps), m, v, u


def adamax_step(w, m, u, g, lr, beta1, beta2, eps, t):
    m = beta1 * m + (1 - beta1) * g
    u = np.maximum(beta2 * u, np.abs(g))
    return w - lr / (1 - beta1**t) * m / (u + eps), m, u


def nadam_step(w, m, v, g, lr, beta1, beta2, eps, decay, t):
    _, m, v = adam_step(w, m, v, g, lr, beta1, beta2, eps, t)
    mu = [beta1 * (1 - 0.5 * 0.96 ** (i * decay)) for i in range(1, t + 2)]
    m_hat = mu[t] * m / (1 - np.prod(mu)) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
    return w - lr * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def radam_step(w, m, v, g, lr, beta1, beta2, eps, t):
    _, m, v = adam_step(w, m, v, g, lr, beta1, beta2, eps, t)
    m_hat, longest = m / (1 - beta1**t), 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    if length <= 5:
        return w - lr * m_hat, m, v
    r = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return w - lr * r * m_hat * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps), m, v


def lion_step(w, m, g, decay, lr, beta1, beta2):
    return w - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * w), beta2 * m + (1 - beta2) * g


def lamb_direction(w, m, v, g, decay, beta1, beta2, eps, t):
    _, m, v = adam_step(w, m, v, g, 1.0, beta1, beta2, eps, t)
    return (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps) + decay * w, m, v


def lamb_step(w, m, v, g, decay, lr, beta1, beta2, eps, t):
    """One step of a single parameter, which ``w`` is."""
    direction, m, v = lamb_direction(w, m, v, g, decay, beta1, beta2, eps, t)
    size, length = np.linalg.norm(w), np.linalg.norm(direction)
    return w - lr * (size / length if size and length else 1.0) * direction, m, v


def radam_rates(lr, beta1, beta2, t):
    """What the kernel takes for ``lr``: the rates without and with the second moment."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    if length <= 5:
        return lr / (1 - beta1**t), 0.0
    r = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return 0.0, lr * r * np.sqrt(1 - beta2**t) / (1 - beta1**t)


def nadam_rates(lr, beta1, decay, t):
    """What the kernel takes for ``lr``: the rates of the gradient and of its mean."""
    mu = [beta1 * (1 - 0.5 * 0.96 ** (i * decay)) for i in range(1, t + 2)]
    return lr * (1 - mu[t - 1]) / (1 - np.prod(mu[:t])), lr * mu[t] / (1 - np.prod(mu))


def check_step(kernel, oracle, slots, arguments, oracle_arguments, decoupled=False):
    def case(rng, dtype):
        n = 2500
        w, g = rng.normal(size=(2, n))
        state = [rng.random(n) for _ in range(slots)]
        ours = [a.astype(dtype) for a in (w, *state, g)]
        w, *state, g = [a.astype(np.float64) for a in ours]
        assert kernel(*ours, SPANS, *arguments, L2, SCALE) == -1
        inside, penalised = masks(n)
        g = SCALE * g + (0 if decoupled else L2 * penalised * w)
        decay = (L2 * penalised,) if decoupled else ()
        expected = [
            np.where(inside, new, old)
            for new, old in zip(oracle(w, *state, g, *decay, *oracle_arguments), (w, *state), strict=True)
        ]
        for got, want in zip(ours[:-1], expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=20 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)

    return case


def check_radam(rng, dtype):
    for t in (3, 60):  # before and after the second moment is used
        rates = radam_rates(0.1, 0.9, 0.99, t)
        check_step(optim.radam, radam_step, 2, (*rates, 0.9, 0.99, 1e-8), (0.1, 0.9, 0.99, 1e-8, t))(rng, dtype)


def check_lamb(rng, dtype):
    for sizes in (1.0, 0.0):  # a parameter that is all zeros takes the step as it is
        n = 2500
        w, m, v, g = (a.astype(dtype) for a in (sizes * rng.normal(size=n), *rng.random((2, n)), rng.normal(size=n)))
        wide = [a.astype(np.float64) for a in (w, m, v, g)]
        correct = 1 - 0.9**3, 1 - 0.99**3
        assert optim.lamb(w, m, v, g, SPANS, OWNERS, 0.1, 0.9, 0.99, 1e-6, *correct, L2, SCALE) == -1
        _, penalised = masks(n)
        expected = [a.copy() for a in wide[:3]]
        for owner in (0, 1):
            mine = np.concatenate([np.arange(a, b) for (a, b, _), o in zip(SPANS, OWNERS, strict=True) if o == owner])
            new = lamb_step(
                *(a[mine] for a in wide[:3]), SCALE * wide[3][mine], L2 * penalised[mine], 0.1, 0.9, 0.99, 1e-6, 3
            )
            for want, part in zip(expected, new, strict=True):
                want[mine] = part
        for got, want in zip((w, m, v), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=40 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


def case_sum_of_squares(rng, dtype):
    for n in (0, 1, 7, 8, 9, 1023, 5000):
        x = rng.normal(size=n).astype(dtype)
        np.testing.assert_allclose(optim.squared_norm(x), np.sum(x.astype(np.float64) ** 2), rtol=1e-13)


def case_first_non_finite(rng, dtype):
    for n in (0, 1, 1023, 1024, 1025, 5000):
        x = rng.normal(size=n).astype(dtype)
        assert optim.find_non_finite(x) == -1
        for index in {0, n // 2, n - 1} - {-1} if n else ():
            for bad in (np.nan, np.inf, -np.inf):
                y = x.copy()
                y[index] = y[-1] = bad
                assert optim.find_non_finite(y) == index


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "sgd_step": check_step(optim.sgd, sgd_step, 1, (0.1, 0.9), (0.1, 0.9)),
    "rmsprop_step": check_step(optim.rmsprop, rmsprop_step, 1, (0.1, 0.99, 1e-8), (0.1, 0.99, 1e-8)),
    "adagrad_step": check_step(optim.adagrad, adagrad_step, 1, (0.1, 1e-8), (0.1, 1e-8)),
    "adam_step": check_step(
        optim.adam, adam_step, 2, (0.1, 0.9, 0.99, 1e-8, 1 - 0.9**3, 1 - 0.99**3), (0.1, 0.9, 0.99, 1e-8, 3)
    ),
    "nesterov_step": check_step(optim.nesterov, nesterov_step, 1, (0.1, 0.9), (0.1, 0.9)),
    "adadelta_step": check_step(optim.adadelta, adadelta_step, 2, (0.1, 0.9, 1e-6), (0.1, 0.9, 1e-6)),
    "adamw_step": check_step(
        optim.adamw, adamw_step, 2, (0.1, 0.9, 0.99, 1e-8, 1 - 0.9**3, 1 - 0.99**3), (0.1, 0.9, 0.99, 1e-8, 3), True
    ),
    "amsgrad_step": check_step(
        optim.amsgrad, amsgrad_step, 3, (0.1, 0.9, 0.99, 1e-8, 1 - 0.9**3, 1 - 0.99**3), (0.1, 0.9, 0.99, 1e-8, 3)
    ),
    "adamax_step": check_step(
        optim.adamax, adamax_step, 2, (0.1, 0.9, 0.99, 1e-8, 1 - 0.9**3), (0.1, 0.9, 0.99, 1e-8, 3)
    ),
    "nadam_step": check_step(
        optim.nadam,
        nadam_step,
        2,
        (*nadam_rates(0.1, 0.9, 0.004, 3), 0.9, 0.99, 1e-8, 1 - 0.99**3),
        (0.1, 0.9, 0.99, 1e-8, 0.004, 3),
    ),
    "radam_step": check_radam,
    "lion_step": check_step(optim.lion, lion_step, 1, (0.1, 0.9, 0.99), (0.1, 0.9, 0.99), True),
    "lamb_moments": check_lamb,
    "lamb_apply": check_lamb,
    "sum_of_squares": case_sum_of_squares,
    "first_non_finite": case_first_non_finite,
}
