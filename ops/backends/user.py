"""Backend `user`: anyone's function, named as FILE.py:FUNC."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from rocmoe.ops.core.errors import RocmoeError, describe_error, nearest
from rocmoe.ops.core.implementation import Implementation, writes_outputs
from rocmoe.ops.core.spec import OpSpec

NAME = "user"
SUMMARY = "a function of yours: --impl FILE.py:FUNC"
DEVICES = ("cpu", "gpu", "sim")


def find_absence() -> str | None:
    """Never absent: whether the file is there is found out by `find`."""
    return None


def serves(op: str) -> bool:
    """What a file implements is found out by `find`."""
    del op
    return True


def find(spec: OpSpec, variant: str) -> Implementation | None:
    """The function `variant` names, whose signature must be the op's.

    Raises `RocmoeError` for a missing file, a syntax error, a failing import, a missing function,
    and a signature that is not the op's.
    """
    path, name = split_variant(variant)
    function = _find_function(path, name)
    writes_outputs(spec, function)
    return Implementation(spec.name, NAME, function, variant, DEVICES)


def split_variant(variant: str) -> tuple[Path, str]:
    """(file, function name) of FILE.py:FUNC; `RocmoeError` where it is not of that form."""
    file, sign, name = variant.rpartition(":")
    if not (sign and file and name.isidentifier()):
        raise RocmoeError(f"--impl {variant!r} is not FILE.py:FUNC")
    path = Path(file)
    if not path.is_file():
        beside = [entry.name for entry in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise RocmoeError(f"--impl {variant!r}: no file {file}{nearest(path.name, beside)}")
    return path, name


def _find_function(path: Path, name: str) -> Callable[..., Any]:
    module = _load(path.resolve())
    function = getattr(module, name, None)
    if function is None:
        known = [key for key, value in vars(module).items() if callable(value)]
        raise RocmoeError(f"{path} has no function {name!r}{nearest(name, known)}")
    if not callable(function):
        raise RocmoeError(f"{name} in {path} is a {type(function).__name__}, wanted a function")
    found: Callable[..., Any] = function
    return found


@cache
def _load(path: Path) -> ModuleType:
    try:
        ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise RocmoeError(f"{path}:{error.lineno}: syntax error: {error.msg}") from None
    except (OSError, ValueError) as error:
        raise RocmoeError(f"{path} cannot be read: {error}") from None
    spec = importlib.util.spec_from_file_location(f"rocmoe_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # As for `python FILE.py`: what lies beside the file can be imported, then and later.
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: it is the file's doing
        raise RocmoeError(f"importing {path} raised {describe_error(error)}") from error
    return module
