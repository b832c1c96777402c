"""Candidates that crash, hang, exit or exhaust memory, and runs that are killed."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from rocmoe.profiles.artifact import read_artifact
from rocmoe.profiles.stream import read_stream

EVIL = """
import os, signal, sys, time
import numpy
import torch

def right(gating_output, topk, renormalize):
    values, ids = gating_output.float().softmax(-1).sort(dim=-1, descending=True, stable=True)
    values = values[:, :topk]
    return values / values.sum(-1, True), ids[:, :topk].int()

def segfault():
    import ctypes
    ctypes.string_at(0)

def hang():
    while True:
        time.sleep(1)

def hang_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        hang()
    hang()

def garbage():
    os.write(1, b'{"type": "Reply", "status": "pass"}\\n' * 100)
    os.write(2, bytes(range(256)))
    print("more", flush=True)

def exhaust():
    kept = []
    while True:
        kept.append(numpy.empty(1 << 27))

def spoil_the_process():
    torch.set_default_dtype(torch.float64)
    torch.softmax = None
    raise ValueError("after spoiling")

def leave():
    os.chdir("/")

def unprintable():
    raise RuntimeError(chr(0xDC80) + ' and\\nmore')

def start_a_process():
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(target=print, args=("child",))
    process.start()
    process.join()
    assert process.exitcode == 0

EVIL = {
    1: segfault,
    2: lambda: os.kill(os.getpid(), signal.SIGKILL),
    3: lambda: (print("famous last words", file=sys.stderr, flush=True), os._exit(0)),
    4: lambda: os.abort(),
    5: hang,
    6: hang_deaf,
    7: exhaust,
    8: lambda: sys.exit(3),
    9: garbage,
    10: spoil_the_process,
    11: lambda: os.closerange(0, 64),
    12: leave,
    13: start_a_process,
    14: unprintable,
}

def topk_softmax(gating_output, topk, renormalize):
    EVIL.get(gating_output.shape[0], lambda: None)()
    return right(gating_output, topk, renormalize)
"""

WANTED = {
    1: ("crash", "died of SIGSEGV", "Fatal Python error: Segmentation fault | File"),
    2: ("crash", "died of SIGKILL"),
    3: ("crash", "exited with code 0", "it printed last: famous last words"),
    4: ("crash", "died of SIGABRT"),
    5: ("timeout", "no answer within 3 s"),
    6: ("timeout", "no answer within 3 s"),
    7: ("error", "alloc"),
    8: ("error", "called sys.exit(3) (evil.py:"),
    9: ("pass", ""),
    10: ("error", "ValueError: after spoiling (evil.py:"),
    11: ("crash", "exited with code"),
    12: ("pass", ""),
    13: ("pass", ""),
    14: ("error", "RuntimeError: \\udc80 and (evil.py:"),
}


def case(tokens, experts=64):
    return f"topk_softmax:T={tokens},E={experts},k=4:fp32:renormalize=true:normal:contiguous"


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_candidate_stops_the_run_or_spoils_a_later_case(rocmoe, tmp_path, jobs):
    (tmp_path / "evil.py").write_text(EVIL)
    cases = [f"--case={case(tokens)}" for evil in WANTED for tokens in (evil, evil + 20)]
    done = rocmoe("validate", "topk_softmax", "--impl=evil.py:topk_softmax", *cases,
                  "--timeout=3", f"--jobs={jobs}", "--out=run.json")  # fmt: skip
    assert done.returncode == 1, done.stderr
    results = {r.case.sizes["T"]: r for r in read_artifact(tmp_path / "run.json").results}
    for tokens, (status, *words) in WANTED.items():
        result = results[tokens]
        assert result.status == status, (tokens, result.reason)
        assert all(word.lower() in (result.reason or "").lower() for word in words), result.reason
    assert {results[evil + 20].status for evil in WANTED} == {"pass"}
    assert not find_processes(tmp_path)


def find_processes(folder):
    """Processes of this run that are still alive: all of them work in its folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(folder):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if state != "Z" and "resource_tracker" not in command:
                    found.append((int(entry.name), command))
        except OSError:
            continue
    return found


