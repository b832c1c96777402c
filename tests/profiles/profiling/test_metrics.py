"""Metrics from counters: worked out by hand, and not collected where a counter is missing."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.expressions import evaluate, list_names, parse_expression
from rocmoe.profiles.profiling.metrics import METRICS, PARAMETERS, find_metric, list_counters
from rocmoe.profiles.profiling.passes import BLOCKS, check_counter

MI300X = {"CU_NUM": 304.0, "XCC_NUM": 8.0, "DURATION_NS": 2000.0, "COUNTED_NS": 4000.0}
#: 8 dies, each 8400 cycles: 2100 MHz over 4 us.
GUI = 8 * 8400.0


def find(name, counts, arch="gfx942", parameters=MI300X):
    return find_metric(name, arch, counts, parameters)


READS = {"TCC_BUBBLE_sum": 10.0, "TCC_EA0_RDREQ_sum": 100.0, "TCC_EA0_RDREQ_32B_sum": 40.0}
WRITES = {"TCC_EA0_WRREQ_sum": 100.0, "TCC_EA0_WRREQ_64B_sum": 60.0}


@pytest.mark.parametrize(
    ("name", "counts", "value"),
    [
        ("fetch_kib", READS, (10 * 128 + 50 * 64 + 40 * 32) / 1024),
        ("write_kib", WRITES, (40 * 32 + 60 * 64) / 1024),
        ("fabric_bytes", {"FETCH_SIZE": 3.0, **WRITES}, 3 * 1024 + 40 * 32 + 60 * 64),
        ("fabric_gb_per_s", {"FETCH_SIZE": 900.0, "WRITE_SIZE": 100.0}, 1024000 / 2000),
        ("dram_reads", {**READS, "TCC_EA0_RDREQ_DRAM_sum": 25.0}, 25.0),
        ("fabric_read_latency", {**READS, "TCC_EA0_RDREQ_LEVEL_sum": 70000.0}, 700.0),
        ("l2_hit", {"TCC_HIT_sum": 30.0, "TCC_MISS_sum": 10.0}, 75.0),
        ("l2_bytes", {"TCC_REQ_sum": 5.0}, 640.0),
        ("l1_hit", {"TCP_TOTAL_CACHE_ACCESSES_sum": 100.0, "TCP_TCC_READ_REQ_sum": 20.0,
                    "TCP_TCC_WRITE_REQ_sum": 5.0}, 75.0),
        ("occupancy", {"SQ_WAVE_CYCLES": 8 * 2100.0 * 304, "GRBM_GUI_ACTIVE": GUI}, 25.0),
        ("valu_busy", {"SQ_ACTIVE_INST_VALU": 4200.0 * 304, "GRBM_GUI_ACTIVE": GUI}, 50.0),
        ("lds_busy", {"SQ_LDS_IDX_ACTIVE": 2100.0 * 304, "GRBM_GUI_ACTIVE": GUI}, 25.0),
        ("lds_bank_conflict", {"SQ_LDS_BANK_CONFLICT": 840.0 * 304, "GRBM_GUI_ACTIVE": GUI}, 10.0),
        ("lds_conflicts_per_access",
         {"SQ_LDS_BANK_CONFLICT": 20.0, "SQ_LDS_IDX_ACTIVE": 30.0}, 2.0),
        ("waiting", {"SQ_WAIT_ANY": 60.0, "SQ_WAVE_CYCLES": 80.0}, 75.0),
        ("valu_per_wave", {"SQ_INSTS_VALU": 60.0, "SQ_WAVES": 4.0}, 15.0),
        ("vmem_per_wave",
         {"SQ_INSTS_VMEM_RD": 6.0, "SQ_INSTS_VMEM_WR": 2.0, "SQ_WAVES": 4.0}, 2.0),
        ("engine_mhz", {"GRBM_GUI_ACTIVE": GUI}, 2100.0),
    ],
)  # fmt: skip
def test_by_hand(name, counts, value):
    answer = find(name, counts)
    assert answer.value == pytest.approx(value, rel=1e-12)
    assert (answer.unit, answer.reason) == (METRICS[name].unit, "")
    less = [find(name, {each: counts[each] for each in counts if each != left}) for left in counts]
    changed = [each for each in less if each.value != answer.value]
    assert changed
    for each in changed:
        assert each.value is None
        assert each.reason.startswith("not collected: ")


def test_the_older_architecture_has_its_own_formula():
    counts = {"TCC_EA_RDREQ_sum": 100.0, "TCC_EA_RDREQ_32B_sum": 40.0}
    assert find("fetch_kib", counts, "gfx90a").value == (60 * 64 + 40 * 32) / 1024
    assert find("fetch_kib", counts, "gfx942").value is None
    assert find("fetch_kib", READS, "gfx90a").reason == "not collected: FETCH_SIZE"
    reads = {"TCC_EA_RDREQ_DRAM_sum": 30.0, "TCC_EA_RDREQ_sum": 40.0}
    assert find("dram_reads", reads, "gfx90a").value == 75.0
    assert find("l2_hit", {}, "gfx1100").reason == "not defined on gfx1100"
    assert find("l2_hit", {"TCC_HIT_sum": 1.0, "TCC_MISS_sum": 0.0}, "gfx950:xnack-").value == 100.0


def test_fetches_are_worked_out_where_their_counters_are_there():
    """FETCH_SIZE of older versions is another formula."""
    assert find("fetch_kib", {**READS, "FETCH_SIZE": 99.0}).value == find("fetch_kib", READS).value
    assert find("fetch_kib", {"FETCH_SIZE": 99.0}).value == 99.0


def test_what_the_profiler_works_out_itself_goes_first():
    counts = {"VALUBusy": 40.0, "SQ_ACTIVE_INST_VALU": 4200.0 * 304, "GRBM_GUI_ACTIVE": GUI}
    assert find("valu_busy", counts).value == 40.0
    del counts["VALUBusy"]
    assert find("valu_busy", counts).value == 50.0


def test_a_missing_counter_or_parameter_is_named_and_is_not_0():
    assert find("l2_hit", {"TCC_HIT_sum": 30.0}).value is None
    assert find("l2_hit", {"TCC_HIT_sum": 30.0}).reason == "not collected: TCC_MISS_sum"
    wanted = f"not collected: {', '.join(READS)}"
    assert find("fabric_bytes", {"WRITE_SIZE": 1.0}).reason == wanted
    counts = {"SQ_LDS_IDX_ACTIVE": 1.0, "GRBM_GUI_ACTIVE": GUI}
    assert find("lds_busy", counts, parameters={}).reason == "not collected: XCC_NUM, CU_NUM"


def test_what_cannot_be_is_no_value():
    over = find("valu_busy", {"SQ_ACTIVE_INST_VALU": 8.4e3 * 304 * 1.5, "GRBM_GUI_ACTIVE": GUI})
    assert (over.value, over.reason) == (None, "wrong: 150 % is over 100 %")
    below = {"TCP_TOTAL_CACHE_ACCESSES_sum": 10.0, "TCP_TCC_READ_REQ_sum": 20.0,
             "TCP_TCC_WRITE_REQ_sum": 0.0}  # fmt: skip
    assert find("l1_hit", below).reason == "wrong: -100 % is below 0"
    nothing = find("l2_hit", {"TCC_HIT_sum": 0.0, "TCC_MISS_sum": 0.0})
    assert (nothing.value, nothing.reason) == (None, "nothing to divide by: a counter is 0")


@pytest.mark.parametrize("arch", sorted(BLOCKS))
@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_formula_has_counters_that_its_architecture_has(name, arch):
    metric = METRICS[name]
    assert metric.source
    for formula in metric.formulas.get(arch, ()):
        for each in list_names(parse_expression(formula)):
            if each not in METRICS and each not in PARAMETERS:
                check_counter(arch, each)


def test_the_counters_to_ask_for():
    assert list_counters(["fabric_gb_per_s", "l2_hit", "waves", "fabric_bytes"], "gfx942") == [
        *READS, "WRITE_SIZE", "TCC_HIT_sum", "TCC_MISS_sum", "SQ_WAVES",
    ]  # fmt: skip
    assert list_counters(["lds_busy"], "gfx950") == ["SQ_LDS_IDX_ACTIVE", "GRBM_GUI_ACTIVE"]
    with pytest.raises(RocmoeError, match=r"unknown metric 'l2_hits'; nearest: l2_hit"):
        list_counters(["l2_hits"], "gfx942")
    with pytest.raises(RocmoeError, match=r"unknown architecture for counters 'gfx1201'"):
        list_counters(["l2_hit"], "gfx1201")


def test_expressions_are_arithmetic_alone():
    tree = parse_expression("(a + 2) * b / (c - a)")
    assert list_names(tree) == ["a", "b", "c"]
    assert evaluate(tree, {"a": 1.0, "b": 4.0, "c": 3.0}) == 6.0
    with pytest.raises(KeyError):
        evaluate(tree, {"a": 1.0})
    for text in ("f(a)", "a.b", "a ** 2", "'x'", "True"):
        with pytest.raises(ValueError, match="more than arithmetic"):
            parse_expression(text)
