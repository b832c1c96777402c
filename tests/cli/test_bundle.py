"""`rocmoe bundle`: its document's commands from a failure to its replay, and what it leaks."""

import gzip
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "bundles.md").read_text()
COMMANDS = re.findall(r"^\$ rocmoe (.*)", TEXT, re.M)
CASE = "topk_softmax:T=2,E=8,k=2:fp32:renormalize=true:normal:contiguous"

HALVED = """
def topk_softmax(gating_output, topk, renormalize):
    import torch

    weights, ids = torch.topk(torch.softmax(gating_output.float(), -1), topk)
    return weights * 0.5, ids.int()
"""


def test_the_commands_of_the_document(rocmoe, tmp_path):
    (tmp_path / "halved.py").write_text(HALVED)
    validate, create, show, run = [command.split() for command in COMMANDS]
    assert rocmoe(*validate, "--case", CASE).returncode == 1
    done = rocmoe(*create)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "it fails in 3 of 3 runs"
    assert "candidate/halved.py" in done.stdout
    assert {"report", "report.tar.gz"} <= {path.name for path in tmp_path.iterdir()}
    done = rocmoe(*show)
    assert done.returncode == 0, done.stderr
    assert "weights: topk_weights[" in done.stdout
    assert re.search(r"^repro.py +\d+ +[0-9a-f]{64}$", done.stdout, re.M)
    assert rocmoe(*run).returncode == 1
    done = rocmoe(*run[:-2])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "not run unless you name it" in done.stderr
    repro = subprocess.run([sys.executable, tmp_path / "report" / "repro.py"], cwd="/")
    assert repro.returncode == 1


def test_nothing_personal_is_in_a_bundle(rocmoe, tmp_path):
    home = tmp_path / "people" / "ford_prefect"
    home.mkdir(parents=True)
    secrets = {"HF_TOKEN": "hf_dontpanic42", "AITER_API_KEY": "forty-two-forty-two"}
    hostile = {
        **secrets,
        "HOME": str(home),
        "USER": "ford_prefect",
        "LOGNAME": "ford_prefect",
        "TRITON_CACHE_DIR": f"{home}/cache",
        "FLYDSL_REMOTE": "https://ford_prefect:hf_dontpanic42@host.example",
        "AITER_CONFIG": f"{tmp_path}/aiter.json",
        "UNRELATED": "towel-of-mine",
    }
    # Its words are put together when it runs: the source itself is copied as it is.
    (home / "chatty.py").write_text(
        "import os, socket\n"
        "def topk_softmax(gating_output, topk, renormalize):\n"
        "    print(os.environ, flush=True)\n"
        "    e = os.environ\n"
        "    raise RuntimeError(f'{__file__} by {e[\"USER\"]}@{socket.gethostname()} with '\n"
        '                       f\'{e["HF_TOKEN"]} {e["AITER_API_KEY"]} {os.getcwd()}\')\n'
    )
    environment = {**os.environ, **hostile}
    arguments = ["--impl", home / "chatty.py:topk_softmax", "--device", "cpu", "--case", CASE]
    assert rocmoe("validate", *arguments, "--out", "run.json", env=environment).returncode == 1
    assert rocmoe("bundle", "create", "run.json", env=environment).returncode == 0
    (folder,) = [path for path in (tmp_path / "rocmoe-bundles").iterdir() if path.is_dir()]
    texts = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    packed = folder.with_name(folder.name + ".tar.gz")
    texts[packed] = gzip.decompress(packed.read_bytes())
    personal = [*secrets.values(), "ford_prefect", "towel-of-mine", str(tmp_path), str(home.parent)]
    if len(host := socket.gethostname()) > 7:
        personal.append(host)
    for path, content in texts.items():
        for word in personal:
            assert word.encode() not in content, (path, word)
    issue = (folder / "ISSUE.md").read_text()
    assert re.search(
        r"error: RuntimeError: .../chatty.py by <user>@\S+ with <secret> <secret>", issue
    )
    assert re.search(r"^TRITON_CACHE_DIR=.*cache$", issue, re.M)
    assert "AITER_API_KEY" not in issue


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "none.json"], "none.json cannot be read"),
        (["create", "none.json", "--runs", "0"], "(found '0')"),
        (["show", "none.tar.gz"], "bundle none.tar.gz cannot be read"),
        (["show", "zip.tar.gz"], "bundle zip.tar.gz is refused: it is no gzip file"),
        (["run", "zip.tar.gz"], "bundle zip.tar.gz is refused: it is no gzip file"),
        (["run", "."], "bundle . is refused"),
    ],
)
def test_bad_requests_are_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    from rocmoe.cli.app import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "zip.tar.gz").write_bytes(b"PK\3\4")
    monkeypatch.setattr("sys.argv", ["rocmoe", "bundle", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
