"""What is shipped is what is here: the package list, the wheel, the sdist, an installed copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from rocmoe import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
NOT_SHIPPED = (".*", "build", "dist", "*.egg-info", "__pycache__", "tests")


def find_folder(package: str) -> Path:
    """Where a package's files are: the folder of the nearest mapped parent, then its own name."""
    parent, rest = package, ""
    while parent not in SETUPTOOLS["package-dir"]:
        parent, _, name = parent.rpartition(".")
        rest = f"{name}/{rest}"
    return ROOT / SETUPTOOLS["package-dir"][parent] / rest


FOLDERS = {package: find_folder(package) for package in SETUPTOOLS["packages"]}


def list_shipped() -> set[str]:
    """The path in a wheel of every source and data file of the four layers."""
    shipped = set()
    for layer in ("cli", "ops", "profiles", "references"):
        for path in (ROOT / layer).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                within = path.relative_to(ROOT / layer).as_posix()
                is_root = layer == "cli" and within.startswith("rocmoe/")
                shipped.add(within if is_root else f"rocmoe/{layer}/{within}")
    return shipped


def run_python(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def read_wheel(folder: Path) -> dict[str, bytes]:
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `direct`, a wheel built from a copy of the tree, and `through`, an sdist with
    the wheel that is built from it.
    """
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    for name, options in (("direct", ["--wheel"]), ("through", [])):
        run_python("build", "--no-isolation", *options, "-o", str(folder / name), str(tree))
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path) -> Path:
    """A virtual environment with only the wheel in it."""
    folder = dist / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    (wheel,) = (dist / "direct").glob("*.whl")
    python = str(folder / "bin/python")
    run_python("pip", "-q", "--python", python, "install", "--no-deps", "--no-index", str(wheel))
    return folder


def run_installed(installed: Path, *command: str) -> str:
    """Run a program of the environment from `/`, with the dependencies of this one.

    A folder on PYTHONPATH has its .pth files ignored, and so an editable rocmoe in it.
    """
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    done = subprocess.run(
        [installed / "bin" / command[0], *command[1:]],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(dependencies)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_listed_packages_are_the_folders_with_modules() -> None:
    layers = [ROOT / layer for layer in ("cli", "ops", "profiles", "references")]
    folders = {path.parent for layer in layers for path in layer.rglob("*.py")}
    assert set(FOLDERS.values()) == folders
    for folder in folders:
        assert (folder / "__init__.py").is_file(), f"{folder} has no __init__.py"


def test_every_data_file_is_matched_by_a_glob() -> None:
    globs = SETUPTOOLS["package-data"]
    matched = {
        path for package in globs for glob in globs[package] for path in FOLDERS[package].glob(glob)
    }
    layers = [ROOT / layer for layer in ("cli", "ops", "profiles", "references")]
    files = {path for layer in layers for path in layer.rglob("*") if path.is_file()}
    data = {path for path in files if path.suffix not in (".py", ".pyc")}
    assert data - matched == set(), "not shipped: add them to [tool.setuptools.package-data]"


def test_the_wheel_has_every_file_and_no_other(dist: Path) -> None:
    names = {name for name in read_wheel(dist / "direct") if ".dist-info/" not in name}
    assert names == list_shipped()


def test_the_wheel_has_the_licence_and_the_entry_point(dist: Path) -> None:
    contents = read_wheel(dist / "direct")
    info = f"rocmoe-{__version__}.dist-info"
    assert contents[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"rocmoe = rocmoe.cli.app:main" in contents[f"{info}/entry_points.txt"]
    assert b"License-Expression: Apache-2.0" in contents[f"{info}/METADATA"]


def test_triton_is_not_required(dist: Path) -> None:
    metadata = read_wheel(dist / "direct")[f"rocmoe-{__version__}.dist-info/METADATA"].decode()
    required = re.findall(r"^Requires-Dist: (\S+?)[<>=;\s].*$", metadata, re.M)
    assert "torch" in required
    unconditional = re.findall(r"^Requires-Dist: triton\b(?!.*extra ==).*$", metadata, re.M)
    assert unconditional == [], "ROCm's torch brings its own, which pip would lay PyPI's over"


def test_the_sdist_builds_the_same_wheel(dist: Path) -> None:
    assert read_wheel(dist / "through") == read_wheel(dist / "direct")


@pytest.mark.parametrize("command", [["python", "-m", "rocmoe"], ["rocmoe"]], ids=" ".join)
def test_the_installed_program_runs_outside_the_repository(
    installed: Path, command: list[str]
) -> None:
    where = run_installed(installed, "python", "-c", "import rocmoe; print(rocmoe.__file__)")
    assert Path(where).is_relative_to(installed)
    assert __version__ in run_installed(installed, *command, "--version")
    assert "validate" in run_installed(installed, *command, "--help")


def test_an_installed_copy_reads_its_data(installed: Path) -> None:
    code = (
        "from importlib.resources import files; "
        "print(sum(1 for path in (files('rocmoe.profiles') / 'models').iterdir()))"
    )
    assert int(run_installed(installed, "python", "-c", code)) == len(
        list((ROOT / "profiles/models").iterdir())
    )


def test_every_target_of_the_makefile_is_explained() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text, re.M)
    assert re.findall(r"^([a-z-]+):.*## \S", text, re.M) == phony.split()
