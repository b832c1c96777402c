"""The kernels of a trace: their names, and what all launches of one amount to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.profiles.hardware import Hardware
from rocmoe.profiles.profiling.trace import Agent, Dispatch, Trace

_T = TypeVar("_T")

_ANONYMOUS = "(anonymous namespace)"
_SUFFIX = re.compile(r"( \[clone [^\]]*\]|\.kd)+\Z")
#: Operators whose names have the characters that enclose template arguments or parameters.
_OPERATOR = re.compile(r"\boperator\s*(\(\)|<=>|<<=|>>=|<<|>>|<=|>=|->\*|->|<(?!=)|>)")
_HIDDEN = re.compile(r"\x00(\d+)\x00")
#: A return type with parentheses of its own.
_DECLTYPE = re.compile(r"\bdecltype\([^()]*\)\s*")
_NUMBER = re.compile(r"\d+")
#: What torch's profiler calls work that is no kernel: `Memcpy DtoD (Device -> Device)`.
_COPY = re.compile(r"Mem(cpy|set) [^(]*\(")


def short_name(name: str) -> str:
    """A kernel's name without return type, template arguments and parameters.

    `void vllm::moe::topkGating<4, float>(float const*)` is `vllm::moe::topkGating`; a mangled name
    is read as far as its namespaces and its own name.
    """
    plain = _SUFFIX.sub("", name.strip())
    if _COPY.match(plain):
        return plain.partition("(")[0].strip()
    if plain.startswith("_Z"):
        return _read_mangled(plain) or plain
    operators: list[str] = []

    def hide(found: re.Match[str]) -> str:
        operators.append(found[0])
        return f"\x00{len(operators) - 1}\x00"

    hidden = _OPERATOR.sub(hide, _DECLTYPE.sub("", plain.replace(_ANONYMOUS, "{anonymous}")))
    shown = _strip(hidden).strip().rpartition(" ")[2].lstrip("*&")
    restored = _HIDDEN.sub(lambda found: operators[int(found[1])], shown)
    return restored.replace("{anonymous}", _ANONYMOUS) or plain


def _strip(text: str) -> str:
    """The text without what is in angle brackets, up to the first parenthesis outside of them."""
    depth, kept = 0, []
    for character in text:
        if character == "<":
            depth += 1
        elif character == ">":
            depth = max(depth - 1, 0)
        elif depth == 0:
            if character == "(":
                break
            kept.append(character)
    return "".join(kept)


def _read_mangled(name: str) -> str:
    """The names in `_ZN4vllm3moe10topkGatingI...`, empty where it does not begin with any."""
    position, parts = 3 if name.startswith("_ZN") else 2, []
    while found := _NUMBER.match(name, position):
        end = found.end() + int(found[0])
        part = name[found.end() : end]
        parts.append(_ANONYMOUS if part.startswith("_GLOBAL__N_") else part)
        position = end
        if not name.startswith("_ZN"):
            break
    return "::".join(parts)


def find_kernels(dispatches: Iterable[Dispatch], pattern: str) -> list[Dispatch]:
    """The launches whose kernel's name has the pattern in it, else where it is found as a regex.

    Names are those as told, short, and mangled.  Raises `RocmoeError` where there is none.
    """
    launches = list(dispatches)
    found = match_names(pattern, [_list_names(each) for each in launches])
    if not any(found):
        raise unknown("kernel", pattern, {short_name(each.kernel) for each in launches})
    return [each for each, fits in zip(launches, found, strict=True) if fits]


def match_names(pattern: str, names: Sequence[Sequence[str]]) -> list[bool]:
    """Which of some things have a pattern in one of their names; if none, which have it as a regex.

    Raises `RocmoeError` for what is neither a part of any name nor a regular expression.
    """
    found = [any(pattern in name for name in each) for each in names]
    if any(found):
        return found
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise RocmoeError(f"kernel {pattern!r}: found neither a part of a name nor a regular "
                          f"expression ({error})") from None  # fmt: skip
    return [any(map(regex.search, each)) for each in names]


def _list_names(dispatch: Dispatch) -> list[str]:
    names = [dispatch.kernel, short_name(dispatch.kernel)]
    return names if dispatch.symbol is None else [*names, dispatch.symbol]


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """All launches of a kernel with one size.

    durations_ns: of those while nothing was counted; counted_ns: of the others.  counts: medians
    by counter.  Registers, LDS and occupancy are None where launches differ, or nothing tells.
    """

    name: str
    short: str
    work_items: int | None
    lanes: int | None
    launches: tuple[Dispatch, ...]
    durations_ns: tuple[int, ...]
    counted_ns: tuple[int, ...]
    counts: dict[str, float]
    agent: Agent | None
    lds_bytes: int | None
    static_lds_bytes: int | None
    scratch_bytes: int | None
    vgprs: int | None
    accum_vgprs: int | None
    total_vgprs: int | None
    sgprs: int | None
    wave_size: int | None
    occupancy: float | None
    waves_per_cu: float | None

    @property
    def blocks(self) -> int | None:
        """Workgroups of a launch, None where launches differ."""
        return _agree(launch.blocks for launch in self.launches)

    @property
    def median_ns(self) -> float | None:
        return median(self.durations_ns) if self.durations_ns else None

    def find_parameters(self, hardware: Hardware | None = None) -> dict[str, float]:
        """What formulas of metrics need beside counters; of the hardware what no agent tells."""
        agent = self.agent
        units = agent.cu_count if agent and agent.cu_count else None
        dies = agent.xcc_count if agent and agent.xcc_count else None
        found: dict[str, float | None] = {
            "CU_NUM": units or (hardware.compute_units if hardware else None),
            "XCC_NUM": dies or (hardware.dies if hardware else None),
            "DURATION_NS": self.median_ns,
            "COUNTED_NS": median(self.counted_ns) if self.counted_ns else None,
        }
        return {name: float(value) for name, value in found.items() if value is not None}


_FIELDS = (
    "lds_bytes", "static_lds_bytes", "scratch_bytes", "vgprs", "accum_vgprs", "total_vgprs",
    "sgprs", "wave_size", "occupancy", "waves_per_cu",
)  # fmt: skip


def list_kernels(trace: Trace, dispatches: Iterable[Dispatch] | None = None) -> list[Kernel]:
    """The kernels of a trace, or of some of its launches, the one that took longest first."""
    groups: dict[tuple[str, int | None, int | None], list[Dispatch]] = {}
    for each in trace.dispatches if dispatches is None else dispatches:
        groups.setdefault((each.kernel, each.work_items, each.lanes), []).append(each)
    values: dict[tuple[str, int | None], list[tuple[str, float]]] = {}
    for value in trace.counters:
        key = (value.process, value.dispatch_id)
        values.setdefault(key, []).append((value.counter, value.value))
    kernels = [_make(trace, launches, values) for launches in groups.values()]
    return sorted(kernels, key=lambda kernel: (-sum(kernel.durations_ns), kernel.name))


def _make(
    trace: Trace,
    launches: Sequence[Dispatch],
    values: dict[tuple[str, int | None], list[tuple[str, float]]],
) -> Kernel:
    first = launches[0]
    counts: dict[str, list[float]] = {}
    for each in launches:
        for counter, value in values.get((each.process, each.dispatch_id), []):
            counts.setdefault(counter, []).append(value)
    times = [(each.counted, each.duration_ns) for each in launches]
    return Kernel(
        name=first.kernel,
        short=short_name(first.kernel),
        work_items=first.work_items,
        lanes=first.lanes,
        launches=tuple(launches),
        durations_ns=tuple(ns for counted, ns in times if ns is not None and not counted),
        counted_ns=tuple(ns for counted, ns in times if ns is not None and counted),
        counts={counter: median(found) for counter, found in counts.items()},
        agent=trace.find_agent(first),
        **{name: _agree(getattr(each, name) for each in launches) for name in _FIELDS},
    )


def _agree(values: Iterable[_T | None]) -> _T | None:
    """The one value that all have who tell any."""
    found = {value for value in values if value is not None}
    return found.pop() if len(found) == 1 else None
