"""Sanitizer runs: seeded faults are caught by the check that is theirs, sound kernels by none."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rocmoe.ops.backends import assembly as backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.kernel_launch import load_kernel
from rocmoe.ops.core.simulator import CHECKS, Watch
from rocmoe.ops.core.spec import list_ops, load_op
from rocmoe.ops.core.workbench import Call
from rocmoe.ops.gcn.machine.schedule import ORDERS
from rocmoe.profiles.artifact import Artifact, CheckRecord, Result
from rocmoe.profiles.bare import examine_bare
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.job import Reply
from rocmoe.profiles.orders import examine_order, judge_order
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.request import make_request
from rocmoe.profiles.sanitize import (
    Options,
    OrderedRun,
    Subject,
    choose_cases,
    choose_device,
    find_subject,
    list_default_cases,
    plan_orders,
    record_bare,
    split_order,
)
from rocmoe.profiles.sanitize_report import (
    judge_sanitized,
    list_untested,
    summarize_orders,
    tell_findings,
    tell_notes,
)
from rocmoe.profiles.validation import make_header
from rocmoe.references.judging.verdict import Finding

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=5,E=72,k=1:fp32:renormalize=false:normal:contiguous")


@pytest.fixture
def make(tmp_path):
    """An example, its code and launch file changed: FILE.toml."""

    def make(name, *changes):
        for suffix in (".gfx942.s", ".toml"):
            text = (EXAMPLES / f"{name}{suffix}").read_text()
            for old, new in changes:
                text = text.replace(old, new, 1)
            (tmp_path / f"{name}{suffix}").write_text(text)
        return tmp_path / f"{name}.toml"

    return make


def failed(path, order="together", checks=CHECKS):
    return set(examine_bare(load_kernel(path), Watch(checks, order)).verdict.failed)


@pytest.mark.parametrize("order", ORDERS)
def test_a_sound_bare_kernel_has_no_finding(make, order):
    examined = examine_bare(load_kernel(make("reverse")), Watch(CHECKS, order))
    assert examined.verdict.ok
    names = {check.name: check.ok for check in examined.verdict.checks}
    agreement = "repeatable" if order == "together" else "order"
    assert names == {**dict.fromkeys(CHECKS, True), agreement: True, "judge": None}
    assert examined.counts["load_bytes"] >= 4096


WAITS = [
    "    s_waitcnt lgkmcnt(0)\n    global_load",
    "    s_waitcnt vmcnt(0)\n",
    "    s_waitcnt lgkmcnt(0)\n    s_barrier",
    "    s_waitcnt lgkmcnt(0)\n    global_store",
]


@pytest.mark.parametrize("wait", WAITS, ids=["kernarg", "load", "lds store", "lds load"])
def test_each_wait_that_is_dropped_is_missed(make, wait):
    assert "waitcheck" in failed(make("reverse", (wait, wait.partition("\n")[2])))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (("    s_barrier\n", ""), "racecheck"),
        (("shape(x, 0)", "shape(x, 0) + 1"), "memcheck"),
        (("lds_bytes = 1024", "lds_bytes = 1020"), "memcheck"),
        (("    ds_write_b32 v1, v4\n", ""), "initcheck"),
        (("    s_endpgm", "    s_nop 0\n    v_readlane_b32 s3, v5, s3\n    s_endpgm"), None),
        (("    s_endpgm", "    v_readlane_b32 s8, v5, 1\n    v_readlane_b32 s9, v5, s8\n"
          "    s_endpgm"), "hazardcheck"),
    ],
    ids=["barrier", "grid", "lds", "never stored", "harmless", "readlane"],
)  # fmt: skip
def test_a_seeded_fault_is_caught_by_its_check(make, change, check):
    found = failed(make("reverse", change))
    assert check in found if check else not found


def test_a_dropped_barrier_shows_in_another_order(make):
    path = make("reverse", ("    s_barrier\n", ""))
    assert "order" in failed(path, "first", ())
    examined = examine_bare(load_kernel(path), Watch((), "first"))
    finding = next(each for each in examined.verdict.findings if each.check == "order")
    assert finding.output == "y"
    assert finding.index == (0, 0)
    assert finding.found.endswith(" in order first")
    assert finding.wanted.endswith(", as in order together")


#: Every wave takes the next place by an atomic, which is no race, and writes its number there.
TICKETS = """
    v_and_b32 v0, 0x3ff, v0
    v_lshrrev_b32 v1, 6, v0
    v_mov_b32 v2, 0
    v_mov_b32 v3, 1
    s_load_dwordx2 s[6:7], s[0:1], 0x10
    s_waitcnt lgkmcnt(0)
    v_cmp_eq_u32 vcc, 0, v0
    s_and_saveexec_b64 s[16:17], vcc
    ds_write_b32 v2, v2
    s_mov_b64 exec, s[16:17]
    s_waitcnt lgkmcnt(0)
    s_barrier
    v_and_b32 v4, 63, v0
    v_cmp_eq_u32 vcc, 0, v4
    s_and_saveexec_b64 s[16:17], vcc
    ds_add_rtn_u32 v5, v2, v3
    s_waitcnt lgkmcnt(0)
    v_lshlrev_b32 v5, 2, v5
    global_store_dword v5, v1, s[6:7]
    s_endpgm

