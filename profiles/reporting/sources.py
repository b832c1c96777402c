"""What a report is of: runs, two of them against each other, and what others measured besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Artifact, Measurement, Result, read_artifact
from rocmoe.profiles.bundle.privacy import Scrubber, make_scrubber
from rocmoe.profiles.comparing.diff import Diff, Side, make_diff, make_gate
from rocmoe.profiles.reporting.accuracy import Score, read_scores
from rocmoe.profiles.reporting.serving import ServingRun, read_serving


@dataclass(frozen=True)
class Run:
    """An artifact, and what it is called: the name of its file without the suffix."""

    name: str
    artifact: Artifact


def list_timed(runs: Sequence[Run]) -> list[Run]:
    """The runs whose times are to be drawn, the newest last: those of `rocmoe graph` are of one
    process and a few sizes, and stand for themselves only where nothing else was timed."""
    ordered = sorted(runs, key=lambda run: run.artifact.created)
    benches = [run for run in ordered if run.artifact.request.command != "graph"]
    timed = any(result.measurements for run in benches for result in run.artifact.results)
    return benches if timed else ordered


@dataclass(frozen=True)
class Pair:
    """The files of something before and after a change; both or none."""

    option: str
    before: Path | None = None
    after: Path | None = None

    @property
    def files(self) -> tuple[Path, Path] | None:
        """Both; None where neither is given.  Raises `RocmoeError` where one is missing."""
        if self.before is None and self.after is None:
            return None
        if self.before is None or self.after is None:
            given, missing = ("before", "after") if self.after is None else ("after", "before")
            raise RocmoeError(f"--{self.option}{given} is given without --{self.option}{missing}")
        return self.before, self.after


@dataclass(frozen=True)
class Sources:
    """All that a report may be of.

    diff: of the two runs before and after.  serving, scores: before and after, or None.
    """

    runs: tuple[Run, ...]
    diff: Diff | None = None
    serving: tuple[Sequence[ServingRun], Sequence[ServingRun]] | None = None
    scores: tuple[Sequence[Score], Sequence[Score]] | None = None


@dataclass(frozen=True)
class Files:
    """The files of a report, as they were given.  allow: differences of the two runs that are let
    pass, as of `rocmoe diff`, with commas in between."""

    artifacts: Sequence[Path] = ()
    runs: Pair = field(default_factory=lambda: Pair(""))
    serving: Pair = field(default_factory=lambda: Pair("serving-"))
    accuracy: Pair = field(default_factory=lambda: Pair("accuracy-"))
    allow: str | None = None


def read_sources(files: Files) -> Sources:
    """What is in the files.  Folders of files, names of users and hosts, and secrets are left out,
    as reports are made to be posted.

    Without artifacts the run after a change is the one reported.  Raises `RocmoeError` for a file
    that cannot be read, half a pair, and nothing at all.
    """
    pairs = files.runs.files, files.serving.files, files.accuracy.files
    if files.allow is not None and not pairs[0]:
        raise RocmoeError("--allow is of what is compared: give --before and --after too")
    if not files.artifacts and not any(pairs):
        raise RocmoeError(
            "nothing to report: give artifacts, or files --before and --after a change"
        )
    both, serving, accuracy = pairs
    compared = [read_run(path) for path in both] if both else []
    runs = name_runs(files.artifacts, [read_run(path) for path in files.artifacts])
    return Sources(
        runs or (tuple(name_runs([both[1]], compared[1:])) if both else ()),
        _compare(both, compared, files.allow) if both else None,
        (read_serving(serving[0]), read_serving(serving[1])) if serving else None,
        (read_scores(accuracy[0]), read_scores(accuracy[1])) if accuracy else None,
    )


def read_run(path: Path) -> Artifact:
    """The artifact in a file, without what tells of a person; raises as `read_artifact`."""
    return clean_artifact(read_artifact(path), make_scrubber())


def name_runs(paths: Sequence[Path], artifacts: Sequence[Artifact]) -> tuple[Run, ...]:
    """Runs by the names of their files; a name that several have is numbered."""
    names: list[str] = []
    for stem in (path.stem for path in paths):
        taken = sum(name == stem or name.startswith(f"{stem} (") for name in names)
        names.append(f"{stem} ({taken + 1})" if taken else stem)
    return tuple(map(Run, names, artifacts))


def _compare(paths: Sequence[Path], artifacts: Sequence[Artifact], allow: str | None) -> Diff:
    """By the gate's defaults; folders of files are left out, so that a function is the same one
    wherever its file lay."""
    gate = make_gate(None, allow, allow_missing=False, count_tolerance=0.5)
    sides = [
        Side(path.name, Path(path.name), artifact, artifact.results)
        for path, artifact in zip(paths, artifacts, strict=True)
    ]
    return make_diff(sides[0], sides[1], gate)


def clean_artifact(artifact: Artifact, scrubber: Scrubber) -> Artifact:
    """An artifact whose texts name no folder, user or host; cases are left as they are."""
    request = artifact.request
    return msgspec.structs.replace(
        artifact,
        request=msgspec.structs.replace(
            request,
            ops=[_clean(scrubber, each) for each in request.ops],
            backends=[_clean(scrubber, each) for each in request.backends],
            models=[_clean(scrubber, each) for each in request.models],
        ),
        environment=scrubber.clean_environment(artifact.environment),
        results=[_clean_result(each, scrubber) for each in artifact.results],
    )


def _clean_result(result: Result, scrubber: Scrubber) -> Result:
    """Its samples are left out of what is walked through, being most of it and no text."""
    bare = msgspec.to_builtins(msgspec.structs.replace(result, measurements=None))
    case = bare.pop("case")
    cleaned = {name: _clean_all(scrubber, value) for name, value in bare.items()}
    taken = result.measurements
    return msgspec.structs.replace(
        msgspec.convert({"case": case, **cleaned}, Result),
        measurements=taken and [_clean_measurement(each, scrubber) for each in taken],
    )


def _clean_measurement(measurement: Measurement, scrubber: Scrubber) -> Measurement:
    reason = measurement.reason
    return msgspec.structs.replace(measurement, reason=reason and _clean(scrubber, reason))


def _clean_all(scrubber: Scrubber, value: object) -> object:
    """As `Scrubber.clean_all`, but with texts remembered, which thousands of results share."""
    if isinstance(value, str):
        return _clean(scrubber, value)
    if isinstance(value, list):
        return [_clean_all(scrubber, each) for each in value]
    if isinstance(value, dict):
        return {name: _clean_all(scrubber, each) for name, each in value.items()}
    return value


@cache
def _clean(scrubber: Scrubber, text: str) -> str:
    return scrubber.clean(text)
