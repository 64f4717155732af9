"""enilnets.generative.sampling: distributions, extremes, dtypes and shapes, seeds, and what is refused."""

import inspect
import math

import numpy as np
import pytest

import enilnets
from enilnets.errors import ConfigError, DataError, DTypeError, NonFiniteError, ShapeError
from enilnets.generative import sampling
from enilnets.generative.sampling import (
    gaussian_sample,
    gumbel_softmax_sample,
    langevin_dynamics,
    random_mask,
    reparameterize,
    top_p_sampling,
    uniform_sample,
)

#: Every function that draws, with arguments.
DRAWS = {
    "reparameterize": ([0.0, 1.0], [0.0, 1.0]),
    "langevin_dynamics": (lambda x: (0.0, x), [1.0, 2.0]),
    "gaussian_sample": (0.0, 1.0, (3,)),
    "uniform_sample": (0.0, 1.0, (3,)),
    "gumbel_softmax_sample": ([[1.0, 2.0, 3.0]] * 20,),
    "random_mask": ((20,), 0.5),
    "top_p_sampling": ([[1.0, 2.0, 3.0]] * 20,),
}


@pytest.mark.contract("P1", "P3")
def test_names():
    for name in ("reparameterize", "langevin_dynamics", "gaussian_sample", "uniform_sample", "random_mask"):
        assert getattr(enilnets, name) is getattr(sampling, name)
    assert enilnets.gumbel_softmax_sample is gumbel_softmax_sample
    assert enilnets.compute_returns is sampling.compute_returns and enilnets.gae is sampling.gae


@pytest.mark.parametrize("name", DRAWS)
def test_seeds(name):
    function, arguments = getattr(sampling, name), DRAWS[name]
    assert inspect.signature(function).parameters["rng"].default is None
    np.testing.assert_array_equal(function(*arguments, rng=1), function(*arguments, rng=np.random.default_rng(1)))
    assert (function(*arguments, rng=1) != function(*arguments, rng=2)).any()
    assert any((function(*arguments) != function(*arguments)).any() for _ in range(5))
    with pytest.raises(ConfigError, match=rf"{name}\(rng\)"):
        function(*arguments, rng="1")


class TestReparameterize:
    @pytest.mark.contract("M1")
    def test_distribution(self, rng, dtype):
        mu, logvar = np.full((3, 50_000), [[-1], [0], [2]], dtype), np.full((3, 50_000), [[0], [2], [-4]], dtype)
        z = reparameterize(mu, logvar, rng=rng)
        assert z.dtype == dtype and z.shape == mu.shape
        np.testing.assert_allclose(z.mean(axis=1), [-1, 0, 2], atol=0.08)
        np.testing.assert_allclose(z.std(axis=1), np.exp([0, 1, -2]), rtol=0.02)
        eps = reparameterize(np.zeros(4), np.zeros(4), rng=7)  # mu + exp(logvar / 2) eps of the same eps
        np.testing.assert_allclose(reparameterize(np.arange(4), np.full(4, 2.0), rng=7), np.arange(4) + math.e * eps)

    def test_edges(self):
        np.testing.assert_array_equal(reparameterize([1, 2], [-1e4, -1e4]), [1, 2])
        assert reparameterize(1.0, 0.0).shape == () and reparameterize(np.ones((2, 0, 3)), np.ones((2, 0, 3))).size == 0
        for error, arguments in (
            (ShapeError, (np.ones((3, 1)), np.ones(3))),
            (ShapeError, (np.ones(3), 0.0)),
            (DataError, ([np.nan], [0.0])),
            (DataError, ([0.0], [1e4])),
            (DTypeError, (["a"], [0.0])),
        ):
            with pytest.raises(error, match="reparameterize"):
                reparameterize(*arguments)


