"""Bad requests: one line that names what was found and wanted, exit 2, and nothing written."""

import os

import pytest

RIGHT = "topk_softmax:T=4,E=8,k=2:bf16:renormalize=true:normal:contiguous"

FILES = {
    "good.py": """
def topk_softmax(gating_output, topk, renormalize):
    raise RuntimeError
def misspelt(gating_outputs, topk, renormalize): ...
value = 3
""",
    "syntax.py": "def topk_softmax(:\n",
    "raising.py": "import nothing_of_that_name\n",
    "exiting.py": "import sys; sys.exit(0)\n",
    "dying.py": "import os; print('last words', flush=True); os._exit(7)\n",
    "ops.txt": "",
    "lines.py": "raise ImportError('one\\ntwo\\nthree')\n",
    "odd.py": "class E(Exception):\n    def __str__(self): raise E\nraise E\n",
    "newer.json": '{"format": "rocmoe.artifact", "version": 99}',
}


BAD = [
    (["vaildate"], "vaildate"),
    (["validate", "topk_sofmax"], "unknown op 'topk_sofmax'; nearest: topk_softmax"),
    (["validate", "--backend", "troch"], "unknown backend 'troch'; nearest: torch"),
    (["validate", "--backend", "harm:x"], "unknown harm of"),
    (["validate", "--device", "gppu"], "unknown device 'gppu'; nearest: gpu"),
    (["validate", "--device", "sim:gfx94"], "nearest: sim:gfx942"),
    (["validate", "--suite", "quik"], "unknown suite 'quik'; nearest: quick"),
    (["validate", "--seed", "-1"], "(found '-1')"),
    (["validate", "--seed=x"], "(found 'x')"),
    (["validate", "--jobs", "0"], "(found '0')"),
    (["validate", "--frmat", "json"], "--frmat"),
    (["validate", "--format", "yaml"], "yaml"),
    (["validate", "--case", "nonsense"], "case 'nonsense': found 1 parts, wanted OP:"),
    (["validate", "--case", RIGHT.replace("topk_", "top_")], "unknown op 'top_softmax'"),
    (["validate", "--case", RIGHT.replace(":normal", ":norml")], "nearest: normal"),
    (["validate", "--case", RIGHT.replace("k=2", "k=9")], "k=9 is not in [1, E=8]"),
    (["validate", "moe_sorting", "--case", RIGHT], "--case names no case of moe_sorting"),
    (["validate", "--impl", "good.py"], "--impl 'good.py' is not FILE.py:FUNC"),
    (["validate", "--impl", "god.py:f"], "no file god.py; nearest: good.py"),
    (["validate", "--impl", "good.py:value"], "needs the one op that it implements"),
    (["validate", "topk_softmax", "--impl", "good.py:value"], "value in good.py is a int"),
    (["validate", "topk_softmax", "--impl", "good.py:mispelt"], "nearest: misspelt"),
    (["validate", "topk_softmax", "--impl", "good.py:misspelt"], "found: gating_outputs"),
    (["validate", "topk_softmax", "--impl", "syntax.py:f"], "syntax.py:1: syntax error"),
    (["validate", "topk_softmax", "--impl", "raising.py:f"], "ModuleNotFoundError"),
    (["validate", "topk_softmax", "--impl", "exiting.py:f"], "SystemExit: 0"),
    (["validate", "topk_softmax", "--impl", "dying.py:f"], "code 7 before it answered"),
    (["validate", "topk_softmax", "--impl", "lines.py:f"], "ImportError: one"),
    (["validate", "topk_softmax", "--impl", "odd.py:f"], "its message cannot be read"),
    (["validate", "topk_softmax", "--impl", "bad\udcff.py:f"], "cannot be printed"),
    (["validate", "--backend", "torch:fast"], "backend torch has no variants"),
    (["validate", "--case", RIGHT + ":seed=-1"], "seed -1 is negative"),
    (["validate", "--case", RIGHT.replace("T=4", "T=4000000000")], "T=4000000000 is not in"),
    (["validate", "--case", RIGHT, "--suite", "nonsense"], "unknown suite 'nonsense'"),
    (["validate", "--out", "a.json", "--junit", "./a.json"], "where the artifact goes"),
    (["validate", "--out", "/dev/null"], "it is no regular file"),
    (["list", "ops", "--op", "nonsense"], "unknown op 'nonsense'"),
    (["list", "patterns", "--suite", "nonsense"], "unknown suite 'nonsense'"),
    (["validate", "--out", "/proc/x/y.json"], "--out /proc/x/y.json cannot be written"),
    (["validate", "--out", "."], "--out . cannot be written: it is a folder"),
    (["validate", "--junit", "/proc/x.xml"], "--junit /proc/x.xml cannot be written"),
    (["validate", "--resume"], "no unfinished run of this request"),
    (["validate", "--resume", "--out", "a.json"], "no unfinished run at a.json"),
    (["list", "opps"], "opps"),
    (["list", "cases", "--op", "moe_sort"], "unknown op 'moe_sort'; nearest: moe_sorting"),
    (["selftest", "moe_sort"], "unknown op 'moe_sort'"),
    (["selftest", "--device", "tpu"], "unknown device 'tpu'"),
]

