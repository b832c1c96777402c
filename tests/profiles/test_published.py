"""The published figures: what is stored is what was posted, and is found by the cases it is of.

The rows here were copied from the pages by hand, apart from the files that hold them.
"""

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import record_case
from rocmoe.profiles.published import (
    find_published,
    list_published,
    load_published,
    parse_published,
)

SERVING_21421 = "Serving Benchmark Result, bs=64, 1k1k"
SERVING_23388 = "Serving Benchmark Result, Baseline, conc=16"
SPEEDUPS_23388 = "AITER Kernel Micro-benchmarks (MI355X)"
DEEPSEEK = "SUMMARY — deepseek-ai/DeepSeek-V3 (E=[256], topk=[8])"
QWEN = "SUMMARY — Qwen/Qwen3.5-397B-A17B (E=[512], topk=[10])"
R1 = "DeepSeek-R1: E=256, topk=8, model_dim=7168, bf16"
GPT_OSS = "GPT-OSS 120B: E=128, topk=4, model_dim=2880, bf16"
KERNEL_426 = "Test Result - Kernel Level"
THROUGHPUT = "Overall Throughput (1K input / 1K output, request-rate=inf)"

COUNTS = {
    "sglang-21421": {DEEPSEEK: 17, QWEN: 17, "Accuracy Tests": 4, SERVING_21421: 31},
    "aiter-1909": {
        "Performance Highlights": 5, "64 Experts": 20, "128 Experts": 20, "Summary": 1,
        "DPP vs CK direct comparison": 1, "Figures in the text": 1,
    },
    "flydsl-426": {KERNEL_426: 16, "Test Result - E2E GPT-OSS 120B": 2},
    "flydsl-582": {R1: 6, GPT_OSS: 6},
    "sglang-23388": {
        "New AITER Kernels (upstream PRs to ROCm/aiter)": 3,
        "GSM8K Accuracy (lm_eval, 5-shot, 1319 questions)": 2, THROUGHPUT: 3, SPEEDUPS_23388: 3,
        SERVING_23388: 31, "Figures in the text": 8,
    },
}  # fmt: skip

