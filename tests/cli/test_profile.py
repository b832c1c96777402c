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


def test_nothing_to_read_is_one_line(rocmoe, tmp_path):
    for arguments, said in (
        (["--from", tmp_path], "found no .db, .json or .csv file"),
        (["--from", tmp_path / "gone"], "found nothing"),
        (["--from", FIXTURES / "v63", "--kernel", "divid_kernel"], "divide_kernel"),
        (["--from", FIXTURES / "v63", "--hardware", "mi300"], "unknown hardware 'mi300'"),
        ([], "Missing option '--from'"),
    ):
        done = rocmoe("profile", *arguments)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
