"""The workflows are what GitHub accepts, name what exists, and end as their steps do."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ROCM = ROOT / ".github/workflows/rocm.yml"
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
#: An action by the commit, and the version that it is.
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")

#: What an input of a workflow can be.
INPUTS = ("boolean", "choice", "environment", "number", "string")


def check_schema(path, schema="vendor.github-workflows"):
    """The schema that check-jsonschema ships, which needs no network.

    actionlint would see more, but its packages fetch a program from elsewhere when installed; what
    the schema cannot see is in `find_faults`.
    """
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def find_faults(text, root=ROOT):
    """What is wrong with a workflow beyond its form, a line each."""
    workflow = YAML(typ="safe", pure=True).load(text)
    faults = [] if workflow.get("permissions") == {"contents": "read"} else ["permissions"]
    faults += [] if "concurrency" in workflow else ["no concurrency"]
    for line in re.findall(r"uses: *(.*)", text):
        faults += [] if PINNED.match(line) else [f"not pinned: {line}"]
    inputs = ((workflow["on"] or {}).get("workflow_dispatch") or {}).get("inputs", {})
    for name, given in inputs.items():
        faults += [] if given["type"] in INPUTS else [f"{name} is a {given['type']}"]
    for name, job in workflow["jobs"].items():
        faults += [] if "timeout-minutes" in job else [f"{name} has no timeout"]
        matrix = job.get("strategy", {}).get("matrix", {})
        known = {"inputs": inputs, "matrix": matrix}
        for context, word in re.findall(r"\b(inputs|matrix)\.([\w-]+)", json.dumps(job)):
            faults += [] if word in known[context] else [f"unknown {context}.{word}"]
        for step in job["steps"]:
            faults += find_faults_of_run(step.get("run", ""), root)
    return faults


def find_faults_of_run(script, root):
    """An expression in a script would be run as code, and what a script calls has to be there."""
    faults = ["an expression in a script"] if "${{" in script else []
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    faults += [f"not bash: {done.stderr}"] if done.returncode else []
    for line in script.splitlines():
        program, *arguments = line.split() or [""]
        if program.startswith(".") and not os.access(root / program, os.X_OK):
            faults.append(f"no program {program}")
        if program == "make":
            targets = [word for word in arguments if re.fullmatch("[a-z-]+", word)]
            faults += [f"no target {word}" for word in targets if word not in TARGETS]
    return faults


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_github_accepts_it(path):
    done = check_schema(path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert find_faults(path.read_text()) == []


def test_the_pins_are_kept_up_to_date():
    assert [path.stem for path in WORKFLOWS] == ["ci", "rocm"]
    done = check_schema(ROOT / ".github/dependabot.yml", "vendor.dependabot")
    assert done.returncode == 0, done.stdout
    assert "package-ecosystem: github-actions" in (ROOT / ".github/dependabot.yml").read_text()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    runs-on: ", "    run-on: "),
        ("        uses: actions/upload", "        use: actions/upload"),
        ("timeout-minutes: 120", "timeout-minutes: [120]"),
        ("  schedule:\n", "  nightly:\n"),
    ],
    ids=lambda text: text.strip(),
)
def test_the_schema_sees_a_broken_workflow(tmp_path, right, wrong):
    text = ROCM.read_text()
    assert text.count(right) == 1
    (tmp_path / "broken.yml").write_text(text.replace(right, wrong))
    assert check_schema(tmp_path / "broken.yml").returncode == 1


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("contents: read", "contents: write", "permissions"),
        ("concurrency:\n", "env:\n", "no concurrency"),
        ("    timeout-minutes: 120\n", "", "gpu has no timeout"),
        ("actions/checkout@3d3c42e5", "actions/checkout@v7 # 3d3c42e5", "not pinned"),
        ("# v7.0.1", "# newest", "not pinned"),
        ("        type: choice", "        type: choose", "inconclusive is a choose"),
        ("inputs.baseline ||", "inputs.base ||", "unknown inputs.base"),
        ("run: .ci/rocm", "run: .ci/rocn", "no program .ci/rocn"),
        ("run: .ci/rocm", "run: make rocm-cii", "no target rocm-cii"),
        ("run: .ci/rocm", "run: .ci/rocm ${{ github.ref }}", "an expression in a script"),
        ("run: .ci/rocm", "run: if .ci/rocm", "not bash"),
    ],
)
def test_what_a_schema_cannot_see_is_seen(right, wrong, fault):
    text = ROCM.read_text()
    assert text.count(right) == 1
    assert any(each.startswith(fault) for each in find_faults(text.replace(right, wrong)))


def test_ci_runs_what_a_contributor_runs():
    assert "run: .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text()
    script = (ROOT / ".ci/run").read_text()
    (targets,) = re.findall(r"^for target in (.+); do$", script, re.M)
    assert set(targets.split()) <= TARGETS
    assert {"lint", "typecheck", "test", "selftest", "validate", "budget"} <= set(targets.split())
    done = subprocess.run(["bash", "-n", ROOT / ".ci/run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_gpu_has_one_script():
    assert "        run: .ci/rocm\n" in ROCM.read_text()
    assert re.search(r"^rocm-ci:.*\n\t@\.ci/rocm$", (ROOT / "Makefile").read_text(), re.M)


def test_the_container_is_that_of_the_dockerfile_and_of_the_document():
    container = YAML(typ="safe", pure=True).load(ROCM)["jobs"]["gpu"]["container"]
    flags = "--device=/dev/kfd --device=/dev/dri --group-add video --ipc=host"
    assert container["options"] == f"{flags} --security-opt seccomp=unconfined"
    document = (ROOT / "docs/ci.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", document, re.DOTALL)
    assert YAML(typ="safe", pure=True).load(shown)["jobs"]["rocmoe"]["container"] == container
    assert f"ARG BASE={container['image']}\n" in (ROOT / "Dockerfile").read_text()


def test_the_workflow_to_copy_is_accepted(tmp_path):
    (shown,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    (tmp_path / "kernels.yml").write_text(shown)
    done = check_schema(tmp_path / "kernels.yml")
    assert done.returncode == 0, done.stdout
    assert find_faults(shown) == []


def test_the_dockerfile_copies_what_it_needs():
    lines = (ROOT / "Dockerfile").read_text()
    (targets,) = re.findall(r"^RUN make ([a-z-]+)", lines, re.M)
    assert targets in TARGETS
    ignored = [line for line in (ROOT / ".dockerignore").read_text().split() if line[0] != "#"]
    needed = ("Makefile", "pyproject.toml", "README.md", "LICENSE", ".ci", "cli", "ops", "docs",
              "profiles", "references", "tests")  # fmt: skip
    assert not set(needed) & set(ignored)
    # Files that git does not keep are of this machine.
    kept = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    assert {name.removeprefix("**/") for name in ignored} >= kept


STAND_IN = """#!/usr/bin/env bash
# rocmoe, as far as its exit codes go
echo "$@" >>"$CALLS"
from= out=
for word in "$@"; do
    [ "$last" = --out ] && out=$word
    [ "$last" = --from ] && from=$word
    last=$word