.rodata"""


def test_what_depends_on_the_order_alone_is_a_finding_of_order_alone(make):
    path = make("reverse", ("shape(x, 0)", "1"), ('"f32"\nfill = "poison"', '"i32"\nfill = "ones"'))
    source = path.parent / "reverse.gfx942.s"
    text = source.read_text()
    head, tail = text[: text.index("    s_load")], text[text.index(".rodata") :]
    source.write_text(head + TICKETS + tail.removeprefix(".rodata"))
    assert failed(path) == set()
    assert failed(path, "first") == set()
    assert failed(path, "last") == {"order"}


def test_memory_that_nobody_wrote_is_not_repeatable(make):
    """One is added to x, which is poison: the second run meets other poison."""
    path = make(
        "reverse",
        ('"random"', '"poison"'),
        ("    ds_write", "    v_add_u32 v4, 1, v4\n    ds_write"),
    )
    assert failed(path, checks=()) == {"repeatable"}
    assert "initcheck" in failed(path)


def look(path, order="together", case=CASE):
    implementation = backend.find(SPEC, str(path))
    watch = Watch(CHECKS, order)
    device = parse_device("sim:gfx942")
    return examine_order(SPEC, case, implementation, device, strict=False, watch=watch).verdict


def test_what_no_workgroup_wrote_is_remarked(make):
    path = make("reverse", ('"shape(x, 0)"', "2"))
    checks = examine_bare(load_kernel(path), Watch(CHECKS)).verdict.checks
    (remark,) = [check for check in checks if check.name == "all_written"]
    assert (remark.ok, remark.observed) == (None, 512.0)
    assert remark.detail == "not known: 512 of 1024 elements of y hold poison"


@pytest.mark.parametrize("order", ORDERS)
def test_a_sound_kernel_of_an_op_has_no_finding(make, order):
    verdict = look(make("top1_softmax"), order)
    assert verdict.ok, verdict.findings
    checked = {check.name for check in verdict.checks if check.ok}
    assert {*CHECKS, "selection_is_top_k", "all_written"} <= checked
    assert ("order" in checked) == (order != "together")


def test_a_wrong_kernel_of_an_op_fails_the_ops_judge_in_every_order(make):
    path = make("top1_softmax", ("v_min3_u32", "v_max3_u32"))
    for order in ("together", "last"):
        assert "ids_in_range" in look(path, order).failed
    assert "order" not in look(path, "last").failed


def test_hazards_of_a_kernel_of_an_op(make):
    assert look(make("top1_softmax", ("    s_nop 1\n", ""))).failed == ("hazardcheck",)


def make_call(ids):
    outputs = {"topk_weights": np.ones((2, 1)), "topk_ids": np.array(ids)}
    return Call(outputs, {name: np.zeros((2, 1), bool) for name in outputs}, [], [])


def test_orders_are_compared_in_canonical_form():
    right, wrong = make_call([[3], [4]]), make_call([[3], [5]])
    spec = replace(SPEC, canonical=lambda inputs, outputs: {"topk_ids": outputs["topk_ids"] // 2})
    assert judge_order(spec, {}, wrong, right, "last", strict=False).ok
    assert judge_order(SPEC, {}, right, right, "last", strict=True).ok
    verdict = judge_order(spec, {}, wrong, right, "last", strict=True)
    assert verdict.failed == ("order",)
    found, wanted = "5 in order last", "4, as in order together"
    assert verdict.findings == (
        Finding("order", "topk_ids", (1, 0), found, wanted, verdict.findings[0].call),
    )
    bags = replace(SPEC, canonical=lambda inputs, outputs: {})
    (check,) = judge_order(bags, {}, wrong, right, "last", strict=False).checks
    assert check.ok is None
    assert "every output depends on how sums are rounded" in check.detail


@pytest.mark.parametrize("op", list_ops())
def test_default_cases_are_few_and_of_every_layout(op):
    spec = load_op(op)
    cases = list_default_cases(spec, seed=0)
    assert 2 <= len(cases) <= 8
    told = [case for case in cases if not spec.degenerate(case)]
    assert {case.layout for case in told} >= {row.layout for row in spec.cases} - {"full"}
    assert all(spec.cost(case).bytes_read < 1 << 21 for case in cases)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("topk_sofmax", None, None, None), "unknown op 'topk_sofmax'; nearest: topk_softmax"),
        (("topk_softmax", Path("a.toml"), None, None), "--launch a.toml is for a file, found op"),
        (("topk_softmax", None, "triton", "a.py:f"), "give one of them"),
        (("missing.s", None, None, None), "no file missing.s"),
        (("code.s", None, None, None), "code.s does not say how it is launched; wanted --launch"),
        (("code.s", None, "triton", None), "unknown op 'code.s'"),
        (("a.toml", Path("b.toml"), None, None), "a.toml is a launch file itself"),
        (("a.toml", None, None, None), "no launch file a.toml"),
    ],
)
def test_subjects_that_are_none(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.s").write_text("")
    with pytest.raises(RocmoeError) as refused:
        find_subject(*arguments)
    assert said in str(refused.value)


def test_subjects():
    assert find_subject("topk_softmax", None, None, None) == Subject("triton", "topk_softmax")
    assert find_subject("topk_softmax", None, None, "a.py:f").selector == "user:a.py:f"
    of_op = find_subject(str(EXAMPLES / "top1_softmax.toml"), None, None, None)
    assert (of_op.op, of_op.bare, of_op.arch) == ("topk_softmax", None, "gfx942")
    assert len(of_op.cases) == 4
    code, launch = EXAMPLES / "reverse.gfx942.s", EXAMPLES / "reverse.toml"
    bare = find_subject(str(code), launch, None, None)
    assert bare.op is None
    assert bare.selector == f"assembly:{launch}:{code}"


def test_devices_are_those_of_the_code():
    subject = Subject("assembly:a.toml", arch="gfx90a")
    assert str(choose_device(subject, None)) == "sim:gfx90a"
    assert str(choose_device(Subject("triton", "topk_softmax"), None)) == "sim:gfx942"
    with pytest.raises(RocmoeError, match="is code for gfx90a, found --device sim:gfx942"):
        choose_device(subject, "sim:gfx942")
    with pytest.raises(RocmoeError, match="--device cpu has no sanitizers; wanted sim:ARCH"):
        choose_device(subject, "cpu")


def test_every_case_is_run_in_every_order():
    subject = find_subject(str(EXAMPLES / "top1_softmax.toml"), None, None, None)
    device = parse_device("sim:gfx942")
    options = Options(orders=("first", "random"))
    plan = plan_orders(subject, options, device)
    assert [(run.record.id, run.order) for run in plan] == [
        (case, order) for case in subject.cases for order in ("first", "random")
    ]
    assert len({run.key for run in plan}) == len(plan)
    assert choose_cases(SPEC, subject, Options(cases=(CASE.id,))) == [CASE]
    assert len(choose_cases(SPEC, subject, Options(suite="smoke"))) == 2
    job = plan[1].make_job(strict=True)
    assert (job.order, job.checks, job.strict) == ("random", list(CHECKS), True)


def test_a_bare_kernel_has_no_cases():
    subject = find_subject(str(EXAMPLES / "reverse.toml"), None, None, None)
    device = parse_device("sim:gfx942")
    assert [run.make_job(False).case_id for run in plan_orders(subject, Options(), device)] == [
        "" for _ in ORDERS
    ]
    with pytest.raises(RocmoeError, match="serves no op and has no cases; found --case or --su"):
        plan_orders(subject, Options(suite="smoke"), device)


def test_unknown_orders_and_checks():
    with pytest.raises(RocmoeError, match="unknown wave order 'frist'; nearest: first"):
        Options(orders=("together", "frist"))
    with pytest.raises(RocmoeError, match="unknown sanitizer 'racechek'; nearest: racecheck"):
        Options(checks=("racechek",))


FAULT = Finding("racecheck", "reverse", (), "reads LDS byte 4", "", where="r.s:22: ds_read_b32",
                place="workgroup 0, wave 0, lane 0")  # fmt: skip
WRONG = Finding("order", "y", (0, 1), "7 in order first", "8, as in order together")


@pytest.fixture
def make_artifact():
    """An artifact of replies by order, of the bare example."""
    record = record_bare(load_kernel(EXAMPLES / "reverse.toml"))
    selector = f"assembly:{EXAMPLES / 'reverse.toml'}"

    def make(**replies):
        results: list[Result] = [
            OrderedRun(record, selector, "sim:gfx942", CHECKS, order, True).make_result(reply)
            for order, reply in replies.items()
        ]
        request = make_request([], [], [], command="sanitize", device="sim:gfx942", suite="smoke",
                               cases=[], seed=0, strict=False)  # fmt: skip
        request = msgspec.structs.replace(request, backends=[each.selector for each in results])
        header = msgspec.structs.asdict(make_header(request, collect_environment()))
        return Artifact(**header, complete=True, results=results)

    return make


CLEAN = Reply("pass", counts={"instructions": 1.0})


def test_a_finding_of_several_orders_is_told_once(make_artifact):
    bad = Reply("fail", "failed racecheck", findings=[FAULT], counts={"instructions": 1.0})
    worse = Reply("fail", "failed order", findings=[FAULT, WRONG], counts={"instructions": 1.0})
    artifact = make_artifact(together=bad, first=worse, last=CLEAN)
    selector = artifact.results[1].selector
    assert split_order(selector)[1] == "first"
    assert tell_findings(artifact) == [
        "racecheck: reads LDS byte 4",
        "    r.s:22: ds_read_b32",
        "    workgroup 0, wave 0, lane 0 of reverse; order together, first",
        f"FAIL reverse@{selector}",
        "    order: y[0, 1] is 7 in order first, wanted 8, as in order together (call 1)",
    ]
    verdicts = [(row[3], row[-1]) for row in summarize_orders(artifact)]
    assert verdicts == [("together", "FAIL"), ("first", "FAIL"), ("last", "PASS")]
    assert judge_sanitized(artifact) is Exit.FAILED


def test_what_ended_without_a_finding_says_why(make_artifact):
    artifact = make_artifact(together=Reply("crash", "the process died of SIGSEGV"))
    assert tell_findings(artifact)[1:] == ["    the process died of SIGSEGV"]
    assert judge_sanitized(artifact) is Exit.FAILED


def test_a_run_that_launched_nothing_is_inconclusive(make_artifact):
    assert judge_sanitized(make_artifact(together=CLEAN)) is Exit.PASSED
    idle = make_artifact(together=Reply("pass"))
    assert judge_sanitized(idle) is Exit.INCONCLUSIVE
    assert any("1 run(s) launched no kernel" in gap for gap in list_untested(idle))
    refused = make_artifact(together=Reply("refused", "not simulated: v_foo"))
    assert judge_sanitized(refused) is Exit.INCONCLUSIVE
    assert "not simulated: v_foo" in list_untested(refused)[0]


def test_notes_and_gaps_are_told_once_whatever_the_order(make_artifact):
    note = CheckRecord("racecheck", True, 0.0, 0.0, "note: two waves store the same value")
    open_check = CheckRecord("judge", None, 0.0, 0.0, "not applied: no op")
    reply = Reply("pass", checks=[note, open_check], counts={"instructions": 1.0})
    artifact = make_artifact(together=reply, first=reply)
    assert tell_notes(artifact) == ["note: two waves store the same value"]
    gaps = [gap for gap in list_untested(artifact) if "judge not applied" in gap]
    assert len(gaps) == 1
    assert gaps[0].endswith("(2 case(s))")
    assert "order=" not in gaps[0]
