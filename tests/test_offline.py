"""The wheelhouse has what the other machine needs, and pip installs from it with no network."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci/wheelhouse.py"
ANY = "py3-none-any"
#: pip as nobody has set it up: no index but the folders named here.
PLAIN = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
PLAIN["PIP_CONFIG_FILE"] = os.devnull
X86 = "manylinux_2_28_x86_64"


def make_wheel(folder, name, version="1.0", tag=ANY, needs=(), extras=()):
    """A wheel with nothing in it but a module of its name."""
    info = f"{name}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {need}" for need in needs]
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "\n".join(lines) + "\n",
        # As setuptools carries others along.
        f"{name}_vendor/other-1.0.dist-info/METADATA": "Requires-Dist: nothing-of-ours",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(file, text)
    return path


@pytest.fixture
def index(tmp_path):
    """A folder that stands for the package index, with distributions of every kind."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "plain", needs=["deep>=1", "torch"])
    make_wheel(folder, "deep", "1.5", needs=["shared<2"])
    make_wheel(folder, "shared", "1.9")
    make_wheel(folder, "shared", "2.0")
    make_wheel(folder, "old", needs=['older; python_version < "3.11"'])
    make_wheel(folder, "older")
    make_wheel(folder, "native", "1.0", f"cp310-cp310-{X86}")
    make_wheel(folder, "native", "1.1", f"cp312-cp312-{X86}")
    make_wheel(folder, "native", "1.2", "cp312-cp312-manylinux_2_39_x86_64")
    make_wheel(folder, "stable", "1.0", f"cp38-abi3-{X86}")
    make_wheel(folder, "drawn")
    make_wheel(folder, "torch", "2.9")
    return folder


@pytest.fixture
def product(tmp_path):
    needs = ["plain", "old", "native", "stable", "shared", "torch>=2.8"]
    needs += ['tomly; sys_platform == "win32"', 'drawn; extra == "plot"', 'triton; extra == "sim"']
    (tmp_path / "dist").mkdir()
    return make_wheel(tmp_path / "dist", "rocmoe", "0.1.0", ANY, needs, ["plot", "sim"])


@pytest.fixture
def collect(tmp_path, index, product):
    """Run the collector against the folder: collect("--python", "3.12") -> CompletedProcess."""
    offline = {**PLAIN, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}

    def run(*arguments):
        command = [sys.executable, SCRIPT, *arguments, "--dest", tmp_path / "wheelhouse", product]
        return subprocess.run(
            list(map(str, command)), env=offline, capture_output=True, text=True, timeout=120
        )

    run.list = lambda: sorted(
        "-".join(path.name.split("-")[:2]) for path in (tmp_path / "wheelhouse").glob("*.whl")
    )
    return run


def test_markers_and_tags_are_of_the_other_python(collect, tmp_path):
    (tmp_path / "wheelhouse").mkdir()
    make_wheel(tmp_path / "wheelhouse", "rocmoe", "0.0.9")
    done = collect("--python", "3.10")
    assert done.returncode == 0, done.stderr
    assert {"older-1.0", "native-1.0", "stable-1.0", "rocmoe-0.1.0"} <= set(collect.list())
    assert "rocmoe-0.0.9" not in collect.list(), "an older wheel of it is left behind"
    assert not any(name.startswith(("torch", "tomly", "drawn")) for name in collect.list())
    assert "wheels, 0 MiB" in done.stdout
    assert "for Python 3.10; left out: torch, triton" in done.stdout
    done = collect("--python", "3.12", "--extras", "plot,sim")
    assert done.returncode == 0, done.stderr
    assert {"native-1.0", "native-1.1", "drawn-1.0"} <= set(collect.list())
    assert "native-1.2" not in collect.list(), "its glibc is newer"
    assert "triton" not in " ".join(collect.list())


def test_a_newer_python_does_not_get_what_it_does_not_need(collect):
    assert collect("--python", "3.12").returncode == 0
    assert "older-1.0" not in collect.list()
    assert "native-1.0" not in collect.list()
    # `shared` was taken at 2.0 before `deep` was seen to want less.
    assert {"shared-1.9", "shared-2.0"} <= set(collect.list())


def test_what_has_no_wheel_is_one_line(collect, index):
    (index / f"native-1.1-cp312-cp312-{X86}.whl").unlink()
    done = collect("--python", "3.12")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    said = "wheelhouse: not all is there for Python 3.12, glibc 2.28, x86_64: Could not find "
    assert done.stderr.startswith(f"{said}a version that satisfies the requirement native")


def test_pip_installs_from_it_beside_the_torch_that_is_there(collect, tmp_path, index):
    (index / f"native-1.1-cp312-cp312-{X86}.whl").unlink()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    interpreter = f"cp{version.replace('.', '')}"
    make_wheel(index, "native", "1.1", f"{interpreter}-{interpreter}-{X86}")
    assert collect("--python", version).returncode == 0
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env/bin/python"
    # As the page says, for the Python of this environment; no other index is asked.
    page = (ROOT / "docs/offline.md").read_text()
    (line,) = re.findall(r"^python3 -m (pip install .* rocmoe)$", page, re.M)

    def install():
        command = [sys.executable, "-m", "pip", "--python", str(python), *line.split()[1:]]
        return subprocess.run(command, cwd=tmp_path, env=PLAIN, capture_output=True, text=True)

    assert "No matching distribution found for torch" in install().stderr
    with zipfile.ZipFile(index / f"torch-2.9-{ANY}.whl") as wheel:
        wheel.extractall(next((tmp_path / "env/lib").glob("python3*/site-packages")))
    done = install()
    assert done.returncode == 0, done.stderr
    code = "import rocmoe, native, shared, torch; print(shared.VERSION, torch.VERSION)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    assert done.stdout == "1.9 2.9\n"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["PYTHON=3.12"], ".ci/wheelhouse.py --python 3.12 --glibc 2.28"),
        (["PYTHON=3.10", "GLIBC=2.35", "EXTRAS="], "--python 3.10 --glibc 2.35"),
        ([], ".ci/wheelhouse.py  --glibc 2.28"),
    ],
)
def test_make_takes_a_version_for_python(given, told):
    """A dry run, which makes nothing."""
    # As if nothing were built yet, so that the environment would be made first.
    command = ["make", "-C", str(ROOT), "-n", "wheelhouse", "VENV=none/.venv", *given]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    assert f"--extras '{'' if 'EXTRAS=' in given else 'sim,plot,dev'}'" in done.stdout
    assert 'python3 -c "$CREATE_VENV"' in done.stdout
