"""What a report is read from: pairs of files, names of runs, and nothing that tells of a person."""

from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import write_artifact
from rocmoe.profiles.bundle.privacy import make_scrubber
from rocmoe.profiles.reporting.sources import (
    Files,
    Pair,
    clean_artifact,
    name_runs,
    read_sources,
)

ROOT = Path(__file__).parents[3]


def test_folders_users_and_secrets_are_left_out_and_cases_stay(make_artifact, make_result):
    result = make_result(
        64, "user:/home/alice/mine.py:f", 4.0, reason="in /home/alice/x.py by alice",
        variants=["token hunter2x"],
    )  # fmt: skip
    artifact = make_artifact(result, backends=["user:/home/alice/mine.py:f"])
    environment = msgspec.structs.replace(
        artifact.environment, variables={"TRITON_CACHE_DIR": "/home/alice/.triton"}
    )
    artifact = msgspec.structs.replace(artifact, environment=environment)
    scrubber = make_scrubber({"USER": "alice", "HF_TOKEN": "hunter2x", "HOME": "/home/alice"})
    cleaned = clean_artifact(artifact, scrubber)
    assert b"alice" not in msgspec.json.encode(cleaned)
    assert b"hunter2x" not in msgspec.json.encode(cleaned)
    assert cleaned.results[0].selector == cleaned.request.backends[0]
    assert cleaned.results[0].selector.endswith("mine.py:f")
    assert cleaned.results[0].case == result.case
    assert cleaned.results[0].measurements == result.measurements


def test_runs_of_the_same_name_are_numbered(make_artifact, make_result):
    artifact = make_artifact(make_result(1))
    paths = [Path("a/run.json"), Path("b/run.json"), Path("c.json"), Path("d/run.json")]
    assert [run.name for run in name_runs(paths, [artifact] * 4)] == [
        "run", "run (2)", "c", "run (3)",
    ]  # fmt: skip


def test_without_artifacts_the_run_after_a_change_is_reported(tmp_path, make_artifact, make_result):
    for name, us, folder in (("old", 8.0, "/a"), ("new", 4.0, "/b")):
        result = make_result(64, f"user:{folder}/mine.py:f", us)
        write_artifact(make_artifact(result), tmp_path / f"{name}.json")
    pair = Pair("", tmp_path / "old.json", tmp_path / "new.json")
    sources = read_sources(Files(runs=pair))
    assert [run.name for run in sources.runs] == ["new"]
    # The same function, wherever its file lay.
    assert [c.verdict for c in sources.diff.changes if c.dimension == "slower"] == ["FASTER"]
    assert sources.diff.base == "old.json"


def test_half_a_pair_and_nothing_at_all_are_refused():
    with pytest.raises(RocmoeError, match="nothing to report: give artifacts"):
        read_sources(Files())
    files = Files(serving=Pair("serving-", after=Path("x")))
    with pytest.raises(RocmoeError, match="--serving-after is given without --serving-before"):
        read_sources(files)


def test_what_differs_is_let_pass_by_its_word(tmp_path):
    folder = ROOT / "docs" / "artifacts" / "noise" / "1"
    pair = Pair("", folder / "spin-0.json", folder / "slow-0.json")

    def compare(allow):
        changes = read_sources(Files(runs=pair, allow=allow)).diff.changes
        return {change.verdict for change in changes if change.dimension == "slower"}

    assert compare(None) == set()
    assert "SLOWER" in compare("variables")
    with pytest.raises(RocmoeError, match=r"unknown .*'variable'; nearest: variables"):
        compare("variable")
    with pytest.raises(RocmoeError, match="--allow is of what is compared: give --before"):
        read_sources(Files([folder / "spin-0.json"], allow="variables"))
