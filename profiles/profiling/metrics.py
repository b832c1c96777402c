"""What counters amount to: the one table of metrics, and their values.

A formula is of counters (summed over all instances and dies, as rocprofv3 writes them), of other
metrics by their names, and of what `PARAMETERS` lists.  A metric has several where rocprofv3 has
one of its own too: the first counts whose counters were collected.  What was not collected has no
value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rocmoe.ops.core.errors import unknown
from rocmoe.profiles.profiling.expressions import evaluate, list_names, parse_expression
from rocmoe.profiles.profiling.passes import BLOCKS

_DEFINITIONS = (
    "ROCm/rocm-systems, projects/rocprofiler-sdk, source/share/rocprofiler-sdk/counter_defs.yaml "
    "of ROCm 7.0"
)
_COMPUTE = "ROCm/rocprofiler-compute, the model of the L2's fabric interface"
_INTELLIKIT = "AMDResearch/intellikit, its formulas of the caches"

#: What else formulas have: compute units and dies of the agent; the median duration of launches
#: while nothing was counted, and of those while counters were.
PARAMETERS = ("CU_NUM", "XCC_NUM", "DURATION_NS", "COUNTED_NS")

NOT_COLLECTED = "not collected"

#: Percentages are of cycles that are averaged over dies, so they may come out a little higher.
MOST_PERCENT = 101.0

_CDNA2 = ("gfx90a",)
_CDNA3 = ("gfx942", "gfx950")
_ALL = (*_CDNA2, *_CDNA3)

#: A die's: GRBM counts once a die, and rocprofv3 writes the sum.
_CYCLES = "(GRBM_GUI_ACTIVE / XCC_NUM)"


@dataclass(frozen=True)
class Metric:
    """formulas: by architecture, the best first.  source: where they are from.  note: what to know
    before it is used."""

    name: str
    unit: str
    formulas: Mapping[str, tuple[str, ...]]
    source: str
    note: str = ""


def _on(archs: Iterable[str], *formulas: str) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType(dict.fromkeys(archs, formulas))


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "fetch_kib", "KiB",
                {
                    **_on(_CDNA3,
                          "(TCC_BUBBLE_sum * 128 + (TCC_EA0_RDREQ_sum - TCC_BUBBLE_sum - "
                          "TCC_EA0_RDREQ_32B_sum) * 64 + TCC_EA0_RDREQ_32B_sum * 32) / 1024",
                          "FETCH_SIZE"),
                    **_on(_CDNA2, "FETCH_SIZE",
                          "((TCC_EA_RDREQ_sum - TCC_EA_RDREQ_32B_sum) * 64 + "
                          "TCC_EA_RDREQ_32B_sum * 32) / 1024"),
                },
                _DEFINITIONS,
                "read behind L2: hits in the Infinity Cache are in it; its counters go before "
                "FETCH_SIZE, which is another formula on gfx942 before ROCm 7.0",
            ),
            Metric(
                "write_kib", "KiB",
                {
                    **_on(_CDNA3, "WRITE_SIZE",
                          "((TCC_EA0_WRREQ_sum - TCC_EA0_WRREQ_64B_sum) * 32 + "
                          "TCC_EA0_WRREQ_64B_sum * 64) / 1024"),
                    **_on(_CDNA2, "WRITE_SIZE",
                          "((TCC_EA_WRREQ_sum - TCC_EA_WRREQ_64B_sum) * 32 + "
                          "TCC_EA_WRREQ_64B_sum * 64) / 1024"),
                },
                _DEFINITIONS,
                "written behind L2",
            ),
            Metric("fabric_bytes", "B", _on(_ALL, "(fetch_kib + write_kib) * 1024"), _DEFINITIONS,
                   "moved behind L2, to and from the Infinity Cache or memory"),
            Metric("fabric_gb_per_s", "GB/s", _on(_ALL, "fabric_bytes / DURATION_NS"),
                   _DEFINITIONS),
            Metric("dram_reads", "%",
                   {**_on(_CDNA3, "100 * TCC_EA0_RDREQ_DRAM_sum / TCC_EA0_RDREQ_sum"),
                    **_on(_CDNA2, "100 * TCC_EA_RDREQ_DRAM_sum / TCC_EA_RDREQ_sum")},
                   _DEFINITIONS,
                   "of the reads behind L2, those that are for memory"),
            Metric("fabric_read_latency", "cycles",
                   {**_on(_CDNA3, "TCC_EA0_RDREQ_LEVEL_sum / TCC_EA0_RDREQ_sum"),
                    **_on(_CDNA2, "TCC_EA_RDREQ_LEVEL_sum / TCC_EA_RDREQ_sum")}, _COMPUTE),
            Metric("l2_hit", "%",
                   _on(_ALL, "100 * TCC_HIT_sum / (TCC_HIT_sum + TCC_MISS_sum)"), _COMPUTE),
            Metric("l2_bytes", "B", _on(_ALL, "TCC_REQ_sum * 128"), _INTELLIKIT,
                   "lines of 128 bytes, whole ones"),
            Metric("l1_hit", "%",
                   _on(_ALL, "100 * (TCP_TOTAL_CACHE_ACCESSES_sum - TCP_TCC_READ_REQ_sum - "
                             "TCP_TCC_WRITE_REQ_sum) / TCP_TOTAL_CACHE_ACCESSES_sum"),
                   _INTELLIKIT),
            Metric("occupancy", "%",
                   _on(_ALL, "OccupancyPercent",
                       f"400 * SQ_WAVE_CYCLES / {_CYCLES} / CU_NUM / 32"), _DEFINITIONS),
            Metric("waves_per_cu", "waves", _on(_ALL, "MeanOccupancyPerCU"), _DEFINITIONS),
            Metric("valu_busy", "%",
                   _on(_ALL, "VALUBusy", f"100 * SQ_ACTIVE_INST_VALU / CU_NUM / {_CYCLES}"),
                   _DEFINITIONS),
            Metric("mfma_busy", "%", _on(_ALL, "MfmaUtil"), _DEFINITIONS),
            Metric("memory_stalled", "%", _on(_ALL, "MemUnitStalled"), _DEFINITIONS),
            Metric("lds_bank_conflict", "%",
                   _on(_ALL, f"100 * SQ_LDS_BANK_CONFLICT / {_CYCLES} / CU_NUM",
                       "LDSBankConflict"), _DEFINITIONS,
                   "rocprofv3 has no LDSBankConflict on gfx942 before ROCm 7.0"),
            Metric("lds_conflicts_per_access", "",
                   _on(_ALL, "SQ_LDS_BANK_CONFLICT / (SQ_LDS_IDX_ACTIVE - SQ_LDS_BANK_CONFLICT)",
                       "LdsBankConflict"),
                   _DEFINITIONS),
            Metric("lds_busy", "%", _on(_ALL, f"100 * SQ_LDS_IDX_ACTIVE / {_CYCLES} / CU_NUM"),
                   f"{_DEFINITIONS}: as LDSBankConflict, since LdsBankConflict subtracts the two "
                   "counters"),
            Metric("waiting", "%", _on(_ALL, "100 * SQ_WAIT_ANY / SQ_WAVE_CYCLES"), _DEFINITIONS,
                   "of the waves' time; both are in units of four cycles"),
            Metric("lds_latency", "cycles", _on(_ALL, "LdsLatency"), _DEFINITIONS),
            Metric("vmem_latency", "cycles", _on(_ALL, "VmemLatency"), _DEFINITIONS),
            Metric("waves", "waves", _on(_ALL, "SQ_WAVES"), _DEFINITIONS),
            *(
                Metric(f"{name}_per_wave", "instructions", _on(_ALL, f"{raw} / SQ_WAVES"),
                       _DEFINITIONS)
                for name, raw in {
                    "valu": "SQ_INSTS_VALU",
                    "salu": "SQ_INSTS_SALU",
                    "lds": "SQ_INSTS_LDS",
                    "vmem": "(SQ_INSTS_VMEM_RD + SQ_INSTS_VMEM_WR)",
                }.items()
            ),
            Metric("engine_mhz", "MHz", _on(_ALL, f"{_CYCLES} / COUNTED_NS * 1000"), _DEFINITIONS,
                   "the mean clock; of kernels far longer than 10 us alone"),
        )
    }
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a metric came to; None with the reason."""

    metric: str
    unit: str
    value: float | None
    reason: str = ""


