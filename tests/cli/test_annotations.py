"""`--annotations` through the real command, and who is told by default."""

import json
import os

import pytest

from rocmoe.cli.options import choose_annotator
from rocmoe.cli.show import Annotator
from rocmoe.ops.core.errors import RocmoeError

CASE = "topk_softmax:T=3,E=8,k=2:fp32:renormalize=true:normal:contiguous"
WRONG = """
def topk_softmax(gating_output, topk, renormalize):
    weights, ids = gating_output.topk(topk)
    return weights, ids.int()
"""
PLAIN = {name: text for name, text in os.environ.items() if not name.startswith("GITHUB_")}


def test_validate_tells_github(rocmoe, tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    request = ("validate", "--impl", "mine.py:topk_softmax", "--case", CASE, "--format", "json")
    runner = {**PLAIN, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "it.md")}
    done = rocmoe(*request, env=runner)
    assert done.returncode == 1
    assert "::error file=mine.py,title=rocmoe validate%3A fail::topk_softmax:T=3" in done.stderr
    assert json.loads(done.stdout)["results"][0]["status"] == "fail"
    summary = (tmp_path / "it.md").read_text()
    assert summary.startswith("**rocmoe validate** failed (exit 1): 1 of 1 results")
    done = rocmoe(*request, "--annotations", "none", env=runner)
    assert "::error" not in done.stderr
    assert (tmp_path / "it.md").read_text() == summary


def test_the_runner_of_github_decides_where_nobody_does(monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert choose_annotator(None) is Annotator.none
    assert choose_annotator(Annotator.github) is Annotator.github
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert choose_annotator(None) is Annotator.github
    assert choose_annotator(Annotator.none) is Annotator.none


def test_the_older_name_works_but_not_beside_the_other(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert choose_annotator(None, False) is Annotator.none
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert choose_annotator(None, True) is Annotator.github
    with pytest.raises(RocmoeError, match="--annotate is an older name of --annotations github"):
        choose_annotator(Annotator.github, True)


def test_an_unknown_annotator_is_one_line(rocmoe):
    done = rocmoe("diff", "a.json", "b.json", "--annotations", "gitlab")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "gitlab" in done.stderr
