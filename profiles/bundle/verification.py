"""Whether a bundle is what its manifest says, before anything in it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bundle import record as names
from rocmoe.profiles.bundle.archive import read_folder, unpack
from rocmoe.profiles.bundle.parts import PACKAGE
from rocmoe.profiles.bundle.record import (
    BundleRecord,
    Manifest,
    decode_manifest,
    decode_record,
    hash_bytes,
)
from rocmoe.profiles.bundle.recording import CALL, DRAWS, FOLDERS

#: What a bundle may hold beside its folders.
FILES = (
    *(names.RECORD, names.REPRO, names.ISSUE, names.ENVIRONMENT, names.REQUIREMENTS, names.DOCKER),
    *(DRAWS, CALL),
)
TENSORS = ".safetensors"
#: Of a safetensors file; one tensor takes some 80 bytes.
MOST_HEADER_BYTES = 1 << 16
MOST_RECORD_BYTES = 1 << 22
ITEM_BYTES: Mapping[str, int] = {
    dtype: size
    for size, dtypes in {
        1: ("BOOL", "U8", "I8"),
        2: ("I16", "F16", "BF16"),
        4: ("I32", "F32"),
        8: ("I64", "F64"),
    }.items()
    for dtype in dtypes
}


@dataclass(frozen=True)
class Bundle:
    """A bundle that was verified; files: all but the manifest, by path."""

    manifest: Manifest
    record: BundleRecord
    files: Mapping[str, bytes]


def read_bundle(path: Path) -> Bundle:
    """The bundle in an archive or a folder, verified.

    Raises `RocmoeError` for one that cannot be read, holds anything strange, or is not what its
    manifest says.  Nothing in it is run, unpickled or written to disk.
    """
    try:
        if path.exists() and not (path.is_dir() or path.is_file()):
            raise RocmoeError("it is neither a file nor a folder")
        files = read_folder(path) if path.is_dir() else unpack(path)
        return verify(files)
    except OSError as error:
        raise RocmoeError(f"bundle {path} cannot be read: {error.strerror}") from None
    except RocmoeError as error:
        raise RocmoeError(f"bundle {path} is refused: {error}") from None


def verify(files: Mapping[str, bytes]) -> Bundle:
    """The bundle that files make up; `RocmoeError` for what does not fit."""
    files = dict(files)
    if names.MANIFEST not in files:
        raise RocmoeError(f"it has no {names.MANIFEST}")
    _check_size(names.MANIFEST, files)
    manifest = decode_manifest(files.pop(names.MANIFEST))
    if extra := sorted(set(files) - set(manifest.files)):
        raise RocmoeError(f"{extra[0]!r} is not in its manifest")
    for path, listed in manifest.files.items():
        if path not in files:
            raise RocmoeError(f"{path!r} of its manifest is missing")
        if len(files[path]) != listed.size or hash_bytes(files[path]) != listed.sha256:
            raise RocmoeError(f"{path!r} is not the file of its manifest: another SHA-256")
    for path, content in files.items():
        _check_place(path)
        if path.endswith(TENSORS):
            check_tensors(path, content)
    for path in (names.RECORD, DRAWS):
        if path not in files:
            raise RocmoeError(f"it has no {path}")
        _check_size(path, files)
    record = decode_record(files[names.RECORD])
    _check_record(record)
    return Bundle(manifest, record, files)


def check_tensors(path: str, content: bytes) -> None:
    """Raise `RocmoeError` where a file is not tensors in a row, as safetensors are."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise RocmoeError(f"{path!r} is no safetensors file")
    if length > MOST_HEADER_BYTES:
        raise RocmoeError(f"{path!r} has a header of {length} bytes; at most {MOST_HEADER_BYTES}")
    try:
        header = json.loads(content[8 : 8 + length])
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        spans = sorted((*each["data_offsets"], _count_bytes(each)) for each in tensors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RocmoeError(f"{path!r} is no safetensors file: its header is malformed") from None
    place = 0
    for begin, end, size in spans:
        if begin != place or end - begin != size:
            raise RocmoeError(f"{path!r} has tensors that do not lie one behind the other")
        place = end
    if place != len(content) - 8 - length:
        raise RocmoeError(f"{path!r} holds more than its tensors")


def _count_bytes(tensor: Mapping[str, object]) -> int:
    shape = tensor["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError
    return math.prod(shape) * ITEM_BYTES[str(tensor["dtype"])]


def _check_record(record: BundleRecord) -> None:
    """That the case is what its word says, and the code of its own a file of the bundle."""
    case = parse_case(record.case.id)
    for name in ("op", "sizes", "dtype", "params", "pattern", "layout", "seed"):
        if getattr(case, name) != getattr(record.case, name):
            raise RocmoeError(f"{names.RECORD}: {name} is not that of case {record.case.id!r}")
    own = record.candidate
    if own and not (own.function.isidentifier() and own.file.startswith(f"{names.CANDIDATE}/")):
        raise RocmoeError(f"{names.RECORD}: {own.file!r} is no file of {names.CANDIDATE}")


def _check_place(path: str) -> None:
    top, _, inside = path.partition("/")
    fits = top in (PACKAGE, names.CANDIDATE) or (top in FOLDERS and inside.endswith(TENSORS))
    if not (path in FILES or (inside and fits)):
        raise RocmoeError(f"{path!r} is nothing that a bundle holds")


def _check_size(path: str, files: Mapping[str, bytes]) -> None:
    if len(files[path]) > MOST_RECORD_BYTES:
        raise RocmoeError(f"{path!r} has {len(files[path])} bytes; at most {MOST_RECORD_BYTES}")
