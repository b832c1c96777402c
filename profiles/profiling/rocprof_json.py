"""`*_results.json` of rocprofv3: ROCm/rocm-systems, projects/rocprofiler-sdk, source/lib/output.

Launches have numbers of kernels, agents and counters, whose names are in lists of their own.  Of a
process's environment nothing is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.rocprof_csv import TOOL, number_by_type
from rocmoe.profiles.profiling.trace import (
    Agent,
    CounterValue,
    Dispatch,
    Trace,
    merge_traces,
    name_gfx,
    sum_instances,
)

ROOT = "rocprofiler-sdk-tool"
_TYPES = {1: "CPU", 2: "GPU"}


class _Handle(msgspec.Struct):
    handle: int


class _Xyz(msgspec.Struct):
    x: int
    y: int
    z: int


class _Correlation(msgspec.Struct):
    internal: int


class _Info(msgspec.Struct):
    agent_id: _Handle
    queue_id: _Handle
    kernel_id: int
    dispatch_id: int
    private_segment_size: int
    group_segment_size: int
    workgroup_size: _Xyz
    grid_size: _Xyz


class _Launch(msgspec.Struct):
    correlation_id: _Correlation
    start_timestamp: int
    end_timestamp: int
    dispatch_info: _Info
    stream_id: _Handle | None = None


class _Value(msgspec.Struct):
    counter_id: _Handle
    value: float


class _Collected(msgspec.Struct):
    dispatch_data: _Launch
    records: list[_Value]
    stream_id: _Handle | None = None


class _Agent(msgspec.Struct):
    id: _Handle
    type: int
    name: str
    node_id: int
    logical_node_id: int
    product_name: str = ""
    cu_count: int | None = None
    num_xcc: int | None = None
    wave_front_size: int | None = None
    gfx_target_version: int = 0
    max_engine_clk_fcompute: int | None = None


class _Counter(msgspec.Struct):
    id: _Handle
    name: str


class _Symbol(msgspec.Struct):
    kernel_id: int
    kernel_name: str = ""
    formatted_kernel_name: str = ""
    demangled_kernel_name: str = ""
    group_segment_size: int | None = None
    sgpr_count: int | None = None
    arch_vgpr_count: int | None = None
    accum_vgpr_count: int | None = None


class _Metadata(msgspec.Struct):
    pid: int


class _Buffer(msgspec.Struct):
    kernel_dispatch: list[_Launch] = []


class _Callback(msgspec.Struct):
    counter_collection: list[_Collected] = []


class _Process(msgspec.Struct):
    metadata: _Metadata
    agents: list[_Agent]
    kernel_symbols: list[_Symbol]
    buffer_records: _Buffer
    callback_records: _Callback = msgspec.field(default_factory=_Callback)
    counters: list[_Counter] = []


class _Document(msgspec.Struct, rename={"processes": ROOT}):
    processes: list[_Process]


def read_json(path: Path, name: str, process: str) -> Trace:
    """The launches, counters and agents of all processes of a file; name: of the file for errors.

    LDS is that of the launch.  Raises `RocmoeError` with the place of what is malformed.
    """
    found = _decode(path, name).processes
    if not found:
        raise RocmoeError(f"{name}: found no process under {ROOT}; wanted at least one")
    labels = [f"{process}#{each.metadata.pid}" if len(found) > 1 else process for each in found]
    return merge_traces(
        [_Reader(each, label, name).read() for each, label in zip(found, labels, strict=True)]
    )


def _decode(path: Path, name: str) -> _Document:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RocmoeError(f"{name}: found no readable file ({error.strerror})") from None
    try:
        return msgspec.json.decode(data, type=_Document)
    except msgspec.ValidationError as error:
        raise RocmoeError(
            f"{name}: {error}; wanted the results of rocprofv3 as in ROCm 6.2 to 7: a newer form "
            "is not known"
        ) from None
    except msgspec.DecodeError as error:
        raise RocmoeError(f"{name}:{_find_place(data, error)}: found no JSON ({error})") from None
    except UnicodeDecodeError:
        raise RocmoeError(f"{name}: found bytes that are not UTF-8; wanted JSON") from None


def _find_place(data: bytes, error: msgspec.DecodeError) -> str:
    """LINE:COLUMN of `... (byte N)`, or of the end of the file where it is cut short."""
    _, _, told = str(error).rpartition("byte ")
    digits = told.rstrip(")")
    before = data[: int(digits)] if digits.isdigit() else data
    lines = before.split(b"\n")
    return f"{len(lines)}:{len(lines[-1]) + 1}"


class _Reader:
    """One process, with its names by number."""

    def __init__(self, process: _Process, label: str, file: str) -> None:
        self.process, self.label, self.file = process, label, file
        self.symbols = {symbol.kernel_id: symbol for symbol in process.kernel_symbols}
        self.counters = {counter.id.handle: counter.name for counter in process.counters}
        self.agents = {agent.id.handle: agent for agent in process.agents}

    def read(self) -> Trace:
        collected = self.process.callback_records.counter_collection
        launches: dict[int, Dispatch] = {}
        for each in self.process.buffer_records.kernel_dispatch:
            launch = self._read_launch(each, each.stream_id, counted=bool(collected))
            launches[each.dispatch_info.dispatch_id] = launch
        values = []
        for record in collected:
            launch = self._read_launch(record.dispatch_data, record.stream_id, counted=True)
            launches.setdefault(record.dispatch_data.dispatch_info.dispatch_id, launch)
            values += [self._read_value(value, launch) for value in record.records]
        return Trace(
            tool=TOOL,
            form="JSON",
            dispatches=tuple(launches.values()),
            counters=tuple(sum_instances(values)),
            agents=number_by_type([self._read_agent(agent) for agent in self.process.agents]),
            sources=(self.file,),
        )

    def _read_launch(self, launch: _Launch, stream: _Handle | None, counted: bool) -> Dispatch:
        info = launch.dispatch_info
        symbol = self._find(self.symbols, info.kernel_id, "kernel_symbols", "kernel_id")
        agent = self._find(self.agents, info.agent_id.handle, "agents", "agent_id")
        grid, workgroup = info.grid_size, info.workgroup_size
        return Dispatch(
            process=self.label,
            kernel=symbol.demangled_kernel_name
            or symbol.formatted_kernel_name
            or symbol.kernel_name,
            symbol=symbol.kernel_name or None,
            agent=f"Agent {agent.logical_node_id}",
            queue=info.queue_id.handle,
            stream=None if stream is None else stream.handle,
            dispatch_id=info.dispatch_id,
            correlation_id=launch.correlation_id.internal,
            start_ns=launch.start_timestamp,
            end_ns=launch.end_timestamp,
            grid=(grid.x, grid.y, grid.z),
            workgroup=(workgroup.x, workgroup.y, workgroup.z),
            lds_bytes=info.group_segment_size,
            static_lds_bytes=symbol.group_segment_size,
            scratch_bytes=info.private_segment_size,
            vgprs=symbol.arch_vgpr_count,
            accum_vgprs=symbol.accum_vgpr_count,
            sgprs=symbol.sgpr_count,
            counted=counted,
        )

    def _read_value(self, value: _Value, launch: Dispatch) -> CounterValue:
        name = self._find(self.counters, value.counter_id.handle, "counters", "counter_id")
        return CounterValue(
            process=self.label,
            dispatch_id=launch.dispatch_id,
            kernel=launch.kernel,
            counter=name,
            value=value.value,
        )

    def _read_agent(self, agent: _Agent) -> Agent:
        version = agent.gfx_target_version
        return Agent(
            process=self.label,
            type=_TYPES.get(agent.type, "other"),
            name=agent.name if agent.name.startswith("gfx") or not version else name_gfx(version),
            product=agent.product_name,
            node=agent.node_id,
            index=agent.logical_node_id,
            cu_count=agent.cu_count,
            xcc_count=agent.num_xcc,
            wave_size=agent.wave_front_size,
            max_clock_mhz=agent.max_engine_clk_fcompute,
        )

    def _find(self, known: dict[int, Any], number: int, part: str, field: str) -> Any:
        if number not in known:
            raise RocmoeError(f"{self.file}: found {field} {number}, which {part} does not list")
        return known[number]