class TestLangevin:
    @pytest.mark.contract("M2")
    def test_steps_by_hand(self):
        start, seen = np.array([4.0, -2.0]), []

        def energy(x):
            seen.append(x.copy())
            return 0.5 * np.sum(x**2), x

        x = langevin_dynamics(energy, start, n_steps=2, step_size=0.5, noise_scale=0.0)
        assert x.tolist() == [1, -0.5] and start.tolist() == [4, -2]
        assert [s.tolist() for s in seen] == [[4, -2], [2, -1]]
        seen.clear()
        assert langevin_dynamics(energy, start).shape == (2,) and len(seen) == 20
        same = langevin_dynamics(energy, start, n_steps=0)
        assert same.tolist() == [4, -2] and same is not start

    @pytest.mark.contract("M2")
    def test_noise(self, rng, dtype):
        start = np.zeros(20_000, dtype)
        x = langevin_dynamics(lambda x: (0.0, np.zeros_like(x)), start, n_steps=9, noise_scale=0.5, rng=rng)
        assert x.dtype == dtype and not start.any()
        assert x.std() == pytest.approx(1.5, rel=0.03) and abs(x.mean()) < 0.06

    def test_samples_the_boltzmann_distribution(self, rng):
        start = np.full(20_000, 3.0)
        x = langevin_dynamics(lambda x: (0.0, x), start, 200, step_size=0.05, noise_scale=math.sqrt(0.1), rng=rng)
        assert abs(x.mean()) < 0.05 and x.var() == pytest.approx(1 / (1 - 0.05 / 2), rel=0.05)  # exact for this walk

    def test_refuses(self):
        good = [1.0, 2.0]
        for error, arguments, options, message in (
            (ConfigError, (1.0, good), {}, "energy_fn"),
            (ConfigError, (lambda x: x, good), {}, r"a result \(energy, gradient\)"),
            (ShapeError, (lambda x: (0.0, x[:1]), good), {}, "a gradient of shape"),
            (NonFiniteError, (lambda x: (0.0, x * np.nan), good), {}, "finite gradient"),
            (DataError, (lambda x: (0.0, x), [np.inf]), {}, "x_init"),
            (ConfigError, (lambda x: (0.0, x), good), {"n_steps": -1}, "n_steps"),
            (ConfigError, (lambda x: (0.0, x), good), {"step_size": -1}, "step_size"),
            (ConfigError, (lambda x: (0.0, x), good), {"noise_scale": math.nan}, "noise_scale"),
        ):
            with pytest.raises(error, match=message):
                langevin_dynamics(*arguments, **options)

    def test_errors_of_the_energy_come_through(self):
        def energy(x):
            raise TypeError("of its own")

        with pytest.raises(TypeError, match="of its own"):
            langevin_dynamics(energy, [1.0])


class TestGaussianAndUniform:
    @pytest.mark.contract("M3")
    def test_gaussian(self, rng, dtype):
        mean, std = np.array([-1, 5], dtype), np.array([1, 3], dtype)
        x = gaussian_sample(mean, std, (50_000, 2), rng=rng)
        assert x.dtype == dtype and x.shape == (50_000, 2)
        np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.07)
        np.testing.assert_allclose(x.std(axis=0), std, rtol=0.02)
        assert gaussian_sample(mean, std).shape == (2,)
        assert gaussian_sample(mean, 1).dtype == dtype  # Python's numbers have no dtype of their own
        np.testing.assert_array_equal(gaussian_sample(mean, 0.0), mean)

    @pytest.mark.defect("G9")
    def test_numbers_without_a_shape(self):
        assert gaussian_sample(0.0, 1.0).shape == uniform_sample(0, 1).shape == ()
        for x in (gaussian_sample(0.0, [1.0, 1.0], rng=0), uniform_sample(0.0, [1.0, 1.0], rng=0)):
            assert x.shape == (2,) and x[0] != x[1]  # noise of its own for every element

    @pytest.mark.contract("M3")
    def test_uniform(self, rng, dtype):
        low, high = np.array([-1, 0], dtype), np.array([1, 10], dtype)
        x = uniform_sample(low, high, (50_000, 2), rng=rng)
        assert x.dtype == dtype and (x >= low).all() and (x <= high).all()
        np.testing.assert_allclose(x.mean(axis=0), [0, 5], atol=0.1)
        np.testing.assert_allclose(x.var(axis=0), [4 / 12, 100 / 12], rtol=0.03)
        assert uniform_sample(2.0, 2.0, 3).tolist() == [2, 2, 2]

    def test_uniform_leaves_its_upper_end_out_where_sums_are_rounded(self, dtype):
        low = np.array(1, dtype)
        for high in (np.nextafter(low, np.array(2, dtype)), low + 8 * np.finfo(dtype).eps):
            x = uniform_sample(low, high, 1000, rng=0)
            assert x.dtype == dtype and (x >= low).all() and (x < high).all()

    def test_refuses(self):
        for function, error, arguments in (
            (gaussian_sample, DataError, (0.0, -1.0)),
            (gaussian_sample, DataError, (0.0, np.nan)),
            (gaussian_sample, ShapeError, (np.zeros(3), 1.0, (4,))),
            (gaussian_sample, ShapeError, (np.zeros((2, 3)), 1.0, (3,))),
            (gaussian_sample, ShapeError, (np.zeros(3), np.ones(2))),
            (gaussian_sample, ConfigError, (0.0, 1.0, -1)),
            (gaussian_sample, ConfigError, (0.0, 1.0, 2.5)),
            (uniform_sample, DataError, (1.0, 0.0, 3)),
            (uniform_sample, DataError, (-1e308, 1e308, 3)),
            (uniform_sample, DataError, (0.0, np.inf, 3)),
            (uniform_sample, DTypeError, ("a", 1.0, 3)),
        ):
            with pytest.raises(error, match=function.__name__):
                function(*arguments)


