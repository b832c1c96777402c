"""The CSV files of rocprofv3, ROCm 6.2 and later, and those of `rocpd convert`.

Columns were renamed and added by version, so they are read by name.  Their headers:
ROCm/rocm-systems, projects/rocprofiler-sdk, source/lib/output/generateCSV.cpp; of ROCm 6.2 to 6.4
the tags of ROCm/rocprofiler-sdk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from rocmoe.profiles.profiling.csv_table import Row, Table, product
from rocmoe.profiles.profiling.trace import (
    Agent,
    CounterValue,
    Dispatch,
    KernelStats,
    Trace,
    name_gfx,
)

TOOL = "rocprofv3"
CONVERTED = "CSV of rocpd convert"
#: What statistics are of, as files are called.
DOMAINS = (
    "kernel", "hip_api", "hsa_api", "marker_api", "rccl_api", "memory_copy", "memory_allocation",
    "scratch_memory", "domain",
)  # fmt: skip

_TRACE_COLUMNS = ("Kernel_Name", "Start_Timestamp", "End_Timestamp", "Agent_Id", "Queue_Id")
_COUNTER_COLUMNS = ("Dispatch_Id", "Kernel_Name", "Counter_Name", "Counter_Value", "Grid_Size")
_AGENT_COLUMNS = ("Node_Id", "Logical_Node_Id", "Agent_Type", "Cu_Count", "Name")
_STATS_COLUMNS = ("Name", "Calls", "TotalDurationNs", "AverageNs")


def read_kernel_trace(table: Table, process: str) -> Trace:
    """`*_kernel_trace.csv`: one row a launch, in no order."""
    table.require(_TRACE_COLUMNS, "the columns of a kernel trace")
    form, notes = _name_form(table.header), []
    if _has_static_lds(table.header) and table.rows:
        notes.append(
            f"{table.file}: LDS_Block_Size is what the code declares: LDS that a launch gives is "
            "not in it; JSON and rocpd have it"
        )
    dispatches = tuple(_read_launch(row, process, table.header) for row in table.rows)
    return replace(_begin(table, form), dispatches=dispatches, notes=tuple(notes))


def _name_form(header: tuple[str, ...]) -> str:
    if "Guid" in header:
        return CONVERTED
    if "LDS_Block_Size" in header:
        return "CSV of ROCm 7.0 or later"
    if "Stream_Id" in header:
        return "CSV of a development build before ROCm 7.0"
    return "CSV of ROCm 6.3 or 6.4" if "Dispatch_Id" in header else "CSV of ROCm 6.2"


def _has_static_lds(header: tuple[str, ...]) -> bool:
    """ROCm 7.0 writes the LDS of the code object, rounded up to 512 bytes; 6.x had the launch's
    in Group_Segment_Size, and a database has it too."""
    return "LDS_Block_Size" in header and "Guid" not in header


def _read_launch(row: Row, process: str, header: tuple[str, ...]) -> Dispatch:
    kernel, symbol = _read_names(row)
    lds = row.find_int("LDS_Block_Size")
    static = _has_static_lds(header)
    return Dispatch(
        process=_name_process(row, process),
        kernel=kernel,
        symbol=symbol,
        agent=row.find_text("Agent_Id"),
        queue=row.find_int("Queue_Id"),
        stream=row.find_int("Stream_Id"),
        dispatch_id=row.find_int("Dispatch_Id"),
        correlation_id=row.find_int("Correlation_Id"),
        start_ns=row.take_int("Start_Timestamp"),
        end_ns=row.take_int("End_Timestamp"),
        grid=row.find_xyz("Grid_Size"),
        workgroup=row.find_xyz("Workgroup_Size"),
        lds_bytes=row.find_int("Group_Segment_Size") if static or lds is None else lds,
        static_lds_bytes=lds if static else None,
        scratch_bytes=_first(row.find_int("Scratch_Size"), row.find_int("Private_Segment_Size")),
        vgprs=row.find_int("VGPR_Count"),
        accum_vgprs=row.find_int("Accum_VGPR_Count"),
        sgprs=row.find_int("SGPR_Count"),
    )


def _read_names(row: Row) -> tuple[str, str | None]:
    """The name, and again as the symbol where `--mangled-kernels` left it mangled."""
    name = row.take_text("Kernel_Name")
    return name, name if name.startswith("_Z") or name.endswith(".kd") else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _name_process(row: Row, process: str) -> str:
    """A converted file may hold several processes, each with a Guid."""
    guid = row.find_text("Guid")
    return f"{process}#{guid}" if guid else process


def read_counters(table: Table, process: str) -> Trace:
    """`*_counter_collection.csv`: one row a launch and counter, summed over instances and dies."""
    table.require(_COUNTER_COLUMNS, "the columns of collected counters")
    dispatches: dict[tuple[str, int], Dispatch] = {}
    values: dict[tuple[str, int, str], CounterValue] = {}
    notes, repeated = [], set()
    for row in table.rows:
        launch = _read_counted(row, process)
        number = row.take_int("Dispatch_Id")
        dispatches.setdefault((launch.process, number), launch)
        value = _read_value(row, launch)
        key = (launch.process, number, value.counter)
        if key in values:
            repeated.add(key)
        values[key] = value
    for _, number, counter in sorted(repeated):
        notes.append(f"{table.file}: {counter} of dispatch {number} is there twice: left out")
    kept = tuple(value for key, value in values.items() if key not in repeated)
    trace = _begin(table, _name_counter_form(table.header))
    launches = tuple(dispatches.values())
    return replace(trace, dispatches=launches, counters=kept, notes=tuple(notes))


def _name_counter_form(header: tuple[str, ...]) -> str:
    if "Guid" in header:
        return CONVERTED
    if "Accum_VGPR_Count" in header:
        return "CSV of ROCm 6.4 or later"
    return "CSV of ROCm 6.3" if "Start_Timestamp" in header else "CSV of ROCm 6.2"


def _read_counted(row: Row, process: str) -> Dispatch:
    """The launch of a row; which LDS its LDS_Block_Size is differs, so only a database's counts."""
    kernel, symbol = _read_names(row)
    lds = row.find_int("LDS_Block_Size")
    return Dispatch(
        process=_name_process(row, process),
        kernel=kernel,
        symbol=symbol,
        agent=row.find_text("Agent_Id"),
        queue=row.find_int("Queue_Id"),
        dispatch_id=row.take_int("Dispatch_Id"),
        correlation_id=row.find_int("Correlation_Id"),
        start_ns=row.find_int("Start_Timestamp"),
        end_ns=row.find_int("End_Timestamp"),
        grid=product(row.find_int("Grid_Size")),
        workgroup=product(row.find_int("Workgroup_Size")),
        lds_bytes=lds if "Guid" in row.cells else None,
        static_lds_bytes=None if "Guid" in row.cells else lds,
        scratch_bytes=row.find_int("Scratch_Size"),
        vgprs=row.find_int("VGPR_Count"),
        accum_vgprs=row.find_int("Accum_VGPR_Count"),
        sgprs=row.find_int("SGPR_Count"),
        counted=True,
    )


