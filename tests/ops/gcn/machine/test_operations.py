"""Every operation of the tables, on random registers: what it reads, and what it writes.

What an operation computes is tested with the semantics; here its own function is the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.operations import list_operations
from rocmoe.ops.gcn.semantics.operation import ARCHS, Operation

LANE = np.arange(64)
EXEC, VCC, MASK = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
TABLE, LITERAL = 0x6C, 0x3C00
WORD = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "f16": 2, "bf16": 2, "u64": 8, "i64": 8, "f64": 8}
NUMPY = {
    **{f"{sign}{8 * size}": f"<{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)},
    "f16": "<f2",
    "f32": "<f4",
    "f64": "<f8",
    "bf16": "<u2",
}
TAKES_DESTINATION = (
    *("v_mac_f", "v_fmac_f", "v_pk_fmac", "v_dot2c", "v_dot4c", "v_dot8c", "v_cvt_pkaccum"),
)
KEEPS_UPPER = (
    *("v_mad_f16", "v_mad_u16", "v_mad_i16", "v_fma_f16", "v_div_fixup_f16", "v_fma_mixlo_f16"),
    *("v_cvt_pk_fp8_f32", "v_cvt_pk_bf8_f32", "v_mac_f16", "v_madak_f16", "v_madmk_f16"),
)
CONSTANT_PLACE = {
    **dict.fromkeys(("v_madak_f16", "v_madak_f32", "v_fmaak_f32"), 2),
    **dict.fromkeys(("v_madmk_f16", "v_madmk_f32", "v_fmamk_f32"), 1),
}


def _spell(file: str, first: int, dwords: int) -> str:
    return f"{file}[{first}:{first + dwords - 1}]" if dwords > 1 else f"{file}{first}"


def _dwords(kind: str, packed_pair: bool = False) -> int:
    return 2 if packed_pair or WORD.get(kind) == 8 else 1


class Line:
    """The text of an operation: destination at 0 (mask at s20), source i at 4 + 4 i, masks at s22.

    values: a function of the registers before for every source; written: (register, kind) of every
    result.
    """

    def __init__(self, operation: Operation) -> None:
        self.operation, self.name = operation, operation.name
        self.operands: list[str] = []
        self.suffix = ""
        self.modifiers = ""
        self.values: list[Callable[[Any], np.ndarray]] = []
        self.written: list[tuple[str, str]] = []
        (self._scalar if self.name.startswith("s_") else self._vector)()

    @property
    def text(self) -> str:
        return f"{self.name}{self.suffix} {', '.join(self.operands)}{self.modifiers}"

    def _source(self, file: str, at: int, kind: str, dwords: int) -> None:
        first = 4 + 4 * at
        self.operands.append(_spell(file, first, dwords))
        self._reads(file, first, kind)

    def _reads(self, file: str, first: int, kind: str) -> None:
        name = f"{file}{first}:{first + 1}" if WORD.get(kind) == 8 else f"{file}{first}"
        self.values.append(lambda state: _as_type(np.atleast_2d(state[name]), kind))

    def _scalar(self) -> None:
        sources, results = self.operation.sources, self.operation.results
        compares = self.name.startswith(("s_cmp", "s_bitcmp"))
        if not compares:
            self.operands.append(_spell("s", 0, _dwords(results[0])))
        written = [("s0", results[0]), ("exec", "u64")]
        for kind in results:
            self.written.append(("scc", "bool") if kind == "bool" else written.pop(0))
        rereads = self.name.startswith(("s_cmov", "s_bitset", "s_addk", "s_mulk"))
        for at, kind in enumerate(sources):
            if kind == "bool":
                self.values.append(lambda state: state["scc"].astype(np.bool_)[None])
            elif at and "exec_" in self.name:
                self.values.append(lambda state: state["exec"][None])
            elif at and rereads:
                self._reads("s", 0, kind)
            elif kind.endswith("16") and "k_" in self.name:
                self.operands.append(f"0x{0x9ABC:x}")
                self.values.append(lambda state, kind=kind: _as_type(np.array([[0x9ABC]]), kind))
            else:
                self._source("s", at, kind, _dwords(kind))

    def _vector(self) -> None:
        name, (sources, results) = self.name, (self.operation.sources, self.operation.results)
        self._destinations(name, results)
        for at, kind in enumerate(sources):
            if name == "v_swap_b32":
                self.operands += ["v4"] if at else []
                self._reads("v", 4 * at, kind)
            elif name.startswith("v_mbcnt") and at == 2:
                self.values.append(lambda state: LANE.astype(np.uint32)[None])
            elif kind == "u8" and name.startswith("v_bitop3"):
                self.modifiers = f" bitop3:{TABLE:#x}"
                self.values.append(lambda state: np.array([[TABLE]], np.uint8))
            elif name == "v_mqsad_u32_u8" and at > 1:
                self.operands += ["v[12:15]"] if at == 2 else []
                self._reads("v", 10 + at, kind)
            elif kind == "bool":
                self._mask(name)
            elif at == len(sources) - 1 and name.startswith(TAKES_DESTINATION):
                self._reads("v", 0, kind)
            elif CONSTANT_PLACE.get(name) == at:
                self.operands.append(f"{LITERAL:#x}")
                self.values.append(lambda state, kind=kind: _as_type(np.array([[LITERAL]]), kind))
            else:
                file = "a" if name in ("v_accvgpr_read_b32", "v_accvgpr_mov_b32") else "v"
                self._source(file, at, kind, _dwords(kind, name == "v_pk_mov_b32"))

    def _mask(self, name: str) -> None:
        explicit = not name.startswith("v_div_fmas")
        self.operands += ["s[22:23]"] if explicit else []
        bits = MASK if explicit else VCC
        self.values.append(lambda state: _lanes(bits)[None])

    def _destinations(self, name: str, results: tuple[str, ...]) -> None:
        if name.startswith("v_cmp"):
            self.suffix, self.operands = "_e64", ["s[20:21]"]
            self.written = [("s20", "bool"), ("exec", "bool")][: 1 + name.startswith("v_cmpx")]
            return
        carries = results[1:] == ("bool",)
        dwords = sum(_dwords(kind) for kind in results if kind != "bool")
        file = "a" if name in ("v_accvgpr_write_b32", "v_accvgpr_mov_b32") else "v"
        if name == "v_swap_b32":
            self.operands, self.written = ["v0"], [("v0", "u32"), ("v4", "u32")]
            return
        self.operands = [_spell(file, 0, dwords)] + ["s[20:21]"] * carries
        self.suffix = "_e64" if carries and "_co_" in name else ""
        self.written = [(f"{file}{at}", kind) for at, kind in enumerate(results) if kind != "bool"]
        self.written += [("s20", "bool")] * carries


def _as_type(words: np.ndarray, kind: str) -> np.ndarray:
    dtype = np.dtype(NUMPY[kind])
    return np.ascontiguousarray(words).astype(f"<u{dtype.itemsize}").view(dtype)


def _lanes(bits: int) -> np.ndarray:
    return np.array([bits >> lane & 1 for lane in range(64)], np.bool_)


def _bits(lanes: np.ndarray) -> int:
    return sum(1 << lane for lane in range(64) if lanes[lane])


def _words(result: np.ndarray, kind: str) -> np.ndarray:
    size = np.dtype(NUMPY[kind]).itemsize
    return np.ascontiguousarray(result).view(f"<u{size}").astype(np.uint64)


def _registers(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    words = random.integers(0, 1 << 32, (24, 64))
    words[:, ::5] = 0x3F800000 + (words[:, ::5] & 0x1FFFFFF)  # usual floats
    words[:, ::7] &= 0x1F  # counts and small numbers
    vectors = {f"v{at}": words[at] for at in range(20)}
    accumulators = {f"a{at}": words[20 + at % 4] for at in range(8)}
    scalars = {f"s{at}": int(words[at % 24, at]) for at in range(16)}
    fixed = {"exec": EXEC, "vcc": VCC, "s22": MASK & 0xFFFFFFFF, "s23": MASK >> 32}
    return {**vectors, **accumulators, **scalars, **fixed, "scc": seed & 1}


def _check_vector(line: Line, results: list[np.ndarray], before: Any, after: Any) -> set[str]:
    active, touched = _lanes(EXEC), set()
    for (register, kind), result in zip(line.written, results, strict=False):
        if kind == "bool":
            wanted = _bits(np.broadcast_to(result, (1, 64))[0] & active)
            name = "exec" if register == "exec" else "s20:21"
            assert int(after[name][0]) == wanted, f"{register} of {line.text}"
            touched |= {"s126", "s127"} if register == "exec" else {"s20", "s21"}
            continue
        words = np.broadcast_to(_words(result, kind), (1, 64))[0]
        file, first = register[0], int(register[1:])
        for at in range(_dwords(kind)):
            name = f"{file}{first + at}"
            old = before[name][0]
            new = words >> np.uint64(32 * at) & np.uint64(0xFFFFFFFF)
            if line.name in KEEPS_UPPER:
                new = old & 0xFFFF0000 | new
            if line.name == "v_fma_mixhi_f16":
                new = old & 0xFFFF | new << np.uint64(16)
            np.testing.assert_array_equal(
                after[name][0], np.where(active, new, old), f"{name} of {line.text}"
            )
            touched.add(name)
    return touched


def _check_scalar(line: Line, results: list[np.ndarray], after: Any) -> set[str]:
    touched = set()
    for (register, kind), result in zip(line.written, results, strict=True):
        if register == "scc":
            wanted, name = int(result.reshape(-1)[0]), "scc"
            touched.add(name)
        else:
            wide = _dwords(kind) == 2
            wanted = int(_words(result, kind).reshape(-1)[0])
            name = "exec" if register == "exec" else ("s0:1" if wide else "s0")
            touched |= {"s126", "s127"} if register == "exec" else {"s0", "s1"}
        assert int(after[name][0]) == wanted, f"{name} of {line.text}"
    return touched


@pytest.mark.parametrize("arch", ARCHS)
def test_every_operation(arch: str, run_once: Callable[..., Any]) -> None:
    for seed, operation in enumerate(list_operations(arch).values()):
        line = Line(operation)
        before, after, changed = run_once(line.text, _registers(seed), arch)
        with np.errstate(all="ignore"):
            found = operation.compute(*[value(before) for value in line.values])
        results = list(found) if isinstance(found, tuple) else [found]
        if line.name.startswith("v_cmpx"):
            results = [results[0]] * 2
        if line.name.startswith("s_"):
            touched = _check_scalar(line, results, after)
        else:
            touched = _check_vector(line, results, before, after)
        assert changed <= touched, f"{line.text} changes {sorted(changed - touched)}"


@pytest.mark.parametrize("arch", ARCHS)
def test_text_is_what_llvm_assembles(arch: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The lines above are no dialect of their own; each target has what its table has."""
    libtriton = pytest.importorskip("triton._C.libtriton", reason="needs Triton's LLVM")
    if not hasattr(libtriton.amd, "assemble_amdgcn"):
        pytest.skip("this Triton cannot assemble text")
    libtriton.llvm.init_targets()

    def assemble(text: str) -> str:
        libtriton.amd.assemble_amdgcn(text + "\n", "amdgcn-amd-amdhsa", arch, "")
        return capfd.readouterr().err.strip()

    assert "v_add_f32 v0" in assemble("v_add_f32 v0")
    lines = [Line(operation).text for operation in list_operations(arch).values()]
    assert assemble("\n".join(lines)) == ""
