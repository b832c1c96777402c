"""Code objects: their own account, their listings, and the programs made of both."""

from __future__ import annotations

import importlib.util
import os
import stat
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.codeobject import CodeObject, CodeObjectKernel, read_code_object
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.disassembly import disassemble, read_listing
from rocmoe.ops.gcn.instruction import SourceLocation
from rocmoe.ops.gcn.linetable import LineTable
from rocmoe.ops.gcn.objdump import find_objdumps, list_instructions
from rocmoe.ops.gcn.target import Target

FIXTURES = Path(__file__).parent / "fixtures"
ROW_MAX = FIXTURES / "row_max.gfx942.co"
SCALE = FIXTURES / "scale.gfx90a.hsaco"
LISTING = (FIXTURES / "row_max.gfx942.listing").read_text()
#: What reading ROW_MAX gives, but for the metadata: symbols without sizes or types.
CODE = CodeObject(
    file="row_max.gfx942.co",
    data=b"",
    target=Target("gfx942", xnack=False),
    kernels=(CodeObjectKernel("row_max", 0x1600, KernelDescriptor(), None),),
    symbols=MappingProxyType({0x1600: ("row_max",), 0x16D8: ("done",)}),
    functions=frozenset(),
    line_table=LineTable((0x1600, 0x1610), (SourceLocation("a.c", 3), None)),
)

missing = [name for name in ("elftools", "msgpack") if not importlib.util.find_spec(name)]
needs_packages = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def write_objdump(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_listing_gives_the_program_of_its_assembly() -> None:
    program = read_listing(LISTING, CODE)
    text = read_program((FIXTURES / "row_max.gfx942.s").read_text())
    kernel = program.kernel()
    assert (kernel.entry, kernel.end) == (0, 39)
    assert [i.name for i in program.instructions] == [i.name for i in text.instructions]
    assert [i.target for i in program.instructions] == [i.target for i in text.instructions]
    branches = [str(i) for i in program.instructions if i.is_branch]
    assert branches == ["s_cbranch_scc0 done", "s_cbranch_scc1 .L16cc", "s_branch .L162c"]
    assert [i.address for i in program.instructions[:3]] == [0x1600, 0x1608, 0x1610]
    assert program.instructions[0].source == SourceLocation("a.c", 3)
    assert program.instructions[2].source is None
    line = LISTING.splitlines()[program.instructions[5].line - 1]
    assert line.strip().startswith(program.instructions[5].text)


def test_padding_behind_a_kernel_is_not_its_own() -> None:
    pad = "\ts_nop 0                          // 0000000016DC: BF800000\n"
    assert read_listing(LISTING + pad, CODE) == read_listing(LISTING, CODE)
    table = "\t.long 0x12345678                  // 0000000016E0: 12345678\n"
    assert len(read_listing(LISTING + table, CODE).instructions) == 39


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("\tv_mov_b32_e32 v7, 0  ", "\t.long 0x7e0e0280  ", "no instruction of gfx942"),
        (": BF84", ": BF847FFF // ", "a branch out of the code"),
        ("\nDisassembly", "\nwarning: odd\nDisassembly", "listing cannot be read"),
        ("\ts_endpgm ", "\ts_endpgm v300 ", "past the last register"),
    ],
)
def test_refuses_a_listing_that_it_cannot_follow(old: str, new: str, problem: str) -> None:
    assert old in LISTING
    with pytest.raises(RocmoeError) as caught:
        read_listing(LISTING.replace(old, new, 1), CODE)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("row_max.gfx942.co:")


def test_refuses_a_kernel_that_starts_outside_the_code() -> None:
    kernels = (replace(CODE.kernels[0], entry=0x1000),)
    with pytest.raises(RocmoeError, match="'row_max' starts outside the code"):
        read_listing(LISTING, replace(CODE, kernels=kernels))


def test_finds_objdumps_in_rocms_folders_first(tmp_path: Path) -> None:
    wanted = []
    for folder, name in [
        ("rocm-7/llvm/bin", "llvm-objdump"),
        ("opt/rocm/llvm/bin", "llvm-objdump"),
        ("bin", "llvm-objdump"),
        ("bin", "llvm-objdump-19"),
        ("bin", "llvm-objdump-18"),
    ]:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        wanted.append(write_objdump(tmp_path / folder / name, "exit 0"))
    environ = {"ROCM_PATH": "/rocm-7", "PATH": str(tmp_path / "bin")}
    assert find_objdumps(environ, tmp_path) == wanted
    assert find_objdumps({"PATH": str(tmp_path)}, tmp_path / "none") == []


