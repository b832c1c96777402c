"""Every command that the documents show is run, on a machine without a GPU, and ends as they say.

A line that stands in several documents is run in the first.  Targets of make are not run.
"""

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rocmoe.profiles.artifact import read_artifact

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: What the documents name of others: a config.json, logs of a server, scores of lm-eval.
FILES = ROOT / "tests" / "documents"
ARTIFACTS = ROOT / "docs" / "artifacts"
#: What is taken for the artifact of a user's earlier run, by document; else one of `rocmoe bench`.
RUNS = {"graphs": "graph-h100", "profiling": "profile-h100", "measuring": "models-h100-deepseek-v3"}
FIXTURE = "tests/profiles/profiling/fixtures/v70"
#: A block of commands, and what is shown below it.
BLOCK = re.compile(r"```(sh|bash|console)\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


def list_shown(path):
    """(line as typed, what is shown below it or "") of every command of a document, in order."""
    for kind, block, below in BLOCK.findall(path.read_text()):
        block = block.replace("\\\n", " ")
        if kind == "console":
            shown = [part.partition("\n")[::2] for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
        else:
            shown = [(line, "") for line in block.splitlines() if line.strip()]
            shown[-1] = (shown[-1][0], below)
        for line, said in shown:
            line = " ".join(re.sub(r"\s#\s.*", "", line).split())
            if line and not re.match(r"([A-Z_]+=\S+ )*make ", line):
                yield line, said


SHOWN = {path.stem: [*list_shown(path)] for path in DOCUMENTS}
LINES = {line for shown in SHOWN.values() for line, _ in shown}

SMALL = "topk_softmax:T=1,E=4,k=1:fp32:renormalize=false:normal:contiguous"
SMALL_NORM = "qk_rmsnorm:T=1,Hq=2,Hkv=1,D=64:bf16:eps=1e-06:normal:contiguous"
SMALL_SIGMOID = ("topk_sigmoid:T=1,E=4,k=1:fp32:renormalize=false,correction_bias=none:"
                 "normal:contiguous")  # fmt: skip
SMALL_PIPELINE = (
    "dflash_verify:B=6,N=4,V=128:fp32:temperature=per_row,top_k=per_row,top_p=per_row,"
    "threshold_single=1.0,threshold_acc=1.0:normal:contiguous"
)

MANY = "one case of the suite says whether the command runs"
SLOW = "a suite takes seconds in the simulator"
TIMES = "one token and few samples: the time of a model's ladder is minutes"
IN_VAIN = "one case says that there is no GPU; of an option given twice the last one counts"
#: Line: (words that the test adds to make it smaller, why).
SMALLER = {
    "rocmoe validate --impl mine.py:topk_softmax": (
        f"--case {SMALL}", "tests/test_readme.py runs the suite"),
    "rocmoe isa topk_softmax": (
        "--arch gfx942", "tests/test_readme.py compiles for all architectures"),
    "rocmoe validate": (f"topk_softmax --case {SMALL}", MANY),
    "rocmoe validate topk_softmax --out run.json": (f"--case {SMALL} --device cpu", MANY),
    "ROCMOE_DISABLE=aiter,triton rocmoe validate topk_softmax": (f"--case {SMALL}", MANY),
    "rocmoe validate topk_sigmoid --backend aiter:topk_sigmoid --no-guard": (
        f"--case {SMALL_SIGMOID}", MANY),
    "rocmoe validate qk_rmsnorm --strict --suite full": (f"--case {SMALL_NORM}", SLOW),
    "rocmoe validate qk_rmsnorm --device sim:gfx942": (f"--case {SMALL_NORM}", SLOW),
    "rocmoe sanitize qk_rmsnorm": (f"--case {SMALL_NORM} --orders together", SLOW),
    "rocmoe validate topk_softmax --backend triton --device sim:gfx942 --suite smoke": (
        f"--case {SMALL}", SLOW),
    "rocmoe validate --impl docs/examples/unmasked_topk.py:topk_softmax --device sim:gfx942 "
    "--suite smoke": ("--case topk_softmax:T=1,E=160,k=8:bf16:renormalize=true:normal:contiguous",
                      SLOW),
    "rocmoe sanitize topk_softmax --impl docs/examples/unmasked_topk.py:topk_softmax": (
        "--orders together "
        "--case topk_softmax:T=1,E=160,k=8:bf16:renormalize=true:normal:contiguous", SLOW),
    "rocmoe validate topk_softmax --backend assembly:docs/examples/top1_softmax.toml --suite full "
    "--out run.json": (f"--case {SMALL}", SLOW),
    "rocmoe validate --impl mended.py:topk_softmax": (f"--case {SMALL}", MANY),
    "rocmoe validate --impl mended.py:topk_softmax --suite full --strict": (
        f"--case {SMALL}", MANY),
    "rocmoe validate --impl mended.py:topk_softmax --device gpu": (f"--case {SMALL}", MANY),
    "rocmoe validate --impl mended.py:topk_softmax --model gpt-oss-120b": ("--tokens 1", TIMES),
    "rocmoe bench topk_softmax --impl mended.py:topk_softmax": ("--quick --tokens 1", TIMES),
    "rocmoe compare topk_softmax --backend torch --impl mended.py:topk_softmax": (
        "--quick --tokens 1", TIMES),
    "rocmoe bench topk_softmax --backend '!aiter'": ("--quick --tokens 1", TIMES),
    "rocmoe bench topk_softmax": ("--quick --tokens 1", TIMES),
    "rocmoe bench --model deepseek-v3": ("grouped_topk --quick --tokens 1", TIMES),
    "rocmoe bench --model deepseek-v3 --quick": ("grouped_topk --tokens 1", TIMES),
    "rocmoe bench --model Kimi-K2/ --tokens 1,64": ("grouped_topk --quick --tokens 1", TIMES),
    "rocmoe bench topk_softmax --model mine.toml": ("--quick --tokens 1", TIMES),
    "rocmoe bench topk_softmax --model gpt-oss-120b --plot run.png --plot run.svg": (
        "--quick --tokens 1", TIMES),
    "rocmoe bench --pipeline dflash-verify --model qwen3-8b": (
        "--backend torch --quick --sweep B=1;N=1;V=64", "151936 logits a row take a minute"),
    "rocmoe validate --pipeline dflash-verify --suite quick": (f"--case {SMALL_PIPELINE}", MANY),
    "rocmoe compare topk_softmax --backend triton --impl mine.py:topk_softmax --model gpt-oss-120b":
        ("--quick --tokens 1", TIMES),
    "rocmoe compare topk_softmax --backend triton --backend torch": ("--quick --tokens 1", TIMES),
    "rocmoe compare topk_softmax --backend triton --backend torch --sweep T=1,64,4096": (
        "--quick --sweep T=1", IN_VAIN),
    'rocmoe bench topk_softmax --backend triton --sweep "T=1,64,1024,4096;E=256;k=8"': (
        "--sweep T=1", IN_VAIN),
    'rocmoe bench topk_softmax --backend triton --sweep "T=1,64,1024;E=128,256;dtype=bf16,fp32"': (
        "--sweep T=1", IN_VAIN),
    "rocmoe shrink run.json": ("--seconds 2", "what was found by then still fails"),
    'rocmoe shrink "run.json#CASE@BACKEND" --seconds 120': (
        "--seconds 2", "what was found by then still fails"),
}  # fmt: skip

NO_GPU = "torch sees no GPU here"
NO_GRAPH = "rocmoe: graphs need a GPU and torch sees none here"
NO_PROFILE = "rocmoe: torch sees no GPU here, so there is nothing to profile"
#: Line: (exit code without a GPU, what is printed of what is missing).
WITHOUT_GPU = {
    'rocmoe bench topk_softmax --backend triton --sweep "T=1,64,1024,4096;E=256;k=8"': (4, NO_GPU),
    'rocmoe bench topk_softmax --backend triton --sweep "T=1,64,1024;E=128,256;dtype=bf16,fp32"':
        (4, NO_GPU),
    "rocmoe compare topk_softmax --backend triton --backend torch": (4, NO_GPU),
    "rocmoe compare topk_softmax --backend triton --backend torch --sweep T=1,64,4096": (4, NO_GPU),
    "rocmoe compare topk_softmax --backend triton --impl mine.py:topk_softmax --model gpt-oss-120b":
        (4, NO_GPU),
    "rocmoe bench topk_softmax --impl mine.py:topk_softmax --case ID --timer graph --cache cold":
        (2, "rocmoe: timer graph needs a GPU; on cpu there is wall"),
    "rocmoe validate --impl mended.py:topk_softmax --device gpu": (4, NO_GPU),
    "rocmoe graph topk_softmax --impl mended.py:topk_softmax": (4, NO_GRAPH),
    "rocmoe graph moe_sorting": (4, NO_GRAPH),
    "rocmoe graph topk_softmax --impl mine.py:topk_softmax": (4, NO_GRAPH),
    "rocmoe graph --model deepseek-v3 --tokens 1,64 --backend triton": (4, NO_GRAPH),
    "rocmoe graph": (4, NO_GRAPH),
    "rocmoe graph moe_sorting --backend triton --dot graph.dot": (4, NO_GRAPH),
    "rocmoe profile topk_softmax --model gpt-oss-120b --tokens 16,4096": (4, NO_PROFILE),
    "rocmoe profile grouped_topk --backend triton --sweep T=64,1024 --trace topk.json":
        (4, NO_PROFILE),
    "rocmoe profile topk_softmax --impl mine.py:topk_softmax --kernel topk --counters":
        (4, NO_PROFILE),
    "rocmoe profile qk_rmsnorm --sweep T=16,4096 --plot roof.png": (4, NO_PROFILE),
    "rocmoe profile --model deepseek-v3 --backend torch --backend triton": (4, NO_PROFILE),
}  # fmt: skip

#: Line: (exit code, what is printed), of what does not pass and shows no output.
ENDS = {
    "rocmoe validate topk_softmax --backend aiter": (4, "aiter is not installed"),
    "rocmoe bench moe_sorting --backend aiter:moe_sorting_fwd --backend aiter:moe_sorting_opus_fwd":
        (4, "aiter is not installed"),
    "rocmoe validate topk_sigmoid --backend aiter:topk_sigmoid --no-guard":
        (4, "aiter is not installed"),
    "rocmoe validate topk_softmax --impl halved.py:topk_softmax --device cpu --out run.json":
        (1, "failed (exit 1)"),
    "rocmoe bundle run report.tar.gz --impl halved.py:topk_softmax": (1, "failed (exit 1)"),
    "rocmoe validate --impl mine.py:topk_softmax --case topk_softmax:T=1,E=2,k=1:fp32:"
    "renormalize=false:normal:contiguous:gating_output=2x0": (1, "is 1, wanted 0.5"),
    "rocmoe validate --impl docs/examples/unmasked_topk.py:topk_softmax --device sim:gfx942 "
    "--suite smoke": (1, "failed (exit 1)"),
    "rocmoe sanitize topk_softmax --impl docs/examples/unmasked_topk.py:topk_softmax":
        (1, "memcheck: load of 2 bytes"),
    "rocmoe sanitize no_barrier.s --launch docs/examples/reverse.toml --orders together --out "
    "run.json": (1, "racecheck: reads LDS byte 1020"),
    "rocmoe validate topk_softmax --impl mine.py:topk_softmax --out run.json":
        (1, "failed (exit 1)"),
}  # fmt: skip

FLYDSL = "there is no checkout of FlyDSL; tests/ops/backends/test_flydsl_checkout.py runs it"
ROCM = "rocprofv3 is of ROCm; tests/profiles/profiling runs a program that behaves like it"
NETWORK = "loads packages from an index"
DOCKER = "makes or runs a container"
SELFTEST = "takes a quarter of a minute or more; tests/cli/test_listing.py runs that of one op"
#: Line: why it is not tried.
UNTRIED = {
    ".ci/run": "runs this test among all others",
    "source .venv/bin/activate": "of a clone's own environment, which this test runs in",
    "pip install flydsl": NETWORK,
    "pip install 'rocmoe[plot]'": NETWORK,
    "python3 -m pip install --no-index --find-links wheelhouse rocmoe":
        "installs over what is tested; tests/test_offline.py has wheelhouses",
    "docker build -t rocmoe .": DOCKER,
    "docker run --rm --device=/dev/kfd --device=/dev/dri --group-add video --ipc=host "
    "--security-opt seccomp=unconfined -v \"$PWD/rocm-ci:/opt/rocmoe/rocm-ci\" rocmoe make rocm-ci":
        DOCKER,
    "ROCMOE_FLYDSL=/path/to/FlyDSL rocmoe validate topk_softmax --backend flydsl --device "
    "sim:gfx942": FLYDSL,
    "ROCMOE_FLYDSL=/path/to/FlyDSL rocmoe sanitize moe_sorting --backend flydsl": FLYDSL,
    "rocprofv3 --kernel-trace --stats --output-format csv json -d prof -o run_%pid% -- "
    "python my_script.py": ROCM,
    "rocprofv3 --pmc FETCH_SIZE --output-format csv -d prof/read -o run_%pid% -- "
    "python my_script.py": ROCM,
    "rocprofv3 --pmc WRITE_SIZE --output-format csv -d prof/written -o run_%pid% -- "
    "python my_script.py": ROCM,
    "rocmoe selftest": SELFTEST,
    "rocmoe selftest topk_softmax": SELFTEST,
    "rocmoe selftest qk_rmsnorm": SELFTEST,
}  # fmt: skip


def lay_out(folder, stem):
    """What the commands of a document assume: the user's files, and artifacts of earlier runs."""
    shutil.copytree(ROOT / "docs/examples", folder / "docs/examples")
    (folder / "docs/artifacts").mkdir()
    for name in ("graph-h100.json", "profile-h100.json"):
        shutil.copy(ARTIFACTS / name, folder / "docs/artifacts")
    for name in (FIXTURE, "prof"):
        shutil.copytree(ROOT / FIXTURE, folder / name)
    trace = folder / "prof/41822_kernel_trace.csv"
    trace.write_text(trace.read_text().replace("addition_kernel", "topkGatingSoftmax"))
    wrong, right = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/first-steps.md").read_text(), re.DOTALL
    )
    (folder / "kernels").mkdir()
    for name in ("mended.py", "kernels/topk.py"):
        (folder / name).write_text(right)
    (folder / "mine.py").write_text(wrong if stem in ("first-steps", "shrink") else right)
    (folder / "halved.py").write_text(right.replace("return weights,", "return weights / 2,"))
    run = RUNS.get(stem, "bench-h100-gating")
    for name in ("run.json", "base.json", "old.json", "new.json"):
        shutil.copy(ARTIFACTS / f"{run}.json", folder / name)
    (budget,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    (folder / "budget.toml").write_text(budget)
    (folder / "rocm-ci").mkdir()
    shutil.copy(folder / "run.json", folder / "rocm-ci/bench.json")
    shutil.copy(ROOT / "profiles/models/gpt-oss-120b.toml", folder / "mine.toml")
    shutil.copytree(FILES / "Kimi-K2", folder / "Kimi-K2")


def fill_in(line, folder):
    """The line with a case in place of `ID`, `CASE` and `CASE@BACKEND`."""
    line = re.sub(r"(?<=--case )ID\b", SMALL, line)
    if "#CASE" not in line:
        return line
    results = read_artifact(folder / "run.json").results
    failed = [result for result in results if result.status == "fail"]
    if "@BACKEND" in line:
        return line.replace("CASE@BACKEND", f"{failed[0].case.id}@{failed[0].selector}")
    passed = {(result.case.id, result.selector) for result in results if result.status == "pass"}
    both = [case for case, by in sorted(passed) if by == "torch" and (case, "triton") in passed]
    return line.replace("#CASE", f"#{both[0]}")


def run_shell(line, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def run_line(line, folder, call_rocmoe, monkeypatch):
    """Run a line as it is typed, but for placeholders and the words of `SMALLER`."""
    words = shlex.split(fill_in(line, folder))
    settings = [word for word in words if re.match(r"[A-Z_]+=", word)]
    program, *arguments = words[len(settings) :]
    if program != "rocmoe" or {*words} & {">", "||"}:
        return run_shell(line, folder)
    arguments += shlex.split(SMALLER.get(line, ("", ""))[0].replace(";", r"\;"))
    if "*.json" in arguments:
        at = arguments.index("*.json")
        arguments[at : at + 1] = sorted(glob.glob("*.json", root_dir=folder))
    with monkeypatch.context() as patch:
        for name, _, value in (setting.partition("=") for setting in settings):
            patch.setenv(name, value)
        return call_rocmoe(*arguments)


def mask(text):
    """Lines without what another machine prints differently: times, numbers, paths of artifacts."""
    text = re.sub(r"artifact: \S+", "artifact", re.sub(r"[\d.]+(e[-+]?\d+)?|-{3,}", "#", text))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def judge_end(line, said, done):
    """What is wrong with how a line ended, "" for nothing."""
    code, words = {**ENDS, **WITHOUT_GPU}.get(line, (0, ""))
    if shown := re.search(r"\(exit (\d)\)", said):
        code = int(shown[1])
    printed = done.stdout + done.stderr
    missing = {*mask(said)} - {*mask(printed)} if line not in SMALLER else ()
    wrong = [f"exit {done.returncode}, not {code}"] if done.returncode != code else []
    wrong += [f"no {words!r}"] if words not in printed else []
    if words.startswith("rocmoe: ") and len(done.stderr.splitlines()) != 1:
        wrong.append("not one line")
    wrong += ["a traceback"] if "Traceback (most recent call last)" in printed else []
    wrong += [f"not printed as shown: {sorted(missing)}"] if missing else []
    return f"{line}: {'; '.join(wrong)}\n{printed[-1500:]}" if wrong else ""


def list_to_run(stem):
    """The lines of a document to be run there: rocmoe's own once, what they rest on everywhere."""
    before = [*SHOWN][: [*SHOWN].index(stem)]
    known = {line for name in before for line, _ in SHOWN[name] if "rocmoe " in line}
    return [shown for shown in SHOWN[stem] if shown[0] not in known | {*UNTRIED}]


@pytest.mark.parametrize("stem", [stem for stem in SHOWN if list_to_run(stem)])
def test_commands_end_as_documented(stem, tmp_path, call_rocmoe, monkeypatch):
    pytest.importorskip("triton", reason="no triton to compile with")
    if pytest.importorskip("torch").cuda.is_available():
        pytest.skip("the ends are those of a machine without a GPU")
    lay_out(tmp_path, stem)
    wrong = []
    for line, said in list_to_run(stem):
        if "--accuracy-before" in line:
            # Only now: their JSON is no artifact, which *.json would take it for.
            shutil.copytree(FILES / "posts", tmp_path, dirs_exist_ok=True)
        wrong.append(judge_end(line, said, run_line(line, tmp_path, call_rocmoe, monkeypatch)))
        if line == "rocmoe validate topk_softmax --out run.json":
            shutil.copy(tmp_path / "run.json", tmp_path / "base.json")  # "an earlier one"
    assert not any(wrong), "\n\n".join(filter(None, wrong))


def test_every_line_of_the_tables_stands_in_a_document():
    assert {*SMALLER, *WITHOUT_GPU, *ENDS, *UNTRIED} - LINES == set()
    assert {*UNTRIED} & {*SMALLER, *WITHOUT_GPU, *ENDS} == set()
    assert len(LINES) > 90


@pytest.mark.parametrize(
    ("line", "said", "code", "stderr", "wrong"),
    [
        ("rocmoe graph", "", 4, f"{NO_GRAPH} here", ""),
        ("rocmoe graph", "", 0, f"{NO_GRAPH} here", "exit 0, not 4"),
        ("rocmoe graph", "", 4, "killed", "no 'rocmoe: graphs"),
        ("rocmoe graph", "", 4, f"{NO_GRAPH} here\nmore", "not one line"),
        ("rocmoe doctor", "", 0, "Traceback (most recent call last):", "a traceback"),
        ("rocmoe doctor", "3 found (exit 1)", 1, "4 found (exit 1)", ""),
        ("rocmoe doctor", "3 found (exit 1)", 1, "4 lost (exit 1)", "not printed as shown"),
    ],
)
def test_an_end_that_is_not_as_documented_is_seen(line, said, code, stderr, wrong):
    found = judge_end(line, said, subprocess.CompletedProcess([], code, "", stderr))
    assert wrong in found
    assert bool(wrong) == bool(found)
