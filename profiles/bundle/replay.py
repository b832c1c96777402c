"""Running a bundle with this rocmoe: its inputs, judged by the judge installed here."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rocmoe.ops.backends.assembly import NAME as ASSEMBLY
from rocmoe.ops.backends.user import NAME as USER
from rocmoe.ops.core.backend import list_backends
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.bundle.record import BundleRecord
from rocmoe.profiles.bundle.recording import DRAWS
from rocmoe.profiles.bundle.verification import Bundle, read_bundle
from rocmoe.profiles.job import Job
from rocmoe.profiles.request import make_request
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.validation import (
    OnProgress,
    Planned,
    Settings,
    make_header,
    make_path,
    probe,
    run_jobs,
)

COMMAND = "bundle"


@dataclass(frozen=True)
class Replayed(Planned):
    """One implementation on the inputs in a folder."""

    inputs: str = ""

    def make_job(self, strict: bool) -> Job:
        return msgspec.structs.replace(super().make_job(strict), replay=self.inputs)


def run_bundle(
    path: Path, impl: str | None, device: str | None, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Verify a bundle and judge what it is about on its inputs; the artifact and where it is.

    impl: FILE.py:FUNC, code that the user names; nothing in the bundle is ever run.  device: where,
    if not on the device it was found on.  Raises `RocmoeError` for a bundle that is refused.
    """
    bundle = read_bundle(path)
    record = bundle.record
    selector = _choose_selector(record, impl, path)
    spec = load_op(record.case.op)
    case = spec.check_case(parse_case(record.case.id))
    on = device or str(parse_device(record.device))
    request = make_request(
        [spec.name],
        [] if impl else [selector],
        [impl] if impl else [],
        command=COMMAND,
        device=on,
        suite="smoke",
        cases=[case.id],
        seed=case.seed,
        strict=record.strict,
        guard=record.guard,
    )
    out = settings.out or make_path(COMMAND)
    header = make_header(request, probe(request))
    with tempfile.TemporaryDirectory(prefix="rocmoe-") as folder:
        _lay_out(bundle, Path(folder))
        run = Replayed(spec, case, selector, on, folder, guard=record.guard)
        with Recorder(out, header) as recorder, settings.make_pool(on) as pool:
            artifact = run_jobs(pool, [run], record.strict, recorder, on_progress)
    return artifact, out


def _choose_selector(record: BundleRecord, impl: str | None, path: Path) -> str:
    """What is run: the user's own code where it is named, else what is installed here."""
    if impl is not None:
        return f"{USER}:{impl}"
    if record.backend in (USER, ASSEMBLY):
        function = record.candidate.function if record.candidate else "FUNC"
        raise RocmoeError(
            f"bundle {path} is about code of its own, which is not run unless you name it: unpack "
            f"it, read the file, and give --impl FILE.py:{function}"
        )
    if record.backend not in list_backends():
        raise RocmoeError(f"bundle {path} is about backend {record.backend!r}, unknown here")
    return record.selector


def _lay_out(bundle: Bundle, folder: Path) -> None:
    """The inputs alone, at names of our own."""
    (folder / "inputs").mkdir()
    (folder / DRAWS).write_bytes(bundle.files[DRAWS])
    for path, content in bundle.files.items():
        if path.startswith("inputs/"):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
