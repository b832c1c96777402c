"""Counters in groups that the hardware collects at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.passes import BLOCKS, list_raw, plan_passes

SQ = [
    "SQ_WAVES", "SQ_INSTS_VALU", "SQ_INSTS_VMEM_RD", "SQ_INSTS_VMEM_WR", "SQ_INSTS_LDS",
    "SQ_WAVE_CYCLES", "SQ_BUSY_CYCLES", "SQ_WAIT_ANY",
]  # fmt: skip
GRBM = ["GRBM_GUI_ACTIVE", "GRBM_COUNT"]


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942:sramecc+:xnack-", "gfx950"])
def test_a_full_pass_and_one_more(arch):
    assert plan_passes(arch, [*SQ, *GRBM]) == [[*SQ, *GRBM]]
    assert plan_passes(arch, [*SQ, "SQ_INSTS_SALU", *GRBM]) == [[*SQ, *GRBM], ["SQ_INSTS_SALU"]]


def test_metrics_take_the_counters_behind_them():
    both = ["FETCH_SIZE", "WRITE_SIZE"]
    assert plan_passes("gfx942", both) == [["FETCH_SIZE"], ["WRITE_SIZE"]]
    assert plan_passes("gfx950", both) == [["FETCH_SIZE"], ["WRITE_SIZE"]]
    assert plan_passes("gfx90a", both) == [both]  # 2 + 2
    assert plan_passes("gfx942", ["FETCH_SIZE", "TCC_HIT_sum", "TCC_MISS_sum", "WRITE_SIZE"]) == [
        ["FETCH_SIZE", "TCC_HIT_sum"],
        ["TCC_MISS_sum", "WRITE_SIZE"],
    ]
    four = ["OccupancyPercent", "VALUBusy", "LDSBankConflict", "MemUnitStalled"]
    assert plan_passes("gfx942", four) == [four]  # with one GRBM counter


def test_the_same_counter_behind_two_takes_one_place():
    read = ["TCC_EA0_RDREQ_sum", "TCC_EA0_RDREQ_32B_sum", "TCC_BUBBLE_sum", "TCC_HIT_sum"]
    assert plan_passes("gfx942", [*read, "FETCH_SIZE", *read]) == [[*read, "FETCH_SIZE"]]
    assert plan_passes("gfx942", ["TCC_REQ_sum", "TCC_REQ_max"]) == [["TCC_REQ_sum", "TCC_REQ_max"]]


def test_metrics_that_accumulate_are_alone():
    assert plan_passes("gfx942", ["SQ_WAVES", "VmemLatency", "SQ_BUSY_CYCLES", "LdsLatency"]) == [
        ["SQ_WAVES", "SQ_BUSY_CYCLES"],
        ["VmemLatency"],
        ["LdsLatency"],
    ]
    assert plan_passes("gfx90a", ["L2CacheHit", "SQ_WAVES"]) == [["L2CacheHit"], ["SQ_WAVES"]]


@pytest.mark.parametrize(
    ("arch", "counter", "message"),
    [
        ("gfx1100", "SQ_WAVES", "unknown architecture for counters 'gfx1100'"),
        ("gfx942", "L2CacheHit", "L2CacheHit is not defined on gfx942; wanted TCC_HIT_sum and"),
        ("gfx950", "TCC_EA_RDREQ_sum", "not defined on gfx950; wanted TCC_EA0_RDREQ_sum"),
        ("gfx90a", "TCC_EA0_RDREQ_sum", "not defined on gfx90a; wanted TCC_EA_RDREQ_sum"),
        ("gfx90a", "TCC_BUBBLE_sum", "not defined on gfx90a; wanted FETCH_SIZE"),
        ("gfx942", "BANDWIDTH_EA", "BANDWIDTH_EA has the wrong sign"),
        ("gfx942", "VALUBusi", "unknown counter of gfx942 'VALUBusi'; nearest: VALUBusy"),
        ("gfx942", "SMN_WAVES", "unknown counter of gfx942 'SMN_WAVES'"),
    ],
)
def test_what_an_architecture_has_not_is_refused_with_what_it_has(arch, counter, message):
    with pytest.raises(RocmoeError) as caught:
        plan_passes(arch, [counter])
    assert message in str(caught.value)


POOL = [
    *SQ, *GRBM, "FETCH_SIZE", "WRITE_SIZE", "TCC_HIT_sum", "TCC_MISS_sum", "VALUBusy",
    "TCP_TOTAL_CACHE_ACCESSES_sum", "TCP_TCC_READ_REQ_sum", "SQC_DCACHE_HITS", "SPI_CSN_BUSY",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(BLOCKS)), st.lists(st.sampled_from(POOL), max_size=20))
def test_every_counter_is_in_one_pass_and_no_block_is_over_its_limit(arch, counters):
    passes = plan_passes(arch, counters)
    assert sorted(each for one in passes for each in one) == sorted(set(counters))
    for one in passes:
        raw = {each for counter in one for each in list_raw(arch, counter)}
        for block, limit in BLOCKS[arch].items():
            names = (f"{block}_", "SQC_") if block == "SQ" else (f"{block}_",)
            assert sum(each.startswith(names) for each in raw) <= limit
