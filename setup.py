"""Builds the compiled modules, one per concern: csrc/<concern>.pyx beside its kernels in csrc/kernels/<concern>.c.

Everything else about the package is in pyproject.toml. Generated C goes to build/, never into the tree.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CONCERNS = [
    "attention",
    "chain",
    "conv",
    "dropout",
    "gather",
    "gemm",
    "isa",
    "losses",
    "memory",
    "norm",
    "optim",
    "pointwise",
    "pool",
    "recurrent",
    "realnet",
    "scan",
    "sparse",
    "threads",
]

BUILD = "build/cython"  # where Cython puts the C that it generates

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "nonecheck": False,
    "cdivision": True,
    "infer_types": True,
    "embedsignature": True,
    "binding": False,  # built-in functions: smaller modules, cheaper calls; the stubs hold the signatures
    "freethreading_compatible": True,
}

# Never -ffast-math, -Ofast (they change the floating-point mode of the whole process) or -march=native.
# -O2 with the vectorisation of -O3: as fast, with half the code. What Cython generated is built for size, since its
# loops are elsewhere; but for chain, whose calls are what a small network waits for (2 % of a training step).
KERNELS, GENERATED = "-O2", "-Os"
GCC_FLAGS = [
    "-ftree-vectorize",
    "-fvect-cost-model=dynamic",
    "-std=gnu11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-fno-asynchronous-unwind-tables",
    "-g0",
    "-Wall",
    "-Wextra",
]
# Loops over logarithms become vectors only if these are inlined, which -O2 finds too large: five times as fast. What
# such a loop leaves over runs number by number where arrays are long: half the code went into narrower vectors for it.
PLAIN_REST = "--param=vect-epilogues-nomask=0"
MORE_FLAGS = {
    "chain": ["-O2"],
    "dropout": [PLAIN_REST],
    "losses": ["--param=max-inline-insns-single=200", PLAIN_REST],
    "norm": [PLAIN_REST],
    "optim": [PLAIN_REST],
}
GCC_LINK_FLAGS = ["-pthread", "-Wl,-s"] if sys.platform.startswith("linux") else []

# CFLAGS come once more behind ours, so that they have the last word; asking for symbols with -g keeps them.
CFLAGS = shlex.split(os.environ.get("CFLAGS", ""))
if "-g" in CFLAGS:
    GCC_LINK_FLAGS = [flag for flag in GCC_LINK_FLAGS if flag != "-Wl,-s"]


def extension(concern: str) -> Extension:
    """The compiled module enilnets._ext.<concern>."""
    kernels = [path for path in (f"csrc/kernels/{concern}.c", f"csrc/runtime/{concern}.c") if Path(path).exists()]
    headers = [str(path) for folder in ("kernels", "parallel", "runtime") for path in Path("csrc", folder).iterdir()]
    return Extension(
        f"enilnets._ext.{concern}",
        [f"csrc/{concern}.pyx", *kernels],
        include_dirs=["csrc"],
        depends=[*headers, "csrc/arrays.pxd"],
    )


class BuildExtensions(build_ext):
    """build_ext with our flags, on all cores, and a readable message where there is no compiler."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.parallel = os.cpu_count()

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            compiler = self.compiler.compiler[0]
            if shutil.which(compiler) is None:
                sys.exit(
                    f"enilnets: building from source needs a C compiler, but {compiler!r} was not found.\n"
                    "Install one (Debian/Ubuntu: apt install build-essential; Fedora: dnf install gcc; "
                    "macOS: xcode-select --install) or set CC, then try again."
                )
            for ext in self.extensions:
                more = MORE_FLAGS.get(ext.name.rpartition(".")[2], [])
                ext.extra_compile_args = [*GCC_FLAGS, *more, *ext.extra_compile_args, *CFLAGS]
                ext.extra_link_args = [*GCC_LINK_FLAGS, *ext.extra_link_args]
            self.optimise_by_origin()
        super().build_extensions()

    def optimise_by_origin(self) -> None:
        """Put the optimisation level in front of the flags of every file."""
        compile_one = self.compiler._compile

        def compile_with_level(obj, source, extension, arguments, flags, options):
            level = GENERATED if Path(source).is_relative_to(BUILD) else KERNELS
            compile_one(obj, source, extension, arguments, [level, *flags], options)

        self.compiler._compile = compile_with_level


setup(
    ext_modules=cythonize(
        [extension(concern) for concern in CONCERNS],
        build_dir=BUILD,
        include_path=["csrc"],
        compiler_directives=DIRECTIVES,
    ),
    cmdclass={"build_ext": BuildExtensions},
)
