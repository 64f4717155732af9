"""Every compiled function on arrays beside memory that nobody may touch.

The cases of tests/reference run again, for every dtype and instruction set, with each array moved to pages of its own
between two protected ones: first so that it ends, then so that it begins, where protection begins. A kernel that reads
or writes one element too far dies on the spot, also where it would have met only the next view of a larger array and
no sanitizer could tell. That takes a process of its own, which says what it is about to call.
"""

import ctypes
import importlib
import mmap
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from enilnets import _ext
from enilnets.ops import isa as instruction_sets

LIBC = ctypes.CDLL(None)
PROT_NONE = 0

#: Functions of the compiled modules that take no arrays, or only look at their shapes; all others have to be called.
NO_ARRAYS = {"form", "kernels", "select", "workspace"}


def guarded(array, side):
    """Return a copy of ``array`` whose last byte ("end") or first byte ("begin") lies beside a protected page."""
    steps = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)] if array.size else []
    before, after = -sum(min(step, 0) for step in steps), sum(max(step, 0) for step in steps)
    span = before + after + array.itemsize if array.size else 0
    size = -(-span // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + 2 * mmap.PAGESIZE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (first, first + mmap.PAGESIZE + size):
        if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE):
            raise OSError("mprotect failed")
    offset = mmap.PAGESIZE + before + (size - span if side == "end" else 0)
    copy = np.ndarray(array.shape, array.dtype, memory, offset, array.strides)
    copy[...] = array
    return copy


class Guarded:
    """A compiled module whose functions work on guarded copies of the arrays they are given."""

    def __init__(self, module, side):
        self.module, self.side, self.called = module, side, set()

    def __getattr__(self, name):
        def call(*arguments, **named):
            given = [*arguments, *named.values()]
            arrays = {id(a): a for a in given if isinstance(a, np.ndarray)}  # the same object stays the same object
            copies = {key: guarded(a, self.side) for key, a in arrays.items()}
            print(self.module.__name__, name, *[f"{a.dtype}{a.shape}" for a in arrays.values()], flush=True)
            result = getattr(self.module, name)(
                *[copies.get(id(a), a) for a in arguments], **{key: copies.get(id(a), a) for key, a in named.items()}
            )
            for key, a in arrays.items():
                if a.flags.writeable:
                    a[...] = copies[key]
            self.called.add(name)
            return result

        return call


def run_every_case(side):
    """What the child does: every case of tests/reference, which is imported with ``Guarded`` in the modules' places."""
    modules = {concern: Guarded(module, side) for concern, module in instruction_sets.CONCERNS.items()}
    vars(_ext).update(modules)
    for concern, kernel, dtype, isa in instruction_sets.variants():
        cases = importlib.import_module(f"tests.reference.{concern}").CASES
        print(isa, kernel)
        with instruction_sets.using(isa):
            cases[kernel](np.random.default_rng(1), np.dtype(dtype))
    for concern, module in instruction_sets.CONCERNS.items():
        functions = {name for name, f in vars(module).items() if callable(f) and not name.startswith("_")}
        left_out = functions - modules[concern].called - NO_ARRAYS
        assert not left_out, f"no case of tests/reference/{concern}.py calls {', '.join(sorted(left_out))}"


def run_programs(side):
    """The same for a program, which keeps the arrays it is given: every one lies beside a protected page."""
    for isa in instruction_sets.available():
        for dtype in ("float32", "float64"):
            with instruction_sets.using(isa):
                for rows, widths in ((1, (1, 1, 1)), (2, (5, 7, 3)), (33, (13, 97, 31)), (64, (4, 64, 2))):
                    print("program", isa, dtype, rows, widths, flush=True)
                    run_program(side, np.dtype(dtype), rows, *widths)


def run_program(side, dtype, rows, n_in, n_hidden, n_out):
    def array(*shape):
        return guarded(np.ones(shape, dtype), side)

    def gradient(*shape):
        return SimpleNamespace(grad=array(*shape), fresh=False, accumulate=lambda gradient: None)

    def dense(inputs, outputs):
        arrays, gradients = (array(outputs, inputs), array(outputs)), (gradient(outputs, inputs), gradient(outputs))
        return "dense", inputs, outputs, "tanh", arrays, gradients, False, 0.0, 0.0

    statistics = tuple(array(n_hidden) for _ in range(4))
    learned = gradient(n_hidden), gradient(n_hidden)
    norm = "batchnorm", n_hidden, n_hidden, "linear", statistics, learned, True, 1e-5, 0.1
    program = _ext.chain.Program([dense(n_in, n_hidden), norm, dense(n_hidden, n_out)], dtype)
    x, dy = array(rows, n_in), array(rows, n_out)
    for keep_z in (False, True):
        passed = program.forward(x, True, keep_z)
        passed.backward(dy, inputs=True)
        passed.backward(dy)  # adds
    program.infer(x)
    assert program.act(x) is not None


def read_one_element_too_far(side):
    x = guarded(np.ones(100), side)
    print("straying", flush=True)
    ctypes.string_at(x.ctypes.data + (x.nbytes if side == "end" else -x.itemsize), x.itemsize)
    print("survived")


ACTIONS = {"run": run_every_case, "programs": run_programs, "stray": read_one_element_too_far}


def child(action, side):
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.ext.test_guard_pages", action, side]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("action", ["run", "programs"])
@pytest.mark.parametrize("side", ["end", "begin"])
def test_no_function_leaves_its_arrays(action, side):
    done = child(action, side)
    last = "\n".join(done.stdout.splitlines()[-2:])
    assert done.returncode == 0, f"exit code {done.returncode}; the last lines were\n{last}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("side", ["end", "begin"])
def test_one_element_too_far_is_fatal(side):
    done = child("stray", side)
    assert done.stdout == "straying\n" and done.returncode != 0


if __name__ == "__main__":
    ACTIONS[sys.argv[1]](sys.argv[2])
