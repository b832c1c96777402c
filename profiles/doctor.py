"""What is installed here, what works, and what the lack of it costs."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from rocmoe.profiles.environment import (
    PEERS,
    find_folder,
    find_memory,
    find_rocm,
    find_triton,
    find_version,
    is_peer,
    list_gpus,
    read_text,
    rocm_folder,
)
from rocmoe.profiles.telemetry import amd_smi, amdsmi_library, nvml, rocm_smi
from rocmoe.profiles.telemetry.findings import look_at_nvml, look_at_telemetry
from rocmoe.profiles.tools import (
    AMD_DEVICE,
    LOAD_DRIVER,
    Machine,
    Seen,
    Status,
    has_amd_driver,
    has_nvidia_driver,
    look_at_amd_smi,
    look_at_amdsmi,
    look_at_llvm_objdump,
    look_at_rocm_smi,
    look_at_rocprofv3,
)

UNUSED = "not used by this version"
#: What the absence of tools costs that serve the GPUs of one maker, where there are none.
NO_AMD, NO_NVIDIA = "nothing here: no AMD GPU", "nothing here: no NVIDIA GPU"
GIB = 1 << 30
#: Below these a long run is likely to end in the middle.
MIN_DISK_BYTES = GIB
MIN_MEMORY_BYTES = 2 * GIB
TORCH_INDEX = "https://download.pytorch.org/whl"
REINSTALL_TORCH = "pip install --force-reinstall torch"
#: Images where pip would bring another torch along, or has no build for AMD.
PEER_FIXES = {
    "aiter": "use a ROCm image that has it, or build https://github.com/ROCm/aiter",
    "sgl_kernel": "use an image of sglang, or pip install --no-deps sgl-kernel (CUDA only)",
    "vllm": "use an image of vllm: pip install vllm replaces torch",
    "flashinfer": "pip install flashinfer-python (CUDA only)",
    "flydsl": "pip install flydsl",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing looked for.  costs: what its absence costs.  fix: one line, empty when `ok`."""

    name: str
    status: Status
    found: str
    costs: str
    fix: str

    @property
    def matters(self) -> bool:
        """Whether anything is lost without it."""
        return self.costs not in (UNUSED, NO_AMD, NO_NVIDIA)


@dataclass(frozen=True)
class Probe:
    """One thing to look for; `look` may raise, which is a finding of `broken`.

    maker: of the GPUs that it serves, if it serves no others.
    """

    name: str
    costs: str
    fix: str
    look: Callable[[Machine], Seen]
    maker: Literal["AMD", "NVIDIA"] | None = None

    def find_costs(self, machine: Machine, status: Status) -> str:
        """What is lost without it on this machine."""
        if status != "absent":
            return self.costs
        if self.maker == "NVIDIA":  # where its driver is, NVML is broken and not absent
            return NO_NVIDIA
        return NO_AMD if self.maker == "AMD" and not has_amd_driver(machine) else self.costs


def examine(machine: Machine | None = None) -> list[Finding]:
    """Look for everything rocmoe can use; takes some seconds, for the tools that it runs."""
    here = machine or Machine()
    return [_examine(probe, here) for probe in list_probes()]


def _examine(probe: Probe, machine: Machine) -> Finding:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen = probe.look(machine)
    except Exception as error:  # whatever a foreign library or tool does is a finding
        first = (str(error).splitlines() or [""])[0]
        seen = Seen("broken", f"{type(error).__name__}: {first}")
    fix = "" if seen.status == "ok" else seen.fix or probe.fix
    costs = probe.find_costs(machine, seen.status)
    return Finding(probe.name, seen.status, seen.found, costs, fix)


def list_probes() -> list[Probe]:
    """What is looked for, in the order it is shown."""
    install_rocm = "for an AMD GPU: https://rocm.docs.amd.com/projects/install-on-linux"
    install_torch = f"pip install torch --index-url {TORCH_INDEX}/cpu"
    return [
        Probe("python", "everything", "install Python 3.10 or newer", look_at_python),
        Probe("torch", "everything that runs an op", install_torch, look_at_torch),
        Probe("gpu", "`--device gpu`", "run on a machine with a GPU", look_at_gpu),
        Probe("triton", "`--backend triton`, `sim:*`", "pip install 'rocmoe[sim]'", look_at_triton),
        Probe("rocm", "results do not name their ROCm", install_rocm, look_at_rocm),
        *_list_vendor_probes(),
        Probe("llvm-objdump", "reading code objects", "apt-get install llvm", look_at_llvm_objdump),
        *(
            Probe(module, _use_of(module), fix, partial(look_at_peer, module))
            for module, fix in PEER_FIXES.items()
        ),
        Probe("disk", "nothing can be written", "free some space", look_at_disk),
        Probe("memory", "large cases are killed", "free some memory", look_at_memory),
    ]


def _list_vendor_probes() -> list[Probe]:
    """What the makers of GPUs bring: the sources of telemetry, best first, and a profiler."""
    around = "telemetry around cases instead of around samples, by amd-smi"
    files = "telemetry by the driver's files, where amd-smi is not either"
    by_clock = "no clocks, power, violations in artifacts: only a fallen clock shows as throttled"
    counters = "`rocmoe profile` has no counters of an AMD GPU"
    profiler = "apt-get install rocprofiler-sdk"
    find_source = "install what is named above for this GPU"
    return [
        Probe("amdsmi", around, amdsmi_library.FIX, look_at_amdsmi, "AMD"),
        Probe("nvml", "no telemetry of NVIDIA GPUs", nvml.FIX, look_at_nvml, "NVIDIA"),
        Probe("amd-smi", "no violations, unless by amdsmi", amd_smi.FIX, look_at_amd_smi, "AMD"),
        Probe("rocm-smi", files, rocm_smi.FIX, look_at_rocm_smi, "AMD"),
        Probe("telemetry", by_clock, find_source, look_at_telemetry),
        Probe("rocprofv3", counters, profiler, look_at_rocprofv3, "AMD"),
    ]


