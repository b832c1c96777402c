"""Copied parts run alone: for every op and backend, in a process that cannot import rocmoe."""

import re
import subprocess
import sys

import pytest

from rocmoe.ops.core.backend import list_backends
from rocmoe.ops.core.harm import list_harmed_ops, load_harms
from rocmoe.ops.core.spec import list_declared
from rocmoe.profiles.bundle.parts import copy_parts, find_closure, list_foreign, name_op_module

BLOCKED = """
import importlib, sys
sys.modules["rocmoe"] = None
sys.path.insert(0, sys.argv[1])
for line in sys.stdin.read().splitlines():
    module, op_module, variant = line.split()
    backend = importlib.import_module(module)
    spec = importlib.import_module(op_module).SPEC
    if variant != "-":
        assert backend.find(spec, variant).function is not None, line
    elif backend.NAME not in ("user", "harm"):
        assert backend.find(spec, "") or not backend.serves(spec.name), line
assert not {"triton", "torch", "scipy"} & {*sys.modules} - {*map(str.strip, sys.argv[2:])}
"""


def run_blocked(folder, lines, *allowed):
    command = [sys.executable, "-B", "-c", BLOCKED, str(folder), *allowed]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]


def lay_out(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def test_every_op_and_backend_is_found_where_rocmoe_is_not(tmp_path):
    lines = []
    for backend in sorted({*list_backends()} - {"assembly", "triton"}):
        for op in list_declared() if backend in ("torch", "user") else ("topk_softmax",):
            lay_out(tmp_path, copy_parts(op, backend).files)
            lines.append(f"rocmoe_parts.ops.backends.{backend} {name_op_module(op)} -")
    run_blocked(tmp_path, lines, "scipy", "torch")


def test_harms_are_found_by_their_name(tmp_path):
    lines = []
    for op in list_harmed_ops():
        lay_out(tmp_path, copy_parts(op, "harm").files)
        name = next(iter(load_harms(op)))
        lines.append(f"rocmoe_parts.ops.backends.harm {name_op_module(op)} {name}")
    run_blocked(tmp_path, lines, "scipy", "torch")


def test_triton_kernels_are_found_without_the_simulator(tmp_path):
    pytest.importorskip("triton", reason="no triton to import the kernels with")
    for op in ("topk_softmax", "moe_sorting"):
        parts = copy_parts(op, "triton")
        assert not [path for path in parts.files if "/gcn/" in path]
        assert "triton" in parts.needs
        lay_out(tmp_path, parts.files)
    lines = [
        f"rocmoe_parts.ops.backends.triton {name_op_module(op)} -"
        for op in ("topk_softmax", "moe_sorting")
    ]
    run_blocked(tmp_path, lines, "torch", "triton", "scipy")


def test_nothing_in_the_parts_names_a_module_of_rocmoe():
    for backend in ("harm", "triton", "user"):
        for path, content in copy_parts("moe_sorting", backend).files.items():
            code = re.sub(rb'(?s)""".*?"""|#[^\n]*', b"", content)
            assert not re.search(rb"\brocmoe\b[.](?!toml)|import rocmoe\b", code), path


def test_the_judge_needs_numpy_alone_where_it_draws_no_distribution():
    assert copy_parts("moe_sorting", "user").needs == ("numpy",)
    assert copy_parts("chain_speculative_sampling", "user").needs == ("numpy", "scipy")


def test_a_closure_holds_what_functions_import_and_nothing_for_type_checkers():
    closure = find_closure(["rocmoe.ops.core.inputs", "rocmoe.profiles.examination"])
    assert {"rocmoe.ops.core.inputs", "rocmoe.ops.core", "rocmoe.ops"} <= closure
    assert "rocmoe.profiles.artifact" not in closure
    assert "rocmoe.references.judging.verdict" in closure


def test_foreign_modules_are_told_from_pythons_own():
    source = "import os, numpy.linalg\nfrom . import a\nfrom x.y import z\ndef f():\n import late\n"
    assert list_foreign(source) == {"numpy", "x"}
    assert list_foreign(source, into_functions=True) == {"numpy", "x", "late"}
