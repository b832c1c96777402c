"""Imports point one way: cli -> profiles -> ops -> references, and the heavy ones wait."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("cli", "profiles", "ops", "references")
SOURCES = sorted(
    path.relative_to(ROOT) for layer in LAYERS for path in (ROOT / layer).rglob("*.py")
)
MAX_LINES = 350


def list_imports(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Full names, with a dot in front for every level of a relative import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = "." * node.level + (node.module or "")
    return [f"{base}.{alias.name}" for alias in node.names] if base == "rocmoe" else [base]


def walk_module_level(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: no function bodies, nothing for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from walk_module_level(child)


def find_layer_fault(path: Path, name: str) -> str | None:
    """Why a module may not import a name, None when it may."""
    layer, top, *rest = path.parts[0], *name.split(".")
    if name.startswith("."):
        if layer != "references":
            return "import absolutely"
        return "leaves references" if len(name) - len(name.lstrip(".")) >= len(path.parts) else None
    if layer == "references":
        allowed = top in sys.stdlib_module_names or top in ("numpy", "scipy")
        return None if allowed else "references import NumPy, SciPy and themselves, relatively"
    if top != "rocmoe" or not rest or rest[0] not in LAYERS:
        return None
    return "against the layers" if LAYERS.index(rest[0]) < LAYERS.index(layer) else None


def find_faults(path: Path, source: str) -> list[str]:
    """The imports of a source that break the rules, one line each."""
    tree = ast.parse(source)
    at_import = {id(node) for node in walk_module_level(tree)}
    heavy = {"torch"} if path.parts[:2] == ("ops", "kernels") else {"torch", "triton"}
    faults = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for name in list_imports(node):
            fault = find_layer_fault(path, name)
            if id(node) in at_import and name.split(".")[0] in heavy:
                fault = "import it inside the functions that need it"
            if fault:
                faults.append(f"{path}:{node.lineno} imports {name}: {fault}")
    return faults


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_module_keeps_the_layers_and_is_small(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert find_faults(path, source) == []
    lines = len(source.splitlines())
    assert lines <= MAX_LINES, f"{path} has {lines} lines, wanted at most {MAX_LINES}: split it"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("references/x.py", "from rocmoe.references.judging import verdict"),
        ("references/x.py", "def f():\n    import torch"),
        ("references/x.py", "from ..ops import core"),
        ("references/judging/x.py", "from ...ops import core"),
        ("ops/x.py", "from .core import case"),
        ("ops/x.py", "def f():\n    from rocmoe.profiles import doctor"),
        ("ops/core/x.py", "from rocmoe import cli"),
        ("profiles/x.py", "import rocmoe.cli.app"),
        ("profiles/x.py", "class A:\n    import torch.cuda"),
        ("cli/x.py", "try:\n    import torch\nexcept ImportError:\n    pass"),
        ("ops/backends/x.py", "from triton import language"),
        ("ops/kernels/x.py", "import torch"),
    ],
)
def test_a_forbidden_import_is_found(path: str, source: str) -> None:
    assert len(find_faults(Path(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("references/judging/x.py", "import math\nfrom ..x import f\nfrom scipy import stats"),
        ("ops/x.py", "def f():\n    import torch\nfrom rocmoe.references import x"),
        ("ops/kernels/x.py", "import triton\nimport triton.language as tl"),
        ("profiles/x.py", "from rocmoe import __version__\nfrom rocmoe.ops.core import case"),
        ("cli/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ],
)
def test_an_allowed_import_is_let_through(path: str, source: str) -> None:
    assert find_faults(Path(path), source) == []


def test_the_command_line_starts_without_the_heavy_imports() -> None:
    code = "import sys, rocmoe.cli.app; print(*{'torch', 'triton', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], "imported by rocmoe.cli.app before any command is chosen"
