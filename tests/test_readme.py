"""What the README shows is what the program prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from rocmoe.cli.show import OutputFormat, format_table, show_run
from rocmoe.profiles.artifact import read_artifact
from rocmoe.profiles.catalog import OP_COLUMNS, list_op_rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MINE = re.search(r"```python\n# mine.py\n(.*?)```", README, re.DOTALL)[1]


def blocks():
    return [block.strip("\n") for block in re.findall(r"```text\n(.*?)```", README, re.DOTALL)]


def test_the_table_is_that_of_the_committed_artifact():
    path = Path("docs/artifacts/quick-cpu.json")
    artifact = read_artifact(ROOT / path)
    assert artifact.complete
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show_run(artifact, path, OutputFormat.table)
    assert printed.getvalue().strip("\n") in blocks()


def test_the_ops_are_those_there_are():
    rows = [[f"`{row[0]}`", row[-1]] for row in list_op_rows()]
    assert format_table(rows, (OP_COLUMNS[0], OP_COLUMNS[-1]), OutputFormat.markdown) in README


def mask(text):
    """A printed run without what another machine may print differently: times, paths, digits."""
    text = re.sub(r"artifact: \S+", "artifact: ...", text)
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", " ".join(text.split()))


HARM = ("softmax(gating_output.float(), dim=-1)", "softmax(gating_output, dim=-1).float()")


@pytest.mark.parametrize("harm", [None, HARM])
def test_the_tour_prints_what_it_says(rocmoe, tmp_path, harm):
    code = MINE.replace(*harm) if harm else MINE
    (tmp_path / "mine.py").write_text(code)
    done = rocmoe("validate", "--impl", "mine.py:topk_softmax")
    assert done.returncode == (1 if harm else 0)
    beginnings = [mask(block.removesuffix("[...]")) for block in blocks()]
    said = [text for text in beginnings if mask(done.stdout).startswith(text)]
    assert len(said) == 1
    assert "user:mine.py" in said[0]


def test_every_command_and_option_named_is_there(rocmoe):
    for command in ("validate", "selftest", "list", "doctor"):
        assert f"rocmoe {command}" in README
    said = rocmoe("validate", "--help").stdout
    for option in set(re.findall(r"`(--[a-z]+)", README)):
        assert option in said, option