done
gpu='{"environment": {"gpus": [{"name": "AMD Instinct MI300X"}]}}'
[ -z "$out" ] || echo "$gpu" >"$out"
[ -n "$from" ] && exit 0
code=CODE_$1
exit "${!code:-0}"
"""


@pytest.fixture
def rocm(tmp_path):
    """Run .ci/rocm with a stand-in for rocmoe: rocm(validate=1) -> CompletedProcess."""
    stand_in = tmp_path / "rocmoe"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    (tmp_path / "base.json").touch()
    (tmp_path / "kfd").touch()
    plain = {name: text for name, text in os.environ.items() if not name.startswith("GITHUB_")}

    def run(variables=(), **codes):
        given = {
            "ROCMOE": stand_in,
            "CALLS": tmp_path / "calls",
            "KFD": tmp_path / "kfd",
            "OUT": tmp_path / "out",
            "BASELINE": tmp_path / "base.json",
            **{f"CODE_{name}": code for name, code in codes.items()},
            **dict(variables),
        }
        given = {name: str(value) for name, value in given.items()}
        command = [ROOT / ".ci/rocm"]
        return subprocess.run(command, env={**plain, **given}, capture_output=True, text=True)

    run.list_calls = lambda: [
        line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()
    ]
    return run


def test_all_steps_run_and_pass(rocm, tmp_path):
    done = rocm()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "rocm-ci: passed; by step: doctor 0, validate 0, bench 0, diff 0; files: "
    )
    calls = (tmp_path / "calls").read_text()
    out, base = tmp_path / "out", tmp_path / "base.json"
    assert "--device gpu --backend triton --backend torch --out" in calls
    assert f"--junit {out}/validate.xml" in calls
    assert f"diff {base} {out}/bench.json" in calls


WORSE = (0, 4, 3, 1)


@pytest.mark.parametrize("codes", [*itertools.combinations(WORSE, 2)])
def test_the_worst_step_decides(rocm, codes):
    better, worse = codes
    assert rocm(validate=worse, bench=better).returncode == worse
    done = rocm(validate=better, diff=worse)
    assert done.returncode == worse
    assert f"rocm-ci: exit {worse}; by step: doctor 0, validate {better}" in done.stderr


@pytest.mark.parametrize("code", [2, 5, 130, 139])
def test_nothing_follows_a_step_that_could_not_run(rocm, code):
    assert rocm(validate=code).returncode == code
    assert rocm.list_calls() == ["doctor", "validate"]


def test_inconclusive_times_pass_only_where_that_is_asked_for(rocm):
    warn = {"INCONCLUSIVE": "warn"}
    done = rocm(warn, bench=4, diff=4)
    assert done.returncode == 0
    assert "diff was inconclusive (exit 4), which INCONCLUSIVE=warn lets pass" in done.stderr
    assert "bench 4, diff 4" in done.stdout
    assert rocm(warn, validate=4).returncode == 4
    assert rocm(warn, diff=3).returncode == 3
    assert rocm({"INCONCLUSIVE": "ignore"}).returncode == 2


def test_no_baseline_is_inconclusive_and_none_is_chosen(rocm):
    done = rocm({"BASELINE": ""})
    assert done.returncode == 4
    assert "no baseline .ci/baseline/amd-instinct-mi300x.json" in done.stderr
    assert "diff" not in rocm.list_calls()
    done = rocm({"BASELINE": "none"})
    assert done.returncode == 0
    assert "diff not asked for" in done.stdout
    assert rocm({"BASELINE": "nowhere.json"}).returncode == 2


def test_github_is_told(rocm, tmp_path):
    summary = tmp_path / "summary.md"
    done = rocm({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary}, bench=1)
    assert done.returncode == 1
    assert done.stdout.count("::group::") == done.stdout.count("::endgroup::") == 4
    assert "::error title=rocm-ci::exit 1; by step: " in done.stdout
    assert "**rocm-ci** exit 1; by step: " in summary.read_text()


def test_without_a_gpu_it_is_one_line(rocm, tmp_path):
    done = rocm({"KFD": tmp_path / "no-kfd"})
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("rocm-ci: no AMD GPU: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "calls").exists()