def _read_value(row: Row, launch: Dispatch) -> CounterValue:
    return CounterValue(
        process=launch.process,
        dispatch_id=launch.dispatch_id,
        kernel=launch.kernel,
        counter=row.take_text("Counter_Name"),
        value=row.take_number("Counter_Value"),
    )


def read_agents(table: Table, process: str) -> Trace:
    """`*_agent_info.csv`: one row a processor of the machine, CPUs too."""
    table.require(_AGENT_COLUMNS, "the columns of agents")
    agents = [_read_agent(row, process) for row in table.rows]
    return replace(_begin(table, ""), agents=number_by_type(agents))


def _read_agent(row: Row, process: str) -> Agent:
    name, version = row.find_text("Name") or "", row.find_int("Gfx_Target_Version")
    return Agent(
        process=_name_process(row, process),
        type=row.take_text("Agent_Type"),
        name=name if name.startswith("gfx") or not version else name_gfx(version),
        product=row.find_text("Product_Name") or "",
        node=row.take_int("Node_Id"),
        index=row.take_int("Logical_Node_Id"),
        cu_count=row.find_int("Cu_Count"),
        xcc_count=row.find_int("Num_Xcc"),
        wave_size=row.find_int("Wave_Front_Size"),
        max_clock_mhz=row.find_int("Max_Engine_Clk_Fcompute"),
    )


