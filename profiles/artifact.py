"""The artifact: what a run writes down, as versioned JSON.

Version history, newest first:
    5   telemetry around each measurement, a record a process; what became of an op in a graph; what
        a profiler told; requests name the backends that were off, and whether limits that a
        library does not check were kept
    4   samples, calls and clocks come a list or figure a process; measurements of a stage of a
        pipeline; what the probe of a flush took; symbols of the kernels that ran; requests name
        models, tokens and how thoroughly is measured
    3   measurements have floors with samples, calls and a reason, and may be refused; results name
        the kernel variants that ran; requests name timers and cache states
    2   findings say where a simulator saw them: where, place; counts of simulated runs
    1   first version
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.environment import Environment
from rocmoe.profiles.graphs.record import GraphRecord
from rocmoe.profiles.isa_record import IsaRecord
from rocmoe.profiles.profiling.record import ProfileRecord
from rocmoe.profiles.telemetry.reading import Telemetry
from rocmoe.references.judging.verdict import Check, Finding, Verdict

FORMAT: Final = "rocmoe.artifact"
VERSION = 5

Status = Literal["pass", "fail", "error", "crash", "timeout", "refused", "unavailable"]
Timer = Literal["graph", "events", "kernel", "wall"]
Cache = Literal["cold", "warm"]
#: In the order in which they are shown.
CACHES: Final[tuple[Cache, ...]] = ("warm", "cold")
MeasurementStatus = Literal["ok", "unverified", "throttled", "invalid", "refused"]


def _give_floors_samples(document: dict[str, Any]) -> dict[str, Any]:
    """Version 2 kept one figure a floor, and did not say how many calls a sample was."""
    for result in document.get("results", ()):
        for measurement in result.get("measurements") or ():
            floors = measurement["floors"]
            measurement["calls"] = 1
            measurement["floors"] = {
                name: {"samples_us": [us], "calls": 1} for name, us in floors.items()
            }
    return document


def _group_by_process(document: dict[str, Any]) -> dict[str, Any]:
    """Version 3 knew one process."""
    for result in document.get("results", ()):
        for measurement in result.get("measurements") or ():
            for timed in (measurement, *measurement.get("floors", {}).values()):
                samples = timed["samples_us"]
                timed["samples_us"] = [samples] if samples else []
                timed["calls"] = [timed["calls"]] if samples else []
            clocks = measurement.get("clocks", {})
            measurement["clocks"] = {name: [mhz] for name, mhz in clocks.items()}
    return document


#: Upgrades by the version they start from; each gives a document of the next version.
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda document: document,  # what is new is optional
    2: _give_floors_samples,
    3: _group_by_process,
    4: lambda document: document,  # what is new is optional, and no graph was recorded yet
}


class CaseRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case, spelled out, with why it proves little, if it does."""

    id: str
    op: str
    sizes: dict[str, int]
    dtype: str
    params: dict[str, Value]
    pattern: str
    layout: str
    seed: int
    degenerate: str | None = None
    out_of_contract: str | None = None


class CheckRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A check; `observed` is error / limit where `limit` is 1, else a number of wrong elements.

    `ok` is null where the property could not be checked.
    """

    name: str
    ok: bool | None
    observed: float | Literal["inf"]
    limit: float
    detail: str = ""


class Floor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the least work takes, by the timer and in the cache state of the measurement beside it.

    samples_us, calls: as of the measurement.  variant: the launch parameters of the kernel, of
    which the fastest counts.
    """

    samples_us: list[list[float]]
    calls: list[int]
    variant: str = ""
    bytes_read: int = 0
    bytes_written: int = 0


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times of one result; raw samples are kept, statistics are derived from them.

    samples_us: microseconds a call, a list a process, each sample the mean of that process's
    `calls` calls; none where the status is refused.  reason: why the status is not ok.  floors: by
    name, `stream` and `empty`, where the device has them.  clocks: MHz `before` and `after`, where
    they can be read, one a process.  stage: of a pipeline, empty for the whole.  flush_probe_us: by
    process what reading some memory took that is `cached`, `flushed` and surely in `memory`.
    telemetry: of the GPU around the process's samples (a program as the source: around all of the
    case's), one a process.
    """

    timer: Timer
    cache: Cache
    status: MeasurementStatus
    samples_us: list[list[float]]
    calls: list[int]
    floors: dict[str, Floor] = {}
    clocks: dict[str, list[float]] = {}
    reason: str | None = None
    stage: str = ""
    flush_probe_us: dict[str, list[float]] = {}
    telemetry: list[Telemetry] = []


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one implementation did on one case.

    variants: of its kernels that ran in the first call, with their launch parameters.  kernels: the
    symbols of what a call ran on the device, by its profiler, in order.
    """

    case: CaseRecord
    backend: str
    variant: str
    device: str
    status: Status
    reason: str | None = None
    checks: list[CheckRecord] = []
    findings: list[Finding] = []
    seconds: float = 0.0
    measurements: list[Measurement] | None = None
    counts: dict[str, float] | None = None
    isa: list[IsaRecord] | None = None
    graph: GraphRecord | None = None
    profile: ProfileRecord | None = None
    variants: list[str] = []
    kernels: list[str] = []

    @property
    def selector(self) -> str:
        """The backend as it is asked for: `torch`, `user:FILE.py:FUNC`."""
        return f"{self.backend}:{self.variant}" if self.variant != "default" else self.backend

    @property
    def error_ratio(self) -> float | None:
        """The largest error / limit of the bounded checks, None where there is none."""
        ratios = [float(check.observed) for check in self.checks if check.limit == 1.0]
        return max(ratios) if ratios else None


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for; a run is resumed only by the same request.

    models: names of those whose shapes the cases are.  tokens: that were asked for.  effort: quick,
    default or rigorous, of what is timed.  disabled: backends turned off.  guard: whether cases are
    refused that a library would answer wrongly without a word.
    """

    command: str
    ops: list[str]
    backends: list[str]
    device: str | None
    suite: str
    cases: list[str]
    seed: int
    strict: bool
    timers: list[str] = []
    caches: list[str] = []
    models: list[str] = []
    tokens: list[int] = []
    effort: str = ""
    disabled: list[str] = []
    guard: bool = True

    @property
    def simulates_briefly(self) -> bool:
        """Whether a simulator that nobody asked for runs the smoke suite instead of a longer one.

        A request that narrows nothing down would compile and simulate for many minutes.
        """
        named = self.backends or self.device or self.cases or self.models or len(self.ops) == 1
        return not named and self.suite != "smoke"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything of an artifact but its results; the first line of a stream."""

    format: Literal["rocmoe.artifact"]
    version: int
    created: str
    request: Request
    environment: Environment