def find_metric(
    name: str, arch: str, counts: Mapping[str, float], parameters: Mapping[str, float]
) -> Answer:
    """A metric of one kernel.

    counts: of one launch, by counter, without those that were not collected.  parameters: by the
    names in `PARAMETERS`, as far as they are known.  The value is None where a counter was not
    collected or the result cannot be; the reason says which.
    """
    metric, arch = _look_up(name), arch.partition(":")[0]
    formulas = metric.formulas.get(arch)
    if formulas is None:
        return Answer(name, metric.unit, None, f"not defined on {arch}")
    known = {**counts, **parameters}
    answers = [_compute(metric, formula, arch, known) for formula in formulas]
    return next((answer for answer in answers if answer.value is not None), _tell_why(answers))


def _tell_why(answers: list[Answer]) -> Answer:
    """Of formulas that gave nothing: a wrong value says more than a counter that is missing."""
    return max(answers, key=lambda answer: not answer.reason.startswith(NOT_COLLECTED))


def _compute(metric: Metric, formula: str, arch: str, known: Mapping[str, float]) -> Answer:
    tree, values = parse_expression(formula), dict(known)
    missing = []
    for each in list_names(tree):
        if each in METRICS:
            inner = find_metric(each, arch, known, {})
            if inner.value is None:
                return Answer(metric.name, metric.unit, None, inner.reason)
            values[each] = inner.value
        elif each not in known:
            missing.append(each)
    if missing:
        return Answer(metric.name, metric.unit, None, f"{NOT_COLLECTED}: {', '.join(missing)}")
    try:
        value = evaluate(tree, values)
    except ZeroDivisionError:
        return Answer(metric.name, metric.unit, None, "nothing to divide by: a counter is 0")
    return _judge(metric, value)


def _judge(metric: Metric, value: float) -> Answer:
    """Leave out what cannot be: counters of different runs of a kernel need not fit together."""
    wrong = ""
    if not math.isfinite(value):
        wrong = "no number"
    elif value < 0:
        wrong = f"{value:.4g} {metric.unit} is below 0".replace("  ", " ")
    elif metric.unit == "%" and value > MOST_PERCENT:
        wrong = f"{value:.4g} % is over 100 %"
    return Answer(metric.name, metric.unit, None if wrong else value, wrong and f"wrong: {wrong}")


def list_counters(metrics: Iterable[str], arch: str) -> list[str]:
    """The counters to collect for some metrics, each once: those of their best formulas."""
    plain = arch.partition(":")[0]
    if plain not in BLOCKS:
        raise unknown("architecture for counters", plain, BLOCKS)
    found: dict[str, None] = {}
    for name in metrics:
        for each in list_names(parse_expression(_look_up(name).formulas[plain][0])):
            if each in METRICS:
                found.update(dict.fromkeys(list_counters([each], plain)))
            elif each not in PARAMETERS:
                found[each] = None
    return list(found)


def _look_up(name: str) -> Metric:
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
