"""The tables that the stand-in for rocprofv3 writes, in the shape of each version."""

import json
import os

#: What the GPU runs, in order, where STAND_IN_KERNELS does not tell: names and nanoseconds.
KERNELS = (
    ("void addition_kernel<float>(float*, float const*, int, int)", 13408),
    ("last(int*)", 9000),
)
GRID, GROUP = 1048576, 64
#: Of each counter, as the dies of an MI300X have them.
INSTANCES = 8


def list_kernels():
    told = os.environ.get("STAND_IN_KERNELS")
    return json.loads(told) if told else KERNELS


def find_value(counter):
    """What a counter comes to in a launch: as many as there are workgroups, if nothing tells."""
    return json.loads(os.environ.get("STAND_IN_VALUES", "{}")).get(counter, GRID / GROUP)


def is_at_least(version):
    def numbers(text):
        return tuple(map(int, text.split(".")))

    return numbers(os.environ["STAND_IN_VERSION"]) >= numbers(version)


AGENT = [
    ["Node_Id", "Logical_Node_Id", "Agent_Type", "Num_Xcc", "Cu_Count", "Name"],
    [4, 4, "GPU", 8, 304, "gfx942"],
]


def name_agent():
    return "Agent 4" if is_at_least("7.0") else 4


def list_dispatches():
    start = 1550151853029637
    for name, ns in list_kernels():
        yield name, start, start + ns
        start += 100000


def make_trace():
    """16 columns in ROCm 6.2, 18 up to 6.4, 22 since 7.0."""
    threads = is_at_least("6.3")
    streams = is_at_least("7.0")
    sizes = [
        ["Private_Segment_Size", "Group_Segment_Size"],
        ["LDS_Block_Size", "Scratch_Size", "VGPR_Count", "Accum_VGPR_Count", "SGPR_Count"],
    ][streams]
    yield [
        *("Kind", "Agent_Id", "Queue_Id", *(["Stream_Id"] if streams else [])),
        *(["Thread_Id", "Dispatch_Id"] if threads else []),
        *("Kernel_Id", "Kernel_Name", "Correlation_Id", "Start_Timestamp", "End_Timestamp", *sizes),
        *("Workgroup_Size_X", "Workgroup_Size_Y", "Workgroup_Size_Z"),
        *("Grid_Size_X", "Grid_Size_Y", "Grid_Size_Z"),
    ]
    for number, (name, start, end) in enumerate(list_dispatches(), 1):
        yield [
            *("KERNEL_DISPATCH", name_agent(), 1, *([1] if streams else [])),
            *([834304, number] if threads else []),
            *(number, name, number, start, end, *([0, 0, 8, 0, 16] if streams else [0, 0])),
            *(GROUP, 1, 1, GRID, 1, 1),
        ]


def make_stats(domain=None):
    columns = ["Calls", "TotalDurationNs", "AverageNs", "Percentage", "MinNs", "MaxNs", "StdDev"]
    yield ["Name", *columns]
    kernels = list_kernels()
    total = sum(ns for _, ns in kernels)
    if domain:
        yield [domain, len(kernels), total, total / len(kernels), 100.0, 9, 13408, 0.0]
        return
    for name, ns in list_kernels():
        yield [name, 1, ns, float(ns), 100.0 * ns / total, ns, ns, 0.0]


def make_counts(counters, pid):
    """15 columns in ROCm 6.2, 19 since 6.4."""
    new = is_at_least("6.4")
    yield [
        *("Correlation_Id", "Dispatch_Id", "Agent_Id", "Queue_Id", "Process_Id", "Thread_Id"),
        *("Grid_Size", *(["Kernel_Id"] if new else []), "Kernel_Name", "Workgroup_Size"),
        *("LDS_Block_Size", "Scratch_Size", "VGPR_Count"),
        *(*(["Accum_VGPR_Count"] if new else []), "SGPR_Count", "Counter_Name", "Counter_Value"),
        *(["Start_Timestamp", "End_Timestamp"] if new else []),
    ]
    for number, (name, start, end) in enumerate(list_dispatches(), 1):
        for counter in counters:
            yield [
                *(number, number, name_agent(), 1, pid, pid),
                *(GRID, *([number] if new else []), name, GROUP, 0, 0, 8),
                *(*([0] if new else []), 16, counter, float(find_value(counter))),
                *([start, end] if new else []),
            ]


def make_launches(pid):
    for number, (_, start, end) in enumerate(list_dispatches(), 1):
        yield {
            "thread_id": pid,
            "correlation_id": {"internal": number, "external": 0},
            "start_timestamp": start,
            "end_timestamp": end,
            "dispatch_info": {
                "agent_id": {"handle": 4},
                "queue_id": {"handle": 1},
                "kernel_id": number,
                "dispatch_id": number,
                "private_segment_size": 0,
                "group_segment_size": 1024,
                "workgroup_size": {"x": GROUP, "y": 1, "z": 1},
                "grid_size": {"x": GRID, "y": 1, "z": 1},
            },
        }


def make_tree(pid, command, traced, counters):
    """`results.json`: the launches if they were traced, and a value an instance of each counter."""
    symbols = [
        {
            "kernel_id": number,
            "formatted_kernel_name": name,
            "sgpr_count": 16,
            "arch_vgpr_count": 8,
            "accum_vgpr_count": 0,
        }
        for number, (name, _) in enumerate([("", 0), *list_kernels()])
    ]
    values = [
        {"counter_id": {"handle": number}, "value": find_value(counter) / INSTANCES}
        for number, counter in enumerate(counters)
        for _ in range(INSTANCES)
    ]
    collected = [{"dispatch_data": each, "records": values} for each in make_launches(pid)]
    agent = {"id": {"handle": 4}, "type": 2, "node_id": 4, "logical_node_id": 4, "name": "gfx942"}
    process = {
        "metadata": {"pid": pid, "command": command},
        "agents": [{**agent, "cu_count": 304, "num_xcc": 8}],
        "counters": [{"id": {"handle": n}, "name": name} for n, name in enumerate(counters)],
        "kernel_symbols": symbols,
        "callback_records": {"counter_collection": collected if counters else []},
        "buffer_records": {"kernel_dispatch": list(make_launches(pid)) if traced else []},
    }
    return {"rocprofiler-sdk-tool": [process]}
