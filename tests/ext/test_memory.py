"""enilnets._ext.memory: blocks that are used again, but never while something refers to them."""

import os
import threading

import numpy as np
import pytest

from enilnets._ext import memory
from enilnets.ops.array import LARGE, empty

keeps = pytest.mark.skipif(not memory.KEEPS_MEMORY, reason="this build gives memory back at once")


@pytest.fixture(autouse=True)
def nothing_kept():
    memory.release()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 255, 256, 257, 4095, 4097, 100_000, 2**20 + 1, 3 * 2**20])
def test_blocks_hold_what_they_promise(size):
    block = memory.Block(size)
    view = np.frombuffer(block, np.uint8) if size else np.ndarray(0, np.uint8, block)
    assert block.size == size == view.size and view.flags.writeable and view.ctypes.data % 64 == 0
    view[...] = 7
    assert (view == 7).all()


@pytest.mark.parametrize("size, error", [(-1, ValueError), (2**62, MemoryError), (2**63 - 1, MemoryError)])
def test_impossible_sizes_are_refused(size, error):
    before = memory.in_use()
    with pytest.raises(error):
        memory.Block(size)
    assert memory.in_use() == before


@pytest.mark.parametrize("size", ["1", 1.5, None, 2**63])
def test_what_is_no_size_is_refused(size):
    with pytest.raises((TypeError, OverflowError)):
        memory.Block(size)


@keeps
def test_a_block_comes_back_when_the_last_view_is_gone():
    array = empty((100, 1000), np.dtype(np.float64))
    address, view = array.ctypes.data, array[3:5].T
    del array
    other = empty((100, 1000), np.dtype(np.float64))
    assert other.ctypes.data != address
    del view
    assert empty((100, 1000), np.dtype(np.float64)).ctypes.data == address


@keeps
def test_sizes_of_one_class_share_their_blocks():
    first = memory.Block(100_000)
    address = np.frombuffer(first, np.uint8).ctypes.data
    del first
    assert np.frombuffer(memory.Block(99_000), np.uint8).ctypes.data == address


@keeps
def test_no_more_is_kept_than_was_in_use_at_one_time():
    blocks = [memory.Block(10**6) for _ in range(10)]
    most = memory.in_use()
    del blocks
    assert memory.in_use() + memory.kept() == most
    for size in (3 * 10**6, 5 * 10**6, 2 * 10**6, 10**5):  # of other classes: what is kept has to make room
        block = memory.Block(size)
        assert memory.in_use() + memory.kept() <= most
        del block
    memory.release()
    assert memory.kept() == 0


def test_small_arrays_stay_with_numpy():
    before = memory.in_use()
    array = empty(LARGE // 8 - 1, np.dtype(np.float64))
    assert memory.in_use() == before and array.flags.owndata
    assert empty((0, 5), np.dtype(np.float32)).shape == (0, 5)


def test_blocks_from_many_threads():
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            arrays = [empty(int(n), np.dtype(np.float32)) for n in rng.integers(1, 60_000, 4)]
            for i, array in enumerate(arrays):
                array[...] = seed * 10 + i
            if any((array != seed * 10 + i).any() for i, array in enumerate(arrays)):
                wrong.append(seed)

    crowd = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_has_memory_of_its_own():
    array = empty(100_000, np.dtype(np.float64))
    array[...] = 1
    child = os.fork()
    if child == 0:
        array[...] = 2
        others = [empty(100_000, np.dtype(np.float64)) for _ in range(3)]
        os._exit(0 if len(others) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (array == 1).all()
