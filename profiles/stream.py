"""The stream of a run: results as JSON lines beside the artifact, so that none is lost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import (
    Artifact,
    Header,
    Request,
    Result,
    check_writable,
    write_artifact,
)

SUFFIX = ".partial.jsonl"


def stream_path(path: Path) -> Path:
    """Where the stream of an artifact lies while the run goes on."""
    return path.with_name(path.name + SUFFIX)


class Recorder:
    """Writes each result as it comes, and the artifact at the end.

    An interrupted run leaves an artifact with `complete` false and keeps its stream, from which
    `--resume` goes on.  Raises `RocmoeError` for a path that cannot be written.
    """

    def __init__(self, path: Path, header: Header, done: Iterable[Result] = ()) -> None:
        self.path, self.header = path, header
        self.results = list(done)
        check_writable(path, "--out")
        self._file = stream_path(path).open("wb")
        self._write(header)
        for result in self.results:
            self._write(result)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, result: Result) -> None:
        """Keep one more result."""
        self.results.append(result)
        self._write(result)

    def put(self, result: Result) -> None:
        """Keep a result in place of an earlier one of the same case and selector, if there is."""
        key = (result.case.id, result.selector)
        self.results = [r for r in self.results if (r.case.id, r.selector) != key]
        self.add(result)

    def finish(self, order: Iterable[tuple[str, str]], *, complete: bool) -> Artifact:
        """Write the artifact with its results in the order of (case id, selector) given."""
        rank = {key: place for place, key in enumerate(order)}
        results = sorted(self.results, key=lambda r: rank.get((r.case.id, r.selector), len(rank)))
        header = msgspec.structs.asdict(self.header)
        artifact = Artifact(**header, complete=complete, results=results)
        write_artifact(artifact, self.path)
        if complete:
            stream_path(self.path).unlink(missing_ok=True)
        return artifact

    def _write(self, record: Header | Result) -> None:
        self._file.write(msgspec.json.encode(record) + b"\n")
        self._file.flush()


def read_stream(path: Path) -> tuple[Header, list[Result]]:
    """The header and the results of an unfinished run; a last line cut short is left out.

    Raises `RocmoeError` where there is no stream or its first line is not a header.
    """
    stream = stream_path(path)
    try:
        lines = stream.read_bytes().split(b"\n")[:-1]
    except OSError:
        raise RocmoeError(f"--resume: no unfinished run at {stream}") from None
    try:
        header = msgspec.json.decode(lines[0], type=Header)
        results = [msgspec.json.decode(line, type=Result) for line in lines[1:]]
    except (IndexError, msgspec.DecodeError) as error:
        raise RocmoeError(f"--resume: {stream} is malformed: {error}") from None
    newest = {(result.case.id, result.selector): result for result in results}
    return header, list(newest.values())


def find_unfinished(folder: Path, request: Request) -> Path:
    """The artifact path of the newest unfinished run of the same request in a folder."""
    streams = sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for stream in streams:
        path = stream.with_name(stream.name.removesuffix(SUFFIX))
        if read_stream(path)[0].request == request:
            return path
    raise RocmoeError(f"--resume: no unfinished run of this request in {folder}/")
