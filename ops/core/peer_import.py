"""Looking at a library that may be missing, broken or of another version.

Signatures decide, never version strings: forks and builds from source have their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.errors import describe_error

#: Called with the name of a library before it is imported, and with an empty one afterwards: an
#: import may end the process.
_announce: list[Callable[[str], None]] = []


def announce_imports(announce: Callable[[str], None]) -> None:
    """Have `announce` called around imports of libraries, in this process from now on."""
    _announce[:] = [announce]


def import_peer(module: str) -> Any:
    """A module of a library; raises whatever its import raises."""
    for announce in _announce:
        announce(module.partition(".")[0])
    try:
        return importlib.import_module(module)
    finally:
        for announce in _announce:
            announce("")


def is_installed(package: str) -> bool:
    """Whether there is such a package, working or not; imports nothing."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # one in memory alone, without a spec
        return True


def explain_import(module: str) -> str | None:
    """Why a module cannot be imported, None where it can."""
    try:
        import_peer(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            return f"{error.name} is not installed"
        return f"{module} cannot be imported: {describe_error(error)}"
    except BaseException as error:  # SystemExit too: it is the library's doing
        return f"{module} cannot be imported: {describe_error(error)}"
    return None


def explain_mismatch(
    path: str, takes: tuple[str, ...], options: tuple[str, ...], torch_op: str
) -> str | None:
    """Why a function is not there or not called so, None where it is; as of `peer.Form`."""
    module, _, name = path.partition(":")
    if reason := explain_import(module):
        return reason
    function = getattr(importlib.import_module(module), name, None)
    if function is None:
        return f"{module} has no {name}"
    if torch_op and not has_torch_op(torch_op):
        return f"{module}.{name} is there, but its build has no torch.ops.{torch_op}"
    return explain_signature(f"{module}.{name}", function, takes, options)


def has_torch_op(name: str) -> bool:
    """Whether a torch operator is registered, as `_moe_C.topk_softmax`."""
    import torch

    namespace, _, operator = name.partition(".")
    return hasattr(getattr(torch.ops, namespace), operator)


def explain_signature(
    name: str, function: Callable[..., Any], takes: tuple[str, ...], options: tuple[str, ...]
) -> str | None:
    """Why a function cannot be called so, None where it can or has no signature to look at."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values()):
        return None
    positional = [key for key, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    passed = (*takes, *options)
    due = [key for key, p in parameters.items() if p.default is p.empty and key not in passed]
    fits = tuple(positional[: len(takes)]) == takes and not due
    if fits and all(key in parameters for key in options):
        return None
    return f"{name} takes ({', '.join(parameters)}); wanted ({', '.join(passed)})"
