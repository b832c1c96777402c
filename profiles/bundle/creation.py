"""Making a bundle: the failing case once more, and everything about it in files."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from rocmoe import __version__
from rocmoe.ops.backends.assembly import NAME as ASSEMBLY
from rocmoe.ops.backends.user import NAME as USER
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.address import find_result, name_result
from rocmoe.profiles.artifact import Artifact, Result
from rocmoe.profiles.bundle import record as names
from rocmoe.profiles.bundle.archive import SUFFIX, check_bounds, pack
from rocmoe.profiles.bundle.candidate import Copied, copy_candidate
from rocmoe.profiles.bundle.issue import write_docker_command, write_issue
from rocmoe.profiles.bundle.parts import Parts, copy_parts, name_op_module
from rocmoe.profiles.bundle.privacy import Scrubber, make_scrubber
from rocmoe.profiles.bundle.record import BundleRecord, Outcome, encode_record, make_manifest
from rocmoe.profiles.bundle.recording import CALL
from rocmoe.profiles.bundle.verification import TENSORS, check_tensors, verify
from rocmoe.profiles.environment import PEERS, Environment
from rocmoe.profiles.job import Job, Probe, Reply
from rocmoe.profiles.outcome import BAD, Exit
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.sanitize import ORDER_MARK

FOLDER = Path("rocmoe-bundles")
#: What repro.py imports itself, and what its parts import where they are used.
NEEDED = ("torch", "numpy", "safetensors")


@dataclass(frozen=True)
class Created:
    """A bundle that was written."""

    folder: Path
    archive: Path
    record: BundleRecord
    files: Mapping[str, bytes]
    imports_rocmoe: bool

    @property
    def exit(self) -> Exit:
        """Inconclusive where the failure did not show again."""
        return Exit.PASSED if self.record.shown else Exit.INCONCLUSIVE


def create_bundle(address: str, out: Path | None, runs: int, timeout: float) -> Created:
    """Run the result at an address again and write it as a bundle: a folder, and its archive.

    Raises `RocmoeError` for a result that cannot be bundled, `OSError` where the disk fails.
    """
    _, artifact, result = find_result(address)
    _check_bundled(result)
    spec = load_op(result.case.op)
    spec.check_case(parse_case(result.case.id))
    name = _name_bundle(result)
    folder = out or FOLDER / name
    _check_free(folder)
    copied = copy_candidate(result.variant) if result.backend == USER else None
    parts = copy_parts(result.case.op, result.backend)
    with tempfile.TemporaryDirectory(prefix="rocmoe-") as scratch:
        places = [Path(scratch, str(number)) for number in range(runs)]
        environment, replies = _run_again(artifact, result, places, timeout)
        shown = [number for number, reply in enumerate(replies) if reply.status in BAD]
        chosen = shown[0] if shown else 0
        recorded = _read_files(places[chosen])
    scrubber = make_scrubber()
    record = _make_record(artifact, result, replies, chosen, copied, timeout, scrubber)
    environment = scrubber.clean_environment(environment)
    files = _gather(record, environment, name, parts, copied, recorded)
    files[names.MANIFEST] = encode_record(make_manifest(name, files))
    check_bounds(files)
    verify(files)
    archive = _write(folder, name, files)
    return Created(folder, archive, record, files, bool(copied and "rocmoe" in copied.needs))


def _check_bundled(result: Result) -> None:
    """Raise `RocmoeError` for a result that no bundle can be made of."""
    where = name_result(result)
    if result.status not in BAD:
        raise RocmoeError(f"{where} is {result.status}; wanted a result that failed")
    if result.backend == ASSEMBLY:
        raise RocmoeError(
            f"{where} is of a launch file, which takes the simulator to run; send the file and its "
            "code, with the line of rocmoe sanitize"
        )
    if ORDER_MARK in result.variant:
        raise RocmoeError(
            f"{where} is of rocmoe sanitize, whose orders of waves no GPU can be told; bundle what "
            f"rocmoe validate --device {result.device} --case {result.case.id} finds"
        )


def _name_bundle(result: Result) -> str:
    """The op and backend, and a word that tells its case and variant from others."""
    word = zlib.crc32(f"{name_result(result)} {result.device}".encode())
    return f"{result.case.op}-{result.backend}-{word:08x}"


def _check_free(folder: Path) -> None:
    for place in (folder, _name_archive(folder)):
        if place.exists() or place.is_symlink():
            raise RocmoeError(f"{place} is there already; remove it, or name another by --out")


def _name_archive(folder: Path) -> Path:
    return folder.with_name(folder.name + SUFFIX)


def _run_again(
    artifact: Artifact, result: Result, places: list[Path], timeout: float
) -> tuple[Environment, list[Reply]]:
    """The environment here, and a reply for each of some folders to record into."""
    on_gpu = parse_device(result.device).kind == "gpu"
    asked = artifact.request
    replies: list[Reply] = []
    with Pool(1, timeout, limit_memory=not on_gpu) as pool:
        probed = pool.probe(Probe([(result.case.op, result.selector)]))
        if probed.errors:
            raise RocmoeError(probed.errors[0])
        for place in places:
            place.mkdir()
            job = Job(
                result.case.id,
                result.selector,
                result.device,
                asked.strict,
                record=str(place),
                guard=asked.guard,
            )
            pool.run([job], lambda index, reply: replies.append(reply))
            if replies[-1].status in ("refused", "unavailable"):
                raise RocmoeError(f"{name_result(result)} does not run here: {replies[-1].reason}")
            if replies[-1].status == "timeout":  # a hang is not waited for again
                break
    return probed.environment, replies


def _read_files(place: Path) -> dict[str, bytes]:
    """What a worker wrote; all but what it was writing when it died."""
    files = {}
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        inside, content = path.relative_to(place).as_posix(), path.read_bytes()
        with suppress(RocmoeError):
            if inside.endswith(TENSORS):
                check_tensors(inside, content)
            files[inside] = content
    return files


def _make_record(
    artifact: Artifact,
    result: Result,
    replies: list[Reply],
    chosen: int,
    copied: Copied | None,
    timeout: float,
    scrubber: Scrubber,
) -> BundleRecord:
    variant = result.variant
    if copied is not None:
        variant = f"{copied.candidate.file}:{copied.candidate.function}"
    return BundleRecord(
        format=names.FORMAT,
        version=names.VERSION,
        rocmoe=__version__,
        case=result.case,
        backend=result.backend,
        variant=variant,
        device=result.device,
        strict=artifact.request.strict,
        op_module=name_op_module(result.case.op),
        reported=_make_outcome(result, scrubber),
        outcome=_make_outcome(replies[chosen], scrubber),
        runs=len(replies),
        shown=sum(reply.status in BAD for reply in replies),
        timeout_s=timeout,
        candidate=copied.candidate if copied else None,
        guard=artifact.request.guard,
    )


def _make_outcome(found: Result | Reply, scrubber: Scrubber) -> Outcome:
    """What a result or a reply says, without what tells of this machine."""
    record = {name: getattr(found, name) for name in Outcome.__struct_fields__}
    return msgspec.convert(scrubber.clean_all(msgspec.to_builtins(record)), Outcome)


def _gather(
    record: BundleRecord,
    environment: Environment,
    name: str,
    parts: Parts,
    copied: Copied | None,
    recorded: Mapping[str, bytes],
) -> dict[str, bytes]:
    """All files but the manifest."""
    needs = dict.fromkeys([*NEEDED, *parts.needs, *(copied.needs if copied else ())])
    if record.backend in PEERS:
        needs[record.backend] = None
    call = recorded.get(CALL, b"").decode()
    repro = find_spec("rocmoe.profiles.bundle.repro")
    assert repro is not None
    assert repro.origin is not None
    return {
        **parts.files,
        **(copied.files if copied else {}),
        **recorded,
        names.RECORD: encode_record(record),
        names.REPRO: Path(repro.origin).read_bytes(),
        names.ENVIRONMENT: encode_record(environment),
        names.REQUIREMENTS: _write_requirements(list(needs), environment).encode(),
        names.DOCKER: f"#!/bin/sh\n{write_docker_command(record)}\n".encode(),
        names.ISSUE: write_issue(record, environment, f"{name}{SUFFIX}", call).encode(),
    }


def _write_requirements(needs: list[str], environment: Environment) -> str:
    """A line a distribution; torch and Triton, of which any build will do, are left as they are."""
    versions = {**msgspec.structs.asdict(environment), **environment.libraries}
    lines = [f"# Python {environment.python}; versions are those it was found with"]
    for module in needs:
        version = versions.get(module)
        note = f"  # {version}" if version else ""
        name = PEERS[module][0] if module in PEERS else module
        kept = "# of the image or the machine: " if module in ("torch", "triton", *PEERS) else ""
        lines.append(f"{kept}{name}{note}")
    return "\n".join(lines) + "\n"


def _write(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """The folder and its archive, each whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    archive = _name_archive(folder)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for path, content in files.items():
            place = made / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        packed = made / f".{name}{SUFFIX}"
        packed.write_bytes(pack(name, files))
        os.replace(packed, archive)
        made.chmod(0o755)
        os.replace(made, folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return archive