#: Document, table, row as it stands on the page.
POSTED = [
    ("sglang-21421", DEEPSEEK,
     "1 1 bfloat16 1 256 8 21.39 7.67 0 5.88 0 2.33 0 1.30x 3.29x"),
    ("sglang-21421", DEEPSEEK,
     "128 1 bfloat16 128 256 8 30.75 9.16 0.78125 7.39 0 4.08 0.78125 1.24x 2.25x"),
    ("sglang-21421", DEEPSEEK,
     "1 1024 bfloat16 1024 256 8 13.84 9.33 0.816772 8.34 0 4.17 0.816772 1.12x 2.24x"),
    ("sglang-21421", DEEPSEEK,
     "32 8192 bfloat16 262144 256 8 837.24 174.58 0.81068 114.1 0 89.31 0.810679 1.53x 1.95x"),
    ("sglang-21421", QWEN,
     "8 1 bfloat16 8 512 10 50.03 11.7 0.2875 7.62 0 N/A N/A 1.54x"),
    ("sglang-21421", QWEN,
     "128 8192 bfloat16 1048576 512 10 13496.4 6896.04 0.753394 1096.23 0 N/A N/A 6.29x"),
    ("sglang-21421", "Accuracy Tests", "Before gsm8k 3 strict-match 5 exact_match 0.9727 0.0045"),
    ("sglang-21421", "Accuracy Tests",
     "After gsm8k 3 flexible-extract 5 exact_match 0.9712 0.0046"),
    ("aiter-1909", "64 Experts", "512 8 bf16 5.79 2.93 1.98x PASS"),
    ("aiter-1909", "64 Experts", "2048 4 fp16 3.93 3.01 1.31x PASS"),
    ("aiter-1909", "64 Experts", "4096 8 bf16 7.33 4.61 1.59x PASS"),
    ("aiter-1909", "128 Experts", "256 4 fp16 5.04 2.80 1.80x PASS"),
    ("aiter-1909", "128 Experts", "1024 8 bf16 6.66 3.80 1.75x PASS"),
    ("aiter-1909", "128 Experts", "4096 8 fp16 8.48 5.53 1.53x PASS"),
    ("aiter-1909", "Summary", "40/40 1.66x 1.65x 1.98x 1.31x"),
    ("aiter-1909", "DPP vs CK direct comparison", "1.66x 1.65x 1.42x 1.94x"),
    ("flydsl-426", KERNEL_426, "vLLM 1 T_≤_16 4.96 5.56 baseline N/A"),
    ("flydsl-426", KERNEL_426, "vLLM 1024 T_=_16384 7.76 9.84 baseline N/A"),
    ("flydsl-426", KERNEL_426, "AITER 2 T_=_128 5.88 5.98 N/A baseline"),
    ("flydsl-426", KERNEL_426, "FlyDSL 1 T_≤_32 3.48 3.68 1.5517241 1.6034483"),
    ("flydsl-426", KERNEL_426, "FlyDSL 128 T_=_4096 4.72 4.96 1.3135593 1.2457627"),
    ("flydsl-426", "Test Result - E2E GPT-OSS 120B",
     "FlyDSL topk_gating_softmax_kernel_0 4.64 4.64"),
    ("flydsl-582", R1, "1 32 13.1 16.2 14.3 13.5 10.3 2.44 1.13 1.32"),
    ("flydsl-582", R1, "4 32.5 16.2 16.7 14.8 14.5 11 2 1.13 1.32"),
    ("flydsl-582", R1, "16 33.9 15.4 19.7 17.4 17.7 12.9 2.2 1.13 1.37"),
    ("flydsl-582", GPT_OSS, "2 31.4 14.6 13.5 11.1 10.2 7.3 2.15 1.21 1.39"),
    ("flydsl-582", GPT_OSS, "12 32.8 14.6 15.6 12.3 12.2 8.5 2.24 1.27 1.44"),
    ("sglang-23388", SPEEDUPS_23388, "top_p_renorm_probs_(V=32K) 0.82x 1.91x 2.58x"),
    ("sglang-23388", SPEEDUPS_23388,
     "chain_speculative_sampling_(V=32K,_draft=4) 7.68x 29.15x 112.72x"),
    ("sglang-23388", SPEEDUPS_23388, "top_k_top_p_renorm_probs_(V=32K) 1.90x 1.91x 1.96x"),
    ("sglang-23388", THROUGHPUT,
     "4 749 1,327 +77.2% 5.04 2.77 -45.0% 28.6 29.8 +4.2% 3.38"),
    ("sglang-23388", THROUGHPUT,
     "256 10,771 4,216 -60.9% 22.72 11.12 -51.1% 197.0 23,243.2 N/A 3.77"),
    ("sglang-23388", "GSM8K Accuracy (lm_eval, 5-shot, 1319 questions)",
     "exact_match_(strict) 0.8961 0.8969"),
]  # fmt: skip
SERVED = [
    ("sglang-21421", SERVING_21421, ["Output token throughput (tok/s)", 2404.94, 2451.20]),
    ("sglang-21421", SERVING_21421, ["Total generated tokens (retokenized)", 587513, 587251]),
    ("sglang-21421", SERVING_21421, ["P99 TTFT (ms)", 1469.97, 1305.24]),
    ("sglang-21421", SERVING_21421, ["Max ITL (ms)", 1359.95, 1203.00]),
    ("sglang-21421", SERVING_21421, ["Traffic request rate", "inf", "inf"]),
    ("sglang-23388", SERVING_23388, ["Benchmark duration (s)", 56.86]),
    ("sglang-23388", SERVING_23388, ["P99 E2E Latency (ms)", 27386.11]),
    ("sglang-23388", SERVING_23388, ["Mean TTFT (ms)", 2287.44]),
]


def read_cell(word):
    if word == "N/A":
        return None
    try:
        return float(word.removesuffix("x").removesuffix("%").replace(",", ""))
    except ValueError:
        return word.replace("_", " ") if word.startswith("T_") or "_(" in word else word


def find_case(text):
    case = parse_case(text)
    return record_case(load_op(case.op), case)


def test_every_row_is_there():
    found = {
        name: {table.title: len(table.rows) for table in load_published(name).tables}
        for name in list_published()
    }
    assert found == COUNTS


@pytest.mark.parametrize(("name", "title", "line"), POSTED)
def test_a_row_is_as_it_was_posted(name, title, line):
    row = [read_cell(word) for word in line.split()]
    # A name of several words has no blanks above, so that a row splits at them.
    if "_(" in line:
        row[0] = line.split()[0].replace("_(", " (").replace(",_", ", ")
    assert row in load_published(name).find_table(title).rows


@pytest.mark.parametrize(("name", "title", "row"), SERVED)
def test_a_line_of_a_serving_block_is_as_it_was_posted(name, title, row):
    assert row in load_published(name).find_table(title).rows


def test_the_hardware_is_what_the_page_states():
    told = {
        str(load_published(name).source): str(load_published(name).hardware)
        for name in list_published()
    }
    assert told == {
        "sgl-project/sglang#21421": "hardware not stated",
        "ROCm/aiter#1909": "AMD MI300X (gfx942)",
        "ROCm/FlyDSL#426": "MI350",
        "ROCm/FlyDSL#582": "hardware not stated",
        "sgl-project/sglang#23388": "AMD Instinct MI355X, gfx950",
    }


