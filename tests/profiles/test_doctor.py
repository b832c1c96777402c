"""Stand-in programs behave as the real ones do without a driver, and as documented with one."""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rocmoe.cli.doctor import doctor
from rocmoe.profiles import doctor as doctor_module
from rocmoe.profiles.doctor import (
    NO_AMD,
    NO_NVIDIA,
    UNUSED,
    Finding,
    examine,
    look_at_gpu,
    look_at_memory,
)
from rocmoe.profiles.tools import (
    Machine,
    look_at_amd_smi,
    look_at_amdsmi,
    look_at_llvm_objdump,
    look_at_rocm_smi,
    look_at_rocprofv3,
)

NO_DRIVER = "ERROR:root:Driver not initialized (amdgpu not found in modules)"


class Stage:
    """A machine of stand-ins: an empty root, and programs that print what they are told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bin").mkdir()
        self.environ = {"PATH": str(root / "bin"), "PYTHONPATH": str(root / "modules")}

    def machine(self, timeout_s: float = 20.0, **environ: str) -> Machine:
        return Machine(self.root, {**self.environ, **environ}, timeout_s)

    def add_tool(self, name: str, stdout: str = "", stderr: str = "", code: int = 0) -> Path:
        return self.add_script(name, f"echo -n '{stdout}'; echo -n '{stderr}' >&2; exit {code}")

    def add_script(self, name: str, script: str) -> Path:
        path = self.add_file(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def add_file(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def pretend_torch(monkeypatch: pytest.MonkeyPatch, hip: str | None, cuda: str | None) -> None:
    import torch

    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_rocm_smi_that_exits_0_and_prints_nothing_is_broken(stage: Stage) -> None:
    stage.add_tool("rocm-smi", stderr=NO_DRIVER)
    seen = look_at_rocm_smi(stage.machine())
    assert seen.status == "broken"
    assert "no driver" in seen.found
    assert NO_DRIVER in seen.found
    assert "/dev/kfd" in seen.fix


@pytest.mark.skipif(shutil.which("rocm-smi") is None, reason="no rocm-smi: apt-get install it")
@pytest.mark.skipif(Path("/dev/kfd").exists(), reason="this machine has an AMD GPU's driver")
def test_the_real_rocm_smi_without_a_gpu_is_broken() -> None:
    seen = look_at_rocm_smi(Machine())
    assert seen.status == "broken"
    assert "(exit 0)" in seen.found
    assert "/dev/kfd" in seen.fix


def test_rocm_smi_that_complains_on_stdout_is_broken(stage: Stage) -> None:
    stage.add_tool("rocm-smi", stdout="\x1b[31mUnable to load the rocm_smi library.\x1b[0m\n")
    seen = look_at_rocm_smi(stage.machine())
    assert seen.status == "broken"
    assert "shows no GPU: Unable to load the rocm_smi library. (exit 0)" in seen.found


def test_rocm_smi_with_gpus_is_ok(stage: Stage) -> None:
    lines = [f"GPU[{i}]\t\t: Device {what}: 0x74a1" for i in range(8) for what in ("Name", "ID")]
    stage.add_tool("rocm-smi", stdout="\n".join(lines))
    seen = look_at_rocm_smi(stage.machine())
    assert (seen.status, seen.found) == ("ok", f"8 GPU(s) by {stage.root}/bin/rocm-smi")


@pytest.mark.parametrize("code", [0, 206, 255])
def test_amd_smi_without_a_driver_is_broken(stage: Stage, code: int) -> None:
    stage.add_tool("amd-smi", stdout='{"error": "Driver not loaded", "code": -1}', code=code)
    assert look_at_amd_smi(stage.machine()).status == "broken"
    stage.add_tool("amd-smi", stderr="Driver not loaded", code=code)
    assert "no driver: Driver not loaded" in look_at_amd_smi(stage.machine()).found


@pytest.mark.parametrize(
    "printed",
    [
        '[{"gpu": 0, "bdf": "0000:05:00.0"}, {"gpu": 1, "bdf": "0000:26:00.0"}]',
        '{"gpu_data": [{"gpu": 0}, {"gpu": 1}]}',
        'WARNING: user [root] is not in group render\n[{"gpu": 0}, {"gpu": 1}]\n[{"nic": 0}]',
        '[{"gpu": 0}]\n[{"gpu": 0}, {"gpu": 1}]',
    ],
)
def test_amd_smi_of_every_version_is_understood(stage: Stage, printed: str) -> None:
    stage.add_tool("amd-smi", stdout=printed)
    seen = look_at_amd_smi(stage.machine())
    assert seen.status == "ok", seen
    assert seen.found.startswith("2 GPU(s)")


def test_amdsmi_that_raises_key_error_is_broken_not_absent(stage: Stage) -> None:
    assert look_at_amdsmi(stage.machine()).status == "absent"
    stage.add_file("modules/amdsmi.py", "raise KeyError('libamd_smi.so')\n")
    seen = look_at_amdsmi(stage.machine())
    assert (seen.status, seen.found) == ("broken", "KeyError: 'libamd_smi.so' (exit 1)")


def test_amdsmi_that_kills_the_process_is_broken(stage: Stage) -> None:
    stage.add_file("modules/amdsmi.py", "import os\nos.kill(os.getpid(), 11)\n")
    seen = look_at_amdsmi(stage.machine())
    assert (seen.status, seen.found) == ("broken", "it prints nothing (exit -11)")


def test_amdsmi_that_imports_is_ok(stage: Stage) -> None:
    path = stage.add_file("modules/amdsmi.py")
    assert look_at_amdsmi(stage.machine()).found == str(path)


def test_rocprofv3_of_every_version_is_understood(stage: Stage) -> None:
    stage.add_tool("rocprofv3", stdout="             version: 1.0.0\n      rocm_version: 7.0.0\n")
    assert look_at_rocprofv3(stage.machine()).found == f"1.0.0 at {stage.root}/bin/rocprofv3"
    stage.add_tool("rocprofv3", stderr="rocprofv3: error: unrecognized arguments", code=2)
    assert look_at_rocprofv3(stage.machine()).found.startswith("older than ROCm 7.0")
    stage.add_tool("rocprofv3", stderr="ImportError: no librocprofiler-sdk.so", code=1)
    assert look_at_rocprofv3(stage.machine()).status == "broken"


def test_an_llvm_objdump_without_amdgcn_is_passed_over(stage: Stage) -> None:
    assert look_at_llvm_objdump(stage.machine()).status == "absent"
    stage.add_tool("llvm-objdump", stdout="LLVM version 19.1.7\n  Registered Targets:\n    x86 -")
    assert "no target amdgcn" in look_at_llvm_objdump(stage.machine()).found
    told = "LLVM version 20.1.0\n  Registered Targets:\n    amdgcn - AMD GCN GPUs\n"
    path = stage.add_tool("llvm-objdump-20", stdout=told)
    assert look_at_llvm_objdump(stage.machine()).found == f"LLVM 20.1.0 at {path}"


def test_tools_of_rocm_are_found_off_the_path(stage: Stage) -> None:
    path = stage.add_tool("rocprofv3", stdout="             version: 1.0.0\n")
    (stage.root / "opt/rocm").mkdir(parents=True)
    (stage.root / "bin").rename(stage.root / "opt/rocm/bin")
    seen = look_at_rocprofv3(stage.machine())
    assert seen.found == f"1.0.0 at {stage.root}/opt/rocm/bin/{path.name}"
    assert look_at_rocprofv3(stage.machine(ROCM_PATH="/opt/rocm-7.0")).status == "absent"


def is_running(pid: int) -> bool:
    """False for a process that is gone, or dead and not yet waited for."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_tool_that_hangs_is_ended_with_its_children(stage: Stage) -> None:
    stage.add_script("rocm-smi", f"/bin/sleep 60 & echo $! >{stage.root}/pid; wait")
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        look_at_rocm_smi(stage.machine(timeout_s=0.5))
    child = int((stage.root / "pid").read_text())
    while is_running(child):
        assert time.monotonic() - started < 10, "the child of the tool lives on"
        time.sleep(0.05)


