"""Whether two artifacts may be held against each other: what else differs between them.

A difference keeps those dimensions from being compared that depend on it, unless it is allowed:

- times depend on the GPU, its clocks and driver, on the versions of all that makes and launches
  kernels, on the variables that steer it, and on how thoroughly was measured; by the host's clock
  on the host too;
- counts of simulated runs, and what the code of kernels says, depend on Triton and the variables
  that steer it, and on no device;
- right and wrong depend on how strictly was judged.

rocmoe's own version is not among them: its kernels are what is compared.  Neither is that of the
format, since reading an artifact upgrades it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from rocmoe.ops.core.errors import unknown
from rocmoe.profiles.artifact import Artifact, Measurement, Request, Result
from rocmoe.profiles.comparing.diff_times import find_obstacle, match_measurements
from rocmoe.profiles.environment import Environment

Dimension = Literal["correctness", "slower", "counts", "resources"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
Pair = tuple[Result, Result]

#: What --allow takes, and what it lets differ.
KINDS: Mapping[str, str] = {
    "gpu": "the GPU's name or architecture",
    "clocks": "how fast the GPU's clock ran",
    "versions": "driver, ROCm, CUDA, torch, Triton, libraries of kernels",
    "host": "the processor and Python, for times by the host's clock",
    "variables": "environment variables that change how kernels are made or run",
    "request": "how thoroughly was measured, how strictly judged",
}
#: Clocks further apart are another state of the machine.  The five benches of one H100 in
#: docs/artifacts, taken within four minutes, have medians from 1744 to 1790 MHz, 2.6 % apart,
#: though single readings range from 1470 to 1876.
CLOCK_SHARE = 0.05
#: Variables that say where things lie or which device is meant.
HARMLESS = ("*_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "*_DIR", "*_PATH", "*_HOME", "*LOG*")
#: Variables that steer work of the host alone, and those that change code that is compiled.
HOST_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
COMPILER_VARIABLES = ("TRITON_*", "AMDGCN_*")


class Difference(msgspec.Struct, frozen=True):
    """Something that is not what is asked about, and differs.

    kind: the word that allows it.  base, new: as text.  dimensions: that depend on it here.
    """

    kind: str
    what: str
    base: str
    new: str
    dimensions: list[Dimension]
    allowed: bool

    def tell(self) -> str:
        """One line."""
        told = f"{self.what}: base {self.base}, new {self.new}"
        listed = ", ".join(self.dimensions)
        return f"{told}: {'allowed' if self.allowed else f'--allow {self.kind} compares {listed}'}"


@dataclass(frozen=True)
class Scope:
    """What some pairs of results have in common.

    timed: pairs of measurements that can be compared; timed_results: of which results.  counted,
    static: whether any have counts, or records of their code.
    """

    timed: Sequence[tuple[Measurement, Measurement]]
    timed_results: Sequence[Pair]
    counted: bool
    static: bool

    @property
    def by_wall(self) -> bool:
        return any(base.timer == "wall" for base, _ in self.timed)

    @property
    def on_cpu(self) -> bool:
        return any(each.device == "cpu" for pair in self.timed_results for each in pair)

    @property
    def on_gpu(self) -> bool:
        return any(each.device.startswith("gpu") for pair in self.timed_results for each in pair)

    def list_dimensions(self, *, timed: bool, compiled: bool) -> list[Dimension]:
        """Those that something bears on: on times if `timed`, on code that is compiled."""
        found: list[Dimension] = ["slower"] if timed else []
        found += ["counts"] if compiled and self.counted else []
        return found + (["resources"] if compiled and self.static else [])


def check_kinds(words: Iterable[str]) -> frozenset[str]:
    """The kinds that words name; `RocmoeError` for one that there is none of."""
    for word in (words := list(words)):
        if word not in KINDS:
            raise unknown("kind of difference for --allow", word, KINDS)
    return frozenset(words)


def find_differences(
    base: Artifact, new: Artifact, pairs: Sequence[Pair], allowed: frozenset[str] = frozenset()
) -> list[Difference]:
    """What differs and matters to some pairs of results, `base` first in each."""
    scope = find_scope(pairs)
    environments = (base.environment, new.environment)
    found = [
        *_list_request((base.request, new.request), scope),
        *_list_gpu(environments, scope),
        *_list_versions(environments, scope),
        *_list_host(environments, scope),
        *_list_variables(environments, scope),
    ]
    return [
        Difference(kind, what, _tell(values[0]), _tell(values[1]), dimensions, kind in allowed)
        for kind, what, values, dimensions in found
        if dimensions and values[0] != values[1]
    ]


def find_scope(pairs: Sequence[Pair]) -> Scope:
    """What can be compared of some pairs of results, all else being equal."""
    timed, timed_results = [], []
    for pair in pairs:
        matched = [
            (before, after)
            for _, before, after in match_measurements(*pair)
            if before and after and find_obstacle(before, after) is None
        ]
        timed += matched
        timed_results += [pair] if matched else []
    counted = any(base.counts and new.counts for base, new in pairs)
    static = any(base.isa and new.isa for base, new in pairs)
    return Scope(timed, timed_results, counted, static)


#: Kind, what, both values, and the dimensions that depend on it.
Candidate = tuple[str, str, Sequence[Any], list[Dimension]]
Environments = tuple[Environment, Environment]


def _list_request(requests: tuple[Request, Request], scope: Scope) -> list[Candidate]:
    timed = scope.list_dimensions(timed=bool(scope.timed), compiled=False)
    return [
        ("request", "strictly judged", [each.strict for each in requests], ["correctness"]),
        ("request", "effort", [each.effort for each in requests], timed),
        ("request", "command", [each.command for each in requests], timed),
    ]


def _list_gpu(environments: Environments, scope: Scope) -> list[Candidate]:
    """The GPUs that were timed, and their clocks where they are too far apart."""
    names, clocks = [], []
    for side, environment in enumerate(environments):
        devices = {pair[side].device for pair in scope.timed_results}
        gpus = [each for each in environment.gpus if f"gpu:{each.index}" in devices]
        names.append(", ".join(sorted({f"{each.name} ({each.arch})" for each in gpus})))
        read = [mhz for pair in scope.timed for mhz in pair[side].clocks.get("before", ())]
        clocks.append(float(np.median(read)) if read else 0.0)
    on_gpu = scope.list_dimensions(timed=scope.on_gpu, compiled=False)
    found: list[Candidate] = [("gpu", "GPU", names, on_gpu)]
    if min(clocks) > 0.0 and max(clocks) > (1.0 + CLOCK_SHARE) * min(clocks):
        found.append(("clocks", "median clock", [f"{mhz:.0f} MHz" for mhz in clocks], on_gpu))
    return found


def _list_versions(environments: Environments, scope: Scope) -> list[Candidate]:
    on_gpu = scope.list_dimensions(timed=scope.on_gpu, compiled=False)
    timed = scope.list_dimensions(timed=bool(scope.timed), compiled=False)
    compiled = scope.list_dimensions(timed=scope.on_gpu, compiled=True)
    names = ("amdgpu_driver", "nvidia_driver", "rocm", "torch_hip", "torch_cuda")
    backends = sorted({result.backend for pair in scope.timed_results for result in pair})
    return [
        *(_compare_field("versions", name, environments, on_gpu) for name in names),
        _compare_field("versions", "torch", environments, timed),
        _compare_field("versions", "triton", environments, compiled),
        *(
            ("versions", name, [each.libraries.get(name) for each in environments], timed)
            for name in backends
        ),
    ]


def _list_host(environments: Environments, scope: Scope) -> list[Candidate]:
    by_wall = scope.list_dimensions(timed=scope.by_wall, compiled=False)
    on_cpu = scope.list_dimensions(timed=scope.on_cpu, compiled=False)
    return [
        _compare_field("host", "cpu_model", environments, by_wall),
        _compare_field("host", "python", environments, by_wall),
        _compare_field("host", "cpu_count", environments, on_cpu),
    ]


def _compare_field(
    kind: str, name: str, environments: Environments, dimensions: list[Dimension]
) -> Candidate:
    return kind, name, [getattr(each, name) for each in environments], dimensions


def _list_variables(environments: Environments, scope: Scope) -> list[Candidate]:
    names = sorted({name for each in environments for name in each.variables})
    return [
        ("variables", name, [each.variables.get(name) for each in environments],
         _find_reach(name, scope))
        for name in names
        if not _fits(name, HARMLESS)
    ]  # fmt: skip


def _find_reach(name: str, scope: Scope) -> list[Dimension]:
    timed = scope.by_wall if name in HOST_VARIABLES else bool(scope.timed)
    return scope.list_dimensions(timed=timed, compiled=_fits(name, COMPILER_VARIABLES))


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _tell(value: Any) -> str:
    return "not recorded" if value in (None, "") else str(value)
