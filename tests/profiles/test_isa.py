"""What is audited, and how a report is judged and told."""

import re
from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import list_ops, load_op
from rocmoe.ops.gcn.audit import audit
from rocmoe.ops.gcn.kernel_code import read_kernel_codes
from rocmoe.profiles.budget import ISA_LIMITS
from rocmoe.profiles.isa import (
    COLUMNS,
    IsaReport,
    apply_budget,
    judge_audit,
    list_rows,
    run_audit,
    tell_report,
    write_listings,
)
from rocmoe.profiles.isa_record import IsaRecord
from rocmoe.profiles.isa_sources import Audited, Settings, choose_case, is_file
from rocmoe.profiles.outcome import Exit

FIXTURES = Path(__file__).parents[1] / "ops/gcn/fixtures"
TOPK = load_op("topk_softmax")


def settings(target="topk_softmax", **options):
    return Settings(target, **options)


def audit_fixture(name, **options):
    return run_audit(settings(str(FIXTURES / name), **options))


@pytest.mark.parametrize("op", list_ops())
def test_every_op_has_a_default_case(op):
    spec = load_op(op)
    case = choose_case(spec, settings(op))
    assert not spec.degenerate(case)
    assert not spec.out_of_contract(case)
    assert case.layout == spec.layouts[0]


def test_the_default_case_is_the_largest_ordinary_one():
    case = choose_case(TOPK, settings())
    assert (case.sizes["T"], case.sizes["E"], case.sizes["k"], case.dtype) == (257, 256, 8, "bf16")
    larger = choose_case(TOPK, settings(tokens=4000))
    assert (dict(larger.sizes), larger.pattern) == ({"T": 4000, "E": 256, "k": 8}, case.pattern)


def test_the_case_of_a_model():
    case = choose_case(TOPK, settings(model="qwen3-235b-a22b"))
    assert dict(case.sizes) == {"T": 4096, "E": 128, "k": 8}
    assert choose_case(TOPK, settings(model="qwen3-235b-a22b", tokens=7)).sizes["T"] == 7


def test_a_case_by_its_word():
    word = "topk_softmax:T=5,E=8,k=2:fp16:renormalize=false:normal:strided"
    assert choose_case(TOPK, settings(case=word)).id == word


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "deepseek-v3"}, "model deepseek-v3 has no use for topk_softmax"),
        ({"model": "qwen3-235b-a22"}, "unknown model 'qwen3-235b-a22'; nearest: qwen3-235b-a22b"),
        ({"case": "topk_sigmoid"}, "case 'topk_sigmoid': found 1 parts"),
        ({"case": "x", "tokens": 3}, "--case says its sizes; wanted neither --model nor"),
        ({"block": 64}, "--block is for a file; a launch of topk_softmax says it itself"),
        ({"lds_bytes": 64}, "--lds is for a file"),
        ({"tokens": 2**40}, "T=1099511627776 is not in"),
    ],
)
def test_what_no_case_serves(options, said):
    with pytest.raises(RocmoeError, match=re.escape(said)):
        choose_case(TOPK, settings(**options))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("topk_softmax", False),
        ("topk_sofmax", False),
        ("kernel.s", True),
        ("kernel.hsaco", True),
        ("no/such", True),
        (str(FIXTURES), True),
    ],
)
def test_a_file_is_known_by_its_suffix_or_by_being_there(target, expected):
    assert is_file(target) is expected


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("topk_sofmax", {}, "unknown op 'topk_sofmax'; nearest: topk_softmax"),
        ("topk_softmax", {"archs": ("gfx94",)}, "unknown architecture 'gfx94'"),
        ("small_dot.gfx942.s", {"archs": ("gfx950", "gfx90a")}, "for gfx942, wanted gfx950, gfx"),
        ("small_dot.gfx942.s", {"model": "x"}, "--model is for an op;"),
        ("small_dot.gfx942.s", {"tokens": 3}, "--tokens is for an op;"),
        ("small_dot.gfx941.s", {}, "small_dot.gfx941.s; nearest: small_dot.gfx942.s"),
        ("", {}, "cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_audited(target, options, said):
    path = target if target in ("topk_sofmax", "topk_softmax") else str(FIXTURES / target)
    with pytest.raises(RocmoeError, match=re.escape(said)):
        run_audit(settings(path, **options))


def test_the_report_of_a_file():
    report, audited = audit_fixture("small_dot.gfx942.s", lds_bytes=8192)
    assert (report.op, report.case) == (None, None)
    (record,) = report.kernels
    assert (record.kernel, record.arch, record.triton) == ("small_dot", "gfx942", None)
    assert (record.lanes, record.lds_bytes, record.code_bytes) == (128, 8192, 2128)
    assert (record.launches, record.grid) == (None, None)
    assert record.occupancy == audited[0].facts.occupancy.waves == 4
    row = dict(zip(COLUMNS, list_rows(report)[0], strict=True))
    assert (row["VGPR"], row["MFMA"], row["LDS"], row["limit"]) == ("66", "8", "8192", "lds")
    assert row["loads"] == "10xb16 1xb32 1xb64 2xb128"
    assert row["stores"] == "4xb128"
    again = msgspec.json.decode(msgspec.json.encode(report), type=IsaReport)
    assert again == report


def test_block_is_heeded():
    report, _ = audit_fixture("small_dot.gfx942.s", lds_bytes=8192, block=64)
    assert (report.kernels[0].lanes, report.kernels[0].occupancy) == (64, 2)


def test_functions_that_are_called_are_mentioned():
    report, _ = audit_fixture("calls.gfx90a.s")
    assert report.notes == ["calls calls functions, whose instructions are not counted"]
    assert report.notes[0] in tell_report(report)


def test_every_limit_of_a_budget_is_a_value_of_a_record(tmp_path):
    from rocmoe.profiles.budget import load_budget

    path = tmp_path / "all.toml"
    limits = "\n".join(f"{name} = {0 if name == 'occupancy' else 10**6}" for name in ISA_LIMITS)
    path.write_text(f"[[isa]]\n{limits}\n")
    report, _ = audit_fixture("small_dot.gfx942.s")
    assert apply_budget(report, load_budget(path)).exceeded == []
    path.write_text(path.read_text().replace("sgpr = 1000000", "sgpr = 1", 1))
    exceeded = apply_budget(report, load_budget(path)).exceeded
    assert exceeded == [f"small_dot on gfx942: sgpr is 20, allowed at most 1 ({path}: [[isa]] 1)"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Exit.PASSED),
        ({"exceeded": ["x"]}, Exit.REGRESSED),
        ({"exceeded": ["x"], "failures": ["y"]}, Exit.FAILED),
        ({"kernels": []}, Exit.INCONCLUSIVE),
        ({"kernels": [], "failures": ["y"]}, Exit.FAILED),
    ],
)
def test_exit_codes(changes, expected):
    report, _ = audit_fixture("row_max.gfx942.s")
    assert judge_audit(msgspec.structs.replace(report, **changes)) is expected