def test_a_tool_that_cannot_be_run_is_broken(stage: Stage) -> None:
    stage.add_script("rocm-smi", "").write_text("#!/no/such/interpreter\n")
    found = {finding.name: finding for finding in examine(stage.machine())}
    assert found["rocm-smi"].status == "broken"
    assert "No such file" in found["rocm-smi"].found
    assert found["rocm-smi"].fix


def add_nothing(stage: Stage) -> None:
    del stage


def add_kfd(stage: Stage) -> None:
    stage.add_file("dev/kfd")
    stage.add_file("opt/rocm/.info/version", "7.1.0-43\n")


def add_nvidia(stage: Stage) -> None:
    stage.add_file("proc/driver/nvidia/version", "NVRM version: ...\n")


@pytest.mark.parametrize(
    ("hip", "cuda", "prepare", "environ", "status", "fix"),
    [
        (None, None, add_nothing, {}, "absent", ""),
        (None, None, add_kfd, {}, "broken", "--index-url https://download.pytorch.org/whl/rocm7.1"),
        (None, "12.8", add_kfd, {}, "broken", "/rocm7.1"),
        (None, None, add_nvidia, {}, "broken", "pip install --force-reinstall torch"),
        ("7.1", None, add_nothing, {}, "absent", "--device=/dev/kfd"),
        ("7.1", None, add_kfd, {}, "broken", "rocminfo"),
        ("7.1", None, add_kfd, {"HIP_VISIBLE_DEVICES": ""}, "broken", "unset HIP_VISIBLE_DEVICES"),
        (None, "12.8", add_nvidia, {"CUDA_VISIBLE_DEVICES": "-1"}, "broken", "unset CUDA_VIS"),
    ],
)
def test_the_reason_for_no_gpu_is_told(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    hip: str | None,
    cuda: str | None,
    prepare: Callable[[Stage], None],
    environ: Mapping[str, str],
    status: str,
    fix: str,
) -> None:
    pretend_torch(monkeypatch, hip, cuda)
    prepare(stage)
    seen = look_at_gpu(stage.machine(**environ))
    assert seen.status == status
    assert fix in seen.fix


