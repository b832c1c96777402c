"""Triton's cache keys made the same in every process, so that one finds what another compiled.

Triton 3.6 takes over the globals of a called function before it has hashed that function
(runtime/jit.py, `DependenciesFinder._update_hash`), so that a kernel's key tells which others were
hashed earlier in the process; 3.9 hashes first.  Here the functions that a kernel calls are hashed
before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any


def settle_key(kernel: Any) -> None:
    """Hash all that a `triton.jit` kernel calls, the innermost first, and then the kernel.

    What Triton refuses to hash is left for it to refuse.
    """
    try:
        _hash(kernel, set())
    except RuntimeError:
        return


def _hash(function: Any, known: set[int]) -> None:
    known.add(id(function))
    for called in _find_called(function):
        if id(called) not in known:
            _hash(called, known)
    function.cache_key  # noqa: B018  (computed when it is read for the first time)


def _find_called(function: Any) -> Iterator[Any]:
    """What a function names of the globals of its module, or of a module among those."""
    code, names = function.fn.__code__, function.fn.__globals__
    named = [names[name] for name in code.co_names if name in names]
    modules = [each for each in named if isinstance(each, ModuleType)]
    named += [getattr(module, name, None) for module in modules for name in code.co_names]
    for each in named:
        # Of the class, as to read the key is to make it.
        if hasattr(type(each), "cache_key") and hasattr(each, "fn"):
            yield each
