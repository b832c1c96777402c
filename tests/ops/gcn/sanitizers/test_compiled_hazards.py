"""LLVM's code owes nothing, and each s_nop taken out of it is missed where the ISA asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.footprint import SCALAR
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.sanitizers.hazard_traits import Unit, find_traits
from rocmoe.ops.gcn.sanitizers.hazards import Hazard, find_hazards, find_static_transfers
from rocmoe.ops.gcn.target import ARCHITECTURES

FIXTURES = Path(__file__).parents[1] / "fixtures"
#: Instructions around a place within which every path that a rule sees from there runs.
REACH = 60
MEMORY = (Unit.VMEM, Unit.SMEM)

# s_nop in the fixtures: how many, how many of them a finding misses once it is taken out.
DROPPED = {
    "calls.gfx90a.s": (14, 1),
    "histogram.gfx942.s": (7, 7),
    "row_top2.gfx90a.s": (10, 10),
    "row_top2.gfx942.s": (22, 17),
    "row_top2.gfx950.s": (38, 33),
    "small_dot.gfx90a.s": (7, 7),
    "small_dot.gfx942.s": (4, 4),
    "small_dot.gfx950.s": (2, 2),
}


def hazards_near(program: Program, place: int) -> list[Hazard]:
    near = range(max(0, place - REACH), min(len(program.instructions), place + REACH))
    return find_hazards(program, find_static_transfers(program), program.kernels[0].entry, near)


def hazards_of(program: Program) -> list[Hazard]:
    everything = range(len(program.instructions))
    entry = program.kernels[0].entry
    return find_hazards(program, find_static_transfers(program), entry, everything)


def drop(program: Program, place: int) -> Program:
    """The program without one instruction, branches past it moved up."""

    def move(instruction: Instruction) -> Instruction:
        target = instruction.target
        return (
            instruction
            if target is None or target <= place
            else replace(instruction, target=target - 1)
        )

    kept = (*program.instructions[:place], *program.instructions[place + 1 :])
    return replace(program, instructions=tuple(map(move, kept)))


def waits(program: Program) -> list[int]:
    return [at for at, each in enumerate(program.instructions) if each.name == "s_nop"]


def excuse(program: Program, place: int) -> str | None:
    """Why LLVM puts an s_nop that no wait state of the ISA asks for."""
    architecture = program.target.architecture
    before, after = (
        find_traits(program.instructions[at], architecture) for at in (place - 1, place + 1)
    )
    if before.unit in MEMORY and after.unit in MEMORY:
        return "a clause of memory instructions that XNACK could replay"
    if before.name.startswith("v_pk_") and before.vector_writes & after.vector_reads:
        return "op_sel_hi of packed math, taken for op_sel of the destination"
    if after.name in ("v_addc_co_u32", "v_subb_co_u32", "v_subbrev_co_u32"):
        return "a carry, which is forwarded"
    scalars = frozenset(n for n in before.footprint.writes if n >= SCALAR)
    if before.unit is Unit.SALU and after.unit is Unit.VALU and scalars & after.named_scalars:
        return "a VALU's SGPR that an SALU instruction has overwritten since"
    return None


@pytest.mark.parametrize("name", DROPPED)
def test_waits_dropped_from_fixtures(name: str) -> None:
    program = read_program((FIXTURES / name).read_text(), name)
    places = waits(program)
    caught = [place for place in places if hazards_near(drop(program, place), place)]
    assert (len(places), len(caught)) == DROPPED[name]
    assert all(excuse(program, place) for place in set(places) - set(caught))


KERNELS = """
import triton
import triton.language as tl


@triton.jit
def multiply(a, b, c, K, M: tl.constexpr, N: tl.constexpr, BK: tl.constexpr, OUT: tl.constexpr):
    rows, columns, depth = tl.arange(0, M), tl.arange(0, N), tl.arange(0, BK)
    total = tl.zeros([M, N], OUT)
    for k in range(0, K, BK):
        left = tl.load(a + rows[:, None] * K + (k + depth)[None, :])
        right = tl.load(b + (k + depth)[:, None] * N + columns[None, :])
        total = tl.dot(left, right, total, input_precision="ieee")
    tl.store(c + rows[:, None] * N + columns[None, :], total)


