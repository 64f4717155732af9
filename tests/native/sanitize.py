"""Builds the package with address and undefined-behaviour sanitizers and runs the tests that face the kernels.

Everything happens in a copy of the tree under build/sanitize, so the ordinary modules stay as they are. The same build
makes a canary, whose mistakes must be found before a run without reports means anything. Arguments are given to pytest
in the place of TESTS.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "sanitize"
COPIED = ["csrc", "enilnets", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE"]
TESTS = ["tests/ext", "tests/ops", "tests/conformance", "tests/test_chain.py", "tests/test_net.py"]

#: -fno-wrapv because Python has -fwrapv among its own flags, with which no signed overflow is an error; the warning is
#: wrong in such builds.
CFLAGS = (
    "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -fno-wrapv "
    "-Wno-maybe-uninitialized"
)

#: Adds the canary to the modules of setup.py, so that it is compiled exactly as they are.
BUILD = """
from setuptools import Extension
from distutils.core import run_setup

build = run_setup("setup.py", ["build_ext", "--inplace"], stop_after="commandline")
build.ext_modules.append(Extension("canary", ["tests/native/canary.c"]))
build.run_commands()
"""

#: A call of the canary, and what the report on it says.
MISTAKES = {
    "read_element(10, 10)": "AddressSanitizer: heap-buffer-overflow",
    "beyond_int(1)": "runtime error: signed integer overflow",
}
CANARY = "import ctypes, glob; canary = ctypes.CDLL(glob.glob('./canary*.so')[0]); print(canary."


def run(command: list[str], environment: dict[str, str], **options) -> subprocess.CompletedProcess:
    """Run ``command`` in the copy, with ``environment`` on top of our own."""
    return subprocess.run(command, cwd=COPY, env={**os.environ, **environment}, text=True, **options)


def build() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, COPY / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, COPY / name)
    run([sys.executable, "-c", BUILD], {"CC": "gcc", "CFLAGS": CFLAGS}, check=True, stdout=subprocess.DEVNULL)


def sanitized_environment() -> dict[str, str]:
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": str(COPY),
    }


def main(tests: list[str]) -> int:
    if shutil.which("gcc") is None:
        sys.exit("make sanitize: gcc was not found; on Debian, apt install build-essential")
    build()
    environment = sanitized_environment()
    for call, message in MISTAKES.items():
        result = run([sys.executable, "-c", f"{CANARY}{call})"], environment, capture_output=True)
        if result.returncode == 0 or message not in result.stderr:
            sys.exit(f"make sanitize: {call} of tests/native/canary.c was not caught\n{result.stderr}")
        print(f"make sanitize: {call} was caught, as it must be")
    where = run(
        [sys.executable, "-c", "import enilnets._ext.gemm as m; print(m.__file__)"], environment, stdout=subprocess.PIPE
    )
    if not where.stdout.startswith(str(COPY)):
        sys.exit(f"make sanitize: expected the modules of {COPY}, got {where.stdout}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(tests or TESTS)]
    return run(command, environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
