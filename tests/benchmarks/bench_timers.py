"""How far rocmoe's timers are from Nsight Compute, on this GPU.

    ncu --profile-from-start off --clock-control none --cache-control none --csv \\
        --metrics gpu__time_duration.sum python bench_timers.py calls > ncu.csv
    python -m rocmoe bench topk_softmax --backend triton --timer graph --timer events \\
        --timer kernel $(python bench_timers.py cases) --out run.json
    python bench_timers.py compare run.json ncu.csv

Nsight Compute serialises and replays kernels, so that it is compared where a call is one kernel.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from statistics import median

TOKENS = (1, 64, 1024, 4096, 16384, 65536, 131072, 262144)
CASE = "topk_softmax:T={},E=256,k=8:bf16:renormalize=true:normal:contiguous"
CALLS = 20


def call() -> None:
    """Each case's kernel `CALLS` times, as ncu sees it."""
    import torch
    from torch.cuda import profiler

    from rocmoe.ops.kernels.topk_softmax import topk_softmax

    for tokens in TOKENS:
        logits = torch.randn(tokens, 256, device="cuda", dtype=torch.bfloat16)
        for _ in range(3):
            topk_softmax(logits, 8, True)
        torch.cuda.synchronize()
        profiler.start()
        for _ in range(CALLS):
            topk_softmax(logits, 8, True)
        torch.cuda.synchronize()
        profiler.stop()


def read_ncu(path: Path) -> dict[int, float]:
    """Median microseconds by tokens; what ncu prints around its table is left out."""
    lines = [line for line in path.read_text().splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(lines))
    units = {"ns": 1e-3, "nsecond": 1e-3, "us": 1.0, "usecond": 1.0, "ms": 1e3, "msecond": 1e3}
    times = [
        float(row["Metric Value"].replace(",", "")) * units[row["Metric Unit"]] for row in rows
    ]
    if len(times) != CALLS * len(TOKENS):
        raise SystemExit(f"{path} has {len(times)} kernels, wanted {CALLS * len(TOKENS)}")
    groups = [times[start : start + CALLS] for start in range(0, len(times), CALLS)]
    return dict(zip(TOKENS, map(median, groups), strict=True))


def compare(artifact: Path, table: Path) -> None:
    """Print each timer's median, and by how much it differs from ncu's."""
    from rocmoe.profiles.artifact import read_artifact
    from rocmoe.profiles.measuring.statistics import find_median

    wanted = read_ncu(table)
    names = ("graph", "events", "kernel")
    print("| T | Nsight Compute us | " + " | ".join(f"{name} us, off by" for name in names) + " |")
    print("|---|---|---|---|---|")
    for result in read_artifact(artifact).results:
        true_us = wanted[result.case.sizes["T"]]
        cells = [f"{result.case.sizes['T']}", f"{true_us:.2f}"]
        for each in result.measurements or ():
            us = find_median(each.samples_us)
            assert us is not None
            cells.append(f"{us:.2f}, {us - true_us:+.2f} ({us / true_us - 1.0:+.1%})")
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("calls")
    commands.add_parser("cases")
    comparing = commands.add_parser("compare")
    comparing.add_argument("artifact", type=Path)
    comparing.add_argument("table", type=Path)
    given = parser.parse_args()
    if given.command == "calls":
        call()
    elif given.command == "cases":
        print(" ".join(f"--case {CASE.format(tokens)}" for tokens in TOKENS))
    else:
        compare(given.artifact, given.table)


if __name__ == "__main__":
    main()
