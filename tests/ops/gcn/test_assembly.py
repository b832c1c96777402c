"""Reading whole texts: the fixtures of compilers and by hand, and one fault at a time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.assembly import read_metadata, read_program
from rocmoe.ops.gcn.instruction import SourceLocation, parse_instruction
from rocmoe.ops.gcn.metadata import Argument
from rocmoe.ops.gcn.operands import Integer, Register, Symbol
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.target import Target

FIXTURES = Path(__file__).parent / "fixtures"
COMPILED = sorted(path for path in FIXTURES.glob("*.s") if path.name != "row_max.gfx942.s")
HAND_WRITTEN = FIXTURES / "row_max.gfx942.s"


def read_fixture(path: Path) -> Program:
    return read_program(path.read_text(), path.name)


def squeeze(text: str) -> str:
    """Without the blanks that say nothing, and without a comment."""
    code = re.sub(r"\s*(;|//).*", "", text).strip()
    return re.sub(r"\s+", " ", re.sub(r"\s*([,()\[\]|&])\s*", r"\1", code)).strip()


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_every_instruction_of_a_compiler_prints_as_it_stands_there(path: Path) -> None:
    lines = path.read_text().splitlines()
    wanted = [
        (number, squeeze(line))
        for number, line in enumerate(lines, 1)
        if re.match(r"\s+(s|v|ds|buffer|global|flat|scratch)_\w+(\s|$)", line)
    ]
    program = read_fixture(path)
    assert [(i.line, squeeze(str(i))) for i in program.instructions] == wanted
    assert len(wanted) > 30


@pytest.mark.parametrize("path", [*COMPILED, HAND_WRITTEN], ids=lambda path: path.name)
def test_what_is_printed_reads_as_the_same(path: Path) -> None:
    for instruction in read_fixture(path).instructions:
        if not instruction.is_branch:
            assert parse_instruction(str(instruction)) == instruction, instruction.text


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_kernels_have_their_target_metadata_and_end(path: Path) -> None:
    program = read_fixture(path)
    assert program.target.architecture == path.name.split(".")[1]
    for kernel in program.kernels:
        assert kernel.metadata is not None
        assert kernel.metadata.kernarg_segment_size == kernel.descriptor.kernarg_size
        assert program.body(kernel)[-1].name == "s_endpgm"
        assert program.labels[kernel.name] == kernel.entry


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_branches_go_to_the_labels_they_name(path: Path) -> None:
    program = read_fixture(path)
    lines = path.read_text().splitlines()
    for branch in (i for i in program.instructions if i.is_branch):
        label = str(branch.operands[-1])
        assert branch.target is not None
        at = lines.index(f"{label}:") if f"{label}:" in lines else None
        if at is not None and branch.target < len(program.instructions):
            between = lines[at : program.instructions[branch.target].line - 1]
            assert not any(re.match(r"\t[svd]\w*_", line) for line in between), label


def test_reads_tritons_source_lines_and_arguments() -> None:
    program = read_fixture(FIXTURES / "row_top2.gfx942.s")
    kernel = program.kernel()
    assert kernel.descriptor.user_sgpr_count == 12
    assert kernel.descriptor.user_sgpr_kernarg_preload_length == 10
    assert kernel.descriptor.float_denorm_mode_32 == 3
    assert kernel.descriptor.accum_offset == 16
    assert kernel.metadata is not None
    assert kernel.metadata.vgpr_count == 15
    assert kernel.metadata.arguments[:3] == (
        Argument(0, 8, "global_buffer", address_space="global"),
        Argument(8, 8, "global_buffer", address_space="global"),
        Argument(16, 4, "by_value"),
    )
    assert program.constants[".Lrow_top2.num_vgpr"] == 15
    reduce = next(i for i in program.instructions if i.dpp)
    assert reduce.source == SourceLocation("triton/language/standard.py", 206, 20)
    assert program.where(reduce) == (
        f"row_top2.gfx942.s:{reduce.line}: {reduce.text} (standard.py:206:20)"
    )
    assert program.instructions[0].source == SourceLocation("kernels/kernels.py", 4, 0)


def test_reads_functions_that_kernels_call() -> None:
    program = read_fixture(FIXTURES / "calls.gfx90a.s")
    assert [kernel.name for kernel in program.kernels] == ["calls", "halves", "doubles"]
    helper = program.labels["_Z6helperPKfi"]
    assert helper < program.kernel("calls").entry
    symbols = [i.operands[2].value for i in program.instructions if "@rel32" in i.text]
    assert Symbol("_Z6helperPKfi", "rel32@lo", 4) in symbols
    assert Symbol("table", "rel32@hi", 12) in symbols
    with pytest.raises(RocmoeError, match="has 3 kernels; name one: calls, halves, doubles"):
        program.kernel()
    with pytest.raises(RocmoeError, match="nearest: halves"):
        program.kernel("halfs")


def test_reads_hand_written_code() -> None:
    program = read_fixture(HAND_WRITTEN)
    assert program.target == Target("gfx942", xnack=False, sramecc=True)
    kernel = program.kernel("row_max")
    assert (kernel.entry, kernel.end) == (0, 39)
    assert kernel.descriptor.next_free_vgpr == 8
    assert kernel.descriptor.user_sgpr_count == 2, "two for the kernarg pointer"
    assert kernel.descriptor.float_denorm_mode_16_64 == 3, "the assembler's default"
    assert kernel.metadata is not None
    assert kernel.metadata.required_workgroup_size == (64, 1, 1)
    assert [argument.offset for argument in kernel.metadata.arguments] == [0, 16, 32, 40]
    assert [argument.is_hidden for argument in kernel.metadata.arguments] == [False] * 3 + [True]
    by_line = {i.line: i for i in program.instructions}
    assert by_line[14].operands[2].value == Integer(16), "ARG_OUT"
    assert by_line[14].comment == "out"
    branches = [(str(i), i.target) for i in program.instructions if i.is_branch]
    again = program.instructions.index(by_line[21])
    last = next(
        at for at, i in enumerate(program.instructions) if i.text.startswith("v_mov_b32 v7")
    )
    assert branches == [
        ("s_cbranch_scc0 done", 38),
        ("s_cbranch_scc1 2f", last),
        ("s_branch 1b", again),
    ]
    indexed = next(i for i in program.instructions if "vTmp]" in i.text)
    assert indexed.operands[0].value == Register("v", 4)


SMALL = """
.amdgcn_target "amdgcn-amd-amdhsa--gfx942"
.text
k:
  s_nop 0
  s_endpgm