def test_a_kfd_that_may_not_be_opened_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_torch(monkeypatch, "7.1", None)
    add_kfd(stage)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("kfd"))
    assert "render,video" in look_at_gpu(stage.machine()).fix


def test_gpus_are_counted_by_kind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    pretend_torch(monkeypatch, "7.1.25424", None)
    found = types.SimpleNamespace(name="AMD Instinct MI300X", gcnArchName="gfx942", total_memory=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: found)
    seen = look_at_gpu(stage.machine())
    assert seen.status == "ok"
    assert seen.found == "8 x AMD Instinct MI300X (gfx942), HIP 7.1.25424"


def test_memory_is_limited_by_the_container(stage: Stage) -> None:
    stage.add_file("proc/meminfo", "MemTotal: 64000000 kB\nMemAvailable: 62914560 kB\n")
    stage.add_file("sys/fs/cgroup/memory.max", "max\n")
    stage.add_file("sys/fs/cgroup/memory.current", f"{2**29}\n")
    assert look_at_memory(stage.machine()).found == "60.0 GiB available"
    stage.add_file("sys/fs/cgroup/memory.max", f"{2**30}\n")
    seen = look_at_memory(stage.machine())
    assert (seen.status, seen.found) == ("broken", "0.5 GiB available")


def test_a_bare_machine_is_examined_to_the_end(stage: Stage) -> None:
    found = {finding.name: finding for finding in examine(stage.machine())}
    tools = (
        "rocm-smi",
        "amd-smi",
        "amdsmi",
        "rocprofv3",
        "llvm-objdump",
        "rocm",
        "memory",
    )
    assert {found[name].status for name in tools} == {"absent"}
    assert {found[name].status for name in ("python", "torch", "disk")} == {"ok"}
    for finding in found.values():
        assert finding.costs, finding
        assert (finding.fix == "") == (finding.status == "ok"), finding
        assert "\n" not in finding.found + finding.fix, finding


