"""The CSV files of the profilers before rocprofv3: rocprof (`results.csv`) and rocprofv2.

Both are wide: a column a counter.  ROCm/rocprofiler, bin/tblextr.py and plugin/file.
"""

from __future__ import annotations

from collections.abc import Iterator

from rocmoe.profiles.profiling.csv_table import Row, Table, product
from rocmoe.profiles.profiling.trace import CounterValue, Dispatch, Trace

_V1_COLUMNS = (
    "Index", "KernelName", "gpu-id", "queue-id", "queue-index", "pid", "tid", "grd", "wgr", "lds",
    "scr", "arch_vgpr", "accum_vgpr", "sgpr", "wave_size", "sig", "obj",
)  # fmt: skip
_V1_TIMES = ("DispatchNs", "BeginNs", "EndNs", "CompleteNs", "DurationNs")
#: The oldest versions call the architectural registers so.
_V1_OTHER = ("vgpr", "fbar")
_V2_COLUMNS = (
    "Dispatch_ID", "GPU_ID", "Queue_ID", "PID", "TID", "Grid_Size", "Workgroup_Size",
    "LDS_Per_Workgroup", "Scratch_Per_Workitem", "Arch_VGPR", "Accum_VGPR", "SGPR", "Wave_Size",
    "Kernel_Name", "Start_Timestamp", "End_Timestamp", "Correlation_ID",
)  # fmt: skip


def read_v1(table: Table, process: str) -> Trace:
    """`results.csv` of rocprof; times are there only with `--timestamp on` or `--stats`."""
    table.require(("Index", "KernelName", "grd", "wgr"), "the columns of rocprof")
    counters = [
        column for column in table.header if column not in (*_V1_COLUMNS, *_V1_TIMES, *_V1_OTHER)
    ]
    dispatches = tuple(_read_v1_launch(row, process, bool(counters)) for row in table.rows)
    notes: tuple[str, ...] = ()
    if dispatches and "BeginNs" not in table.header:
        notes = (f"{table.file}: no times: rocprof writes them with --timestamp on",)
    return _make("rocprof", table, dispatches, counters, notes)


def _read_v1_launch(row: Row, process: str, counted: bool) -> Dispatch:
    pid, gpu = row.find_int("pid"), row.find_int("gpu-id")
    return Dispatch(
        process=process if pid is None else f"{process}#{pid}",
        kernel=row.take_text("KernelName"),
        agent=None if gpu is None else f"GPU {gpu}",
        queue=row.find_int("queue-id"),
        dispatch_id=row.take_int("Index"),
        start_ns=row.find_int("BeginNs"),
        end_ns=row.find_int("EndNs"),
        grid=product(row.take_int("grd")),
        workgroup=product(row.take_int("wgr")),
        lds_bytes=row.find_int("lds"),
        scratch_bytes=row.find_int("scr"),
        vgprs=row.find_int("arch_vgpr"),
        accum_vgprs=row.find_int("accum_vgpr"),
        sgprs=row.find_int("sgpr"),
        wave_size=row.find_int("wave_size"),
        counted=counted,
    )


def read_v2(table: Table, process: str) -> Trace:
    """`results_*.csv` of rocprofv2."""
    table.require(("Dispatch_ID", "Kernel_Name", "Grid_Size"), "the columns of rocprofv2")
    counters = [column for column in table.header if column not in _V2_COLUMNS]
    dispatches = tuple(_read_v2_launch(row, process, bool(counters)) for row in table.rows)
    return _make("rocprofv2", table, dispatches, counters, ())


def _read_v2_launch(row: Row, process: str, counted: bool) -> Dispatch:
    pid, gpu = row.find_int("PID"), row.find_int("GPU_ID")
    return Dispatch(
        process=process if pid is None else f"{process}#{pid}",
        kernel=row.take_text("Kernel_Name"),
        agent=None if gpu is None else f"GPU {gpu}",
        queue=row.find_int("Queue_ID"),
        dispatch_id=row.take_int("Dispatch_ID"),
        correlation_id=row.find_int("Correlation_ID"),
        start_ns=row.find_int("Start_Timestamp"),
        end_ns=row.find_int("End_Timestamp"),
        grid=product(row.take_int("Grid_Size")),
        workgroup=product(row.find_int("Workgroup_Size")),
        lds_bytes=row.find_int("LDS_Per_Workgroup"),
        scratch_bytes=row.find_int("Scratch_Per_Workitem"),
        vgprs=row.find_int("Arch_VGPR"),
        accum_vgprs=row.find_int("Accum_VGPR"),
        sgprs=row.find_int("SGPR"),
        wave_size=row.find_int("Wave_Size"),
        counted=counted,
    )


def _make(
    tool: str,
    table: Table,
    dispatches: tuple[Dispatch, ...],
    counters: list[str],
    notes: tuple[str, ...],
) -> Trace:
    return Trace(
        tool=tool,
        form=f"CSV of {tool}",
        dispatches=dispatches,
        counters=tuple(_list_values(table, dispatches, counters)),
        notes=notes,
        sources=(table.file,),
    )


def _list_values(
    table: Table, dispatches: tuple[Dispatch, ...], counters: list[str]
) -> Iterator[CounterValue]:
    """What a cell leaves empty was not collected and has no value."""
    for row, dispatch in zip(table.rows, dispatches, strict=True):
        for counter in counters:
            value = row.find_number(counter)
            if value is not None:
                yield CounterValue(
                    process=dispatch.process,
                    dispatch_id=dispatch.dispatch_id,
                    kernel=dispatch.kernel,
                    counter=counter,
                    value=value,
                )
