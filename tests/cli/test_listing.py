"""`rocmoe list`, `doctor`, `selftest` and `--help` through the real command."""

import json
import subprocess
import sys

import pytest

from rocmoe.ops.core.backend import list_backends
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.harm import load_harms
from rocmoe.ops.core.patterns import list_patterns
from rocmoe.ops.core.spec import list_ops
from rocmoe.profiles.model import list_models


def rows(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ops_models_and_backends(rocmoe):
    assert [row["op"] for row in rows(rocmoe("list", "ops", "--format", "json"))] == list(
        list_ops()
    )
    models = rows(rocmoe("list", "models", "--format", "json"))
    assert [row["model"] for row in models] == list_models()
    assert all(row["ops"] for row in models)
    backends = {
        row["backend"]: row["state"] for row in rows(rocmoe("list", "backends", "--format", "json"))
    }
    assert backends.keys() == set(list_backends())
    assert {backends[name] for name in ("harm", "torch", "user")} == {"available"}


def test_every_pattern_is_described_and_used(call_rocmoe):
    listed = {
        (row["kind"], row["pattern"]): row
        for row in rows(call_rocmoe("list", "patterns", "--format", "json"))
    }
    assert set(listed) == {
        (kind, name) for kind, named in list_patterns().items() for name in named
    }
    assert all(row["what it provokes"] for row in listed.values())
    assert sum(bool(row["source"]) for row in listed.values()) >= 20


def test_cases_can_be_run_again_by_their_word(call_rocmoe):
    listed = rows(
        call_rocmoe("list", "cases", "--op", "moe_sorting", "--suite", "smoke", "--format", "json")
    )
    assert listed
    for row in listed:
        assert parse_case(row["case"]).op == "moe_sorting"
    done = call_rocmoe("validate", "--case", listed[0]["case"])
    assert done.returncode == 0, done.stdout


def test_the_table_and_markdown_forms(call_rocmoe):
    assert call_rocmoe("list", "models").stdout.startswith("model ")
    assert call_rocmoe("list", "models", "--format", "markdown").stdout.startswith("| model")


def test_doctor_names_what_is_missing(rocmoe):
    found = {row["name"]: row for row in rows(rocmoe("doctor", "--format", "json"))}
    assert found["torch"]["status"] == "ok"
    assert {"gpu", "rocprofv3", "aiter", "disk"} <= set(found)
    assert all(row["costs"] for row in found.values())


def test_selftest_prints_what_caught_each_kernel(call_rocmoe):
    done = call_rocmoe("selftest", "moe_align_block_size", "--format", "json")
    trials = json.loads(done.stdout)
    assert done.returncode == 0, trials
    assert {row["kernel"] for row in trials} == set(load_harms("moe_align_block_size"))
    assert all(row["outcome"] == "ok" for row in trials)
    assert all((row["caught by"] != "-") == (row["expected"] == "caught") for row in trials)


@pytest.mark.parametrize("arguments", [["--help"], ["validate", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    """What it would cost: numpy 0.1 s, scipy 0.3 s, torch 2 s."""
    loaded = list_loaded(*arguments)
    assert "typer" in loaded
    assert not loaded & {"numpy", "scipy", "torch", "triton", "rich", "msgspec", "tabulate"}


def test_a_listing_of_all_ops_loads_numpy_alone():
    loaded = list_loaded("list", "ops", "--format", "json")
    assert "numpy" in loaded
    assert not loaded & {"scipy", "torch", "triton", "rich", "tabulate"}


def list_loaded(*arguments):
    """The packages that the program imports."""
    command = [sys.executable, "-X", "importtime", "-m", "rocmoe", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