def test_a_torch_that_cannot_be_loaded_is_a_finding(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "OSError('libamdhip64.so.7: cannot open shared object file')"
    stage.add_file("modules/torch/__init__.py", f"raise {error}\n")
    monkeypatch.syspath_prepend(str(stage.root / "modules"))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    found = {finding.name: finding for finding in examine(stage.machine())}
    for name in ("torch", "gpu"):
        assert found[name].status == "broken"
        assert found[name].found.startswith("OSError: libamdhip64.so.7"), found[name]


def test_a_package_named_like_a_peer_is_broken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.add_file("modules/aiter/__init__.py", "raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(stage.root / "modules"))
    found = {finding.name: finding for finding in examine(stage.machine())}
    assert found["aiter"].status == "broken"
    assert found["aiter"].fix == "pip uninstall aiter"


def test_what_is_used_follows_the_adapters_there_are(stage: Stage) -> None:
    import rocmoe.ops.backends

    adapters = {module.name for module in pkgutil.iter_modules(rocmoe.ops.backends.__path__)}
    for finding in examine(stage.machine()):
        if finding.name in doctor_module.PEER_FIXES:
            assert (finding.costs != UNUSED) == (finding.name in adapters), finding


@pytest.mark.parametrize(
    ("prepare", "lost"),
    [
        (add_nothing, set()),
        (add_kfd, {"amdsmi", "amd-smi", "rocm-smi", "rocprofv3"}),
        (add_nvidia, {"nvml"}),
    ],
)
def test_tools_of_a_maker_matter_where_its_driver_is(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Stage], None],
    lost: set[str],
) -> None:
    monkeypatch.setattr("rocmoe.profiles.telemetry.nvml_library.LIBRARY", "libnone-ml.so.1")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    prepare(stage)
    probes = {probe.name for probe in doctor_module.list_probes() if probe.maker}
    found = [finding for finding in examine(stage.machine()) if finding.name in probes]
    assert {finding.name for finding in found if finding.matters} == lost


def test_what_is_broken_matters_everywhere(stage: Stage) -> None:
    stage.add_tool("rocm-smi", stderr=NO_DRIVER)
    found = {finding.name: finding for finding in examine(stage.machine())}
    assert found["rocm-smi"].matters
    assert not found["amd-smi"].matters


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command("doctor")(doctor)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_prints_findings_as_json() -> None:
    findings = json.loads(run("--format", "json"))
    assert [f["name"] for f in findings][:3] == ["python", "torch", "gpu"]
    assert set(findings[0]) == set(Finding.__struct_fields__)


def test_the_table_has_a_fix_a_line_for_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("torch", "ok", "2.13.0", "everything", ""),
        Finding("gpu", "absent", "none", "`--device gpu`", "run elsewhere"),
        Finding("vllm", "absent", "no module vllm", UNUSED, "use an image of vllm"),
        Finding("amd-smi", "absent", "no amd-smi", NO_AMD, "apt-get install amd-smi-lib"),
        Finding("nvml", "absent", "no NVML", NO_NVIDIA, "load NVIDIA's driver"),
    ]
    monkeypatch.setattr(doctor_module, "examine", lambda: findings)
    lines = run().splitlines()
    assert lines[-3:] == ["", "To mend:", "- gpu: run elsewhere"]
    assert [line.split()[:2] for line in lines[2:7]] == [
        ["torch", "ok"],
        ["gpu", "absent"],
        ["vllm", "absent"],
        ["amd-smi", "absent"],
        ["nvml", "absent"],
    ]
