"""A machine with a stand-in for rocprofv3."""

import json
import sys
from pathlib import Path

import pytest

from rocmoe.profiles.profiling.rocprofv3 import profile_child
from rocmoe.profiles.profiling.rocprofv3_version import Rocprofv3, find_rocprofv3
from rocmoe.profiles.tools import Machine

HERE = Path(__file__).parent


class Stage:
    """A machine with the stand-in for a rocprofv3, an amdgpu driver, and nothing else."""

    def __init__(self, root):
        self.root, self.rocm = root, root / "opt/rocm"
        self.path = self.rocm / "bin/rocprofv3"
        self.log = root / "starts"
        self.environ = {"PATH": "/usr/bin:/bin", "STAND_IN_LOG": str(self.log)}
        self.add_file("dev/kfd")

    def add_file(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def install(self, version, info=None, **environ):
        """The stand-in, in ROCm's folder; info: what `.info/version` says, if there is one."""
        start = f"import sys; sys.path.insert(0, {str(HERE)!r})"
        main = "import stand_in; sys.exit(stand_in.main(sys.argv[1:]))"
        program = f"#!{sys.executable} -S\n{start}\n{main}\n"
        self.add_file("opt/rocm/bin/rocprofv3", program).chmod(0o755)
        if info:
            self.add_file("opt/rocm/.info/version", info)
        self.environ |= {"STAND_IN_VERSION": version, **environ}

    @property
    def machine(self):
        return Machine(self.root, self.environ)

    def list_starts(self):
        """The arguments of each start that ran a program."""
        starts = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [start for start in starts if "--" in start]

    def profile(self, command=("true",), passes=(), timeout_seconds=20.0, tool=None):
        return profile_child(
            tool or find_rocprofv3(self.machine), command, self.root / "out", passes=passes,
            timeout_seconds=timeout_seconds, machine=self.machine,
        )  # fmt: skip


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


@pytest.fixture
def in_situation(stage):
    """Profile under a version of the stand-in in a situation: the run's result."""

    def profile(situation, version="7.0", passes=(), command=("true",), unknown=""):
        stage.install(version, STAND_IN_SITUATION=situation, STAND_IN_UNKNOWN=unknown)
        return stage.profile(command, passes, tool=Rocprofv3(stage.path, "", version, ("csv",)))

    return profile