#: Rows whose words the real command must hand on as well: each comes from another place.
REAL = ("vaildate", "unknown op 'topk_sofmax'", "code 7 before", "cannot be printed", "/proc/x.xml")


@pytest.fixture
def files(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_request(call_rocmoe, tmp_path, arguments, said):
    check(call_rocmoe(*arguments), tmp_path, said)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("words", REAL)
def test_a_bad_request_of_the_real_command(rocmoe, tmp_path, words):
    ((arguments, said),) = [(each, said) for each, said in BAD if words in said or words in each]
    check(rocmoe(*arguments), tmp_path, said)


def check(done, folder, said):
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert {entry.name for entry in folder.iterdir() if entry.suffix == ".json"} <= {"newer.json"}
    assert not list(folder.glob("*.jsonl"))
    assert not list(folder.glob("rocmoe-artifacts/*"))


def test_a_run_is_resumed_by_the_same_request_only(call_rocmoe, tmp_path):
    assert call_rocmoe("validate", "--case", RIGHT, "--out", "a.json").returncode == 0
    lines = [line for line in (tmp_path / "a.json").read_text().splitlines() if line]
    assert lines
    import json

    document = json.loads((tmp_path / "a.json").read_text())
    header = {k: v for k, v in document.items() if k not in ("complete", "results")}
    stream = tmp_path / "a.json.partial.jsonl"
    stream.write_text(json.dumps(header) + "\n")
    done = call_rocmoe("validate", "--case", RIGHT, "--strict", "--resume", "--out", "a.json")
    assert done.returncode == 2
    assert "strict was False in the run begun, now True" in done.stderr
    stream.write_text("{}\n")
    done = call_rocmoe("validate", "--case", RIGHT, "--resume", "--out", "a.json")
    assert done.returncode == 2
    assert "is malformed" in done.stderr


def test_a_broken_triton_is_unavailable_and_costs_nothing_else(rocmoe, tmp_path):
    (tmp_path / "triton.py").write_text("raise RuntimeError('broken')")
    done = rocmoe("validate", "topk_softmax", "--suite", "smoke",
                  env={**os.environ, "PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "triton cannot be imported: RuntimeError: broken" in done.stdout


def test_a_triton_that_is_none_is_no_interrupt_and_no_crash(rocmoe, tmp_path):
    (tmp_path / "triton.py").write_text("__version__ = '3.9.0'")
    done = rocmoe("isa", "topk_softmax", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert "No module named 'triton.language'" in done.stderr.splitlines()[-1]
