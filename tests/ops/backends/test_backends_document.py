"""docs/backends.md says who serves what, and what not, as the adapters declare it."""

from pathlib import Path

import pytest

from rocmoe.ops.core.backend import find_library, list_backends

DOCUMENT = (Path(__file__).parents[3] / "docs" / "backends.md").read_text()
LIBRARIES = [name for name in list_backends() if find_library(name)]


def read_table(backend):
    """The rows of a backend's table."""
    section = DOCUMENT.partition(f"\n### {backend}\n\n")[2]
    lines = section.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("backend", LIBRARIES)
def test_every_function_and_limit_is_told(backend):
    wanted = []
    for variant in find_library(backend).variants:
        told = [f"`{variant.op}`", f"`{variant.name}`"]
        limits = [*variant.limits, *(each for form in variant.forms for each in form.limits)]
        for limit in limits:
            wanted.append([*told, limit.reason, limit.kind, limit.source])
            told = ["", ""]
        if not limits:
            wanted.append([*told, "(takes all)", "", ""])
    assert read_table(backend) == wanted