class TestGumbelSoftmax:
    @pytest.mark.contract("M4")
    @pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
    def test_relaxed(self, shape, rng, dtype):
        logits = rng.normal(size=(*shape, 5)).astype(dtype)
        y = gumbel_softmax_sample(logits, temperature=0.7, rng=1)
        assert y.dtype == dtype and y.shape == logits.shape and (y >= 0).all()
        np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)
        hard = gumbel_softmax_sample(logits, temperature=0.7, hard=True, rng=1)
        assert hard.dtype == dtype
        np.testing.assert_array_equal(hard, y == y.max(axis=-1, keepdims=True))  # exactly 0 and 1

    @pytest.mark.contract("M4")
    def test_hard_samples_are_categorical(self, rng):
        p = np.array([0.6, 0.3, 0.1])
        logits = np.broadcast_to(np.log(p), (40_000, 3))
        for temperature in (0.1, 5.0):  # which does not matter for them
            counts = gumbel_softmax_sample(logits, temperature, hard=True, rng=rng).mean(axis=0)
            np.testing.assert_allclose(counts, p, atol=0.012)

    @pytest.mark.contract("M4")
    def test_formula(self):
        logits, seed = np.array([0.5, -1.0, 2.0]), 3
        gumbel = -np.log(np.random.default_rng(seed).standard_exponential(3))
        e = np.exp((logits + gumbel) / 0.8)
        np.testing.assert_allclose(gumbel_softmax_sample(logits, 0.8, rng=seed), e / e.sum(), rtol=1e-12)

    @pytest.mark.defect("G8")
    @pytest.mark.parametrize("temperature", [1e-300, 0.5, 1.0, 1e300])
    def test_extreme_logits(self, temperature, dtype):
        for logits in ([[1e4, 0.0, -1e4]], [[-1e4, -np.inf, -2e4]], [[1e4, -np.inf, -np.inf]], [[0.0, -np.inf, -1e4]]):
            for hard in (False, True):
                y = gumbel_softmax_sample(np.array(logits, dtype), temperature, hard, rng=0)
                assert np.isfinite(y).all() and y.sum() == pytest.approx(1, rel=1e-6)
                if temperature <= 1 or hard:
                    assert y.tolist() == [[1, 0, 0]]
                assert y[0, 1] == 0 or logits[0][1] != -np.inf

    @pytest.mark.defect("G8")
    def test_hard_has_any_number_of_axes(self):
        for shape in ((3,), (2, 3), (2, 2, 3), (0, 3)):
            y = gumbel_softmax_sample(np.zeros(shape), hard=True)
            assert y.shape == shape and (y.sum(axis=-1) == 1).all()


class TestRandomMask:
    @pytest.mark.contract("M5")
    def test_share(self, rng):
        mask = random_mask((200, 300), 0.3, rng=rng)
        assert mask.dtype == np.float64 and set(np.unique(mask)) == {0.0, 1.0}
        assert mask.mean() == pytest.approx(0.3, abs=0.01)
        assert random_mask(5, 0.0).tolist() == [0] * 5 and random_mask([2, 1], 1).tolist() == [[1], [1]]
        assert random_mask((), 1).shape == () and random_mask((0, 3), 0.5).shape == (0, 3)

    def test_refuses(self):
        for arguments in ((3, 1.1), (3, -0.1), (3, np.nan), (-1, 0.5), (2.5, 0.5), (None, 0.5)):
            with pytest.raises(ConfigError, match="random_mask"):
                random_mask(*arguments)


