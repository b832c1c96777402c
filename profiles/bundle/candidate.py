"""The user's own code in a bundle: the file of `--impl`, and what it imports from beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rocmoe.ops.backends.user import split_variant
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bundle.parts import list_foreign
from rocmoe.profiles.bundle.record import CANDIDATE, Candidate

#: Files of an implementation; more is a package, to be named as what it is.
MOST_FILES = 100
_ODD = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Copied:
    """Files by their path in the bundle, and the modules of others that they import."""

    candidate: Candidate
    files: dict[str, bytes]
    needs: tuple[str, ...]


def copy_candidate(variant: str) -> Copied:
    """What FILE.py:FUNC needs; raises `RocmoeError` where it is not there or too much."""
    path, function = split_variant(variant)
    path = path.resolve()
    # A stem of its own cannot hide a module: only the main file is loaded by its path.
    name = f"{_ODD.sub('_', path.stem)}.py"
    files, needs = {f"{CANDIDATE}/{name}": path.read_bytes()}, set[str]()
    todo, seen = [path], {path}
    while todo:
        source = todo.pop()
        for module in sorted(_list_imported(source)):
            beside = _find_beside(path.parent, module)
            needs |= set() if beside else {module}
            for each in beside:
                if each not in seen:
                    seen.add(each)
                    todo.append(each)
                    inside = each.relative_to(path.parent).as_posix()
                    files[f"{CANDIDATE}/{inside}"] = each.read_bytes()
        if len(files) > MOST_FILES:
            raise RocmoeError(
                f"{path.name} imports more than {MOST_FILES} files from beside it; wanted an "
                "implementation of fewer"
            )
    return Copied(Candidate(f"{CANDIDATE}/{name}", function), files, tuple(sorted(needs)))


def _list_imported(source: Path) -> set[str]:
    """Top-level modules that a source imports anywhere, rocmoe among them."""
    try:
        return list_foreign(source.read_text(encoding="utf-8"), into_functions=True)
    except (SyntaxError, ValueError) as error:
        raise RocmoeError(f"{source} cannot be read as Python: {error}") from None


def _find_beside(folder: Path, module: str) -> list[Path]:
    """The file of a module in a folder, or all Python files of a package there."""
    file, package = folder / f"{module}.py", folder / module
    if package.is_dir() and not package.is_symlink():
        inside = [p for p in sorted(package.rglob("*.py")) if "__pycache__" not in p.parts]
        return [p for p in inside if p.is_file()]
    return [file] if file.is_file() else []
