#!/usr/bin/env bash
# Builds sdist and wheel, checks what is in them, installs the wheel into an empty environment and runs the tests
# against it from outside the tree.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

rm -rf dist
"$python" -m venv "$room/builder"
"$room/builder/bin/pip" install --quiet --disable-pip-version-check build
"$room/builder/bin/python" -m build --outdir dist .
"$python" tests/packaging/check_content.py dist

"$python" -m venv "$room/empty"
wheel=$(ls "$PWD"/dist/*.whl)
"$room/empty/bin/pip" install --quiet --disable-pip-version-check "$wheel[test]"
cp -r tests examples benchmarks csrc README.md pyproject.toml "$room/"
cd "$room"
"$room/empty/bin/python" -c 'import enilnets, sys; assert enilnets.__file__.startswith(sys.prefix), enilnets.__file__'
"$room/empty/bin/python" -m pytest -q
