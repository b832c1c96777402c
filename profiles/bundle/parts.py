"""The parts of rocmoe that a bundle carries: its modules, copied under the name `rocmoe_parts`.

What is copied follows from the imports: the road of a case (`examination`), the op with its oracle
and judge, and the module of the backend.  A few modules are replaced by those of `substitutes`.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rocmoe.ops.backends.harm import NAME as HARM
from rocmoe.ops.backends.triton import NAME as TRITON
from rocmoe.ops.core.spec import list_ops

PACKAGE = "rocmoe_parts"

#: Instead of these modules stand those of `substitutes`.
SUBSTITUTES: Mapping[str, str] = {
    "rocmoe.ops.backends.flydsl.simulation": (
        "rocmoe.profiles.bundle.substitutes.flydsl_simulation"
    ),
    "rocmoe.ops.core.launch": "rocmoe.profiles.bundle.substitutes.launch",
    "rocmoe.ops.core.simulator": "rocmoe.profiles.bundle.substitutes.simulator",
    "rocmoe.profiles.simulation": "rocmoe.profiles.bundle.substitutes.simulation",
}
#: Of the packages of these, which find their modules by name, those of one op are enough.
BY_OP: Mapping[str, str] = {TRITON: "rocmoe.ops.kernels", HARM: "rocmoe.ops.harms"}
#: What every bundle runs.
ROAD = ("rocmoe.profiles.bundle.recording",)
#: What judges and patterns import where they need it, so that naming an op takes no half second.
LATE = {"scipy"}

#: The layers that a name inside rocmoe may begin with, in code and in strings.
_OWN = re.compile(r"\brocmoe\.(?=(?:ops|profiles|references)\b)")


@dataclass(frozen=True)
class Parts:
    """Copied modules by their path, and the modules of others that they import when they load, or
    when they judge."""

    files: Mapping[str, bytes]
    needs: tuple[str, ...]


def name_op_module(op: str, package: str = PACKAGE) -> str:
    """The module of an op or a pipeline, as a bundle names it."""
    return f"{package}.ops.{op}" if op in list_ops() else f"{package}.ops.pipelines.{op}"


def copy_parts(op: str, backend: str) -> Parts:
    """Everything of rocmoe that judging one backend on one op takes."""
    roots = [*ROAD, name_op_module(op, "rocmoe"), f"rocmoe.ops.backends.{backend}"]
    if backend in BY_OP:
        roots.append(f"{BY_OP[backend]}.{op}")
    modules = sorted(find_closure(roots))
    files, needs = {f"{PACKAGE}/__init__.py": _INTRODUCTION}, set[str]()
    for module in modules:
        path = _find_source(module)
        text = _find_source(SUBSTITUTES.get(module, module)).read_text(encoding="utf-8")
        place = "/".join([PACKAGE, *module.split(".")[1:]])
        place += "/__init__.py" if path.name == "__init__.py" else ".py"
        files[place] = _OWN.sub(f"{PACKAGE}.", text).encode()
        needs |= list_foreign(text)
        needs |= list_foreign(text, into_functions=True) & LATE
    return Parts(files, tuple(sorted(needs - {"rocmoe"})))


def find_closure(roots: Collection[str]) -> set[str]:
    """Modules of rocmoe, what they import in turn, and the packages that all of these lie in."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        module = todo.pop()
        if module in found or module == "rocmoe":
            continue
        found.add(module)
        todo.append(module.rpartition(".")[0])
        todo += _list_own(SUBSTITUTES.get(module, module))
    return found


def list_foreign(source: str, *, into_functions: bool = False) -> set[str]:
    """Top-level modules that a source imports, when it is loaded or at all; not Python's own."""
    names: set[str] = set()
    for node in _walk(ast.parse(source), into_functions=into_functions):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


@cache
def _list_own(module: str) -> list[str]:
    """The modules of rocmoe that a module imports, in functions too."""
    text = _find_source(module).read_text(encoding="utf-8")
    return [name for name in _list_imports(text, module) if _is_module(name)]


def _list_imports(source: str, module: str) -> Iterator[str]:
    """Full names of all that a module imports, of each also the module it may be a name of."""
    is_package = _find_source(module).name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    for node in _walk(ast.parse(source), into_functions=True):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                base = f"{above}.{base}".rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _walk(node: ast.AST, *, into_functions: bool) -> Iterator[ast.AST]:
    """All that runs; nothing for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if function and not into_functions:
            continue
        yield child
        yield from _walk(child, into_functions=into_functions)


def _is_module(name: str) -> bool:
    if not name.startswith("rocmoe."):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, of which this is a name
        return False


def _find_source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None, module
    return Path(spec.origin)


_INTRODUCTION = b'"""Modules of rocmoe (Apache-2.0), copied by `rocmoe bundle create`."""\n'
