"""The whole road: judged in workers, profiled under a stand-in for rocprofv3, written and read."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import NoGpuError, RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import CheckRecord, Request, read_artifact
from rocmoe.profiles.bench import BenchRun
from rocmoe.profiles.environment import Gpu, collect_environment
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.job import Reply
from rocmoe.profiles.measuring.machine import WARM_UP_CALLS
from rocmoe.profiles.measuring.rounds import Book
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.profiling import roads
from rocmoe.profiles.profiling.calls import DELIMITER, DELIMITERS
from rocmoe.profiles.profiling.child import MODULE
from rocmoe.profiles.profiling.report import list_artifact_tables, list_run_tables
from rocmoe.profiles.profiling.request import Asked
from rocmoe.profiles.profiling.roads import Notes, Rocprofv3Road, TorchRoad
from rocmoe.profiles.profiling.rocprofv3 import profile_child
from rocmoe.profiles.profiling.rocprofv3_version import find_rocprofv3
from rocmoe.profiles.profiling.run import (
    Place,
    add_profile,
    choose_road,
    find_new_folder,
    find_place,
    judge_profile,
    plan_counters,
    profile_all,
)
from rocmoe.profiles.profiling.stored import read_stored
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.validation import make_header

CASE = "topk_softmax:T=4,E=8,k=2:fp32:renormalize=true:normal:contiguous"
CALLS = 5
GATING = "void vllm::moe::topkGating<4, float>(float const*, int)"
KERNELS = [
    *[["fill", 5000]] * 2, *[[GATING, 90000]] * WARM_UP_CALLS, *[[DELIMITER, 2000]] * DELIMITERS,
    *[[GATING, 13000 + 100 * n] for n in range(CALLS)],
]  # fmt: skip
VALUES = {"VALUBusy": 12.5, "SQ_WAIT_ANY": 10.0, "SQ_WAVE_CYCLES": 40.0}
WRONG = """
def topk_softmax(gating_output, topk, renormalize):
    values, ids = gating_output.float().softmax(-1).topk(topk)
    return values, ids.roll(1, 0).int()
