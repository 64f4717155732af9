"""``python check_content.py dist``: what may be in the wheel and the sdist, and how large they may be."""

import re
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL_LIMIT = 1.5e6
INSTALLED_LIMIT = 5e6

IN_WHEEL = re.compile(
    r"enilnets/([a-z_]+/)*[a-z0-9_]+\.(py|pyi)"
    r"|enilnets/py\.typed"
    r"|enilnets/_ext/[a-z]+\.[A-Za-z0-9_\-]+\.(so|pyd)"
    r"|enilnets-[^/]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt|top_level\.txt|licenses/LICENSE)"
)
NEEDED_IN_SDIST = {
    *("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"),
    *("csrc/arrays.pxd", "csrc/runtime/isa.h", "csrc/kernels/instantiate.h"),
    *("enilnets/py.typed", "enilnets/net.py", "tests/conftest.py"),
}


def check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        installed = sum(entry.file_size for entry in wheel.infolist())
    strangers = [name for name in names if not IN_WHEEL.fullmatch(name)]
    assert not strangers, f"unexpected in the wheel: {strangers}"
    modules = {Path(name).name.split(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    sources = {path.stem for path in Path("csrc").glob("*.pyx")}
    assert modules == sources, f"compiled modules {sorted(modules)} for sources {sorted(sources)}"
    assert {f"enilnets/_ext/{stem}.pyi" for stem in sources} <= set(names), "a compiled module has no .pyi"
    size = path.stat().st_size
    assert size <= WHEEL_LIMIT and installed <= INSTALLED_LIMIT, (size, installed)
    print(f"{path.name}: {size / 1e6:.2f} MB, {installed / 1e6:.2f} MB installed, {len(names)} files")


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= NEEDED_IN_SDIST, f"missing in the sdist: {sorted(NEEDED_IN_SDIST - names)}"
    generated = [name for name in names if re.fullmatch(r"csrc/[a-z]+\.c|build/.*|.*\.(so|o|pyd)", name)]
    assert not generated, f"generated files in the sdist: {generated}"
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(names)} files")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
