"""`rocmoe isa` through the real command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rocmoe.ops.core.compilation import WAVE_SIZES
from rocmoe.ops.gcn.objdump import find_objdumps
from rocmoe.profiles.isa import COLUMNS

FIXTURES = Path(__file__).parents[1] / "ops/gcn/fixtures"
DOT = FIXTURES / "small_dot.gfx942.s"

GENEROUS = """
[[isa]]
op = "topk_softmax"
kernel = "select_by_lists"
spills = 0
scratch_bytes = 0
instructions_barrier = 0
[[isa]]
arch = "gfx942"
occupancy = 8
[[isa]]
op = "topk_sigmoid"
vgpr = 1
"""
TIGHT = """
[[isa]]
op = "topk_softmax"
arch = "gfx942"
vgpr = 8
occupancy = 8
code_bytes = 100000
lds_bytes = 0
"""


def test_an_op_for_every_target(rocmoe, tmp_path):
    pytest.importorskip("triton", reason="compiles with Triton")
    (tmp_path / "budget.toml").write_text(GENEROUS)
    done = rocmoe("isa", "topk_softmax", "--budget", "budget.toml", "--asm", "--out", "listings")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    header, _, *rest = done.stdout.splitlines()
    assert header.split() == " ".join(COLUMNS).split()
    rows = [line.split() for line in rest[: rest.index("")]]
    assert [row[:2] for row in rows] == [["select_by_lists", arch] for arch in WAVE_SIZES]
    assert {row[COLUMNS.index("LDS")] for row in rows} == {"32"}, "from the launch"
    assert "topk_softmax:T=257,E=256,k=8:bf16:" in done.stdout
    assert "compiled by Triton" in done.stdout
    listings = sorted(path.name for path in (tmp_path / "listings").iterdir())
    assert listings == sorted(f"topk_softmax-select_by_lists.{arch}.s" for arch in WAVE_SIZES)
    text = (tmp_path / "listings" / listings[-1]).read_text()
    assert "; valu dpp  " in text
    assert "; vmem_store b32  logit_gating.py:" in text
    assert str(Path.cwd()) not in text


def test_what_is_beyond_a_budget_is_told_and_exits_3(rocmoe, tmp_path):
    pytest.importorskip("triton", reason="compiles with Triton")
    (tmp_path / "tight.toml").write_text(TIGHT)
    arguments = ("--arch", "gfx942,gfx90a", "--model", "qwen3-30b-a3b", "--tokens", "64")
    done = rocmoe("isa", "topk_softmax", *arguments, "--budget=tight.toml", "--format=json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert report["case"] == "topk_softmax:T=64,E=128,k=8:bf16:renormalize=true:normal:contiguous"
    assert [kernel["arch"] for kernel in report["kernels"]] == ["gfx942", "gfx90a"]
    first = report["kernels"][0]
    assert (first["launches"], first["lanes"]) == (1, 64)
    assert first["counts"]["dpp"] > 0
    assert done.stderr.splitlines() == report["exceeded"]
    assert [line.partition(" (")[0] for line in report["exceeded"]] == [
        f"select_by_lists on gfx942: vgpr is {first['vgpr']}, allowed at most 8",
        f"select_by_lists on gfx942: lds_bytes is {first['lds_bytes']}, allowed at most 0",
    ]


def test_a_file_in_markdown(rocmoe):
    done = rocmoe("isa", DOT, "--lds", "8192", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    cells = [cell.strip() for cell in done.stdout.splitlines()[2].strip("|").split("|")]
    row = dict(zip(COLUMNS, cells, strict=True))
    assert (row["kernel"], row["arch"], row["MFMA"], row["barriers"]) == (
        *("small_dot", "gfx942"),
        *("8", "4"),
    )
    assert (row["waves"], row["limit"], row["loads"]) == ("4", "lds", "10xb16 1xb32 1xb64 2xb128")


@pytest.mark.skipif(not find_objdumps(), reason="no llvm-objdump is installed")
def test_a_code_object_without_a_suffix(rocmoe, tmp_path):
    shutil.copy(FIXTURES / "row_max.gfx942.co", tmp_path / "mine")
    done = rocmoe("isa", "mine", "--asm", "--format", "json")
    assert done.returncode == 0, done.stderr
    (kernel,) = json.loads(done.stdout)["kernels"]
    assert (kernel["kernel"], kernel["code_bytes"], kernel["triton"]) == ("row_max", 220, None)
    assert "; lds_lanes" in (tmp_path / "rocmoe-artifacts/mine-row_max.gfx942.s").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["topk_sofmax"], "unknown op 'topk_sofmax'; nearest: topk_softmax"),
        (["mime.s"], "no file mime.s; nearest: mine.s"),
        (["mine.s", "--arch", ""], "unknown architecture ''"),
        (["mine.s", "--block", "0"], "(found '0')"),
        (["mine.s", "--budget", "odd.toml"], "unknown kernel 'small_dt'; nearest: small_dot"),
        (["mine.s", "--asm", "--out", "file"], "--out file is a file; wanted a folder"),
        ([], "Missing argument"),
    ],
)
def test_bad_request(call_rocmoe, tmp_path, arguments, said):
    shutil.copy(DOT, tmp_path / "mine.s")
    (tmp_path / "file").write_text("")
    (tmp_path / "odd.toml").write_text("[[isa]]\nkernel = 'small_dt'\nvgpr = 1")
    done = call_rocmoe("isa", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


def test_a_file_is_audited_without_the_heavy_imports(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "rocmoe", "isa", str(DOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "typer" in loaded
    assert not loaded & {"torch", "triton"}