def _use_of(backend: str) -> str:
    """What the absence of a backend's library costs, by whether this version has its adapter."""
    if importlib.util.find_spec(f"rocmoe.ops.backends.{backend}"):
        return f"`--backend {backend}`"
    return UNUSED


def look_at_python(machine: Machine) -> Seen:
    del machine
    return Seen("ok", f"{platform.python_version()} at {sys.executable}")


def look_at_torch(machine: Machine) -> Seen:
    del machine
    if find_folder("torch") is None:
        return Seen("absent", "no module torch")
    import torch

    return Seen("ok", f"{torch.__version__} for {_describe_build(torch)}")


def _describe_build(torch: Any) -> str:
    if torch.version.hip:
        return f"HIP {torch.version.hip}"
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"


def look_at_gpu(machine: Machine) -> Seen:
    if find_folder("torch") is None:
        return Seen("absent", "no torch to look with")
    import torch

    gpus = Counter(f"{gpu.name} ({gpu.arch})" for gpu in list_gpus())
    if gpus:
        found = ", ".join(f"{count} x {name}" for name, count in gpus.items())
        return Seen("ok", f"{found}, {_describe_build(torch)}")
    return _explain_no_gpu(machine, torch)


def _explain_no_gpu(machine: Machine, torch: Any) -> Seen:
    """Why torch sees none: no device, a device of the other maker, no permission, or hidden."""
    kfd = machine.root / AMD_DEVICE
    nvidia = has_nvidia_driver(machine)
    built = f"torch is built for {_describe_build(torch)}"
    if kfd.exists() and not torch.version.hip:
        rocm = (find_rocm(machine.root, machine.environ) or "X.Y").split(".")
        index = f"rocm{'.'.join(rocm[:2])}"
        return Seen(
            "broken",
            f"/dev/kfd is here, but {built}",
            f"{REINSTALL_TORCH} --index-url {TORCH_INDEX}/{index}",
        )
    if nvidia and not torch.version.cuda:
        return Seen("broken", f"NVIDIA's driver is here, but {built}", REINSTALL_TORCH)
    if kfd.exists() and not os.access(kfd, os.R_OK | os.W_OK):
        fix = "join the groups that own /dev/kfd: sudo usermod -aG render,video $USER"
        return Seen("broken", "/dev/kfd may not be opened by this user", fix)
    if kfd.exists() or nvidia:
        return _explain_hidden_gpu(machine, built)
    if torch.version.hip:
        return Seen("absent", f"{built}, but there is no /dev/kfd", LOAD_DRIVER)
    return Seen("absent", f"no AMD or NVIDIA driver, and {built}")


def _explain_hidden_gpu(machine: Machine, built: str) -> Seen:
    names = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
    hiding = [f"{name}={machine.environ[name]!r}" for name in names if name in machine.environ]
    if hiding:
        fix = f"unset {hiding[0].split('=')[0]}"
        return Seen("broken", f"torch sees no GPU under {', '.join(hiding)}", fix)
    fix = "see what `rocminfo` or `nvidia-smi` says, and whether torch is too new for the driver"
    return Seen("broken", f"a driver is here and {built}, but it sees no GPU", fix)


def look_at_triton(machine: Machine) -> Seen:
    del machine
    if (folder := find_folder("triton")) is None:
        return Seen("absent", "no module triton")
    if not (folder / "backends/amd/compiler.py").is_file():
        return Seen("broken", f"{find_triton()} without its compiler for AMD")
    return Seen("ok", f"{find_triton()} with its compiler for AMD")


def look_at_rocm(machine: Machine) -> Seen:
    folder = rocm_folder(machine.root, machine.environ)
    if not folder.is_dir():
        return Seen("absent", f"no {folder}")
    found = find_rocm(machine.root, machine.environ)
    if found is None:
        return Seen("broken", f"{folder} has no .info/version")
    return Seen("ok", f"{found} in {folder}")


def look_at_peer(module: str, machine: Machine) -> Seen:
    del machine
    if (folder := find_folder(module)) is None:
        return Seen("absent", f"no module {module}")
    if not is_peer(module, folder):
        return Seen(
            "broken", f"{folder} is another package of that name", f"pip uninstall {module}"
        )
    return Seen("ok", find_version(PEERS[module]) or f"unknown version in {folder}")


def look_at_disk(machine: Machine) -> Seen:
    del machine
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / GIB:.1f} GiB free in the working folder"
    return Seen("ok" if free >= MIN_DISK_BYTES else "broken", found)


def look_at_memory(machine: Machine) -> Seen:
    limits = [find_memory(machine.root, "MemAvailable"), _find_container_memory(machine.root)]
    known = [limit for limit in limits if limit is not None]
    if not known:
        return Seen("absent", "/proc/meminfo does not say")
    found = f"{min(known) / GIB:.1f} GiB available"
    return Seen("ok" if min(known) >= MIN_MEMORY_BYTES else "broken", found)


def _find_container_memory(root: Path) -> int | None:
    """What a container's limit leaves, in bytes; None without a limit."""
    limit, used = (read_text(root / f"sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return int(limit) - int(used) if limit and used and limit.isdigit() else None
