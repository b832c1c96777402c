import json
import os
from pathlib import Path

import jsonschema
import msgspec
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles import artifact as artifacts
from rocmoe.profiles.artifact import (
    VERSION,
    Artifact,
    Floor,
    make_schema,
    read_artifact,
    upgrade,
    write_artifact,
    write_atomically,
)

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "artifacts"
SCHEMA = ROOT / "profiles" / "schema" / f"artifact.v{VERSION}.json"


def test_the_shipped_schema_is_that_of_the_code():
    assert json.loads(SCHEMA.read_text()) == make_schema()


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_every_version_is_kept_and_still_read(version, tmp_path):
    artifact = read_artifact(KEPT / f"v{version}.json")
    assert artifact.version == VERSION
    assert {result.status for result in artifact.results} >= {"pass", "fail", "crash", "refused"}
    write_artifact(artifact, tmp_path / "again.json")
    assert read_artifact(tmp_path / "again.json") == artifact


def test_what_is_written_follows_the_schema(tmp_path):
    write_artifact(read_artifact(KEPT / f"v{VERSION}.json"), tmp_path / "new.json")
    jsonschema.validate(json.loads((tmp_path / "new.json").read_text()), make_schema())


def test_upgrades_go_one_step_at_a_time():
    steps = {
        1: lambda document: {**document, "steps": ["1 to 2"]},
        2: lambda document: {**document, "steps": [*document["steps"], "2 to 3"]},
    }
    upgraded = upgrade({"version": 1}, "x.json", steps, 3)
    assert upgraded == {"version": 3, "steps": ["1 to 2", "2 to 3"]}
    assert upgrade({"version": 2, "steps": []}, "x.json", steps, 3)["steps"] == ["2 to 3"]


def test_floors_of_version_2_become_samples():
    document = json.loads((KEPT / "v2.json").read_text())
    measurement = {"timer": "graph", "cache": "warm", "status": "ok", "samples_us": [2.0, 3.0],
                   "floors": {"stream": 1.5}, "clocks": {}}  # fmt: skip
    document["results"][0]["measurements"] = [measurement]
    (read,) = msgspec.convert(upgrade(document, "x.json"), Artifact).results[0].measurements
    assert (read.samples_us, read.calls) == ([[2.0, 3.0]], [1])
    assert read.floors == {"stream": Floor([[1.5]], [1])}


def test_samples_and_clocks_of_version_3_are_those_of_one_process():
    before = json.loads((KEPT / "v3.json").read_text())
    after = read_artifact(KEPT / "v3.json")
    for old, new in zip(before["results"], after.results, strict=True):
        for was, now in zip(old["measurements"] or (), new.measurements or (), strict=True):
            assert now.samples_us == ([was["samples_us"]] if was["samples_us"] else [])
            assert now.calls == ([was["calls"]] if was["samples_us"] else [])
            assert now.clocks == {name: [mhz] for name, mhz in was["clocks"].items()}
            for name, floor in now.floors.items():
                assert floor.samples_us == [was["floors"][name]["samples_us"]]


@pytest.mark.parametrize("version", [3, VERSION])
def test_measurements_are_kept(version):
    artifact = read_artifact(KEPT / f"v{version}.json")
    timed = [result for result in artifact.results if result.measurements]
    assert {result.status for result in timed} == {"pass", "fail"}
    statuses = {each.status for result in timed for each in result.measurements}
    assert statuses == {"ok", "unverified", "invalid"}
    assert artifact.request.caches == ["warm", "cold"]


def test_there_is_an_upgrade_from_every_old_version():
    assert set(artifacts.UPGRADES) == set(range(1, VERSION))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[]", "is not a rocmoe artifact; wanted format 'rocmoe.artifact'"),
        ('{"format": "other"}', "is not a rocmoe artifact"),
        ('{"format": "rocmoe.artifact"}', "version is None, wanted a whole number"),
        ('{"format": "rocmoe.artifact", "version": true}', "version is True"),
        ('{"format": "rocmoe.artifact", "version": 99}', "has version 99, newer than"),
        ('{"format": "rocmoe.artifact", "version": 1}', "is malformed: .*missing required field"),
    ],
)
def test_what_is_no_artifact_is_named(content, said, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RocmoeError, match=said):
        read_artifact(path)


def test_an_unknown_status_is_refused_with_its_place(tmp_path):
    document = json.loads((KEPT / "v1.json").read_text())
    document["results"][0]["status"] = "fine"
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(RocmoeError, match=r"Invalid enum value 'fine'.*results.*status"):
        read_artifact(tmp_path / "a.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_infinite_errors_survive_json():
    record = artifacts.CheckRecord("weights", False, "inf", 1.0)
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record