def number_by_type(agents: list[Agent]) -> tuple[Agent, ...]:
    """The agents with their number among those of a process and type, in the order of nodes."""
    seen: dict[tuple[str, str], int] = {}
    numbered = []
    for agent in sorted(agents, key=lambda agent: (agent.node is None, agent.node or 0)):
        number = seen.get(key := (agent.process, agent.type), 0)
        seen[key] = number + 1
        numbered.append(replace(agent, of_type=number))
    return tuple(numbered)


def read_stats(table: Table, process: str) -> Trace:
    """`*_stats.csv` of rocprofv3 and `results.stats.csv` of the first rocprof."""
    table.require(_STATS_COLUMNS, "the columns of statistics")
    found = [domain for domain in DOMAINS if table.file.endswith(f"{domain}_stats.csv")]
    domain = found[0] if found else ""
    stats = tuple(_read_stats_row(row, domain) for row in table.rows)
    trace = replace(_begin(table, ""), stats=stats)
    return trace if "StdDev" in table.header else replace(trace, tool="rocprof")


def _read_stats_row(row: Row, domain: str) -> KernelStats:
    return KernelStats(
        domain=domain,
        name=row.take_text("Name"),
        calls=row.take_int("Calls"),
        total_ns=row.take_number("TotalDurationNs"),
        average_ns=row.take_number("AverageNs"),
        percentage=row.find_number("Percentage"),
        min_ns=row.find_number("MinNs"),
        max_ns=row.find_number("MaxNs"),
        stddev_ns=row.find_number("StdDev"),
    )


def join_launches(parts: list[Trace]) -> list[Trace]:
    """The traces of one process's files, each launch once.

    A launch that both the kernel trace and the counters list keeps what the trace tells, with what
    only the counters do, and counts as counted.  ROCm 6.2's trace has no dispatch ids, so there the
    correlation id tells which one it is.
    """
    launches = [each for part in parts for each in part.dispatches]
    traces = [each for each in launches if not each.counted]
    by = "correlation_id" if any(each.dispatch_id is None for each in traces) else "dispatch_id"
    traced = _index(traces, by)
    counted = _index([each for each in launches if each.counted], by)
    joined = []
    for part in parts:
        kept = [
            each if each.counted else _join(each, counted.get(_key(each, by)))
            for each in part.dispatches
            if not (each.counted and _key(each, by) in traced)
        ]
        joined.append(replace(part, dispatches=tuple(kept)))
    return joined


_Key = tuple[str, "int | None"]


def _key(dispatch: Dispatch, by: str) -> _Key:
    return dispatch.process, getattr(dispatch, by)


def _index(dispatches: list[Dispatch], by: str) -> Mapping[_Key, Dispatch]:
    """The launches by a number, without those that share it, as all of a graph's launch do."""
    counts = Counter(_key(each, by) for each in dispatches)
    return {
        key: each
        for each in dispatches
        if counts[key := _key(each, by)] == 1 and key[1] is not None
    }


def _join(dispatch: Dispatch, counted: Dispatch | None) -> Dispatch:
    if counted is None:
        return dispatch
    names = (
        "dispatch_id", "vgprs", "accum_vgprs", "sgprs", "static_lds_bytes", "scratch_bytes"
    )  # fmt: skip
    missing = {name: getattr(counted, name) for name in names if getattr(dispatch, name) is None}
    return replace(dispatch, **missing, counted=True)


def _begin(table: Table, form: str) -> Trace:
    """The trace of a file, with nothing in it yet."""
    return Trace(tool=TOOL, form=form, sources=(table.file,))
