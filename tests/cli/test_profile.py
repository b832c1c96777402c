"""`rocmoe profile` through the real command."""

import json
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "profiles" / "profiling" / "fixtures"


def test_what_rocprofv3_wrote_elsewhere_is_read(rocmoe):
    done = rocmoe("profile", "--from", FIXTURES / "v70", "--kernel", "divide")
    assert done.returncode == 0, done.stderr
    assert "divide_kernel  1           11.2" in done.stdout
    assert "addition_kernel" not in done.stdout
    assert "note: 41822_kernel_trace.csv: LDS_Block_Size is what the code declares" in done.stdout


def test_json_has_all_tables(rocmoe):
    done = rocmoe("profile", "--from", FIXTURES / "v63", "--hardware", "mi300x", "--format", "json")
    kernels, *others = json.loads(done.stdout)
    assert [row["kernel"] for row in kernels["rows"]] == ["addition_kernel", "divide_kernel"]
    assert others[-1]["title"] == "What holds each back"


def test_what_cannot_be_read_or_profiled_is_one_line(rocmoe, tmp_path):
    no_gpu = ("topk_softmax", "--model", "deepseek-v3", "--tokens", "16,4096")
    for arguments, said, code in (
        (["--from", FIXTURES / "v63", "topk_softmax"], "measures nothing, but found", 2),
        (["topk_softmax", "--device", "cpu"], "--device cpu: profilers look at a GPU", 2),
        (no_gpu, "torch sees no GPU here, so there is nothing to profile", 4),
    ):
        done = rocmoe("profile", *arguments, env={"PATH": "/usr/bin", "CUDA_VISIBLE_DEVICES": ""})
        assert done.returncode == code, done.stdout + done.stderr
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "rocmoe-artifacts").exists()
