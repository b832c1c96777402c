"""What a profiler wrote of kernels, in one form for all tools and versions.

None is what a format does not tell, and what is told and known to be wrong; `notes` says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """One launch of a kernel.

    process: whose; the start of the file's name, so that the files of one run share it.
    kernel: as the format gives it, demangled where that is an option.  symbol: mangled.
    agent: `Agent 4`, `GPU 0` or a bare number.  grid: in work-items, workgroup: in lanes, each
    x, y, z, or their product alone where no more is told.  start_ns, end_ns: of a clock that starts
    with the machine.  lds_bytes: of a workgroup, as launched; static_lds_bytes: what the code
    itself declares.  scratch_bytes: a lane.  vgprs, accum_vgprs: registers a lane; total_vgprs: of
    both kinds, which is what is allocated.
    occupancy: percent of the wave slots that are filled at most, where the tool estimates it;
    waves_per_cu: of the launch, over all compute units.
    counted: counters were collected meanwhile, which serialises launches and makes them slower.
    doubts: what is not to be relied on: `overlap`, or the name of a field.
    """

    process: str
    kernel: str
    symbol: str | None = None
    agent: str | None = None
    queue: int | None = None
    stream: int | None = None
    dispatch_id: int | None = None
    correlation_id: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    grid: tuple[int, ...] | None = None
    workgroup: tuple[int, ...] | None = None
    lds_bytes: int | None = None
    static_lds_bytes: int | None = None
    scratch_bytes: int | None = None
    vgprs: int | None = None
    accum_vgprs: int | None = None
    total_vgprs: int | None = None
    sgprs: int | None = None
    wave_size: int | None = None
    occupancy: float | None = None
    waves_per_cu: float | None = None
    counted: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def duration_ns(self) -> int | None:
        return None if self.start_ns is None or self.end_ns is None else self.end_ns - self.start_ns

    @property
    def work_items(self) -> int | None:
        return None if self.grid is None else math.prod(self.grid)

    @property
    def lanes(self) -> int | None:
        """Work-items of a workgroup."""
        return None if self.workgroup is None else math.prod(self.workgroup)

    @property
    def blocks(self) -> int | None:
        """Workgroups of the launch."""
        if self.grid is None or self.workgroup is None or 0 in self.workgroup:
            return None
        if len(self.grid) != len(self.workgroup):
            return -(-math.prod(self.grid) // math.prod(self.workgroup))
        return math.prod(-(-n // k) for n, k in zip(self.grid, self.workgroup, strict=True))


@dataclass(frozen=True, kw_only=True)
class CounterValue:
    """What a counter came to in one launch, over all its instances."""

    process: str
    dispatch_id: int | None
    kernel: str
    counter: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A processor as the profiler lists it; name: `gfx942` of a GPU.

    index: among all agents that are visible, node: among all that exist, of_type: among those of
    its type.
    """

    process: str
    type: str
    name: str
    product: str = ""
    node: int | None = None
    index: int | None = None
    of_type: int | None = None
    cu_count: int | None = None
    #: Dies with compute units (XCDs); over these GRBM counters are summed.
    xcc_count: int | None = None
    wave_size: int | None = None
    max_clock_mhz: int | None = None

    def has_label(self, label: str) -> bool:
        """Whether a launch's `agent` is this one."""
        kind, _, number = label.rpartition(" ")
        if not number.isdigit():
            return False
        wanted = int(number)
        if kind == "Agent":
            return wanted == self.index
        if kind:
            return kind == self.type and wanted == self.of_type
        return wanted == self.node


@dataclass(frozen=True, kw_only=True)
class KernelStats:
    """Durations of a kernel, or of a function of an API, over its calls.

    domain: `kernel`, `hip_api`, `domain` (sums of those) and so on, empty where the file's name
    does not tell.
    """

    domain: str
    name: str
    calls: int
    total_ns: float
    average_ns: float
    percentage: float | None = None
    min_ns: float | None = None
    max_ns: float | None = None
    stddev_ns: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All that was read.

    tool: `rocprofv3`, `rocprofv2`, `rocprof`; several, by commas, where files of several were
    read.  form: the formats and their versions.  notes: what is not trusted, and why.
    sources: the files, relative to what was asked for.  guids: of rocpd databases.
    """

    tool: str
    form: str
    dispatches: tuple[Dispatch, ...] = ()
    counters: tuple[CounterValue, ...] = ()
    agents: tuple[Agent, ...] = ()
    stats: tuple[KernelStats, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    guids: frozenset[str] = frozenset()

    def find_agent(self, dispatch: Dispatch) -> Agent | None:
        """The agent of a launch, None where the files do not tell."""
        if dispatch.agent is None:
            return None
        own = [agent for agent in self.agents if agent.process == dispatch.process]
        for agent in own or self.agents:
            if agent.has_label(dispatch.agent):
                return agent
        return None


def list_missing(trace: Trace, requested: Iterable[str]) -> list[str]:
    """The counters that were asked for and have no value: rocprofv3 leaves unknown ones out."""
    found = {each.counter for each in trace.counters}
    return [counter for counter in dict.fromkeys(requested) if counter not in found]


def sum_instances(values: Iterable[CounterValue]) -> list[CounterValue]:
    """One value a launch and counter, from one for each instance of the hardware's."""
    sums: dict[tuple[str, int | None, str, str], float] = {}
    for each in values:
        key = (each.process, each.dispatch_id, each.kernel, each.counter)
        sums[key] = sums.get(key, 0.0) + each.value
    return [
        CounterValue(process=process, dispatch_id=number, kernel=kernel, counter=name, value=value)
        for (process, number, kernel, name), value in sums.items()
    ]


def name_gfx(target_version: int) -> str:
    """`gfx942` from 90402: major, minor and step, the last two in hexadecimal."""
    major, minor, step = target_version // 10000, target_version // 100 % 100, target_version % 100
    return f"gfx{major}{minor:x}{step:x}"


def merge_traces(traces: Sequence[Trace]) -> Trace:
    """Several traces as one, in their order."""
    return Trace(
        tool=", ".join(dict.fromkeys(trace.tool for trace in traces)),
        form=", ".join(dict.fromkeys(trace.form for trace in traces)),
        dispatches=tuple(each for trace in traces for each in trace.dispatches),
        counters=tuple(each for trace in traces for each in trace.counters),
        agents=tuple(each for trace in traces for each in trace.agents),
        stats=tuple(each for trace in traces for each in trace.stats),
        notes=tuple(each for trace in traces for each in trace.notes),
        sources=tuple(each for trace in traces for each in trace.sources),
        guids=frozenset().union(*(trace.guids for trace in traces)),
    )
