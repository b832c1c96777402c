"""The driver of rocprofv3 against a stand-in that behaves as each version does."""

import csv
import time
from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.reading import read_profile
from rocmoe.profiles.profiling.rocprofv3 import build_command, list_files, profile_child
from rocmoe.profiles.profiling.rocprofv3_version import (
    Rocprofv3,
    find_rocprofv3,
)

VERSIONS = ("6.2", "6.4", "7.0", "7.2.4")
#: Whose counters are in a file, and on the command line.
BOTH_WAYS = ("6.2", "7.2.4")
SQ = ("SQ_WAVES", "SQ_INSTS_VALU")
KERNEL_TRACE_COLUMNS = {"6.2": 16, "6.4": 18, "7.0": 22, "7.2.4": 22}


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_driven(stage, version):
    stage.install(version, f"{version}.0-1")
    told = f"echo told; echo $HIP_FORCE_DEV_KERNARG >&2; echo $PPID > {stage.root}/pid"
    stage.environ["HIP_FORCE_DEV_KERNARG"] = "passed-through"
    done = stage.profile(("sh", "-c", told), [SQ, ("FETCH_SIZE", "TCC_HIT_sum")])
    assert (done.returncode, done.problems) == (0, [])
    assert [run.name for run in done.runs] == ["times", "pass_1", "pass_2"]
    assert [run.counters for run in done.runs][1] == SQ
    assert (done.folder / "times/stdout.txt").read_text() == "told\n"
    assert done.stderr_tail == "passed-through"

    (trace,) = done.files["kernel_trace"]
    assert trace.parent == stage.root / "out/times"
    assert len(read_rows(trace)[0]) == KERNEL_TRACE_COLUMNS[version]
    pid = int(done.runs[-1].files["counter_collection"][0].name.split("_")[1])
    assert pid == int((stage.root / "pid").read_text())
    assert {"kernel_stats", "domain_stats", "agent_info", "results.json"} <= set(done.files)
    names = [{row["Counter_Name"] for row in read_rows(p)}
             for p in done.files["counter_collection"]]  # fmt: skip
    assert names == [set(SQ), {"FETCH_SIZE", "TCC_HIT_sum"}]

    # Times and counters are never of one run.
    for start in stage.list_starts():
        own = start[: start.index("--")]
        assert ("--kernel-trace" in own) != ("--pmc" in own or "-i" in own)
        assert own[own.index("--output-format") + 1 :][:2] == ["csv", "json"]
        assert "%pid%" in own[own.index("-o") + 1]
    assert len(stage.list_starts()) == 3
    assert ("kernel_trace" in done.runs[1].files, "-i" in own) == (False, version == "6.2")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_version_leaves_is_what_the_readers_read(stage, version):
    stage.install(version, f"{version}.0-1")
    trace = read_profile(stage.profile(passes=[SQ]).folder)
    timed = [launch for launch in trace.dispatches if not launch.counted]
    assert [(launch.duration_ns, launch.lds_bytes) for launch in timed] == [
        (13408, 1024),
        (9000, 1024),
    ]
    assert timed[0].kernel == "void addition_kernel<float>(float*, float const*, int, int)"
    assert {(each.counter, each.value) for each in trace.counters} == {
        (name, 16384.0) for name in SQ
    }
    assert trace.notes == ()


def test_each_line_that_ran_is_kept(stage):
    stage.install("7.0")
    done = stage.profile(("echo", "two words"))
    kept = (done.folder / "times/command.txt").read_text()
    assert kept.startswith(f"{stage.path} --kernel-trace")
    assert kept.endswith("-- echo 'two words'\n")


def test_a_folder_is_found_though_the_program_moves(stage, monkeypatch):
    """The tool looks for it when the program ends, and a program may have changed its folder."""
    monkeypatch.chdir(stage.root)
    stage.install("7.0")
    tool = find_rocprofv3(stage.machine)
    done = profile_child(tool, ["true"], Path("here"), timeout_seconds=20, machine=stage.machine)
    assert done.folder == stage.root / "here"
    (start,) = stage.list_starts()
    assert start[start.index("-d") + 1] == str(stage.root / "here/times")


