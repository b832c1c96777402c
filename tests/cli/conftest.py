"""The command within this process, where a test asks what it says and not how it starts."""

import subprocess
import sys

import pytest

from rocmoe.cli.app import main


@pytest.fixture
def call_rocmoe(tmp_path, monkeypatch, capfd):
    """As `rocmoe` does, but calls the program: torch is loaded once for all tests of a process.

    What it prints is read from the descriptors, so that its workers' words are among it.
    """

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