class Artifact(Header, frozen=True, forbid_unknown_fields=True):
    """One run.  `complete` is false where it was interrupted."""

    complete: bool
    results: list[Result]


def record_case(spec: OpSpec, case: Case) -> CaseRecord:
    """The record of a case of an op."""
    return CaseRecord(
        id=case.id,
        op=case.op,
        sizes=dict(case.sizes),
        dtype=case.dtype,
        params=dict(case.params),
        pattern=case.pattern,
        layout=case.layout,
        seed=case.seed,
        degenerate=spec.degenerate(case),
        out_of_contract=spec.out_of_contract(case),
    )


def record_checks(verdict: Verdict) -> list[CheckRecord]:
    """The records of a verdict's checks."""
    return [_record_check(check) for check in verdict.checks]


def _record_check(check: Check) -> CheckRecord:
    observed: float | Literal["inf"] = check.observed if math.isfinite(check.observed) else "inf"
    return CheckRecord(check.name, check.ok, observed, check.limit, check.detail)


def write_artifact(artifact: Artifact, path: Path) -> None:
    """Write an artifact, a line a result, whole or not at all: temporary file, fsync, rename."""
    head = msgspec.json.encode(msgspec.structs.replace(artifact, results=[])).removesuffix(b"]}")
    results = b",\n".join(msgspec.json.encode(result) for result in artifact.results)
    write_atomically(path, head + b"\n" + results + b"\n]}\n")


def check_writable(path: Path, option: str) -> None:
    """Raise `RocmoeError` where a file that is to be written at the end of a run cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if path.exists() and not path.is_file():
            raise OSError(22, "it is no regular file, and would be replaced by one")
    except OSError as error:
        raise RocmoeError(f"{option} {path} cannot be written: {error.strerror}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step; raises `OSError` and leaves no half of it.

    A symbolic link stays one: the file it points to is replaced.
    """
    path = path.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_artifact(path: Path) -> Artifact:
    """The artifact in a file, upgraded to this version.

    Raises `RocmoeError` for a file that is missing, not JSON, not an artifact, newer than this
    version, or malformed, naming the place.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise RocmoeError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise RocmoeError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RocmoeError(f"{path} is not a rocmoe artifact; wanted format {FORMAT!r}")
    try:
        return msgspec.convert(upgrade(document, str(path)), Artifact)
    except msgspec.ValidationError as error:
        raise RocmoeError(f"{path} is malformed: {error}") from None


def upgrade(
    document: dict[str, Any],
    name: str,
    upgrades: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = UPGRADES,
    version: int = VERSION,
) -> dict[str, Any]:
    """A document brought to `version`, one step at a time; `RocmoeError` where that cannot be."""
    found = document.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise RocmoeError(f"{name}: version is {found!r}, wanted a whole number from 1 on")
    if found > version:
        raise RocmoeError(
            f"{name} has version {found}, newer than {version}, the newest this rocmoe reads; "
            "upgrade rocmoe"
        )
    for step in range(found, version):
        document = {**upgrades[step](document), "version": step + 1}
    return document


def make_schema() -> dict[str, Any]:
    """The JSON Schema of an artifact of this version."""
    return msgspec.json.schema(Artifact)