@pytest.mark.parametrize("version", BOTH_WAYS)
def test_a_pass_that_the_hardware_cannot_take_costs_no_other(in_situation, version):
    together = ("FETCH_SIZE", "WRITE_SIZE")
    done = in_situation("", version, passes=[together, ("FETCH_SIZE",)])
    (problem,) = done.problems
    assert problem.startswith("pass_1: the GPU cannot collect FETCH_SIZE WRITE_SIZE in one pass")
    assert "split it over more passes" in problem
    assert [run.returncode for run in done.runs] == [0, -6, 0]
    assert done.returncode == -6
    assert "error code 38" in done.stderr_tail
    assert [path.parts[len(done.folder.parts)] for path in done.files["counter_collection"]] == [
        "pass_2"
    ]


def test_a_run_that_hangs_is_killed_with_all_that_it_started(stage):
    stage.install("7.0", STAND_IN_SITUATION="slow")
    started = stage.root / "started"
    program = ("sh", "-c", f"sleep 60 & echo $! > {started}; wait")
    done = stage.profile(program, passes=[SQ], timeout_seconds=0.5)
    assert done.returncode is None
    (problem,) = done.problems
    assert "did not end within 0.5 s and was killed; give it more time" in problem
    assert is_gone(int(started.read_text()))


def test_what_a_program_leaves_running_does_not_outlive_its_run(stage):
    stage.install("7.0")
    started = stage.root / "started"
    done = stage.profile(("sh", "-c", f"sleep 60 & echo $! > {started}"))
    assert done.problems == []
    assert is_gone(int(started.read_text()))


def is_gone(pid):
    """Whether a process that was sent a signal ends, or waits to be reaped by its parent."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_the_files_of_every_place_are_found_by_kind(tmp_path):
    places = (
        "node17/41822_kernel_trace.csv",
        "node17/41823_kernel_trace.csv",
        "pass_1/node17/41822_counter_collection.csv",
        "pmc_2/out_counter_collection.csv",
        "out_results.json",
        "out_results.db",
        "rocmoe_7_hip_api_trace.csv",
        "rocmoe_7_config.json",
        "stderr.txt",
        "stats_ui_output.csv",
    )
    for place in places:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = {
        kind: [str(path.relative_to(tmp_path)) for path in paths]
        for kind, paths in list_files(tmp_path).items()
    }
    assert found == {
        "kernel_trace": [*places[:2]],
        "counter_collection": [*places[2:4]],
        "results.json": [places[4]],
        "results.db": [places[5]],
        "hip_api_trace": [places[6]],
        "config.json": [places[7]],
    }


def test_a_request_that_cannot_be_run_is_refused_before_anything_runs(stage):
    stage.install("7.0")
    with pytest.raises(RocmoeError, match="no program 'no-such-program' to profile"):
        stage.profile(("no-such-program",))
    with pytest.raises(RocmoeError, match="pass_2 has no counters"):
        stage.profile(passes=[SQ, ()])
    stage.add_file("out/pass_1/old_counter_collection.csv")
    with pytest.raises(RocmoeError, match=r"out/pass_1 is there already; name a new folder"):
        stage.profile(passes=[SQ])
    assert stage.list_starts() == []


def test_counters_of_rocm_6_2_are_in_a_file(tmp_path):
    old = Rocprofv3(Path("/r/rocprofv3"), "0.4.0", "6.2", ("csv", "json"))
    line = build_command(old, ["app"], tmp_path, SQ)
    assert line[1:3] == ["-i", str(tmp_path / "counters.txt")]
    assert (tmp_path / "counters.txt").read_text() == "pmc: SQ_WAVES SQ_INSTS_VALU\n"