@triton.jit
def choose(logits, weights, ids, E: tl.constexpr, K: tl.constexpr):
    row, places, chosen = tl.program_id(0), tl.arange(0, E), tl.arange(0, K)
    x = tl.load(logits + row * E + places)
    highest = tl.max(x, 0)
    kept, where = tl.zeros([K], tl.float32), tl.zeros([K], tl.int32)
    for k in tl.static_range(K):
        value, place = tl.max(x, 0, return_indices=True)
        kept = tl.where(chosen == k, tl.exp(value - highest), kept)
        where = tl.where(chosen == k, place, where)
        x = tl.where(places == place, -float("inf"), x)
    tl.store(weights + row * K + chosen, kept / tl.sum(kept, 0))
    tl.store(ids + row * K + chosen, where)
"""

# type of the factors and of the sum, warps, rows, columns, depth of a step.
PRODUCTS = [
    ("fp16", "fp32", 1, 16, 16, 32),
    ("fp16", "fp32", 4, 64, 64, 64),
    ("bf16", "fp32", 2, 32, 64, 32),
    ("fp32", "fp32", 1, 32, 32, 32),
    ("fp32", "fp32", 2, 32, 64, 32),
    ("i8", "i32", 4, 64, 64, 64),
    ("fp8", "fp32", 1, 32, 32, 32),
    ("fp64", "fp64", 1, 32, 32, 32),
]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The kernels as a module of its own, for Triton reads a kernel's source from its file."""
    pytest.importorskip("triton", reason="Triton compiles the kernels; pip install 'rocmoe[sim]'")
    import importlib.util

    path = tmp_path_factory.mktemp("kernels") / "hazard_kernels.py"
    path.write_text(KERNELS)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")


def compile_kernel(
    kernel: Any, architecture: str, warps: int, signature: dict[str, str], constants: dict[str, Any]
) -> Program:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(
        kernel,
        signature={**signature, **dict.fromkeys(constants, "constexpr")},
        constexprs=constants,
        attrs={(at,): [["tt.divisibility", 16]] for at in range(len(signature))},
    )
    target = GPUTarget("hip", architecture, 64)
    made = triton.compile(source, target=target, options={"num_warps": warps})
    return read_program(made.asm["amdgcn"], kernel.__name__)


def check(program: Program, fewest: int) -> None:
    """No finding; each wait taken out is found missing or has an excuse; enough were found."""
    assert hazards_of(program) == []
    caught = 0
    for place in waits(program):
        if hazards_near(drop(program, place), place):
            caught += 1
        else:
            assert excuse(program, place), program.where(program.instructions[place])
    assert caught >= fewest


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: f"{product[0]}-w{product[2]}")
def test_matrix_products(kernels: Any, architecture: str, product: tuple[Any, ...]) -> None:
    import triton.language as tl

    factor, total, warps, rows, columns, depth = product
    if factor == "fp8":
        factor = "fp8e4nv" if architecture == "gfx950" else "fp8e4b8"
    emulated = architecture == "gfx90a" and product[0] == "fp8"
    signature = {"a": f"*{factor}", "b": f"*{factor}", "c": f"*{total}", "K": "i32"}
    out = {"fp32": tl.float32, "i32": tl.int32, "fp64": tl.float64}[total]
    constants = {"M": rows, "N": columns, "BK": depth, "OUT": out}
    program = compile_kernel(kernels.multiply, architecture, warps, signature, constants)
    check(program, fewest=0 if emulated else 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("warps", [1, 4])
def test_choice_of_the_best(kernels: Any, architecture: str, warps: int) -> None:
    signature = {"logits": "*fp32", "weights": "*fp32", "ids": "*i32"}
    program = compile_kernel(kernels.choose, architecture, warps, signature, {"E": 256, "K": 4})
    check(program, fewest=10)
