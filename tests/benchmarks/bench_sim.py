"""Speed and memory of the simulator on one core: `make bench-sim`.

Each line is a process of its own, warmed up once: the median of five launches with nothing watched,
with what `validate` always watches, and with every sanitizer; and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve()
RUNS = 5
#: Name to tokens, and the seconds that are aimed at with nothing watched, None where none are.
CASES = {
    "gating_fp32": (4096, 0.5),
    "gating_bf16": (4096, 0.5),
    "count_sort": (4096, 1.0),
    "gating_bf16_large": (65536, None),
}
WATCHES = ("nothing", "always", "everything")
#: Every sanitizer may cost this much of what a run without any does.
LARGEST_RATIO = 4.0
LARGEST_GIB = 4.0
COLUMNS = ("case", "tokens", "nothing s", "aim s", "always s", "everything s", "ratio", "peak GiB")


def make_call(name: str):
    """A function that launches the case's kernel once."""
    import torch

    tokens = CASES[name][0]
    generator = torch.Generator().manual_seed(0)
    if name == "count_sort":
        return make_count_sort(torch, tokens, generator)
    from rocmoe.ops.kernels.topk_softmax import topk_softmax

    dtype = torch.float32 if "fp32" in name else torch.bfloat16
    gating_output = torch.randn(tokens, 256, generator=generator).to(dtype)
    return lambda: topk_softmax(gating_output, 8, True)


def make_count_sort(torch, tokens: int, generator):
    sys.path.insert(0, str(HERE.parents[1] / "kernels"))
    from portable_kernels import count_sort

    from rocmoe.ops.core.launch import launch

    ids = torch.rand(tokens, 256, generator=generator).topk(8).indices.int().flatten()
    order, ends, cursors = (torch.empty(n, dtype=torch.int32) for n in (len(ids), 256, 256))

    def call() -> None:
        tensors = {"ids": ids, "order": order, "ends": ends, "cursors": cursors}
        launch(count_sort, (1,), **tensors, n=len(ids), EXPERTS=256, BLOCK=1024, num_warps=8)

    return call


def measure(name: str, watched: str) -> dict[str, float]:
    """Median seconds of a launch, and the peak memory of this process."""
    from rocmoe.ops.core.launch import simulating
    from rocmoe.ops.core.simulator import ALWAYS, CHECKS, Simulator, Watch

    watch = {
        "nothing": Watch((), counts=False),
        "always": Watch(ALWAYS),
        "everything": Watch(CHECKS),
    }[watched]
    call, samples = make_call(name), []
    for _ in range(RUNS + 1):
        simulator = Simulator("gfx942", watch)
        start = time.perf_counter()
        with simulating(simulator):
            call()
        samples.append(time.perf_counter() - start)
        faults = [fault for run in simulator.take() for fault in run.faults if not fault.is_note]
        assert not faults, faults
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": statistics.median(samples[1:]), "peak_gib": peak}


def measure_apart(name: str, watched: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE), "--one", name, watched]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    from tabulate import tabulate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "WATCH"))
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    rows, kept, missed = [], [], []
    for name, (tokens, aim) in CASES.items():
        found = {watched: measure_apart(name, watched) for watched in WATCHES}
        seconds = {watched: one["seconds"] for watched, one in found.items()}
        ratio = seconds["everything"] / seconds["nothing"]
        peak = max(one["peak_gib"] for one in found.values())
        rows.append(
            [name, tokens, seconds["nothing"], aim, *list(seconds.values())[1:], ratio, peak]
        )
        kept.append({"case": name, "tokens": tokens, "aim_s": aim, "ratio": ratio, **found})
        missed += [
            f"{name}: {what}"
            for what, bad in (
                (f"{seconds['nothing']:.2f} s, aimed at {aim}", aim and seconds["nothing"] > aim),
                (f"{ratio:.1f} times with every sanitizer", ratio > LARGEST_RATIO),
                (f"{peak:.1f} GiB", peak > LARGEST_GIB),
            )
            if bad
        ]
    print(tabulate(rows, COLUMNS, floatfmt=".2f"))
    print("\n".join(["", *(f"missed: {line}" for line in missed)]) if missed else "\nall aims met")
    if options.out:
        machine = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "system": platform.machine(),
        }
        options.out.write_text(json.dumps({"machine": machine, "cases": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
