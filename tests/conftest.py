import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

# One thread a process: the machines that run the tests have two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROCMOE = Path(sys.executable).with_name("rocmoe")


@pytest.fixture
def rocmoe(tmp_path):
    """Run the real command in an empty folder: rocmoe("validate", ...) -> CompletedProcess."""

    def run(*arguments, **options):
        return subprocess.run(
            [ROCMOE, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )

    return run


@pytest.fixture
def call_rocmoe(tmp_path, monkeypatch, capfd):
    """As `rocmoe` does, but calls the program: torch is loaded once for all tests of a process.

    What it prints is read from the descriptors, so that its workers' words are among it.
    """
    from rocmoe.cli.app import main

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["rocmoe", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", [*sys.path])  # a folder of user code is put there
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0  # none is what ends a process with 0
        assert isinstance(code, int)
        return subprocess.CompletedProcess(sys.argv, code, *capfd.readouterr())

    return call


@pytest.fixture
def start_rocmoe(tmp_path):
    """Start the real command in an empty folder, to be interrupted."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [ROCMOE, *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What a shell runs in the background ignores interrupts, and so does what that starts.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
