"""The package as users meet it: imports, versions, the command line, docstring examples, scripts."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import enilnets
from enilnets import cli
from enilnets.errors import ConfigError, EnilnetsError
from enilnets.ops import isa

ROOT = Path(__file__).parent.parent
MODULES = [m.name for m in pkgutil.walk_packages(enilnets.__path__, "enilnets.") if m.name != "enilnets.__main__"]


def python(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@pytest.mark.contract("P7")
def test_import_loads_numpy_and_the_standard_library_alone():
    result = python(
        "import numpy, sys; before = set(sys.modules); import enilnets; print(*sorted(set(sys.modules) - before))"
    )
    new = result.stdout.split()
    strangers = {name.split(".")[0] for name in new} - set(sys.stdlib_module_names) - {"enilnets", "numpy"}
    # Cython registers its runtime types under names of its own
    assert not {name for name in strangers if not re.fullmatch(r"_?cython_[0-9a-z_]+", name)}, strangers
    assert result.stderr == ""


@pytest.mark.contract("P7")
def test_everything_is_float64_unless_asked():
    net = enilnets.NeuralNet(rng=0).add_conv2d(1, 2, 3).add_batchnorm(2).add_flatten().add_dense(8, 2)
    x = np.ones((3, 1, 4, 4), np.float32)
    _, output = net.TrainBatch(x, np.ones((3, 2), np.float32))
    state = [array for layer in net.opt_state for array in layer.values()]
    arrays = [output, net.predict(x), *state, *(array for layer in net.layers for array in layer.arrays().values())]
    assert {array.dtype for array in arrays} == {np.dtype("float64")}


@pytest.mark.contract("P2")
def test_version_is_the_same_everywhere():
    assert f'version = "{enilnets.__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS)
    assert results.failed == 0


@pytest.mark.contract("P2")
@pytest.mark.parametrize("name", enilnets.__all__)
def test_public_names_exist_and_are_documented(name):
    assert name == "__version__" or getattr(enilnets, name).__doc__


class TestInstructionSets:
    @pytest.mark.parametrize("name", isa.available())
    def test_forced_by_the_environment(self, name):
        code = "from enilnets.ops import isa; print(isa.current())"
        assert python(code, ENILNETS_ISA=name).stdout.strip() == name

    def test_best_by_default(self):
        code = "from enilnets.ops import isa; print(isa.current())"
        assert python(code, ENILNETS_ISA="").stdout.strip() == isa.available()[-1]

    def test_unknown_name_is_an_error(self):
        result = python("import enilnets", ENILNETS_ISA="avx9000")
        assert result.returncode and "ENILNETS_ISA: expected one of baseline" in result.stderr
        with pytest.raises(ConfigError):
            isa.select("sse9")


class TestCommandLine:
    def test_info(self, capsys):
        assert cli.main(["info"]) == 0
        out = capsys.readouterr().out
        for word in ("enilnets", enilnets.__version__, np.__version__, isa.current(), "kernel threads", "Python"):
            assert word in out
        enilnets.show_versions()
        assert capsys.readouterr().out == out

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["demo"],
            ["demo", "letters"],
            ["demo", "digits", "--epochs", "0"],
            ["demo", "digits", "--dtype", "float16"],
        ],
    )
    def test_wrong_use_is_explained(self, arguments, capsys):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 2 and "usage: enilnets" in capsys.readouterr().err

    def test_digits(self, tmp_path, capsys):
        status = cli.main(
            ["demo", "digits", "--epochs", "3", "--seed", "1", "--batch-size", "16", "--out", str(tmp_path)]
        )
        out = capsys.readouterr().out
        assert status == 0 and "bit for bit the same" in out and "Confusion matrix" in out
        assert float(re.search(r"Test accuracy: (\S+)", out)[1]) > 0.9
        assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
        net = enilnets.NeuralNet().Load(tmp_path / "digits.safetensors")
        assert net.predict(np.zeros((1, 8, 8))).shape == (1, 10)

    def test_ctrl_c_leaves_a_loadable_network(self, tmp_path):
        import signal
        import time

        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "enilnets", "demo", "digits", "--epochs", "5000", "--out", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        lines = iter(process.stdout.readline, "")
        next(line for line in lines if line.startswith("Epoch 2/"))
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130 and "Stopped by Ctrl-C" in out and err == ""
        assert time.monotonic() - start < 30
        net = enilnets.NeuralNet().Load(tmp_path / "digits.safetensors")
        assert net.t > 40 and net.check_nan_inf() == []

    @pytest.mark.parametrize("package, word", [("sklearn", "scikit-learn"), ("matplotlib", "matplotlib")])
    def test_missing_packages_are_named(self, package, word, tmp_path):
        code = (
            "import sys\n"
            f"for name in ('{package}', '{package}.datasets', '{package}.figure'): sys.modules[name] = None\n"
            "from enilnets.cli import main\n"
            f"sys.exit(main(['demo', 'digits', '--epochs', '1', '--out', r'{tmp_path}']))"
        )
        result = python(code)
        assert result.returncode == 1 and word in result.stderr and "pip install enilnets[demo]" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S))
def test_readme_examples_run(code, tmp_path):
    assert len(code.splitlines()) <= 20
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_errors_survive_pickling_and_say_four_things():
    import pickle

    error = pickle.loads(pickle.dumps(ConfigError("f(x)", "a", "b", "do c")))
    assert str(error) == "f(x): expected a, got b; do c" and isinstance(error, (EnilnetsError, ValueError))


def test_what_not_every_program_needs_is_imported_when_asked_for():
    code = (
        "import sys, enilnets\n"
        "assert not {'enilnets.autodiff', 'enilnets.sequence'} & set(sys.modules)\n"
        "assert enilnets.autodiff.Tensor and enilnets.sequence.RealNet and 'sequence' in dir(enilnets)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