def test_listings_of_the_same_name_do_not_overwrite_each_other(tmp_path):
    (code,) = read_kernel_codes((FIXTURES / "row_max.gfx942.s").read_bytes(), "x.s")
    twice = [Audited(code, audit(code)), Audited(code, audit(code))]
    paths = write_listings(twice, tmp_path / "new", "x")
    assert [path.name for path in paths] == ["x-row_max.gfx942.s", "x-row_max.gfx942.2.s"]
    assert "v_max_f32" in paths[1].read_text()


def test_listings_do_not_go_into_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RocmoeError, match="file is a file; wanted a folder"):
        write_listings([], tmp_path / "file", "x")


def test_a_case_that_launches_nothing():
    pytest.importorskip("triton", reason="compiles with Triton")
    word = "topk_softmax:T=0,E=256,k=8:bf16:renormalize=true:normal:contiguous"
    report, _ = run_audit(settings(case=word, archs=("gfx942",)))
    assert judge_audit(report) is Exit.INCONCLUSIVE
    assert tell_report(report)[-1] == "no kernel was launched"


def test_an_op_with_no_kernel_is_told_which_have_one(monkeypatch):
    pytest.importorskip("triton", reason="compiles with Triton")
    from rocmoe.ops.backends import triton as backend

    served = ("moe_sorting", "topk_softmax")
    monkeypatch.setattr(backend, "serves", lambda op: op in served)
    with pytest.raises(RocmoeError) as caught:
        run_audit(settings(target="topk_sigmoid"))
    said = "topk_sigmoid has no Triton kernel; those that do: moe_sorting, topk_softmax"
    assert str(caught.value) == said


def test_launches_of_the_same_code_are_one_record(monkeypatch):
    pytest.importorskip("triton", reason="compiles with Triton")
    from rocmoe.profiles import isa, isa_sources

    def record_twice(spec, case, implementation, arch):
        launches = isa_sources.record_launches(spec, case, implementation, arch)
        if arch == "gfx950":
            raise ValueError("no such instruction\nsecond line")
        return [*launches, *launches]

    monkeypatch.setattr(isa, "record_launches", record_twice)
    report, _ = run_audit(settings(archs=("gfx942", "gfx950")))
    (record,) = report.kernels
    assert isinstance(record, IsaRecord)
    assert (record.launches, record.grid) == (2, [65, 1, 1])
    assert (record.lds_bytes, record.spills, record.triton is None) == (32, 0, False)
    (failure,) = report.failures
    assert failure.endswith("does not compile for gfx950: ValueError: no such instruction")
