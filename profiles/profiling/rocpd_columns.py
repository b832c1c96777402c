"""What the views and tables of rocpd call things: as in schema 3 first, then later names.

ROCm/rocm-systems, projects/rocprofiler-sdk, source/share/rocprofiler-sdk-rocpd/*.sql.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: The tables behind a name: a view over all runs, or one a run.
FindTables = Callable[[str], list[str]]


@dataclass(frozen=True)
class Relation:
    """A view, and the names that each of our columns may have in it."""

    view: str
    columns: Mapping[str, tuple[str, ...]]


#: Without these a row says nothing.
NEEDED = ("pid", "kernel", "start_ns", "end_ns", "dispatch_id", "counter", "value", "type", "name")

#: Grids are in work-items; of schema 4.1's `grid_x` and `grid_size_x`, the latter counts blocks.
#: The internal correlation id, which the CSV has, is the stack's; `corr_id` is the external one.
LAUNCHES = Relation(
    "kernels",
    {
        "guid": ("guid",),
        "pid": ("pid",),
        "kernel": ("name",),
        "agent_index": ("agent_log_index", "agent_logical_index"),
        "queue": ("queue_id",),
        "stream": ("stream_id",),
        "dispatch_id": ("dispatch_id",),
        "correlation_id": ("stack_id",),
        "start_ns": ("start",),
        "end_ns": ("end",),
        "grid_x": ("grid_x",),
        "grid_y": ("grid_y",),
        "grid_z": ("grid_z",),
        "workgroup_x": ("workgroup_x",),
        "workgroup_y": ("workgroup_y",),
        "workgroup_z": ("workgroup_z",),
        "lds_bytes": ("lds_size", "lds_block_size"),
        "static_lds_bytes": ("static_lds_size", "static_lds_block_size"),
        "scratch_bytes": ("scratch_size",),
        "vgprs": ("vgpr_count", "arch_vgpr_count"),
        "accum_vgprs": ("accum_vgpr_count",),
        "sgprs": ("sgpr_count",),
    },
)

COUNTERS = Relation(
    "counters_collection",
    {
        "pid": ("pid",),
        "dispatch_id": ("dispatch_id",),
        "kernel": ("kernel_name",),
        "counter": ("counter_name",),
        "value": ("value",),
    },
)

COUNTERS_4 = Relation(
    "kernel_pmc_events",
    {
        "pid": ("pid",),
        "dispatch_id": ("dispatch_id",),
        "kernel": ("name",),
        "counter": ("pmc_name",),
        "value": ("pmc_value",),
    },
)

AGENTS = Relation(
    "rocpd_info_agent",
    {
        "pid": ("pid",),
        "type": ("type",),
        "name": ("name",),
        "product": ("product_name",),
        "node": ("absolute_index",),
        "index_": ("logical_index",),
        "of_type": ("type_index",),
        "extra": ("extdata",),
    },
)

_LAUNCH = """
SELECT k.guid AS guid, p.pid AS pid, s.display_name AS kernel, s.kernel_name AS symbol,
  a.logical_index AS agent_index, k.queue_id AS queue, k.stream_id AS stream,
  k.dispatch_id AS dispatch_id, e.stack_id AS correlation_id, k.start AS start_ns,
  k.end AS end_ns, k.grid_size_x AS grid_x, k.grid_size_y AS grid_y, k.grid_size_z AS grid_z,
  k.workgroup_size_x AS workgroup_x, k.workgroup_size_y AS workgroup_y,
  k.workgroup_size_z AS workgroup_z, k.group_segment_size AS lds_bytes,
  s.group_segment_size AS static_lds_bytes, k.private_segment_size AS scratch_bytes,
  s.arch_vgpr_count AS vgprs, s.accum_vgpr_count AS accum_vgprs, s.sgpr_count AS sgprs
FROM "{dispatch}" k JOIN "{symbol}" s ON s.id = k.kernel_id AND s.guid = k.guid
  JOIN "{process}" p ON p.id = k.pid AND p.guid = k.guid
  LEFT JOIN "{agent}" a ON a.id = k.agent_id AND a.guid = k.guid
  LEFT JOIN "{event}" e ON e.id = k.event_id AND e.guid = k.guid
"""

_COUNTER = """
SELECT p.pid AS pid, k.dispatch_id AS dispatch_id, s.display_name AS kernel, c.name AS counter,
  v.value AS value
FROM "{value}" v JOIN "{counter}" c ON c.id = v.pmc_id AND c.guid = v.guid
  JOIN "{dispatch}" k ON k.event_id = v.event_id AND k.guid = v.guid
  JOIN "{symbol}" s ON s.id = k.kernel_id AND s.guid = k.guid
  JOIN "{process}" p ON p.id = k.pid AND p.guid = k.guid
"""

_TABLES = {
    "dispatch": "rocpd_kernel_dispatch",
    "symbol": "rocpd_info_kernel_symbol",
    "process": "rocpd_info_process",
    "agent": "rocpd_info_agent",
    "event": "rocpd_event",
    "value": "rocpd_pmc_event",
    "counter": "rocpd_info_pmc",
}


#: What a dispatch table has in which these joins hold; schema 4 moved some of it elsewhere.
JOINED = ("pid", "agent_id", "start", "end")


def join_launches(find: FindTables) -> list[str]:
    """A query a run that gives the columns of `LAUNCHES` from the tables."""
    return _fill(_LAUNCH, find, ("dispatch", "symbol", "process", "agent", "event"))


def join_counters(find: FindTables) -> list[str]:
    """A query a run that gives the columns of `COUNTERS` from the tables."""
    return _fill(_COUNTER, find, ("value", "counter", "dispatch", "symbol", "process"))


def _fill(query: str, find: FindTables, parts: tuple[str, ...]) -> list[str]:
    """The query for each run: its tables have the same ending."""
    base = _TABLES["dispatch"]
    endings = [table[len(base) :] for table in find(base)]
    known = {part: set(find(_TABLES[part])) for part in parts}
    return [
        query.format(**{part: _TABLES[part] + ending for part in parts})
        for ending in endings
        if all(_TABLES[part] + ending in known[part] for part in parts)
    ]
