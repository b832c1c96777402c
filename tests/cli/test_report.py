"""`rocmoe report` through the real command."""

from pathlib import Path

ARTIFACTS = Path(__file__).parents[2] / "docs" / "artifacts"
RUN = ARTIFACTS / "bench-h100-qk.json"
BLOCK = "== Serving Benchmark Result ==\nMax request concurrency: 4\nMean TTFT (ms): {}\n====\n"


def test_a_page_the_text_of_a_pull_request_and_figures_are_written(rocmoe, tmp_path):
    for name, ms in (("before", 20.0), ("after", 15.0)):
        (tmp_path / name).write_text(BLOCK.format(ms))
    done = rocmoe(
        "report", RUN, "--html", "r.html", "--markdown", "r.md", "--png", "png",
        "--max-chars", "60000", "--before", RUN, "--after", RUN,
        "--serving-before", "before", "--serving-after", "after",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "report: r.html", "report: r.md", "report: png/latency-qk_rmsnorm.png",
        "report: png/latency-qk_norm_rope.png", "report: png/roofline.png", "report: png/floor.png",
    ]  # fmt: skip
    text = (tmp_path / "r.md").read_text()
    assert "| Mean TTFT (ms) | 20 | 15 | -25.0% | better |" in text
    assert "**Change** — bench-h100-qk.json against bench-h100-qk.json: passed (exit 0)" in text
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert 'id="serving-title"' in page


def test_the_text_is_printed_where_no_file_is_named(call_rocmoe):
    done = call_rocmoe("report", RUN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("**PASSED** — 15 of 15 results pass, 2 ops")
    assert "rocmoe bench qk_rmsnorm" in done.stdout


def test_a_bad_request_is_one_line(call_rocmoe, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, said in (
        ([], "nothing to report"),
        ([tmp_path / "none.json"], "cannot be read: No such file"),
        ([RUN, "--html", "x", "--markdown", "x"], "both name x"),
        ([RUN, "--html", "file/x.html"], "--html file/x.html cannot be written"),
    ):
        done = call_rocmoe("report", *arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
