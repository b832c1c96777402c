"""What a run depended on: the versions, devices and settings that a result is recorded with.

Nothing here imports a peer library or Triton, whose imports are slow, print, and start drivers;
versions are read from what the package manager recorded.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rocmoe import __version__

T = TypeVar("T")

#: Environment variables that may change a result, as patterns; no others are recorded.
VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
    *("HSA_*", "HIP_*", "ROCM_PATH", "AMD_LOG_LEVEL", "AMD_SERIALIZE_*", "AMDGCN_*"),
    *("TRITON_*", "AITER_*", "FLYDSL_*", "ROCMOE_*", "SGLANG_USE_AITER", "VLLM_ROCM_*"),
    *("PYTORCH_*ALLOC*", "CUDA_LAUNCH_BLOCKING", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)
SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL")

#: Distributions by the module that they install.  Other distributions of the same module exist:
#: `aiter` is AMD's own when built from source, an unrelated package on PyPI; see `is_peer`.
PEERS: Mapping[str, Sequence[str]] = {
    "aiter": ("amd-aiter", "aiter"),
    "sgl_kernel": ("sgl-kernel", "sglang-kernel"),
    "vllm": ("vllm",),
    "flashinfer": ("flashinfer-python",),
    "flydsl": ("flydsl",),
}
#: ROCm builds of torch bring Triton under names of their own.
TRITON_DISTRIBUTIONS = ("triton", "triton-rocm", "pytorch-triton-rocm", "pytorch-triton")


class Gpu(msgspec.Struct, frozen=True):
    """A GPU that torch can reach.

    index: as torch counts, so after the *_VISIBLE_DEVICES.  arch: with its features where torch
    tells them, as `gfx942:sramecc+:xnack-`, or as `sm_90`.
    """

    index: int
    name: str
    arch: str
    memory_bytes: int


class Environment(msgspec.Struct, frozen=True):
    """Versions, devices and settings; None is what could not be found out or is not there."""

    rocmoe: str
    python: str
    system: str
    machine: str
    cpu_model: str | None
    cpu_count: int | None
    memory_bytes: int | None
    torch: str | None
    torch_hip: str | None
    torch_cuda: str | None
    triton: str | None
    numpy: str | None
    scipy: str | None
    rocm: str | None
    amdgpu_driver: str | None
    nvidia_driver: str | None
    gpus: list[Gpu]
    libraries: dict[str, str]
    variables: dict[str, str]


def collect_environment(
    root: Path = Path("/"), variables: Mapping[str, str] | None = None
) -> Environment:
    """The environment of this process; a probe that fails gives None and never raises.

    root: where files such as /opt/rocm are looked for.  variables: instead of `os.environ`.
    Starts the GPU's runtime in this process, so that it must not be forked afterwards.
    """
    environ = os.environ if variables is None else variables
    return Environment(
        rocmoe=__version__,
        python=platform.python_version(),
        system=_name_system(platform.system(), platform.release()),
        machine=platform.machine(),
        cpu_model=find_cpu_model(root),
        cpu_count=os.cpu_count(),
        memory_bytes=find_memory(root, "MemTotal"),
        torch=attempt(_torch_version, "__version__"),
        torch_hip=attempt(_torch_version, "hip"),
        torch_cuda=attempt(_torch_version, "cuda"),
        triton=find_triton(),
        numpy=find_version(["numpy"]),
        scipy=find_version(["scipy"]),
        rocm=find_rocm(root, environ),
        amdgpu_driver=read_text(root / "sys/module/amdgpu/version"),
        nvidia_driver=find_nvidia_driver(root),
        gpus=attempt(list_gpus) or [],
        libraries=attempt(list_peers) or {},
        variables=select_variables(environ),
    )


def _name_system(system: str, release: str) -> str:
    """`Linux 6.8.0`: what follows the number in a kernel's release often names its host."""
    number = re.match(r"[0-9.]*[0-9]", release)
    return f"{system} {number[0]}" if number else system