def wait_for_results(path, count, seconds=60):
    """Wait until an unfinished run has this many results."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if len(read_stream(path)[1]) >= count:
                return
        except Exception:
            pass
        time.sleep(0.05)
    raise AssertionError(f"fewer than {count} results within {seconds} s")


def wait_until_gone(folder, seconds=15):
    deadline = time.monotonic() + seconds
    while find_processes(folder):
        assert time.monotonic() < deadline, find_processes(folder)
        time.sleep(0.1)


#: Right on every case, and slow enough to be stopped in the middle, as long as `slow` is there.
SLOW = """
import time
from pathlib import Path
from rocmoe.ops.topk_softmax import run_torch

def topk_softmax(gating_output, topk, renormalize):
    if Path(__file__).with_name("slow").exists():
        time.sleep(0.1)
    return run_torch(gating_output, topk, renormalize)
"""
RUN = ("validate", "--impl", "right.py:topk_softmax", "--jobs", "2")
REQUEST = (*RUN, "--out", "run.json")


@pytest.fixture
def slow(tmp_path):
    """The file that makes it slow."""
    (tmp_path / "right.py").write_text(SLOW)
    (tmp_path / "slow").touch()
    return tmp_path / "slow"


def strip(artifact):
    """Results without what may differ between two runs."""
    return [(r.case.id, r.selector, r.status, r.checks) for r in artifact.results]


def test_an_interrupted_run_writes_what_is_done_and_is_resumed(
    start_rocmoe, rocmoe, tmp_path, slow
):
    process = start_rocmoe(*REQUEST)
    wait_for_results(tmp_path / "run.json", 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    partial = read_artifact(tmp_path / "run.json")
    assert not partial.complete
    assert len(partial.results) >= 3
    wait_until_gone(tmp_path)
    slow.unlink()
    done = rocmoe(*REQUEST, "--resume")
    assert done.returncode == 0, done.stderr
    finished = read_artifact(tmp_path / "run.json")
    assert finished.complete
    assert not list(tmp_path.glob("*.jsonl"))
    again = tmp_path / "again.json"
    rocmoe(*RUN, "--out", again)
    assert strip(finished) == strip(read_artifact(again))


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_is_resumed_from_any_point(start_rocmoe, rocmoe, tmp_path, slow, seed):
    process = start_rocmoe(*REQUEST)
    wait_for_results(tmp_path / "run.json", random.Random(seed).randrange(1, 15))
    process.kill()
    process.communicate(timeout=30)
    wait_until_gone(tmp_path)
    slow.unlink()
    assert not (tmp_path / "run.json").exists()
    stream = tmp_path / "run.json.partial.jsonl"
    with stream.open("ab") as file:
        file.write(b'{"case": {"id": "cut sh')  # as a process dies in the middle of a line
    assert rocmoe(*REQUEST, "--resume").returncode == 0
    artifact = read_artifact(tmp_path / "run.json")
    keys = [(r.case.id, r.selector) for r in artifact.results]
    assert len(keys) == len(set(keys))
    assert artifact.complete
    assert all(result.status == "pass" for result in artifact.results)


def test_workers_that_are_killed_at_random_cost_their_own_case_only(start_rocmoe, tmp_path):
    (tmp_path / "slow.py").write_text(EVIL.replace("EVIL.get", "time.sleep(0.05); EVIL.get"))
    cases = [f"--case={case(tokens)}" for tokens in range(100, 160)]
    process = start_rocmoe("validate", "topk_softmax", "--impl=slow.py:topk_softmax", *cases,
                           "--jobs=2", "--out=run.json")  # fmt: skip
    wait_for_results(tmp_path / "run.json", 2)
    rng, killed = random.Random(0), 0
    while process.poll() is None and killed < 4:
        workers = [pid for pid, _ in find_processes(tmp_path) if os.getpgid(pid) == pid
                   and pid != process.pid]  # fmt: skip
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            killed += 1
        time.sleep(0.4)
    process.communicate(timeout=120)
    results = read_artifact(tmp_path / "run.json").results
    assert len(results) == 60
    statuses = [result.status for result in results]
    assert set(statuses) == {"pass", "crash"}
    assert 1 <= statuses.count("crash") <= killed
    assert process.returncode == 1
    for result in results:
        assert result.status == "pass" or "SIGKILL" in result.reason


def test_the_stream_holds_each_result_as_it_comes(start_rocmoe, tmp_path, slow):
    process = start_rocmoe(*REQUEST)
    wait_for_results(tmp_path / "run.json", 2)
    lines = (tmp_path / "run.json.partial.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["format"] == "rocmoe.artifact"
    assert json.loads(lines[1])["status"] == "pass"
    slow.unlink()
    process.communicate(timeout=60)
