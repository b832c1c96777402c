"""What a run of rocprofv3 came to is one line with the fix, for all that it is known to do."""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

from rocmoe.profiles.profiling.rocprofv3 import profile_child
from rocmoe.profiles.profiling.rocprofv3_outcome import Ended, explain, find_last_lines
from rocmoe.profiles.profiling.rocprofv3_version import (
    Rocprofv3,
    find_rocprofv3,
)
from rocmoe.profiles.tools import Machine

#: Whose counters are in a file, and on the command line.
BOTH_WAYS = ("6.2", "7.2.4")
SQ = ("SQ_WAVES", "SQ_INSTS_VALU")


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_recorded_is_a_problem_though_all_ended_well(in_situation, stage):
    done = in_situation("silent", command=("sh", "-c", ":"), passes=[SQ])
    assert (done.returncode, dict(done.files)) == (0, {})
    (problem,) = done.problems
    assert problem.startswith("times: rocprofv3 ended well and wrote no records")
    assert "sh launched no kernel" in problem
    assert [run.name for run in done.runs] == ["times"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda stage: (stage.root / "dev/kfd").unlink(), "no /dev/kfd; load the amdgpu driver"),
        (
            lambda stage: stage.environ.update(HIP_VISIBLE_DEVICES="7"),
            "HIP_VISIBLE_DEVICES='7'; unset HIP_VISIBLE_DEVICES",
        ),
    ],
)
def test_nothing_recorded_is_explained_by_the_machine(in_situation, stage, spoil, said):
    spoil(stage)
    (problem,) = in_situation("silent").problems
    assert said in problem


def test_nothing_recorded_because_the_driver_may_not_be_opened(in_situation, stage, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != stage.root / "dev/kfd")
    monkeypatch.setattr("shutil.which", lambda name, path=None: str(stage.path))
    (problem,) = in_situation("silent").problems
    assert "may not be opened by this user; join the groups" in problem


@pytest.mark.parametrize(
    ("situation", "said"),
    [
        ("broken", "librocprofiler-sdk-tool.so; reinstall it: apt-get install rocprofiler-sdk"),
        ("broken_preload", "sdk-tool.so cannot be loaded; reinstall it"),
        ("kfd_denied", "may not be opened by this user; join the groups that own /dev/kfd"),
        ("no_kfd", "the amdgpu driver is not here; load the amdgpu driver"),
        ("crash", "the profiled program died of SIGSEGV"),
    ],
)
def test_each_failure_of_a_run_is_one_line_with_the_fix(in_situation, situation, said):
    done = in_situation(situation, passes=[SQ])
    (problem,) = done.problems
    assert said in problem
    assert "\n" not in problem
    assert [run.name for run in done.runs] == ["times"]  # passes would go the same way


@pytest.mark.parametrize("version", BOTH_WAYS)
@pytest.mark.parametrize(
    ("situation", "said"),
    [
        ("no_perfmon", "does not let this user read counters; run as root, or start the container"),
        ("unsupported", "has no counters for this GPU; update ROCm"),
        ("rows_missing", "SQ_INSTS_VALU came back without a row"),
    ],
)
def test_each_failure_of_a_pass_leaves_the_times(in_situation, version, situation, said):
    done = in_situation(situation, version, passes=[SQ])
    (problem,) = done.problems
    assert problem.startswith("pass_1: ")
    assert said in problem
    assert "kernel_trace" in done.files


@pytest.mark.parametrize("version", BOTH_WAYS)
def test_unknown_counters_are_named_with_the_architecture(in_situation, version):
    asked = ("SQ_WAVES", "L2CacheHit", "GPUBusy")
    done = in_situation("", version, [asked], unknown="L2CacheHit GPUBusy")
    assert done.problems == [
        "pass_1: gfx942 has no counter L2CacheHit, GPUBusy; `rocprofv3 -L` lists those it has"
    ]
    assert {row["Counter_Name"] for row in read_rows(done.files["counter_collection"][0])} == {
        "SQ_WAVES"
    }


def test_a_pass_of_unknown_counters_alone_is_not_taken_for_an_idle_gpu(in_situation):
    done = in_situation("", passes=[("GPUBusy",)], unknown="GPUBusy")
    assert done.problems == ["pass_1: gfx942 has no counter GPUBusy; `rocprofv3 -L` lists those "
                             "it has"]  # fmt: skip


def make_ended(tmp_path, counters, rows, stderr):
    path = tmp_path / "rocmoe_1_counter_collection.csv"
    path.write_text("\n".join(["Counter_Name", *rows]))
    files = {"counter_collection": (path,)}
    return Ended(("true",), counters, 0, 1.0, stderr, files)