.amdhsa_kernel k
  .amdhsa_next_free_vgpr 1
  .amdhsa_next_free_sgpr 1
  .amdhsa_accum_offset 4
.end_amdhsa_kernel
"""

# Each: what of SMALL is replaced by what, and what the error says.
FAULTS = [
    ("s_nop 0", "s_branch .Lnowhere", "f.s:5: no label '.Lnowhere'"),
    ("s_nop 0", "s_branch 4", "f.s:5: a branch wants a label"),
    ("s_nop 0", "s_branch 1f", "f.s:5: no label '1f'"),
    ("s_nop 0", "hello world", "f.s:5: neither a label"),
    ("s_nop 0", "v_mov_b32 v0, v300", "f.s:5: 'v300' is past the last register"),
    ("s_nop 0", ".long 0xbf800000", "f.s:5: data among instructions"),
    ("s_nop 0", ".fill 4, 4, 7", "f.s:5: data among instructions"),
    ("s_nop 0", ".macro twice", "f.s:5: macros are not expanded"),
    ("s_nop 0", ".gobal k", "f.s:5: directive .gobal is not known; nearest: .global"),
    ("s_nop 0", ".loc 1 2 3", "f.s:5: no .file 1 before it"),
    ("s_nop 0", ".set a", "f.s:5: wanted NAME, VALUE"),
    ("s_nop 0", ".popsection", "f.s:5: no .pushsection"),
    ("s_nop 0", "k: s_nop 0", "f.s:5: label 'k' is defined twice"),
    ("s_nop 0", "/* s_nop", "f.s:5: a comment starts here"),
    ("s_nop 0", ".data\ns_nop 0", "f.s:6: an instruction outside the sections"),
    ("k:\n", "", "kernel 'k' has a descriptor but no label"),
    ("  s_nop 0\n  s_endpgm\n", "", "kernel 'k' has no instructions"),
    (".amdhsa_next_free_vgpr 1", "", "f.s:7: .amdhsa_next_free_vgpr is missing"),
    (".amdhsa_next_free_vgpr 1", ".amdhsa_next_free_vgpr N", "f.s:8: 'N' has no value"),
    (".amdhsa_next_free_vgpr", ".amdhsa_next_free_vgprs", "nearest: .amdhsa_next_free_vgpr"),
    (".end_amdhsa_kernel", "", "f.s:7: no .end_amdhsa_kernel follows"),
    ("--gfx942", "--gfx1201", "f.s:2: architecture gfx1201 is not simulated"),
    (".amdgcn_target", "; .amdgcn_target", "f.s: no .amdgcn_target names the architecture"),
    (SMALL[SMALL.index(".amdhsa_kernel") :], "", "f.s: no .amdhsa_kernel"),
    (".text", ".amdgpu_metadata", "f.s:3: .amdgpu_metadata without its end"),
]


@pytest.mark.parametrize(("old", "new", "problem"), FAULTS)
def test_names_the_line_of_a_fault(old: str, new: str, problem: str) -> None:
    assert SMALL.count(old) >= 1
    with pytest.raises(RocmoeError) as caught:
        read_program(SMALL.replace(old, new, 1), "f.s")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reads_what_differs_only_in_its_spelling() -> None:
    wanted = read_program(SMALL).instructions
    for old, new in [
        ("s_nop 0", 's_nop 0 ; a comment, with a , and a " in it'),
        ("s_nop 0", "s_nop/* in the midst */ 0 // and behind"),
        ("s_nop 0", "/* over\n lines */ s_nop\t0"),
        ("k:\n  s_nop 0", "k: .Lalso: s_nop 0"),
        ("  s_nop 0", "# 5 a preprocessor's line\n  s_nop N\n.set N, 0"),
    ]:
        assert old in SMALL
        assert read_program(SMALL.replace(old, new, 1)).instructions == wanted, new


def test_takes_the_target_from_the_caller_where_the_text_has_none() -> None:
    text = SMALL.replace(".amdgcn_target", "; .amdgcn_target")
    assert read_program(text, target=Target("gfx90a")).target == Target("gfx90a")


def test_reads_the_metadata_of_other_architectures() -> None:
    text = (FIXTURES / "row_top2.gfx942.s").read_text().replace("gfx942", "gfx1100")
    assert read_metadata(text)[0].vgpr_count == 15
    assert read_metadata(SMALL) == ()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_text_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    text = HAND_WRITTEN.read_text()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("x0[](),:;|-@.\"' \n"))
    try:
        read_program(text[:at] + letter + text[at + 1 :], "f.s")
    except RocmoeError as error:
        refusal = str(error)
    else:
        refusal = "f.s"
    assert "\n" not in refusal
    assert refusal.startswith("f.s")