"""
MI300X = Gpu(0, "AMD Instinct MI300X", "gfx942:sramecc+:xnack-", 192 << 30)


def plan(selector="torch", case=CASE):
    return BenchRun(load_op("topk_softmax"), parse_case(case), selector, "cpu", None)


@pytest.fixture
def environment():
    return msgspec.structs.replace(collect_environment(), gpus=[MI300X], torch_hip="7.0")


@pytest.fixture
def go(tmp_path, environment, monkeypatch):
    """Run plans over a road; the artifact, as it was written, and what was told of."""
    request = Request("profile", ["topk_softmax"], [], "cpu", "smoke", [CASE], 0, False)

    def run(road, *plans):
        told = []
        path = tmp_path / "p.json"
        with Recorder(path, make_header(request, environment)) as recorder, \
                Pool(1, 60.0, limit_memory=False) as pool:  # fmt: skip

            def tell(result, done, of):
                told.append((result.status, done, of))

            profile_all(pool, pool, plans, road, Book(recorder, False, tell), tell)
        return read_artifact(path), told

    return run


@pytest.fixture
def quick(monkeypatch):
    """A program that does nothing in place of the case."""
    monkeypatch.setattr(roads, "build_child_command", lambda *arguments: ["true"])


@pytest.fixture
def make_road(stage, tmp_path):
    def make(situation="", passes=(("SQ_WAVES", *VALUES),), **more):
        stage.install(
            "7.0", STAND_IN_SITUATION=situation, OMP_NUM_THREADS="1",
            STAND_IN_KERNELS=json.dumps(KERNELS), STAND_IN_VALUES=json.dumps(VALUES),
        )  # fmt: skip
        road = Rocprofv3Road(
            find_rocprofv3(stage.machine), tmp_path / "p-rocprofv3", CALLS, passes, "gfx942",
            load_hardware("mi300x"), machine=stage.machine, seconds=60.0,
        )  # fmt: skip
        return replace(road, **more)

    return make


def test_judged_profiled_written_and_read(go, make_road, stage, tmp_path):
    (tmp_path / "w.py").write_text(WRONG)
    road = make_road(traces=tmp_path / "t.json", notes=Notes(("said",), {"grouped_topk": "no"}))
    artifact, told = go(road, plan(), plan(f"user:{tmp_path / 'w.py'}:topk_softmax"))
    assert told == [("pass", 1, 2), ("fail", 2, 2), ("pass", 1, 1)]
    right, wrong = artifact.results
    assert (wrong.status, wrong.profile) == ("fail", None)
    assert [check.name for check in right.checks if check.ok is False] == []
    found = right.profile
    (kernel,) = found.kernels
    assert (found.tool, found.version, found.calls) == ("rocprofv3", "1.0.0 of ROCm 7.0", CALLS)
    assert kernel.durations_ns == [13000, 13100, 13200, 13300, 13400]
    assert (kernel.short, kernel.a_call, found.empty_us) == ("vllm::moe::topkGating", 1.0, 2.0)
    assert len(kernel.counted_ns) == CALLS
    assert kernel.counts == {"SQ_WAVES": 16384.0, **VALUES}
    assert {each.metric: each.value for each in kernel.metrics}["waiting"] == 25.0
    assert kernel.occupancy == 100.0
    assert found.notes == ["said"]
    assert judge_profile(artifact) is Exit.FAILED

    # What ran can be run again, and tells nothing of this machine.
    times, first = found.commands
    assert times[:3] == ["rocprofv3", "--kernel-trace", "--marker-trace"]
    assert times[-8:] == ["--", "python", "-m", MODULE, CASE, "torch", "cpu", str(CALLS)]
    assert first[first.index("--pmc") + 1] == "SQ_WAVES"
    assert first[first.index("-d") + 1] == "pass_1"
    assert str(tmp_path) not in json.dumps(found.commands)
    assert len(stage.list_starts()) == 2
    assert (tmp_path / "p-rocprofv3/001/times/command.txt").exists()

    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert sum(each["cat"] == "kernel" for each in events if each["ph"] == "X") == CALLS

    tables = list_artifact_tables(artifact)
    assert [table.title.split(",")[0].split(":")[0] for table in tables] == [
        "rocprofv3 1.0.0 of ROCm 7.0 (JSON)", "A call under the roof of mi300x",
        "What counters amount to", "What holds each back",
    ]  # fmt: skip
    assert tables[0].rows[0][:7] == [
        "topk_softmax", "T=4 E=8 k=2 fp32", "torch", "vllm::moe::topkGating", "1", "13.2", "13.4",
    ]  # fmt: skip
    (note,) = tables[2].notes
    assert note.startswith("not collected, as by --counters: fetch_kib, write_kib, fabric_bytes")
    assert tables == read_stored(tmp_path / "p.json", None, None, None)
    assert read_stored(tmp_path / "p.json", "topkGat", None, None) == tables
    with pytest.raises(RocmoeError, match="unknown kernel 'sort'"):
        read_stored(tmp_path / "p.json", "sort", None, None)
    assert "all are shown" in list_run_tables(artifact, "sort")[0].notes[-1]


@pytest.mark.parametrize(
    ("situation", "status", "said"),
    [
        ("silent", "unavailable", "rocprofv3 ended well and wrote no records"),
        ("kfd_denied", "unavailable", "/dev/kfd may not be opened by this user; join the groups"),
        ("crash", "error", "the profiled program died of SIGSEGV"),
    ],
)
def test_what_goes_wrong_under_the_tool_is_told(make_road, quick, situation, status, said):
    reply = make_road(situation)._profile_one(plan(), 0, None)
    assert (reply.status, reply.profile) == (status, None)
    assert said in reply.reason


def test_a_tool_that_hangs_is_a_timeout(make_road, quick):
    reply = make_road("slow", seconds=0.3)._profile_one(plan(), 0, None)
    assert reply.status == "timeout"
    assert "did not end within 0.3 s and was killed" in reply.reason


def test_passes_that_fail_cost_the_times_nothing(make_road, quick):
    reply = make_road("no_perfmon")._profile_one(plan(), 0, None)
    assert reply.status == "pass"
    assert len(reply.profile.kernels[0].durations_ns) == CALLS
    assert reply.profile.kernels[0].counts == {}
    assert any("--cap-add=PERFMON" in note for note in reply.profile.notes)


def test_counters_that_cannot_be_read_cost_the_times_nothing(make_road, quick, monkeypatch):
    def write_rubbish(*arguments, **options):
        done = profile_child(*arguments, **options)
        done.runs[1].files["results.json"][0].write_text('{"rocprofiler-sdk-tool": [{')
        return done

    monkeypatch.setattr(roads, "profile_child", write_rubbish)
    reply = make_road()._profile_one(plan(), 0, None)
    assert len(reply.profile.kernels[0].durations_ns) == CALLS
    assert reply.profile.notes[-1].startswith("counters are left out: pass_1/rocmoe_")


def test_the_checks_stay_whatever_the_profiler_does():
    judged = plan().make_result(Reply("pass", checks=[CheckRecord("weights", True, 0.2, 1.0)]))
    found = add_profile(msgspec.structs.replace(judged, seconds=1.0),
                        Reply("crash", "died", seconds=2.0))  # fmt: skip
    assert (found.status, found.reason) == ("crash", "passed, but under the profiler: died")
    assert (found.checks, found.seconds, found.profile) == (judged.checks, 3.0, None)


def test_a_child_that_cannot_run_is_an_error_with_its_own_line(make_road):
    road = make_road()
    reply = road._profile_one(plan("trotch"), 0, None)
    assert (reply.status, reply.reason) == ("error", "unknown backend 'trotch'; nearest: torch")


def test_on_rocm_it_is_rocprofv3_with_two_passes_of_counters(stage, tmp_path):
    stage.install("7.0")
    place = Place(MI300X, is_rocm=True)
    road = choose_road(Asked(calls=7), place, tmp_path / "p.json", 9.0, stage.machine, {"a": "b"})
    assert isinstance(road, Rocprofv3Road)
    assert (road.folder, road.calls, road.seconds) == (tmp_path / "p-rocprofv3", 7, 9.0)
    assert (len(road.passes), road.arch, road.hardware.name) == (2, "gfx942", "mi300x")
    assert (road.notes.list_for("a"), road.notes.list_for("c")) == (["b"], [])
    road.folder.mkdir()
    assert find_new_folder(tmp_path / "p.json").name == "p-rocprofv3-2"
    bare = choose_road(Asked(counters=False), place, tmp_path / "p.json", 9.0, stage.machine)
    assert bare.passes == []
    named = Asked(hardware="mi325x", profiler="torch")
    other = choose_road(named, place, tmp_path / "p.json", 9.0, stage.machine)
    assert isinstance(other, TorchRoad)
    assert other.hardware.name == "mi325x"


def test_elsewhere_it_is_torch_and_on_rocm_the_reason_is_noted(stage, tmp_path):
    nvidia = Place(Gpu(0, "NVIDIA H100 80GB HBM3", "sm_90", 1), is_rocm=False)
    road = choose_road(Asked(), nvidia, tmp_path / "p.json", 9.0, stage.machine)
    assert (type(road), road.hardware.name, road.notes.list_for("x")) == (TorchRoad, "h100", [])
    bare = choose_road(Asked(), Place(MI300X, True), tmp_path / "p.json", 9.0, stage.machine)
    (note,) = bare.notes.list_for("x")
    assert note.startswith("rocprofv3 is not used: rocprofv3 is not on PATH, nor in")
    for asked, said in (
        (Asked(profiler="rocprofv3"), "--profiler rocprofv3: torch is not built for ROCm"),
        (Asked(counters=True), "--counters needs rocprofv3: torch is not built for ROCm"),
    ):
        with pytest.raises(RocmoeError, match=said):
            choose_road(asked, nvidia, tmp_path / "p.json", 9.0, stage.machine)


def test_counters_by_default_are_those_of_a_diagnosis_where_there_are_any():
    assert [len(plan_counters("gfx942", wanted)) for wanted in (None, True, False)] == [2, 6, 0]
    assert plan_counters("gfx1100", None) == []
    with pytest.raises(RocmoeError, match="unknown architecture for counters 'gfx1100'"):
        plan_counters("gfx1100", True)


def test_without_a_gpu_there_is_nothing_to_profile(environment):
    assert find_place(environment, "gpu:0").is_rocm
    with pytest.raises(RocmoeError, match=r"gpu:3 is not here; torch sees 1 GPU\(s\)"):
        find_place(environment, "gpu:3")
    with pytest.raises(NoGpuError, match="torch sees no GPU here"):
        find_place(msgspec.structs.replace(environment, gpus=[]), None)


def test_what_is_right_and_has_no_kernels_is_inconclusive(go):
    class Blind:
        def profile(self, pool, runs, keep, on_progress):
            for number, _ in enumerate(runs):
                keep(number, Reply("pass"))

    artifact, _ = go(Blind(), plan())
    assert judge_profile(artifact) is Exit.INCONCLUSIVE


def test_an_interrupted_run_keeps_what_was_judged(go, tmp_path):
    class Interrupted:
        def profile(self, pool, runs, keep, on_progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(Interrupted(), plan())
    artifact = read_artifact(tmp_path / "p.json")
    assert not artifact.complete
    assert [result.status for result in artifact.results] == ["pass"]


def test_traces_of_workers_go_where_they_are_asked_for(tmp_path):
    """The jobs and files of torch's road, with a pool of pretence."""
    jobs = []

    class Pretended:
        def run(self, asked, on_result):
            for index, job in enumerate(asked):
                jobs.append(job)
                Path(job.profiling.trace).write_text(f'{{"traceEvents": [{index}]}}')
                profile = None if index else "a record"
                on_result(index, Reply("error" if index else "pass", profile=profile))

    kept = []
    road = TorchRoad(9, load_hardware("h100"), tmp_path / "t.json", Notes(("said",)))
    road.profile(
        Pretended(), [plan(), plan()], lambda index, reply: kept.append(reply), lambda *told: None
    )
    assert [reply.status for reply in kept] == ["pass", "error"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.01.json"]
    assert jobs[0].timing is None
    assert (jobs[0].profiling.calls, jobs[0].profiling.hardware) == (9, "h100")
    assert jobs[0].profiling.notes == ["said"]
    assert jobs[0].profiling.trace != jobs[1].profiling.trace