def attempt(probe: Callable[..., T], *arguments: Any) -> T | None:
    """What a probe returns, None if it raises: libraries fail at import in any way they like."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return probe(*arguments)
    except Exception:
        return None


def read_text(path: Path) -> str | None:
    """A file's text without the blanks around it; None if there is none or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def find_cpu_model(root: Path) -> str | None:
    """The processor's name as the kernel gives it."""
    found = re.search(r"^model name\s*:\s*(.+)$", read_text(root / "proc/cpuinfo") or "", re.M)
    return found[1].strip() if found else platform.processor() or None


def find_memory(root: Path, field: str) -> int | None:
    """A field of /proc/meminfo (MemTotal, MemAvailable), in bytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", read_text(root / "proc/meminfo") or "", re.M)
    return int(found[1]) * 1024 if found else None


def rocm_folder(root: Path, environ: Mapping[str, str]) -> Path:
    """Where ROCm is, or would be, installed: $ROCM_PATH, else /opt/rocm."""
    return root / (environ.get("ROCM_PATH") or "/opt/rocm").lstrip("/")


def find_rocm(root: Path, environ: Mapping[str, str]) -> str | None:
    """The version of the ROCm that is installed."""
    return read_text(rocm_folder(root, environ) / ".info/version")


def find_nvidia_driver(root: Path) -> str | None:
    """The version of NVIDIA's kernel module."""
    text = read_text(root / "proc/driver/nvidia/version") or ""
    found = re.search(r"Kernel Module\b.*?\s(\d+(?:\.\d+)+)\s", text)
    return found[1] if found else None


def find_version(distributions: Sequence[str], beside: Path | None = None) -> str | None:
    """The version of the first of some distributions that is installed.

    beside: only of those that lie in the same folder as this one, since a package may be found
    before another distribution's of the same name.
    """
    for name in distributions:
        found = attempt(distribution, name)
        if found and (beside is None or Path(str(found.locate_file(""))) == beside.parent):
            return found.version
    return None


def find_folder(module: str) -> Path | None:
    """The folder of an importable top-level package, which is not imported."""
    spec = attempt(importlib.util.find_spec, module)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def find_triton() -> str | None:
    """Triton's version, also where its distribution has a name of its own."""
    if (folder := find_folder("triton")) is None:
        return None
    written = re.search(
        r"^__version__ = ['\"]([^'\"]+)", read_text(folder / "__init__.py") or "", re.M
    )
    return find_version(TRITON_DISTRIBUTIONS, folder) or (written[1] if written else "unknown")


def is_peer(module: str, folder: Path) -> bool:
    """False for an unrelated package of the same name, as the `aiter` on PyPI is."""
    return module != "aiter" or (folder / "ops").is_dir()


def list_peers() -> dict[str, str]:
    """The installed libraries that rocmoe knows, with their versions."""
    folders = {module: find_folder(module) for module in PEERS}
    return {
        module: find_version(PEERS[module]) or "unknown"
        for module, folder in folders.items()
        if folder is not None and is_peer(module, folder)
    }


def _torch_version(attribute: str) -> str | None:
    import torch

    found = getattr(torch.version, attribute)
    return None if found is None else str(found)


def list_gpus() -> list[Gpu]:
    """The GPUs that torch can reach; raises whatever torch does where it cannot look."""
    import torch

    if not torch.cuda.is_available():
        return []
    return [_describe_gpu(torch, index) for index in range(torch.cuda.device_count())]


def _describe_gpu(torch: Any, index: int) -> Gpu:
    found = torch.cuda.get_device_properties(index)
    arch = found.gcnArchName if torch.version.hip else f"sm_{found.major}{found.minor}"
    return Gpu(index=index, name=found.name, arch=arch, memory_bytes=found.total_memory)


def select_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the allow-list, home directories in their values written as `~`."""
    return {
        name: hide_home(value, environ.get("HOME", ""))
        for name, value in sorted(environ.items())
        if any(fnmatchcase(name, pattern) for pattern in VARIABLES) and not SECRET.search(name)
    }


def hide_home(text: str, home: str) -> str:
    """A text with home directories, the user's own and any under /home, replaced by `~`."""
    homes = r"/(?:home|Users)/[^/:;,=\s]+"
    if len(home) > 1:
        homes = rf"{re.escape(home.rstrip('/'))}|{homes}"
    return re.sub(rf"(?<![\w.~-])(?:{homes})(?=$|[/:;,=\s])", "~", text)