def tell_published(case):
    """The published figures of a case by source, times where there are any."""
    told = []
    for source in dict.fromkeys(each.source for each in find_published(case)):
        row = [each for each in find_published(case) if each.source == source]
        unit = row[0].unit
        listed = ", ".join(f"{each.label} {each.value:.10g}" for each in row if each.unit == unit)
        told.append(f"{listed} {unit} ({source}, {row[0].hardware})")
    return "; ".join(told)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("topk_softmax:T=64,E=512,k=10:bf16:renormalize=true:normal:contiguous",
         "torch 49.75, sgl 11.89, aiter 8.98 us (sgl-project/sglang#21421, hardware not stated)"),
        ("topk_softmax:T=64,E=512,k=10:fp32:renormalize=true:normal:contiguous", ""),
        ("topk_softmax:T=65,E=512,k=10:bf16:renormalize=true:normal:contiguous", ""),
        ("topk_softmax:T=9,E=128,k=4:bf16:renormalize=true:normal:contiguous",
         "vLLM 4.96, vLLM p99 5.56, FlyDSL 3.48, FlyDSL p99 3.68 us (ROCm/FlyDSL#426, MI350)"),
        ("topk_softmax:T=0,E=128,k=4:bf16:renormalize=true:normal:contiguous", ""),
        ("topk_sigmoid:T=256,E=64,k=4:bf16:renormalize=true,correction_bias=none:normal:contiguous",
         "CK 3.8, DPP 2.41 us (ROCm/aiter#1909, AMD MI300X (gfx942))"),
        ("chain_speculative_sampling:B=4,N=4,V=32000:fp32:threshold_single=1.0,threshold_acc=1.0:"
         "normal:contiguous", "AITER over PyTorch 29.15 x "
         "(sgl-project/sglang#23388, AMD Instinct MI355X, gfx950)"),
        ("chain_speculative_sampling:B=4,N=5,V=32000:fp32:threshold_single=1.0,threshold_acc=1.0:"
         "normal:contiguous", ""),
        ("qk_rmsnorm:T=1,Hq=32,Hkv=8,D=128:bf16:eps=1e-06:normal:contiguous", ""),
    ],
)  # fmt: skip
def test_the_figures_of_a_case(case, told):
    assert tell_published(find_case(case)) == told


def test_a_figure_says_whose_and_where_from():
    case = (
        "topk_softmax_sorting:T=16,E=128,k=4,U=32,D=2880:bf16:renormalize=true,expert_mask=none,"
        "num_local_tokens=none:normal:contiguous"
    )
    found = {each.label: each for each in find_published(find_case(case))}
    assert len(found) == 9
    figure = found["fused_graph"]
    assert (figure.value, figure.unit, figure.source) == (12.5, "us", "ROCm/FlyDSL#582")
    assert (found["graph speedup"].value, found["graph speedup"].unit) == (1.27, "x")


def test_every_case_is_one_of_its_op():
    for name in list_published():
        for cases in (each for table in load_published(name).tables for each in table.cases):
            spec = load_op(cases.op)
            stated = {*cases.sizes, *(size for each in cases.figures for size in each.sizes)}
            assert stated <= {*spec.sizes}
            assert cases.dtype in (*spec.dtypes, "DType")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [[1]]}, "row 0 of 'a' has 1 cells, wanted 2"),
        ({"units": {"zz": "us"}}, "unknown column of 'a' 'zz'"),
        ({"ratios": [{"column": "x", "of": "y", "over": "q"}]}, "unknown column of 'a' 'q'"),
        ({"rows": [[{}, 1]]}, "malformed"),
        ({"more": 1}, "malformed"),
    ],
)
def test_a_malformed_document_is_refused(change, message):
    table = {"title": "a", "context": "", "unit": "us", "columns": ["x", "y"], "rows": [[1, 2]]}
    source = {"repository": "a/b", "number": 1, "title": "", "url": "", "date": ""}
    document = {"source": source, "hardware": {"gpu": "", "software": ""}, "claims": []}
    good = msgspec.json.encode({**document, "tables": [table]})
    assert parse_published(good, "f.json").tables[0].rows == [[1, 2]]
    bad = msgspec.json.encode({**document, "tables": [{**table, **change}]})
    with pytest.raises(RocmoeError, match=message):
        parse_published(bad, "f.json")


def test_an_unknown_document():
    with pytest.raises(RocmoeError, match="unknown published document 'sglang-1'; nearest: sglang"):
        load_published("sglang-1")
