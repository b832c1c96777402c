"""Stand-in programs on a PATH of their own, in a root of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rocmoe.profiles.tools import Machine

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.fixture
def read_fixture():
    """The text of a file in fixtures/."""
    return lambda name: (FIXTURES / name).read_text()


@pytest.fixture
def machine(tmp_path):
    """A machine with nothing on it."""
    (tmp_path / "bin").mkdir()
    return Machine(tmp_path, {"PATH": str(tmp_path / "bin")}, 20.0)


@pytest.fixture
def add_tool(tmp_path, machine):
    """Add a program: answers by the words of its call, as `{"static --json": FIXTURE}`.

    It writes down its calls in NAME.calls, and answers others as it is told to by `script`.
    """

    def add(name, answers=(), script="exit 2"):
        cases = "".join(
            f"'{words}') /bin/cat '{FIXTURES / file}'; exit 0;;\n"
            for words, file in dict(answers).items()
        )
        path = tmp_path / "bin" / name
        path.write_text(
            f'#!/bin/sh\necho "$*" >>{tmp_path}/{name}.calls\n'
            f'case "$*" in\n{cases}*) {script};;\nesac\n'
        )
        path.chmod(0o755)
        return lambda: (tmp_path / f"{name}.calls").read_text().splitlines()

    return add
