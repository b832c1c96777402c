import json
import os
import subprocess
import sys

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.device import Device  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.launch import recording, simulating  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata, read_program  # noqa: E402
from rocmoe.ops.kernels.topk_softmax import topk_softmax  # noqa: E402
from rocmoe.profiles.examination import examine  # noqa: E402

SPEC = load_op("topk_softmax")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

#: Judged strictly in Triton's interpreter, which has to be chosen before the kernel is imported.
INTERPRET = """
import json, sys
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.kernels.topk_softmax import topk_softmax
from rocmoe.profiles.examination import examine

spec = load_op("topk_softmax")
implementation = Implementation("topk_softmax", "triton", topk_softmax)
told = {}
for words in json.load(sys.stdin):
    case, device = parse_case(words), parse_device("cpu")
    verdict = examine(spec, case, implementation, device, strict=True).verdict
    told[words] = [] if verdict.ok else [*verdict.failed, *map(str, verdict.findings[:2])]
print(json.dumps(told))
"""

WORDS = "topk_softmax:T={},E={},k={}:{}:renormalize={}:{}:{}"
CASES = [
    WORDS.format(*row)
    for row in [
        (0, 256, 8, "bf16", "true", "normal", "contiguous"),
        (1, 1, 1, "fp32", "false", "normal", "contiguous"),
        (9, 256, 8, "bf16", "true", "heavy_ties", "contiguous"),
        (9, 256, 8, "fp16", "false", "boundary_ties", "offset"),
        (9, 160, 8, "fp32", "true", "normal", "strided"),
        (9, 160, 8, "bf16", "true", "all_equal", "strided"),
        (70, 6, 3, "fp16", "true", "normal", "contiguous"),
        (9, 257, 9, "fp32", "true", "normal", "contiguous"),
        (9, 385, 9, "bf16", "true", "one_stripe", "contiguous"),
        (9, 72, 1, "fp32", "false", "distinct", "contiguous"),
        (9, 40, 40, "bf16", "false", "uniform", "contiguous"),
        (9, 64, 17, "fp32", "true", "flat", "contiguous"),
        (3, 1024, 32, "fp32", "true", "descending", "contiguous"),
        *((7, 48, 6, dtype, "false", "nan_rows", "contiguous") for dtype in DTYPES),
        *((7, 48, 6, dtype, "true", "inf_rows", "contiguous") for dtype in DTYPES),
        *((7, 48, 6, dtype, "false", "neg_inf", "contiguous") for dtype in DTYPES),
        *((7, 48, 6, dtype, "true", "denormal", "contiguous") for dtype in ("bf16", "fp32")),
        (7, 48, 6, "fp32", "true", "peaked", "contiguous"),
        (7, 48, 6, "fp32", "false", "huge", "contiguous"),
    ]
]


@pytest.fixture(scope="module")
def interpreted():
    done = subprocess.run(
        [sys.executable, "-c", INTERPRET],
        input=json.dumps(CASES),
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("words", CASES)
def test_passes_the_judge_strictly_in_tritons_interpreter(interpreted, words):
    assert interpreted[words] == []


def compile_for(arch, shape, topk, dtype, renormalize=True):
    logits = torch.empty(shape, dtype=DTYPES[dtype], device="meta")
    with recording(arch) as launches:
        topk_softmax(logits, topk, renormalize)
    (launch,) = launches
    return launch


def count_instructions(launch):
    program = read_program(launch.compiled.assembly)
    words = [each.mnemonic for each in program.body(program.kernel())]
    return [word for word in words if word != "s_code_end"]


@pytest.mark.parametrize(
    ("arch", "dtype", "renormalize"),
    [("gfx90a", "bf16", True), ("gfx950", "fp32", True), ("gfx942", "fp16", False),
     ("gfx942", "bf16", True), ("gfx942", "fp32", False)],
)  # fmt: skip
def test_code_is_lean(arch, dtype, renormalize):
    """Loads of 16 bytes, and under 700 wave instructions a token; nothing loops, so static ones."""
    launch = compile_for(arch, (64, 256), 8, dtype, renormalize)
    mnemonics = count_instructions(launch)
    rows = 64 // launch.grid[0]
    assert not [word for word in mnemonics if word.startswith("s_cbranch")], "counted once"
    assert len(mnemonics) / rows < (700 if dtype == "fp32" else 400)
    loads = [word for word in mnemonics if word.startswith(("buffer_load", "global_load"))]
    assert set(loads) <= {"buffer_load_dwordx4", "global_load_dwordx4"}, loads
    assert len(loads) == rows * 256 * (4 if dtype == "fp32" else 2) // (16 * 64)
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    assert launch.compiled.lds_bytes <= 1024


def test_many_experts_a_token_do_not_unroll():
    few = count_instructions(compile_for("gfx942", (4, 256), 8, "bf16"))
    many = count_instructions(compile_for("gfx942", (4, 256), 256, "bf16"))
    assert any(word.startswith("s_cbranch") for word in many)
    assert len(many) < 2 * len(few)


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def launch(self, compiled, grid, arguments, /):
        self.compiled, self.arguments = compiled, arguments


@pytest.mark.parametrize(
    ("shape", "strides", "wide"),
    [
        ((70000, 256), (256, 1), False),  # 70000 * 2^20 is past 2^31: a program's base is 64-bit
        ((70000, 256), (2**20, 1), False),
        ((300, 8), (2**24, 1), False),
        ((300, 8), (2**25, 1), True),
        ((3, 256), (2**32, 1), True),
        ((2**24, 256), (1, 2**24), True),
    ],
)
def test_offsets_inside_a_program_are_64_bit_where_32_are_too_few(shape, strides, wide):
    logits = torch.empty_strided(shape, strides, dtype=torch.bfloat16, device="meta")
    listener = Listener()
    with simulating(listener):
        topk_softmax(logits, 4, True)
    given = listener.arguments
    assert given["WIDE"] == wide
    last = (given["ROWS"] - 1) * strides[0] + (given["EXPERTS"] - 1) * strides[1]
    assert given["WIDE"] or last < 2**31
    types = {parameter.name: parameter.type for parameter in listener.compiled.parameters}
    assert types.get("token_stride", "i32") == ("i64" if strides[0] >= 2**31 else "i32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    implementation = Implementation("topk_softmax", "triton", topk_softmax)
    for row in SPEC.cases:
        case = SPEC.make_case(row)
        verdict = examine(SPEC, case, implementation, Device("gpu"), strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_reads_logits_past_two_billion_elements():
    stride = 2**30 + 7
    memory = torch.empty(3 * stride, dtype=torch.bfloat16, device="cuda")
    logits = memory.as_strided((3, 64), (stride, 1))
    logits.copy_(torch.randn(3, 64))
    found = topk_softmax(logits, 6, True)
    wanted = topk_softmax(logits.contiguous(), 6, True)
    assert torch.equal(found[1], wanted[1])
    # Loads of another width lie otherwise in the lanes, and so sum in another order.
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-6, atol=0)
