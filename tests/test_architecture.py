"""The floors of docs/decisions/0001-floors.md, kept by reading the source: what may import what."""

import ast
from pathlib import Path

import pytest

import enilnets

ROOT = Path(enilnets.__file__).parent

#: Floor of every module or package directly under enilnets/; imports go down or stay inside one package.
FLOORS = {
    "_ext": 0,
    "errors": 0,
    "checks": 0,
    "ops": 1,
    "parameters": 2,
    "backward": 2,
    "layers": 3,
    "optim": 3,
    "losses": 3,
    "init": 3,
    "policy_gradients": 3,
    "returns": 3,
    "autodiff": 4,
    "ragged": 4,
    "training": 4,
    "storage": 4,
    "network": 5,
    "builder": 5,
    "caches": 5,
    "net": 5,
    "policy_search": 5,
    "versions": 5,
    "generative": 6,
    "sequence": 6,
    "sklearn": 6,
    "demos": 7,
    "cli": 7,
    "__init__": 8,
    "__main__": 8,
}

#: Pairs on one floor where one may use the other.
BESIDE = {
    ("checks", "errors"),
    ("builder", "network"),
    ("caches", "network"),
    ("net", "builder"),
    ("net", "caches"),
    ("net", "policy_search"),
    ("layers", "init"),
    ("autodiff", "ragged"),
    ("autodiff", "storage"),
    ("autodiff", "training"),
    ("cli", "demos"),
    ("__main__", "cli"),
}

#: Packages besides NumPy that a part of the library may need as a whole (docs/decisions/0014-scikit-learn.md).
NEEDS = {"sklearn": "sklearn"}

FILES = sorted(ROOT.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports_of(path):
    """Yield (node, top module inside enilnets) for every relative import."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            place = (*base, *(node.module.split(".") if node.module else ()))
            for name in [place] if place else [(alias.name,) for alias in node.names]:
                yield node, name[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    here = module_of(path)
    assert here in FLOORS, f"{here} has no floor: give it one in FLOORS and in the decision record"
    for node, inside in imports_of(path):
        if inside == here:
            continue
        allowed = FLOORS[inside] < FLOORS[here] or (here, inside) in BESIDE
        assert allowed, f"{path.relative_to(ROOT)}:{node.lineno}: {here} must not import {inside}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_star_import_and_only_numpy_at_import_time(path):
    import sys

    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.names[0].name != "*", f"{path.relative_to(ROOT)}:{node.lineno}: star import"
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            for name in names:
                top = name.split(".")[0]
                allowed = top in sys.stdlib_module_names or top in ("numpy", NEEDS.get(module_of(path)))
                assert allowed, f"{path.relative_to(ROOT)} imports {top} at the top"


def test_nothing_imports_what_needs_more_than_numpy():
    for path in FILES:
        for node, inside in imports_of(path):
            assert inside not in NEEDS or module_of(path) == inside, f"{path.relative_to(ROOT)}:{node.lineno}: {inside}"


def test_no_cycles():
    modules = {}
    for path in FILES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        package = path.relative_to(ROOT).parts[:-1]
        targets = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - (node.level - 1)]
                stem = ".".join((*base, *(node.module.split(".") if node.module else ())))
                targets |= {".".join(filter(None, (stem, alias.name))) for alias in node.names} | {stem}
        modules[name] = targets
    edges = {name: {t for t in targets if t in modules and t != name} for name, targets in modules.items()}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for target in edges[name]:
            if not name.startswith(target + ".") and target:  # a package's __init__ gathers its own files
                visit(target)
        path.pop()
        done.add(name)

    for name in edges:
        visit(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_attached_to_a_class_from_outside(path):
    tree = ast.parse(path.read_text())
    imported = set()
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr":
            target = node.args[0]
            assert getattr(target, "id", "") == "self", (
                f"{path.relative_to(ROOT)}:{node.lineno}: setattr on another object"
            )
        for target in node.targets if isinstance(node, ast.Assign) else []:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                assert target.value.id not in imported, f"{path.relative_to(ROOT)}:{node.lineno}: attached from outside"


def test_only_ops_imports_the_compiled_modules():
    for path in FILES:
        if module_of(path) not in ("ops", "_ext"):
            for node, inside in imports_of(path):
                assert inside != "_ext", f"{path.relative_to(ROOT)}:{node.lineno}: only ops/ may import _ext"


def test_loading_code_runs_nothing_from_files():
    """No file can run code: the words that could make one are absent from the package; pickles are only written."""
    forbidden = {
        "eval",
        "exec",
        "compile",
        "__import__",
        "marshal",
        "shelve",
        "pickle",
        "dill",
        "cloudpickle",
        "yaml",
        "joblib",
    }
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = set()
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = {node.func.id}
            elif isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = {node.module.split(".")[0]}
                if path.name == "pickle_file.py" and [alias.name for alias in node.names] == ["dumps"]:
                    continue
            assert not names & forbidden, f"{path.relative_to(ROOT)}:{node.lineno}: {names & forbidden}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                raise AssertionError(f"{path.relative_to(ROOT)}: allow_pickle")


def test_ops_and_csrc_share_their_stems():
    source = ROOT.parent / "csrc"
    if source.exists():  # not beside an installed wheel
        for pyx in source.glob("*.pyx"):
            others = {"gemm", "pointwise", "memory"}  # behind ops/matmul.py, ops/activation.py and ops/array.py
            assert pyx.stem in {path.stem for path in (ROOT / "ops").glob("*.py")} | others, pyx
