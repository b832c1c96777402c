"""Who serves which cases, what is turned off, and what --no-guard hands over."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

from rocmoe.ops.core import library, peer
from rocmoe.ops.core.backend import find_library, list_disabled, load_backend
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles import catalog, worker
from rocmoe.profiles.bench import make_bench_request, plan_bench
from rocmoe.profiles.bench_cases import Shapes
from rocmoe.profiles.dispatch import list_services, name_runners
from rocmoe.profiles.job import Job
from rocmoe.profiles.request import list_selectors, make_request
from rocmoe.profiles.suites import list_cases
from rocmoe.profiles.validation import plan_run

STAND_INS = Path(__file__).parents[1] / "ops" / "backends" / "stand_ins.py"


@pytest.fixture(scope="module")
def stand_ins():
    spec = importlib.util.spec_from_file_location("dispatch_stand_ins", STAND_INS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def aiter_on_cpu(monkeypatch, stand_ins):
    """Install a stand-in of aiter that takes the CPU for a GPU."""
    backend = load_backend("aiter")

    def find(spec, variant):
        found = backend.LIBRARY.find(spec, variant)
        return found and dataclasses.replace(found, devices=("cpu",), arch="gfx942")

    def install(**bodies):
        stand_ins.install(monkeypatch, "aiter", **bodies)
        monkeypatch.setattr(backend, "find", find)

    yield install
    peer.find_form.cache_clear()


def ask(backends=(), ops=("topk_softmax",), **more):
    given = {"device": None, "suite": "smoke", "cases": (), "seed": 0, "strict": False}
    return make_request(ops, backends, (), **{**given, **more})


def services(op, arch, suite="quick"):
    spec = load_op(op)
    return {(s.backend, s.variant): s for s in list_services(spec, list_cases(spec, suite), arch)}


def test_functions_and_the_cases_that_they_run():
    found = services("topk_softmax", "gfx942")
    cases = set(list_cases(load_op("topk_softmax"), "quick"))
    asm, hip = found["aiter", "topk_softmax_asm"], found["aiter", "topk_softmax"]
    assert all(case.sizes["E"] in (128, 256, 384) for case in asm.runs)
    assert all(case.dtype != "fp16" and case.layout != "strided" for case in asm.runs)
    assert set(asm.runs) | set(hip.runs) == cases
    assert not set(asm.runs) & set(hip.runs)
    assert set(hip.serves) == cases
    assert found["torch", "default"].runs == tuple(list_cases(load_op("topk_softmax"), "quick"))
    assert sum(asm.refuses.values()) + len(asm.serves) == len(cases)


def test_an_architecture_changes_who_runs():
    older = services("topk_softmax", "gfx90a")
    assert older["aiter", "topk_softmax_asm"].serves == ()
    assert older["aiter", "topk_softmax_asm"].refuses.most_common(1)[0][0] == (
        "runs on gfx942, gfx950 [checked]"
    )
    nvidia = services("grouped_topk", "sm90")
    assert nvidia["vllm", "grouped_topk"].serves
    assert nvidia["aiter", "grouped_topk"].serves == ()
    assert services("grouped_topk", "gfx942")["vllm", "grouped_topk"].serves == ()
    anywhere = services("grouped_topk", "")
    assert anywhere["vllm", "grouped_topk"].serves
    assert anywhere["aiter", "grouped_topk"].serves


def test_each_case_names_what_runs_it():
    spec = load_op("topk_sigmoid")
    found = list_services(spec, list_cases(spec, "smoke"), "gfx942")
    first = list_cases(spec, "smoke")[0]
    assert name_runners(found, first) == [
        *("aiter:topk_gating", "sgl_kernel:topk_sigmoid", "torch", "triton", "vllm:topk_sigmoid")
    ]
    rows = catalog.list_runner_rows(["topk_sigmoid"], "smoke", "gfx942")
    assert [row[0] for row in rows] == [case.id for case in list_cases(spec, "smoke")]
    assert "aiter:topk_gating" in rows[0][2]


def test_rows_of_functions(monkeypatch):
    monkeypatch.setattr(catalog, "find_state", lambda backend: f"state of {backend}")
    rows = catalog.list_service_rows(["moe_sorting"], "smoke", "gfx950")
    named = {(row[1], row[2]): row for row in rows}
    assert named["aiter", "moe_sorting_opus_fwd"][3:] == ["state of aiter", "2 of 2", "2", ""]
    assert named["aiter", "moe_sorting_fwd"][4:6] == ["2 of 2", "0"]
    assert "flashinfer" not in {row[1] for row in rows}


def test_a_wrong_architecture_is_one_line():
    with pytest.raises(RocmoeError, match="unknown architecture 'gxf942'; nearest: gfx942"):
        catalog.check_filters(["topk_softmax"], "quick", "gxf942")
    with pytest.raises(RocmoeError, match="--arch gfx942 is of an op's cases; name one: --op OP"):
        catalog.check_filters([], "quick", "gfx942")
    catalog.check_filters(["topk_softmax"], "quick", "gfx1200")


def test_what_is_turned_off(monkeypatch):
    assert list_disabled() == []
    monkeypatch.setenv("ROCMOE_DISABLE", "triton, aiter,")
    assert list_disabled(["!vllm"]) == ["aiter", "triton", "vllm"]
    request = ask(["!torch"])
    assert request.disabled == ["aiter", "torch", "triton"]
    assert request.backends == []
    assert list_selectors(request) == []
    assert {s.backend for s in list_services(load_op("moe_sorting"), [], "")} == {
        *("flydsl", "torch")
    }


@pytest.mark.parametrize(
    ("variable", "backends", "said"),
    [
        ("triton,aitr", [], "ROCMOE_DISABLE: unknown backend 'aitr'; nearest: aiter"),
        ("", ["!tritn"], "--backend '!tritn': unknown backend 'tritn'; nearest: triton"),
        ("", ["!aiter:topk_gating"], "aiter:topk_gating is a part of a backend; wanted a whole"),
        ("", ["torch", "!torch"], "backend torch is named, and turned off by"),
        ("torch", ["torch"], "backend torch is named, and turned off by ROCMOE_DISABLE"),
    ],
)
def test_what_cannot_be_turned_off(monkeypatch, variable, backends, said):
    monkeypatch.setenv("ROCMOE_DISABLE", variable)
    with pytest.raises(RocmoeError) as refused:
        ask(backends)
    assert said in str(refused.value)


def test_libraries_that_are_not_installed_run_only_where_they_are_named(monkeypatch):
    monkeypatch.delenv("ROCMOE_FLYDSL", raising=False)
    monkeypatch.setattr(library.Library, "is_installed", lambda self: self.name == "vllm")
    request = ask()
    assert list_selectors(request) == ["torch", "triton", "vllm"]
    planned = {(each.selector, each.device) for each in plan_run(request, has_gpu=True)}
    assert ("vllm", "gpu") in planned
    assert "aiter" not in {selector for selector, _ in planned}
    named = {each.selector for each in plan_run(ask(["aiter:topk_gating"]), has_gpu=True)}
    assert named == {"aiter:topk_gating"}


def test_a_function_brings_the_ops_that_it_serves():
    assert ask(["aiter:topk_gating"], ops=()).ops == [
        *("grouped_topk", "topk_sigmoid", "topk_softmax")
    ]
    assert ask(["aiter:moe_sorting_fwd"], ops=()).ops == ["moe_sorting"]


def test_the_guard_goes_from_the_request_to_the_jobs():
    assert ask().guard
    open_handed = ask(guard=False)
    assert {run.make_job(False).guard for run in plan_run(open_handed, False)} == {False}
    assert {run.make_job(False).guard for run in plan_run(ask(), False)} == {True}
    shapes = Shapes((), (), [], (), 0, True)
    request = make_bench_request(
        ["topk_softmax"], ["torch"], (), shapes, device="cpu", timers=(), caches=("warm",),
        effort="quick", strict=False, guard=False,
    )  # fmt: skip
    assert {run.make_job(False).guard for run in plan_bench(request, False)} == {False}


BEYOND = "topk_sigmoid:T=8,E=256,k=1:bf16:renormalize=false,correction_bias=none:normal:contiguous"


def test_a_worker_refuses_or_hands_over(aiter_on_cpu):
    aiter_on_cpu(topk_sigmoid=lambda **given: None)
    selector = "aiter:topk_sigmoid"
    refused = worker._run(Job(BEYOND, selector, "cpu", False))
    assert refused.status == "refused"
    assert refused.reason.startswith("wants E <= 192 (composable_kernel example/")
    seen = worker._run(Job(BEYOND, selector, "cpu", False, guard=False))
    assert seen.status == "fail"
    assert "all_written" in seen.reason
    assert "; beyond a limit: wants E <= 192" in seen.reason


def test_a_worker_says_which_function_ran_and_what_was_restated(aiter_on_cpu):
    aiter_on_cpu()
    spec = load_op("grouped_topk")
    reply = worker._run(Job(spec.make_case(spec.cases[0]).id, "aiter", "cpu", False))
    assert reply.status == "pass", reply
    assert reply.variants == ["aiter.biased_grouped_topk_hip"]
    assert [check.ok for check in reply.checks if check.name == "fp32_bias"] == [None]


def test_inputs_of_a_restated_op_are_not_shared(aiter_on_cpu, tmp_path):
    """Those that torch was given have a bias that the logits' dtype does not hold."""
    aiter_on_cpu()
    spec = load_op("grouped_topk")
    case = spec.make_case(spec.cases[0]).id
    assert worker._run(Job(case, "torch", "cpu", False, draws=str(tmp_path))).status == "pass"
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept
    assert worker._run(Job(case, "aiter", "cpu", False, draws=str(tmp_path))).status == "pass"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_a_function_that_is_not_there_is_unavailable(aiter_on_cpu):
    aiter_on_cpu(topk_sigmoid=None)
    reply = worker._run(Job(BEYOND, "aiter:topk_sigmoid", "cpu", False))
    assert (reply.status, reply.reason) == ("unavailable", "aiter has no topk_sigmoid")


def test_the_state_of_a_library_is_found_in_a_process_of_its_own(monkeypatch, tmp_path):
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm/__init__.py").write_text("")
    (tmp_path / "vllm/_custom_ops.py").write_text("import os; os._exit(9)")
    (tmp_path / "flashinfer.py").write_text("print('hello')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    assert catalog.find_state("vllm") == (
        "importing vllm._custom_ops: the process ended with code 9"
    )
    assert catalog.find_state("flashinfer") == "available"
    assert "vllm" not in sys.modules
    assert catalog.find_state("sgl_kernel").startswith("sgl_kernel is not installed")


def test_nothing_is_imported_to_list_or_plan(monkeypatch):
    """Only a worker, or a process for that, imports a library."""
    monkeypatch.setattr(peer, "explain_mismatch", lambda *given: pytest.fail("looked"))
    ask(["vllm"])
    plan_run(ask(["vllm"]), has_gpu=True)
    services("topk_softmax", "sm90")
    assert find_library("vllm").find(load_op("topk_softmax"), "") is not None
