"""What runs ran on and with."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.environment import Environment
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.sources import Run
from rocmoe.profiles.tables.table import Table

_VERSIONS = {
    "rocmoe": "rocmoe", "python": "Python", "system": "system", "torch": "torch",
    "torch_hip": "HIP of torch", "torch_cuda": "CUDA of torch", "triton": "Triton",
    "rocm": "ROCm", "amdgpu_driver": "amdgpu driver", "nvidia_driver": "NVIDIA driver",
    "numpy": "NumPy", "scipy": "SciPy",
}  # fmt: skip


def describe_machine(artifact: Artifact) -> str:
    """What its results ran on: GPUs, processor, simulated architectures."""
    devices = {result.device.partition(":")[0] for result in artifact.results}
    environment = artifact.environment
    words: list[str] = []
    if "gpu" in devices:
        words += dict.fromkeys(gpu.name for gpu in environment.gpus)
    if "cpu" in devices:
        words.append(environment.cpu_model or "CPU")
    words += sorted({each.device for each in artifact.results if each.device.startswith("sim:")})
    return ", ".join(words) or environment.cpu_model or "CPU"


def make_environment(runs: Sequence[Run]) -> Section:
    """A row a fact; a column a run where they differ, one for all where none does."""
    facts = [dict(_list_facts(run.artifact.environment)) for run in runs]
    names = list(dict.fromkeys(name for each in facts for name in each))
    alike = all(each == facts[0] for each in facts)
    columns = ["all runs"] if alike and len(runs) > 1 else [run.name for run in runs]
    shown = facts[:1] if alike else facts
    rows = [[name, *(each.get(name, "-") for each in shown)] for name in names]
    tables = (Table("", ("", *columns), rows),) if rows else ()
    return Section("environment", "Environment", tables=tables)


def _list_facts(environment: Environment) -> list[tuple[str, str]]:
    gpus = [
        (f"GPU {gpu.index}", f"{gpu.name} ({gpu.arch}), {gpu.memory_bytes / 2**30:.0f} GiB")
        for gpu in environment.gpus
    ]
    cpu = f"{environment.cpu_model or 'unknown'}, {environment.cpu_count} cores"
    versions = [
        (label, str(value))
        for name, label in _VERSIONS.items()
        if (value := getattr(environment, name)) is not None
    ]
    return [*gpus, ("processor", cpu), *versions, *environment.libraries.items(),
            *environment.variables.items()]  # fmt: skip
