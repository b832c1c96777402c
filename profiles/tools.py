"""Whether the tools of a ROCm installation are here and work.

They are not believed by their exit status: without a driver `rocm-smi` prints nothing and exits 0,
and `import amdsmi` raises KeyError.  A tool is `ok` when its output shows what it is for.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rocmoe.ops.gcn.objdump import find_objdumps
from rocmoe.profiles.documents import list_entries
from rocmoe.profiles.environment import rocm_folder

Status = Literal["ok", "absent", "broken"]

LOAD_DRIVER = "load the amdgpu driver; in a container pass --device=/dev/kfd --device=/dev/dri"
AMD_DEVICE = "dev/kfd"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Machine:
    """The machine that is examined: the root of its files, and the variables of its processes."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    timeout_s: float = 20.0

    def find_tools(self, *names: str) -> Iterator[str]:
        """The programs of some names that exist, on PATH first, then in ROCm's folders."""
        rocm = rocm_folder(self.root, self.environ)
        places = [self.environ.get("PATH", ""), str(rocm / "bin"), str(rocm / "llvm/bin")]
        for name in names:
            if found := shutil.which(name, path=os.pathsep.join(places)):
                yield found

    def run(self, *command: str) -> Output:
        """Run a program to its end; raises `subprocess.TimeoutExpired` or `OSError`."""
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=dict(self.environ),
            start_new_session=True,
        ) as process:
            try:
                printed = process.communicate(timeout=self.timeout_s)
            except subprocess.TimeoutExpired:
                # The whole group: helpers that a tool started would go on polling the driver.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        stdout, stderr = (ANSI.sub("", text).strip() for text in printed)
        return Output(process.returncode, stdout, stderr)


@dataclass(frozen=True)
class Output:
    """What a program printed, without colours and the blanks around it, and its exit status."""

    code: int
    stdout: str
    stderr: str

    def explain(self) -> str:
        """Its last words, and its exit status."""
        lines = (self.stderr or self.stdout).splitlines() or ["it prints nothing"]
        return f"{lines[-1].strip()} (exit {self.code})"


@dataclass(frozen=True)
class Seen:
    """What a probe saw; fix: where it knows a better one than the probe's own."""

    status: Status
    found: str
    fix: str = ""


def has_amd_driver(machine: Machine) -> bool:
    """Whether the device of AMD's driver is here, as far as this container is shown it."""
    return (machine.root / AMD_DEVICE).exists()


def has_nvidia_driver(machine: Machine) -> bool:
    return (machine.root / "proc/driver/nvidia/version").exists()


def look_at_rocm_smi(machine: Machine) -> Seen:
    for path in machine.find_tools("rocm-smi"):
        output = machine.run(path, "--showid")
        gpus = set(re.findall(r"GPU\[(\d+)\]", output.stdout))
        return _count_gpus(path, len(gpus), output)
    return Seen("absent", "no rocm-smi")


def look_at_amd_smi(machine: Machine) -> Seen:
    for path in machine.find_tools("amd-smi"):
        output = machine.run(path, "list", "--json")
        return _count_gpus(path, len(list_entries(output.stdout)), output)
    return Seen("absent", "no amd-smi")


def _count_gpus(path: str, count: int, output: Output) -> Seen:
    if count:
        return Seen("ok", f"{count} GPU(s) by {path}")
    reason = "shows no GPU" if output.stdout else "no driver"
    return Seen("broken", f"{path}: {reason}: {output.explain()}", LOAD_DRIVER)


def look_at_amdsmi(machine: Machine) -> Seen:
    output = machine.run(sys.executable, "-c", "import amdsmi; print(amdsmi.__file__)")
    if output.code == 0:
        return Seen("ok", output.stdout)
    missing = "No module named 'amdsmi'" in output.stderr
    return Seen("absent", "no module amdsmi") if missing else Seen("broken", output.explain())


def look_at_rocprofv3(machine: Machine) -> Seen:
    for path in machine.find_tools("rocprofv3"):
        output = machine.run(path, "--version")
        if told := re.search(r"^\s*version: (\S+)", output.stdout, re.M):
            return Seen("ok", f"{told[1]} at {path}")
        if output.code == 2:  # argparse: `--version` came with ROCm 7.0
            return Seen("ok", f"older than ROCm 7.0, at {path}")
        return Seen("broken", f"{path}: {output.explain()}")
    return Seen("absent", "no rocprofv3")


def look_at_llvm_objdump(machine: Machine) -> Seen:
    seen = Seen("absent", "no llvm-objdump")
    for path in find_objdumps(machine.environ, machine.root):
        output = machine.run(path, "--version")
        told = re.search(r"LLVM version (\S+)", output.stdout)
        if told and re.search(r"^\s*amdgcn\b", output.stdout, re.M):
            return Seen("ok", f"LLVM {told[1]} at {path}")
        seen = Seen("broken", f"{path}: {'no target amdgcn' if told else output.explain()}")
    return seen
