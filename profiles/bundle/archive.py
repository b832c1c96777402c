"""Archives of a bundle: the same bytes for the same files, and read as what a stranger sent.

An archive is a gzipped tar of regular files below one folder, and nothing else: whatever another
program adds (links, folders, devices, extended headers) is refused, and nothing is written to disk.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError

SUFFIX = ".tar.gz"

#: Bounds of what is read; a bundle holds some 60 files.
MOST_FILES = 1000
MOST_BYTES = 1 << 29
#: Bytes out for a byte in, beyond a first part that is let pass: gzip itself reaches 1030.
MOST_RATIO = 200
RATIO_FREE_BYTES = 1 << 24

_BLOCK = 512
_CHUNK = 1 << 16
#: A path of plain names; none begins with a dot.
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*){0,8}")
_LONGEST_PATH = 100
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a link",
    tarfile.DIRTYPE: "a folder",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


def pack(name: str, files: Mapping[str, bytes]) -> bytes:
    """The archive of files below a folder `name`: sorted, of no owner and no time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(files):
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size, member.mode = len(files[path]), 0o644
            tar.addfile(member, io.BytesIO(files[path]))
    content = packed.getvalue()
    compressed = _compress(content, 6)
    # Tensors of zeros shrink to what `unpack` takes for a bomb.
    return compressed if _is_fair(len(content), len(compressed)) else _compress(content, 0)


def unpack(path: Path) -> dict[str, bytes]:
    """The files of an archive by their path in it, without the folder that all are in.

    Raises `RocmoeError` for anything but plain files of plain names within bounds.
    """
    stream = _Stream(_inflate(path))
    files: dict[str, bytes] = {}
    names = _Names()
    tops: set[str] = set()
    while (block := stream.read(_BLOCK)).strip(b"\0"):
        try:
            member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise RocmoeError(f"it is no tar archive: {error}") from None
        if member.type != tarfile.REGTYPE:
            kind = _KINDS.get(member.type, f"of type {member.type!r}")
            raise RocmoeError(f"{member.name!r} is {kind}; wanted plain files alone")
        top, _, inside = member.name.partition("/")
        tops.add(top)
        if len(tops) > 1:
            raise RocmoeError(f"{member.name!r} is not in the folder of the others")
        names.add(inside, member.name)
        if not 0 <= member.size <= MOST_BYTES:
            raise RocmoeError(f"{member.name!r} has {member.size} bytes; at most {MOST_BYTES}")
        files[inside] = stream.read(member.size)
        stream.read(-member.size % _BLOCK)
    stream.finish()
    return files


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files below a folder by their path in it; links and what is no plain file are refused."""
    files: dict[str, bytes] = {}
    names, size = _Names(), 0
    for place in sorted(_walk(folder)):
        inside = place.relative_to(folder).as_posix()
        names.add(inside, inside)
        # Neither a link nor a pipe that took the file's place meanwhile is followed or waited for.
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RocmoeError(f"{inside!r} is no plain file")
            files[inside] = file.read(MOST_BYTES - size + 1)
        size += len(files[inside])
        if size > MOST_BYTES:
            raise RocmoeError(f"it holds more than {MOST_BYTES} bytes")
    return files


def check_bounds(files: Mapping[str, bytes]) -> None:
    """Raise `RocmoeError` for files that `unpack` would refuse."""
    names = _Names()
    for path in files:
        names.add(path, path)
    if (size := sum(map(len, files.values()))) > MOST_BYTES - MOST_BYTES // 8:
        raise RocmoeError(f"the bundle would have {size >> 20} MiB; make the case smaller first")


class _Names:
    """Paths met so far, as a file system that ignores case tells them apart."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def add(self, path: str, shown: str) -> None:
        plain = _PATH.fullmatch(path) and _PATH.fullmatch(shown)
        if not plain or len(shown) > _LONGEST_PATH:
            raise RocmoeError(f"{shown!r} is no path that a bundle may hold")
        if other := self._seen.get(path.lower()):
            raise RocmoeError(f"{shown!r} is there twice (as {other!r})")
        self._seen[path.lower()] = shown
        if len(self._seen) > MOST_FILES:
            raise RocmoeError(f"it holds more than {MOST_FILES} files")


class _Stream:
    """Bytes on demand of what comes in chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, bytearray()

    def read(self, size: int) -> bytes:
        """Just so many bytes."""
        while len(self._held) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                raise RocmoeError("it is truncated")
            self._held += chunk
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def finish(self) -> None:
        """Read on to the end, where nothing but zeros may stand."""
        if self._held.strip(b"\0") or any(chunk.strip(b"\0") for chunk in self._chunks):
            raise RocmoeError("something follows its last file")


def _inflate(path: Path) -> Iterator[bytes]:
    """What is in a gzip file, chunk by chunk, within bounds."""
    inflater = zlib.decompressobj(wbits=31)
    taken = made = 0
    with path.open("rb") as file:
        while not inflater.eof:
            compressed = inflater.unconsumed_tail or file.read(_CHUNK)
            taken += len(compressed) if not inflater.unconsumed_tail else 0
            if not compressed:
                raise RocmoeError("it is truncated")
            try:
                chunk = inflater.decompress(compressed, _CHUNK)
            except zlib.error as error:
                raise RocmoeError(f"it is no gzip file: {error}") from None
            made += len(chunk)
            if made > MOST_BYTES:
                raise RocmoeError(f"it holds more than {MOST_BYTES} bytes")
            if not _is_fair(made, taken):
                raise RocmoeError(f"it holds more than {MOST_RATIO} bytes for each of its own")
            if chunk:
                yield chunk
        if inflater.unused_data or file.read(1):
            raise RocmoeError("something follows its end")


def _walk(folder: Path) -> Iterator[Path]:
    """All entries below a folder that are no folders; links are entries."""
    for count, (root, folders, names) in enumerate(os.walk(folder)):
        if count > MOST_FILES:
            raise RocmoeError(f"it holds more than {MOST_FILES} folders")
        for name in (*folders, *names):
            place = Path(root, name)
            if place.is_symlink():
                raise RocmoeError(f"{place.relative_to(folder).as_posix()!r} is a symbolic link")
        yield from (Path(root, name) for name in names)


def _compress(content: bytes, level: int) -> bytes:
    written = io.BytesIO()
    with gzip.GzipFile("", "wb", level, written, mtime=0) as file:
        file.write(content)
    return written.getvalue()


def _is_fair(made: int, taken: int) -> bool:
    return made <= RATIO_FREE_BYTES + MOST_RATIO * taken
