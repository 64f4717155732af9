"""The limit on threads, and the pool under what a program may do: fork, call from many threads, run out of them."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import enilnets
from enilnets._ext import threads as pool
from enilnets.errors import ConfigError
from enilnets.ops import threads
from enilnets.ops.matmul import matmul

needs_pool = pytest.mark.skipif(not pool.HAS_POOL, reason="no POSIX threads here")


@pytest.fixture
def limit():
    before = pool.process_limit()
    yield
    pool.set_process_limit(before)


def large(rng):
    return rng.normal(size=(300, 400)).astype(np.float32), rng.normal(size=(400, 500)).astype(np.float32)


def test_the_limit_is_set_and_read(limit):
    enilnets.set_num_threads(3)
    assert enilnets.get_num_threads() == 3
    with enilnets.num_threads(5):
        assert enilnets.get_num_threads() == 5
        with enilnets.num_threads(1):
            assert enilnets.get_num_threads() == 1
        assert enilnets.get_num_threads() == 5
    assert enilnets.get_num_threads() == 3


def test_a_context_counts_for_its_own_thread(limit):
    enilnets.set_num_threads(2)
    with enilnets.num_threads(7), ThreadPoolExecutor(1) as other:
        assert other.submit(enilnets.get_num_threads).result() == 2


def test_a_context_ends_with_an_error(limit):
    before = enilnets.get_num_threads()
    with pytest.raises(KeyError), enilnets.num_threads(before + 1):
        raise KeyError
    assert enilnets.get_num_threads() == before


@pytest.mark.parametrize("n", [0, -1, 257, 10**30, 1.5, "2", None, True])
def test_what_is_no_number_of_threads_is_refused(n, limit):
    before = enilnets.get_num_threads()
    with pytest.raises(ConfigError, match=r"set_num_threads.*n"):
        enilnets.set_num_threads(n)
    with pytest.raises(ConfigError, match=r"num_threads.*n"), enilnets.num_threads(n):
        pass
    assert enilnets.get_num_threads() == before


@pytest.mark.parametrize("n", [-1, 257, 2**40])
def test_the_module_refuses_them_too(n):
    with pytest.raises(ValueError, match="threads"):
        pool.set_process_limit(n)
    with pytest.raises(ValueError, match="threads"):
        pool.set_thread_limit(n)


@pytest.mark.parametrize("setting, expected", [("3", "3"), ("1", "1"), ("", str(threads.available_processors()))])
def test_the_environment_sets_the_limit(setting, expected):
    code = "import enilnets; print(enilnets.get_num_threads())"
    env = {**os.environ, "ENILNETS_NUM_THREADS": setting}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


@pytest.mark.parametrize("setting", ["0", "-1", "many", "1.5", "257", "²"])
def test_a_bad_setting_is_named(setting):
    env = {**os.environ, "ENILNETS_NUM_THREADS": setting}
    done = subprocess.run([sys.executable, "-c", "import enilnets"], env=env, capture_output=True, text=True)
    assert done.returncode and "ENILNETS_NUM_THREADS" in done.stderr and "ConfigError" in done.stderr


@pytest.mark.parametrize(
    "files, quota",
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_quotas_of_control_groups(tmp_path, files, quota):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert threads._control_group_quota(tmp_path) == quota


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_counts():
    code = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "import enilnets; print(enilnets.get_num_threads())"
    )
    env = {**os.environ, "ENILNETS_NUM_THREADS": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@needs_pool
def test_workers_start_when_they_are_needed(rng):
    with enilnets.num_threads(4):
        matmul(*large(rng))
    assert pool.workers() >= 3


@needs_pool
def test_small_work_starts_none():
    code = (
        "import numpy as np, enilnets; from enilnets.ops.matmul import matmul; from enilnets._ext import threads\n"
        "with enilnets.num_threads(4): matmul(np.ones((30, 30)), np.ones((30, 30)))\n"
        "print(threads.workers())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@needs_pool
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_has_a_pool_of_its_own(rng):
    a, b = large(rng)
    with enilnets.num_threads(3):
        expected = matmul(a, b)
        for _ in range(5):
            child = os.fork()
            if child == 0:
                started = pool.workers()
                right = all((matmul(a, b) == expected).all() for _ in range(3))
                os._exit(0 if right and started == 0 and pool.workers() == 2 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert (matmul(a, b) == expected).all()


@needs_pool
def test_calls_from_many_threads_at_once(rng):
    a, b = large(rng)
    expected, wrong = matmul(a, b), []

    def work():
        with enilnets.num_threads(3):
            for _ in range(40):
                if not (matmul(a, b) == expected).all():
                    wrong.append(1)

    crowd = [threading.Thread(target=work) for _ in range(6)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert not wrong


@needs_pool
def test_many_short_regions(rng):
    a, b = rng.normal(size=(100, 100)).astype(np.float32), rng.normal(size=(100, 200)).astype(np.float32)
    expected = matmul(a, b)
    for n in (2, 8, 3, 256, 2):
        with enilnets.num_threads(n):
            for _ in range(300):
                assert (matmul(a, b) == expected).all()
