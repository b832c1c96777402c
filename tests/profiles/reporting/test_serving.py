"""The serving benchmark: blocks as sgl-project/sglang#21421 and #23388 print them, JSON lines."""

import json

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.reporting.serving import (
    parse_blocks,
    parse_json_lines,
    read_serving,
    tabulate_serving,
)

#: Of sgl-project/sglang#21421, before the change.
BLOCK = """
============ Serving Benchmark Result ============
Backend:                                 sglang
Traffic request rate:                    inf
Max request concurrency:                 64
Successful requests:                     640
Benchmark duration (s):                  244.93
Total input tokens:                      590851
Total input text tokens:                 590851
Total generated tokens:                  589052
Total generated tokens (retokenized):    587513
Request throughput (req/s):              2.61
Input token throughput (tok/s):          2412.29
Output token throughput (tok/s):         2404.94
Peak output token throughput (tok/s):    3094.00
Peak concurrent requests:                75
Total token throughput (tok/s):          4817.23
Concurrency:                             62.48
----------------End-to-End Latency----------------
Mean E2E Latency (ms):                   23912.46
Median E2E Latency (ms):                 23816.68
P90 E2E Latency (ms):                    26818.09
P99 E2E Latency (ms):                    28128.11
---------------Time to First Token----------------
Mean TTFT (ms):                          186.30
Median TTFT (ms):                        85.04
P99 TTFT (ms):                           1469.97
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          25.79
Median TPOT (ms):                        26.25
P99 TPOT (ms):                           27.79
---------------Inter-Token Latency----------------
Mean ITL (ms):                           25.81
Median ITL (ms):                         21.16
P95 ITL (ms):                            91.78
P99 ITL (ms):                            134.56
Max ITL (ms):                            1359.95
==================================================
"""
#: The same after it, in those lines that are looked at.
AFTER = (
    BLOCK.replace("2404.94", "2451.20").replace("1469.97", "1305.24").replace("244.93", "240.31")
    .replace("2.61", "2.66").replace("3094.00", "3136.00")
)  # fmt: skip
#: Of sgl-project/sglang#23388: another concurrency.
OTHER = BLOCK.replace("concurrency:                 64", "concurrency:                 16")
LINE = {
    "backend": "sglang", "dataset_name": "random", "request_rate": "inf", "max_concurrency": 64,
    "duration": 240.31, "completed": 640, "total_output_tokens": 589052,
    "request_throughput": 2.66, "output_throughput": 2451.2, "p99_ttft_ms": 1305.24,
    "mean_e2e_latency_ms": 23460.42, "accept_length": None, "input_lens": [1, 2],
}  # fmt: skip


def find_row(table, name):
    return next(row for row in table.rows if row[0] == name)


def test_a_block_is_read_whole_among_other_text():
    (run,) = parse_blocks(f"server ready\nwarm-up: done\n{BLOCK}\nafter: 3\n")
    assert len(run.values) == 31
    assert run.setting == ("inf", "64")
    assert run.values["Total generated tokens (retokenized)"] == 587513.0
    assert run.values["Max ITL (ms)"] == 1359.95
    assert "after" not in run.values


def test_several_blocks_are_several_runs_and_one_cut_off_ends_at_other_text():
    cut = BLOCK[: BLOCK.index("----------------End")] + "Traceback, most recent call last\nX: 1"
    runs = parse_blocks(BLOCK + cut + OTHER)
    assert [run.setting[1] for run in runs] == ["64", "64", "16"]
    assert len(runs[1].values) == 16


def test_json_lines_have_the_labels_of_the_block():
    (block,) = parse_blocks(AFTER)
    runs = parse_json_lines("\n".join([json.dumps(LINE)] * 2) + '\n{"other": 1}\n')
    assert len(runs) == 2
    assert set(runs[0].values) <= set(block.values)
    assert runs[0].values["P99 TTFT (ms)"] == 1305.24
    assert runs[0].setting == block.setting


@pytest.mark.parametrize("after", [AFTER, json.dumps(LINE)], ids=["block", "json"])
def test_differences_are_told_with_what_is_better(after):
    new = parse_blocks(after) or parse_json_lines(after)
    (table,) = tabulate_serving(parse_blocks(BLOCK), new)
    assert table.title == "request rate inf, concurrency 64"
    found = find_row(table, "Output token throughput (tok/s)")
    assert found == ["Output token throughput (tok/s)", "2404.94", "2451.20", "+1.9%", "better"]
    assert find_row(table, "P99 TTFT (ms)")[3:] == ["-11.2%", "better"]
    assert find_row(table, "Benchmark duration (s)")[3:] == ["-1.9%", "better"]
    assert find_row(table, "Successful requests")[1:] == ["640", "640", "+0.0%", ""]
    assert find_row(table, "Backend")[1:] == ["sglang", "sglang", "-", ""]
    assert "nothing says how much" in table.notes[0]


def test_a_throughput_that_falls_is_worse():
    (table,) = tabulate_serving(parse_blocks(AFTER), parse_blocks(BLOCK))
    assert find_row(table, "Request throughput (req/s)")[4] == "worse"
    assert find_row(table, "P99 TTFT (ms)")[4] == "worse"


def test_runs_of_other_settings_are_no_pair():
    before, after = parse_blocks(BLOCK + OTHER), parse_blocks(AFTER)
    table, alone = tabulate_serving(before, after)
    assert table.title.endswith("concurrency 64")
    assert alone.rows == [["only before: request rate inf, concurrency 16"]]


def test_a_file_without_a_benchmark_is_refused(tmp_path):
    path = tmp_path / "log.txt"
    with pytest.raises(RocmoeError, match="cannot be read: No such file"):
        read_serving(path)
    path.write_text("Backend: sglang\n")
    with pytest.raises(RocmoeError, match=r"no serving benchmark: wanted the block"):
        read_serving(path)
