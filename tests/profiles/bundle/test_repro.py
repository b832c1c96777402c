"""repro.py shows the bug in a fresh virtual environment that has no rocmoe."""

import re
import shutil
import subprocess
import sysconfig
import venv

import pytest

from rocmoe.profiles.bundle.creation import create_bundle

SMALL = "topk_softmax:T=2,E=8,k=2:fp32:renormalize=true:normal:contiguous"

#: As a wheel of rocmoe may be among the packages that the environment borrows.
HIDING = """
import sys


class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rocmoe":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hiding())
"""

FAULTS = """
import os, signal, sys, time


def crash(gating_output, topk, renormalize):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(gating_output, topk, renormalize):
    time.sleep(1000)


def leave(gating_output, topk, renormalize):
    os._exit(0)


def leave_politely(gating_output, topk, renormalize):
    sys.exit(0)
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """The interpreter of a virtual environment with torch, NumPy and safetensors alone."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    borrowed = sysconfig.get_path("purelib")
    (packages / "hiding.py").write_text(HIDING)
    (packages / "borrowed.pth").write_text(f"{borrowed}\nimport hiding\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def replay(python):
    """Run repro.py of a folder: replay(folder, *arguments) -> CompletedProcess."""

    def run(folder, *arguments):
        command = [python, folder / "repro.py", *arguments]
        # From elsewhere and with no variable that could help it along.
        return subprocess.run(
            command, cwd="/", env={"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip

    return run


@pytest.fixture
def bundle_fault(tmp_path, write_failure):
    (tmp_path / "faults.py").write_text(FAULTS)

    def bundle(name, timeout=30.0):
        variant = f"{tmp_path}/faults.py:{name}"
        artifact = write_failure(tmp_path / "run.json", "user", variant, case=SMALL, status="crash")
        return create_bundle(str(artifact), tmp_path / "bundle", 1, timeout)

    return bundle


def test_the_fresh_environment_has_torch_and_no_rocmoe(python):
    def run(code):
        return subprocess.run([python, "-c", code], capture_output=True, text=True, cwd="/")

    assert run("import torch, numpy, safetensors").returncode == 0
    done = run("import rocmoe")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'rocmoe'" in done.stderr


@pytest.mark.parametrize("which", ["made", "harmed"])
def test_a_bundle_of_a_harmed_kernel_is_replayed_without_rocmoe(request, replay, tmp_path, which):
    created = request.getfixturevalue(which)
    subprocess.run(["tar", "xzf", created.archive, "-C", tmp_path], check=True)
    folder = next(tmp_path.iterdir())
    done = replay(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.endswith("the bug shows\n")
    failed = [c.name for c in created.record.outcome.checks if c.ok is False]
    assert re.findall(r"^FAILED +(\w+)", done.stdout, re.M) == failed
    first = created.record.outcome.findings[0]
    index = ", ".join(map(str, first.index))
    assert f"{first.output}[{index}] is {first.found}, wanted {first.wanted}" in done.stdout
    # It leaves nothing behind that the manifest does not know.
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found - {"candidate/ran"} == set(created.files)


def test_a_mended_kernel_no_longer_shows_the_bug(made, replay, tmp_path):
    folder = tmp_path / "mended"
    shutil.copytree(made.folder, folder)
    (folder / "candidate/scaling.py").write_text("def scale(weights):\n    return weights\n")
    done = replay(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("the bug does not show\n")


def test_it_calls_the_kernel_on_the_stored_inputs_and_not_on_drawn_ones(made, replay, tmp_path):
    folder = tmp_path / "swapped"
    shutil.copytree(made.folder, folder)
    shutil.copy(folder / "inputs/1.safetensors", folder / "inputs/0.safetensors")
    done = replay(folder)
    second = next(f for f in made.record.outcome.findings if f.call == 2)
    index = ", ".join(map(str, second.index))
    assert f"call 1: {second.output}[{index}] is {second.found}" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crash", "the process died of SIGSEGV before it answered"),
        ("leave", "the process exited with code 0 before it answered"),
        ("leave_politely", "the call raised SystemExit: 0"),
    ],
)
def test_it_survives_a_kernel_that_does_not(bundle_fault, replay, name, said):
    created = bundle_fault(name)
    assert created.record.outcome.status == ("error" if "politely" in name else "crash")
    done = replay(created.folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said.replace("died of SIGSEGV before it answered", "died of SIGSEGV") in done.stdout


def test_it_ends_a_kernel_that_hangs(bundle_fault, replay):
    created = bundle_fault("hang", 1.5)
    assert created.record.outcome.status == "timeout"
    assert created.record.timeout_s == 1.5
    done = replay(created.folder, "--timeout", "0.5")
    assert done.returncode == 1
    assert "no answer within 0.5 s" in done.stdout


def test_what_cannot_be_run_is_told_from_a_bug(made, replay, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(made.folder, folder)
    (folder / "candidate/halved.py").write_text("import rocmoe\n")
    for arguments, said in (
        ((), "No module named 'rocmoe'"),
        (("--device", "gpu:77"), "torch s"),
        (("--device", "tpu"), "unknown device 'tpu'"),
    ):
        done = replay(folder, *arguments)
        assert done.returncode == 2, done.stdout
        assert said in done.stdout
        assert done.stdout.endswith("cannot run here\n")
    (folder / "inputs/1.safetensors").write_bytes(b"")
    shutil.copy(made.folder / "candidate/halved.py", folder / "candidate/halved.py")
    done = replay(folder)
    assert (done.returncode, "stored inputs cannot be used" in done.stdout) == (2, True)
