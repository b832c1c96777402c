"""Each version of rocprofv3 is found and known, by a stand-in that behaves as it does."""

import os
import subprocess

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.rocprofv3 import list_files
from rocmoe.profiles.profiling.rocprofv3_version import (
    find_absence,
    find_rocprofv3,
    parse_numbers,
)

VERSIONS = ("6.2", "6.4", "7.0", "7.2.4")


@pytest.mark.parametrize(
    ("version", "info", "found"),
    [
        ("6.2", "6.2.1-12", ("0.4.0", "6.2.1")),
        ("6.4", "6.4.3-128", ("0.6.0", "6.4.3")),
        ("7.0", None, ("1.0.0", "7.0")),
        ("7.2.4", "6.1.0", ("1.3.0", "7.2.4")),  # what the tool says counts for more
    ],
)
def test_the_version_is_the_tools_own_or_that_of_its_rocm(stage, version, info, found):
    stage.install(version, info)
    tool = find_rocprofv3(stage.machine)
    assert (tool.version, tool.rocm_version) == found
    assert tool.path == stage.path
    assert ("rocpd" in tool.formats) == (version >= "7")


@pytest.mark.parametrize(("version", "guess"), [("6.2", "6.2"), ("6.4", "6.4")])
def test_without_a_file_of_the_version_the_help_tells_it(stage, version, guess):
    stage.install(version)
    tool = find_rocprofv3(stage.machine)
    assert tool.rocm_version == guess
    assert tool.takes_pmc == (version != "6.2")


def test_versions_compare_as_numbers():
    assert parse_numbers("7.13.0-5") > parse_numbers("7.2.4")
    assert parse_numbers("10.0") > parse_numbers("7.0")
    assert parse_numbers(None) == parse_numbers("unknown") == parse_numbers("0.0.0") == ()


def test_it_is_looked_for_on_path_then_in_rocm_path_then_in_opt_rocm(stage):
    stage.install("7.0")
    others = {name: stage.add_file(f"{name}/bin/rocprofv3", stage.path.read_text())
              for name in ("chosen", "first")}  # fmt: skip
    for path in others.values():
        path.chmod(0o755)
    stage.environ["ROCM_PATH"] = "/nowhere"
    assert find_rocprofv3(stage.machine).path == stage.path
    stage.environ["ROCM_PATH"] = "/chosen"
    assert find_rocprofv3(stage.machine).path == others["chosen"]
    stage.environ["PATH"] = f"{others['first'].parent}:/usr/bin"
    assert find_rocprofv3(stage.machine).path == others["first"]


def test_one_that_is_not_here_is_said_with_where_it_was_looked_for(stage):
    absence = find_absence(stage.machine)
    assert "not on PATH, nor in " in absence
    assert f"{stage.rocm}/bin" in absence
    assert "apt-get install rocprofiler-sdk" in absence
    assert "\n" not in absence


def test_one_that_does_not_work_is_no_older_version(stage):
    stage.install("6.2", STAND_IN_SITUATION="version_broken")
    with pytest.raises(RocmoeError, match=r"does not run: SyntaxError.*\(exit 1\); apt-get"):
        find_rocprofv3(stage.machine)
    stage.environ["STAND_IN_SITUATION"] = ""
    assert find_absence(stage.machine) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_left_to_itself_each_version_writes_what_it_defaults_to(stage, version):
    """Why the format and the place are always named."""
    stage.install(version)
    tool = find_rocprofv3(stage.machine)
    subprocess.run(
        [tool.path, "--kernel-trace", "--", "true"], cwd=stage.root, env=stage.environ,
        capture_output=True, check=True,
    )  # fmt: skip
    found = list_files(stage.root / os.uname().nodename)
    assert set(found) == ({"results.db"} if version >= "7" else {"agent_info", "kernel_trace"})
