"""The records of a bundle, as JSON: what failed and how (bundle.json), and its files (manifest)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import CaseRecord, CheckRecord, Status
from rocmoe.references.judging.verdict import Finding

FORMAT: Final = "rocmoe.bundle"
VERSION = 1

MANIFEST = "manifest.json"
RECORD = "bundle.json"
REPRO = "repro.py"
ISSUE = "ISSUE.md"
ENVIRONMENT = "environment.json"
REQUIREMENTS = "requirements.txt"
DOCKER = "docker.sh"
CANDIDATE = "candidate"


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file's SHA-256, in hexadecimal, and its bytes."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All files of a bundle but this one, by path."""

    format: Literal["rocmoe.bundle"]
    version: int
    name: str
    files: dict[str, FileRecord]


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The user's own code: the copied file, and the function in it."""

    file: str
    function: str


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run came to, as in an artifact."""

    status: Status
    reason: str | None = None
    checks: list[CheckRecord] = []
    findings: list[Finding] = []
    variants: list[str] = []
    kernels: list[str] = []


class BundleRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failure.

    candidate: null where the kernel is a library's or rocmoe's.  reported: as the artifact has it.
    outcome: of the run that the files in `actual` are of; shown: how many of `runs` failed again.
    timeout_s: what a call may take.  op_module: of the copied parts.  guard: as of a request.
    """

    format: Literal["rocmoe.bundle"]
    version: int
    rocmoe: str
    case: CaseRecord
    backend: str
    variant: str
    device: str
    strict: bool
    op_module: str
    reported: Outcome
    outcome: Outcome
    runs: int
    shown: int
    timeout_s: float
    candidate: Candidate | None = None
    guard: bool = True

    @property
    def selector(self) -> str:
        """The backend as it is asked for."""
        return f"{self.backend}:{self.variant}" if self.variant != "default" else self.backend


def make_manifest(name: str, files: Mapping[str, bytes]) -> Manifest:
    """The manifest of files by path."""
    listed = {path: FileRecord(hash_bytes(files[path]), len(files[path])) for path in sorted(files)}
    return Manifest(FORMAT, VERSION, name, listed)


def hash_bytes(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def encode_record(record: msgspec.Struct) -> bytes:
    """A record as indented JSON that ends with a line break."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def decode_manifest(content: bytes) -> Manifest:
    """The manifest in a file; `RocmoeError` where it is none, or of a newer version."""
    try:
        version = msgspec.json.decode(content, type=_Versioned).version
        if version > VERSION:
            raise RocmoeError(f"it has version {version}, newer than {VERSION}; upgrade rocmoe")
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RocmoeError(f"{MANIFEST} is malformed: {error}") from None


def decode_record(content: bytes) -> BundleRecord:
    """The record in a file; `RocmoeError` where it is none."""
    try:
        return msgspec.json.decode(content, type=BundleRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RocmoeError(f"{RECORD} is malformed: {error}") from None


class _Versioned(msgspec.Struct):
    format: Literal["rocmoe.bundle"]
    version: int
