# Everything a fresh machine needs: `make demo` and `make test` create .venv, build, install and run.
# Needed: Python >= 3.10 with venv and pip, a C compiler, and a package index that pip can reach.

PYTHON ?= python3
BIN = .venv/bin
PARITY = .venv-parity/bin
BENCH = .venv-bench/bin
SOURCES = setup.py pyproject.toml $(shell find csrc -type f)

.PHONY: help demo test build lint format parity bench bench-scaling bench-neighbour performance wheel-test sanitize cross clean

help:
	@echo "make demo        train a network on real handwritten digits and draw the result"
	@echo "make test        run the tests"
	@echo "make build       build the compiled modules in place and show every warning"
	@echo "make lint        ruff and mypy;  make format: ruff format"
	@echo "make parity      compare with PyTorch, in an environment of its own"
	@echo "make bench       time every workload beside PyTorch, JAX and scikit-learn, in an environment of its own"
	@echo "make bench-scaling, make bench-neighbour: cost against size; speed beside a busy process"
	@echo "make performance measure all of docs/performance.md again"
	@echo "make sanitize    run the tests that face the kernels in a build with address and undefined-behaviour sanitizers"
	@echo "make cross       run the C self-test of the kernels natively, with clang, in plain C, for aarch64; build for Windows"
	@echo "make wheel-test  build sdist and wheel, test the installed wheel from outside the tree"

demo: .venv/demo
	$(BIN)/enilnets demo digits --out runs/digits

test: .venv/test
	$(BIN)/python -m pytest -q

# One stamp per extra: made again when a source of the build changes.
.venv/%: $(SOURCES)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

build: .venv/dev
	$(BIN)/python setup.py build_ext --inplace --force

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The tree as .venv/test built it, seen by an interpreter that also has PyTorch.
parity: .venv/test
	@test -x $(PARITY)/python || $(PYTHON) -m venv .venv-parity
	$(PARITY)/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy pytest hypothesis
	$(PARITY)/python -m pytest -q tests/parity

bench: .venv-bench/peers
	$(BENCH)/python -m benchmarks $(ARGS)

bench-scaling: .venv-bench/peers
	$(BENCH)/python -m benchmarks.scaling $(ARGS)

bench-neighbour: .venv-bench/peers
	$(BENCH)/python -m benchmarks.neighbour $(ARGS)

# Everything that docs/performance.md shows, measured again: for a quiet machine, and half an hour.
performance: .venv-bench/peers
	$(BENCH)/python -m benchmarks --markdown docs/performance.md
	$(BENCH)/python -m benchmarks.scaling --out docs/images/scaling.png --markdown docs/performance.md
	$(BENCH)/python -m benchmarks.neighbour --markdown docs/performance.md

# The tree as .venv/test built it, seen by an interpreter that also has the peers.
.venv-bench/peers: .venv/test
	@test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/pip install --quiet --disable-pip-version-check torch==2.13.0 jax optax scikit-learn matplotlib numpy
	@touch $@

wheel-test:
	PYTHON=$(PYTHON) bash tests/packaging/wheel_test.sh

sanitize: .venv/dev
	$(BIN)/python tests/native/sanitize.py $(ARGS)

cross:
	bash tests/native/cross.sh

clean:
	rm -rf .venv .venv-parity .venv-bench build dist runs enilnets.egg-info enilnets/_ext/*.so
