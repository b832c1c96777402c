"""Addresses of results: `ARTIFACT.json`, `ARTIFACT.json#CASE`, `ARTIFACT.json#CASE@BACKEND`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError, nearest
from rocmoe.profiles.artifact import Artifact, Result, read_artifact
from rocmoe.profiles.outcome import BAD


def name_result(result: Result) -> str:
    """The address of a result in its artifact."""
    return f"{result.case.id}@{result.selector}"


def split_address(text: str) -> tuple[Path, str]:
    """The file and what follows its `#`; names of files may hold a `#` too."""
    words = text.split("#")
    for count in range(len(words), 0, -1):
        file = Path("#".join(words[:count]))
        if file.is_file():
            return file, "#".join(words[count:])
    return Path(words[0]), "#".join(words[1:])


def select_results(results: Sequence[Result], address: str) -> list[Result]:
    """The results at an address: those of a case, or the one of a backend on it; else all."""
    return [each for each in results if address in ("", each.case.id, name_result(each))]


def read_address(text: str) -> tuple[Path, Artifact, list[Result]]:
    """A file, the artifact in it, and the results that are addressed: all where none is.

    Raises `RocmoeError` as `read_artifact`, and for a result that is not in it.
    """
    file, address = split_address(text)
    artifact = read_artifact(file)
    results = select_results(artifact.results, address)
    if address and not results:
        names = {name_result(result) for result in artifact.results}
        hint = nearest(address, names) or f"; it has {len(names)} result(s)"
        raise RocmoeError(f"{file} has no result {address!r}{hint}")
    return file, artifact, results


def find_result(text: str) -> tuple[Path, Artifact, Result]:
    """The one result that is meant: the only one addressed, or the first failure of several.

    Raises `RocmoeError` as `read_address`, and where there are several and none failed.
    """
    file, artifact, results = read_address(text)
    _, address = split_address(text)
    failures = [result for result in results if result.status in BAD]
    if failures:
        return file, artifact, failures[0]
    if address and len(results) == 1:
        return file, artifact, results[0]
    if not results:
        raise RocmoeError(f"{file} has no results")
    where = f" on {address}" if address else ""
    raise RocmoeError(
        f"{file}: none of {len(results)} result(s) failed{where}; name one: "
        f"{file}#{name_result(results[0])}"
    )