class TestTopP:
    P = np.array([0.1, 0.6, 0.3])

    def shares(self, p, n=20_000, **options):
        return top_p_sampling(np.broadcast_to(np.log(self.P), (n, 3)), p, rng=0, **options).mean(axis=0)

    @pytest.mark.contract("M6")
    @pytest.mark.defect("G8")
    def test_the_crossing_token_is_kept(self):
        np.testing.assert_allclose(self.shares(0.7), [0, 2 / 3, 1 / 3], atol=0.012)
        np.testing.assert_allclose(self.shares(0.95), self.P, atol=0.012)
        np.testing.assert_allclose(self.shares(1.0), self.P, atol=0.012)
        for p in (0.0, 0.3, 0.59):  # always at least the top token, and it alone where it exceeds p
            assert self.shares(p, 300).tolist() == [0, 1, 0]

    @pytest.mark.contract("M6")
    def test_smallest_set_that_exceeds(self):
        quarter = np.log([0.25, 0.25, 0.5])
        assert top_p_sampling(np.broadcast_to(quarter, (500, 3)), 0.25, rng=0).mean(axis=0).tolist() == [0, 0, 1]
        shares = top_p_sampling(np.broadcast_to(quarter, (20_000, 3)), 0.6, rng=0).mean(axis=0)
        np.testing.assert_allclose(shares, [1 / 3, 0, 2 / 3], atol=0.012)  # of equals, the first

    @pytest.mark.contract("M6")
    def test_temperature_and_top_k(self):
        expected = np.sqrt(self.P) / np.sqrt(self.P).sum()
        np.testing.assert_allclose(self.shares(1.0, temperature=2.0), expected, atol=0.012)
        np.testing.assert_allclose(self.shares(1.0, top_k=2), [0, 2 / 3, 1 / 3], atol=0.012)
        assert self.shares(0.65, 500, top_k=2).tolist() == [0, 1, 0]  # 2/3 of those two exceeds 0.65
        assert self.shares(1.0, 500, top_k=1).tolist() == [0, 1, 0]
        np.testing.assert_allclose(self.shares(1.0, top_k=9), self.P, atol=0.012)

    @pytest.mark.contract("M6")
    @pytest.mark.defect("G8")
    def test_shapes_and_dtypes(self, rng, dtype):
        for shape in ((5,), (2, 5), (2, 3, 5), (0, 5), (4, 1)):
            y = top_p_sampling(rng.normal(size=shape).astype(dtype), 0.9)
            assert y.shape == shape and y.dtype == dtype and (y.sum(axis=-1) == 1).all()
            assert set(np.unique(y)) <= {0.0, 1.0}

    @pytest.mark.defect("G8")
    def test_extreme_logits(self, dtype):
        for p in (0.0, 0.5, 1.0):
            for temperature in (1e-300, 1.0, 1e300):
                rows = np.array([[1e4, 0, -1e4], [-1e4, -np.inf, -1e5], [5, -np.inf, -np.inf]], dtype)
                y = top_p_sampling(rows, p, temperature, rng=0)
                assert (y.sum(axis=-1) == 1).all() and y[2].tolist() == [1, 0, 0] and y[1, 1] == 0
                if temperature <= 1:
                    assert y.tolist() == [[1, 0, 0]] * 3

    def test_no_impossible_token_in_many_draws(self):
        logits = np.broadcast_to(np.r_[np.zeros(3), np.full(1000, -np.inf)], (5000, 1003))
        assert not top_p_sampling(logits, 1.0, rng=0)[:, 3:].any()


@pytest.mark.parametrize("function", [gumbel_softmax_sample, top_p_sampling])
def test_logits_that_are_refused(function):
    for error, logits in (
        (DataError, [0.0, np.nan]),
        (DataError, [0.0, np.inf]),
        (DataError, [[0.0, 1.0], [-np.inf, -np.inf]]),
        (DataError, np.ma.array([0.0, 1.0], mask=[False, True])),
        (ShapeError, 1.0),
        (ShapeError, np.ones((3, 0))),
        (DTypeError, ["a"]),
        (DTypeError, [1j]),
    ):
        with pytest.raises(error, match=rf"{function.__name__}\(logits\)"):
            function(logits)
    for options in ({"temperature": 0}, {"temperature": -1}, {"temperature": np.nan}, {"temperature": True}):
        with pytest.raises(ConfigError, match="temperature"):
            function([0.0, 1.0], **options)
    for options in ({"p": 1.1}, {"p": -0.1}, {"top_k": 0}) if function is top_p_sampling else ({"hard": 1},):
        with pytest.raises(ConfigError, match=next(iter(options))):
            function([0.0, 1.0], **options)