def test_a_counter_that_another_gpu_lacks_is_no_problem(tmp_path):
    tool = Rocprofv3(Path("rocprofv3"), "1.0.0", "7.0", ("csv",))
    warning = (
        "Unable to find all counters for agent 9 (gpu-1, gfx1100) in [SQ_WAVES, TCC_HIT_sum]. "
        "Found: [SQ_WAVES]. Missing: [TCC_HIT_sum]"
    )
    asked = ("SQ_WAVES", "TCC_HIT_sum")
    ended = make_ended(tmp_path, asked, asked, warning)
    assert explain(tool, ended, Machine()) == []
    ended = make_ended(tmp_path, asked, asked[:1], warning)
    (problem,) = explain(tool, ended, Machine())
    assert problem.startswith("gfx1100 has no counter TCC_HIT_sum")


def test_a_message_about_another_gpu_is_no_problem_of_a_run_that_went_well(in_situation):
    said = "echo 'Agent HW architecture is not supported, no counter metrics found.' >&2"
    assert in_situation("", command=("sh", "-c", said)).problems == []


def test_the_programs_own_failure_is_told_apart_and_its_files_are_kept(in_situation):
    done = in_situation("", command=("sh", "-c", "echo ImportError: no aiter >&2; exit 3"))
    assert done.problems == [
        "times: the profiled program failed by itself with exit status 3: ImportError: no aiter; "
        "run it without the profiler first"
    ]
    assert done.returncode == 3
    assert "kernel_trace" in done.files


def test_a_program_that_sees_no_gpu_is_told_so(in_situation):
    raised = "echo 'RuntimeError: No HIP GPUs are available' >&2; exit 1"
    (problem,) = in_situation("silent", command=("sh", "-c", raised)).problems
    assert problem == "times: HIP sees no GPU; see `rocmoe doctor`"


@pytest.mark.parametrize(("how", "code"), [("kill -SEGV $$", -11), ("exit 139", 139)])
def test_a_signal_is_named_as_processes_and_shells_tell_it(in_situation, how, code):
    done = in_situation("", command=("sh", "-c", how))
    assert done.returncode == code
    assert "the profiled program died of SIGSEGV" in done.problems[0]


def test_a_command_line_that_it_does_not_take_names_the_version(stage):
    stage.install("6.2")
    tool = find_rocprofv3(stage.machine)
    newer = Rocprofv3(tool.path, tool.version, "7.0", tool.formats)
    done = profile_child(
        newer, ["true"], stage.root / "out", passes=[SQ], timeout_seconds=20, machine=stage.machine
    )
    (problem,) = done.problems
    assert done.returncode == 2
    assert problem.startswith("pass_1: rocprofv3 0.4.0 of ROCm 7.0 does not take this command line")
    assert "unrecognized arguments: --pmc SQ_WAVES SQ_INSTS_VALU" in problem


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", "{jobs}", "--", "sh", "-c", "exit 4"], "the program returned non-zero exit status"),
        (
            ["-i", "{jobs}", "--", "sh", "-c", "kill -6 $$"],
            "program died with <Signals.SIGABRT: 6>",
        ),
        (["--kernel-trace"], "refuses: No application provided; run"),
        (["-i", "jobs.ini", "--", "true"], "refuses: Input file 'jobs.ini' does not have"),
    ],
)
def test_its_own_fatal_errors_are_not_the_programs(stage, arguments, said):
    stage.install("7.0")
    jobs = stage.add_file("jobs.json", json.dumps({"jobs": [{"pmc": ["SQ_WAVES"]}] * 2}))
    stage.add_file("jobs.ini")
    tool = find_rocprofv3(stage.machine)
    ran = subprocess.run(
        [tool.path, *(word.format(jobs=jobs) for word in arguments)],
        cwd=stage.root, env=stage.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ended = Ended(("sh",), SQ, ran.returncode, 1.0, ran.stderr, {})
    (problem,) = explain(tool, ended, stage.machine)
    assert said in problem
    assert ran.returncode == 1


def test_the_last_lines_leave_out_what_is_harmless():
    stderr = (
        "\x1b[31mRuntimeError: wrong\x1b[0m\n\n"
        "E20250904 21:02:16.242980 1234567 output_stream.cpp:105] Opened result file: a.csv\n"
        "munmap failed: Invalid Argument\n"
    )
    assert find_last_lines(stderr) == "RuntimeError: wrong"