def test_says_what_to_install_where_no_objdump_is() -> None:
    with pytest.raises(RocmoeError, match=r"needs llvm-objdump.*apt-get install llvm"):
        list_instructions(b"", CODE.target, "k.co", [])


def test_takes_the_objdump_that_decodes_most(tmp_path: Path) -> None:
    (tmp_path / "all").write_text(LISTING)
    (tmp_path / "less").write_text(LISTING.replace("\ts_ff1_i32_b64", "\t.long 0x1 //"))
    broken = write_objdump(tmp_path / "a", "echo 'LLVM ERROR: no such subtarget' >&2; exit 134")
    less = write_objdump(tmp_path / "b", f"cat {tmp_path}/less")
    best = write_objdump(tmp_path / "c", f"cat {tmp_path}/all")
    silent = write_objdump(tmp_path / "d", "exit 0")
    args = (b"", CODE.target, "k.co")
    assert list_instructions(*args, [broken, less, best]) == LISTING
    assert list_instructions(*args, [silent, less]) == (tmp_path / "less").read_text()
    with pytest.raises(RocmoeError) as caught:
        list_instructions(*args, [broken, silent, str(tmp_path / "gone")])
    for words in ("reads gfx942", f"{broken}: LLVM ERROR: no such subtarget", "exit status 0"):
        assert words in str(caught.value)


@needs_packages
def test_reads_a_hand_written_code_object() -> None:
    code = read_code_object(ROW_MAX.read_bytes(), ROW_MAX.name)
    assert code.target == CODE.target
    assert dict(code.symbols) == dict(CODE.symbols)
    assert code.functions == frozenset()
    (kernel,) = code.kernels
    text = read_program((FIXTURES / "row_max.gfx942.s").read_text()).kernel()
    assert kernel.metadata == text.metadata
    assert kernel.descriptor == replace(text.descriptor, next_free_sgpr=32)
    assert read_listing(LISTING, code).kernel().metadata == text.metadata


@needs_packages
def test_reads_a_compilers_code_object_with_its_source_lines() -> None:
    code = read_code_object(SCALE.read_bytes(), SCALE.name)
    (kernel,) = code.kernels
    assert kernel.name == "scale"
    assert kernel.entry in code.functions
    assert code.line_table.find(kernel.entry) == SourceLocation("kernels/scale.hip", 3, 11)
    assert code.line_table.find(0) is None


@needs_packages
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not an ELF file"),
        (b"\x7fELF" + bytes(60), "f.co"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + bytes(40), "clang-offload-bundler"),
        (b"CCOB" + bytes(40), "clang-offload-bundler"),
    ],
)
def test_refuses_other_files(data: bytes, problem: str) -> None:
    with pytest.raises(RocmoeError, match=problem):
        read_code_object(data, "f.co")


@needs_packages
def test_refuses_other_machines_and_architectures() -> None:
    data = bytearray(ROW_MAX.read_bytes())
    data[48] = 0x41  # e_flags: gfx1100
    with pytest.raises(RocmoeError, match=r"f\.co: e_flags .* name no target"):
        read_code_object(bytes(data), "f.co")
    data[18:20] = b"\x3e\0"  # e_machine: x86-64
    with pytest.raises(RocmoeError, match=r"f\.co is ELF code for EM_X86_64"):
        read_code_object(bytes(data), "f.co")


@pytest.mark.skipif(not missing, reason="pyelftools and msgpack are installed")
def test_says_what_to_install_where_packages_are_missing() -> None:
    with pytest.raises(RocmoeError, match=r"pip install 'rocmoe\[sim\]'"):
        read_code_object(ROW_MAX.read_bytes(), ROW_MAX.name)


@needs_packages
@pytest.mark.parametrize("path", [ROW_MAX, SCALE], ids=lambda path: path.name)
def test_disassembles(path: Path) -> None:
    code = read_code_object(path.read_bytes(), path.name)
    try:
        program = disassemble(code, find_objdumps(os.environ))
    except RocmoeError as error:
        pytest.skip(str(error))
    kernel = program.kernel()
    assert program.body(kernel)[-1].name == "s_endpgm"
    assert kernel.metadata == code.kernels[0].metadata
    if path == ROW_MAX:
        again = read_listing(LISTING, code).instructions
        assert program.instructions == again
