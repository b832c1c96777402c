"""ISSUE.md: a bundle as an issue, in the form that the library at fault asks for.

Sections are those of the forms in .github/ISSUE_TEMPLATE of sgl-project/sglang (1-bug-report.yml),
vllm-project/vllm (400-bug-report.yml), triton-lang/triton (bug.yml) and flashinfer-ai/flashinfer
(bug_report.yml); aiter and FlyDSL have none, and so that of the ROCm organisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rocmoe.profiles.bundle.record import REPRO, REQUIREMENTS, BundleRecord
from rocmoe.profiles.environment import PEERS, Environment

IMAGE = "rocm/pytorch:latest"
#: Of libraries that publish one with themselves inside.
IMAGES: Mapping[str, str] = {"vllm": "rocm/vllm:latest"}
DOCKER_FLAGS = (
    "--device=/dev/kfd --device=/dev/dri --group-add video --ipc=host "
    "--security-opt seccomp=unconfined"
)
#: Findings that an issue quotes; the record holds them all.
MOST_QUOTED = 8


@dataclass(frozen=True)
class Form:
    """A library's form: what stands before the title, and a text by each heading.

    Texts: bug, steps, environment, gpu, cpu, system, rocm, more, or words of the form itself.
    """

    prefix: str
    sections: tuple[tuple[str, str], ...]


_ROCM = Form(
    "[Issue]: ",
    (
        ("Problem Description", "bug"),
        ("Operating System", "system"),
        ("CPU", "cpu"),
        ("GPU", "gpu"),
        ("ROCm Version", "rocm"),
        ("ROCm Component", "component"),
        ("Steps to Reproduce", "steps"),
        ("(Optional for Linux users) Output of /opt/rocm/bin/rocminfo --support", "rocminfo"),
        ("Additional Information", "more"),
    ),
)
FORMS: Mapping[str, Form] = {
    "sgl_kernel": Form(
        "[Bug] ",
        (
            ("Checklist", "checklist"),
            ("Describe the bug", "bug"),
            ("Reproduction", "steps"),
            ("Environment", "environment"),
        ),
    ),
    "vllm": Form(
        "[Bug]: ",
        (
            ("Your current environment", "environment"),
            ("🐛 Describe the bug", "bug"),
            ("Reproduction", "steps"),
            ("Before submitting a new issue...", "checklist"),
        ),
    ),
    "flashinfer": Form(
        "[Bug] ",
        (
            ("Before submitting", "checklist"),
            ("Environment", "environment"),
            ("Bug description", "bug"),
            ("Minimal reproduction", "steps"),
            ("Additional context", "more"),
        ),
    ),
    "triton": Form("", (("Describe the bug", "bug"), ("Reproduction", "steps"),
                        ("Environment details", "environment"))),
}  # fmt: skip
#: What a library has its users run to tell of their machine.
TELLERS: Mapping[str, str] = {
    "sgl_kernel": "python3 -m sglang.check_env",
    "vllm": "python collect_env.py",
    "flashinfer": "python -m flashinfer.collect_env",
}


def write_issue(
    record: BundleRecord, environment: Environment, archive: str, call: str = ""
) -> str:
    """The issue, to be read over by whoever sends it; call: the source that calls a library."""
    form = FORMS.get(record.backend, _ROCM)
    texts = {
        "bug": "\n".join([*describe_bug(record), *_quote_call(call)]),
        "steps": "\n".join(_describe_steps(record, archive)),
        "environment": "\n".join(_describe_environment(record, environment)),
        "more": "\n".join([*_describe_environment(record, environment), "", *_tell_basis(record)]),
        "system": environment.system,
        "cpu": environment.cpu_model or "unknown",
        "gpu": ", ".join(f"{gpu.name} ({gpu.arch})" for gpu in environment.gpus)
        or f"none here; found on {record.device}",
        "rocm": environment.rocm or environment.torch_hip or "none here",
        "component": record.backend if record.backend in (*PEERS, "triton") else "none",
        "rocminfo": "(paste it here)",
        "checklist": "- [ ] I searched the issues that exist.\n"
        "- [ ] The bug is in the latest version too.",
    }
    if "more" not in dict(form.sections).values():
        texts["bug"] += "\n\n" + "\n".join(_tell_basis(record))
    title = f"# {form.prefix}{record.case.op}: {name_failure(record)} ({record.backend})"
    sections = [f"### {heading}\n\n{texts[text]}\n" for heading, text in form.sections]
    return "\n".join([title + "\n", *sections])


def name_failure(record: BundleRecord) -> str:
    """`fail: ids_valid, all_written`: what happened, in a line."""
    failed = [check.name for check in record.outcome.checks if check.ok is False]
    outcome = record.outcome if record.shown else record.reported
    if not failed:
        failed = [check.name for check in record.reported.checks if check.ok is False]
    return f"{outcome.status}: {', '.join(failed) or outcome.reason or 'no reason'}"


def describe_bug(record: BundleRecord) -> list[str]:
    """What was called on what, what differs and where, and how often."""
    case = record.case
    sizes = ", ".join(f"{name}={value}" for name, value in case.sizes.items())
    params = ", ".join(f"{name}={value}" for name, value in case.params.items())
    lines = [
        f"`{record.selector}` is wrong on `{case.op}` ({record.device}).",
        "",
        f"- sizes: {sizes}; dtype {case.dtype}",
        *([f"- parameters: {params}"] if params else []),
        f"- values: {case.pattern}; layout: {case.layout}",
        f"- {name_failure(record)}",
        f"- {tell_shown(record)}",
        "",
    ]
    outcome = record.outcome if record.shown else record.reported
    failed = [check for check in outcome.checks if check.ok is False]
    if failed:
        lines += ["| check | observed | limit |", "|---|---|---|"]
        lines += [f"| {c.name} | {c.observed} | {c.limit:g} |" for c in failed]
    if quoted := _quote(outcome.findings):
        lines += ["", "```text", *quoted, "```"]
    if outcome.reason and not failed:
        lines += ["```text", outcome.reason, "```"]
    return lines


def _quote(findings: Sequence[object]) -> list[str]:
    from rocmoe.references.judging.verdict import Finding

    lines = []
    for each in findings[:MOST_QUOTED]:
        assert isinstance(each, Finding)
        index = ", ".join(map(str, each.index))
        wanted = f", wanted {each.wanted}" if each.wanted else ""
        place = f" ({' '.join(filter(None, [each.where, each.place]))})" if each.where else ""
        lines.append(f"{each.check}: {each.output}[{index}] is {each.found}{wanted}{place}")
    return lines


def _quote_call(call: str) -> list[str]:
    return ["", "Called so:", "", "```python", call.rstrip("\n"), "```"] if call else []


def tell_shown(record: BundleRecord) -> str:
    """How many of the runs that made the bundle failed."""
    if record.shown == record.runs:
        return f"it fails in {record.shown} of {record.runs} runs"
    if record.shown:
        return f"flaky: it fails in {record.shown} of {record.runs} runs"
    return f"flaky: it did not fail again in {record.runs} runs; what follows is the first report"


def _describe_steps(record: BundleRecord, archive: str) -> list[str]:
    folder = archive.removesuffix(".tar.gz")
    own = f"`{record.candidate.file}`" if record.candidate else f"`{record.backend}`"
    return [
        f"`{archive}` is attached: inputs, expected and actual outputs, and `{REPRO}`, which calls "
        f"{own} on them and exits with 1 where the bug shows.",
        "",
        "```sh",
        f"tar xzf {archive} && cd {folder}",
        f"pip install -r {REQUIREMENTS}   # torch as it is on the machine",
        f"python3 {REPRO}",
        "```",
        "",
        f"In a ROCm container{_tell_image(record)}:",
        "",
        "```sh",
        write_docker_command(record),
        "```",
    ]


def write_docker_command(record: BundleRecord) -> str:
    """One line that runs the repro in a ROCm container, from the folder of the bundle."""
    image = IMAGES.get(record.backend, IMAGE)
    return (
        f'docker run --rm {DOCKER_FLAGS} -v "$PWD":/bundle:ro -w /bundle {image} '
        f"sh -c 'pip install -q -r {REQUIREMENTS} && python3 {REPRO}'"
    )


def _tell_image(record: BundleRecord) -> str:
    if record.backend in PEERS and record.backend not in IMAGES:
        return f" (another image, if {record.backend} is not in this one)"
    return ""


def _describe_environment(record: BundleRecord, environment: Environment) -> list[str]:
    versions = {
        "GPU": ", ".join(f"{gpu.name} ({gpu.arch})" for gpu in environment.gpus),
        "ROCm": environment.rocm,
        "amdgpu": environment.amdgpu_driver,
        "HIP of torch": environment.torch_hip,
        "CUDA of torch": environment.torch_cuda,
        "torch": environment.torch,
        "Triton": environment.triton,
        "Python": environment.python,
        "system": environment.system,
        **environment.libraries,
    }
    lines = [f"{name}: {found}" for name, found in versions.items() if found]
    lines += [f"{name}={value}" for name, value in environment.variables.items()]
    told = ["```text", *lines, "```"]
    if teller := TELLERS.get(record.backend):
        told += ["", f"Output of `{teller}`:", "", "```text", "(paste it here)", "```"]
    return told


def _tell_basis(record: BundleRecord) -> list[str]:
    return [
        f"Judged by rocmoe {record.rocmoe}, against an oracle in float64 (`rocmoe_parts/references`"
        f" in the archive), by properties and not by comparison with another kernel. Case: "
        f"`{record.case.id}`.",
    ]
