"""How often `rocmoe diff` alarms where nothing changed, and finds a slowdown that is there.

    bench_noise.py run FOLDER [--runs N]    measure on this GPU: runs of the same kernels, and of a
                                            20 us kernel as it is and 3 % slower
    bench_noise.py count FOLDER...          compare the runs in each folder in pairs, and count

Runs of one folder are of one start of the machine.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from rocmoe.profiles.artifact import read_artifact
from rocmoe.profiles.comparing.diff import Gate, make_diff, read_side

SPIN = Path(__file__).with_name("spin.py")
SLOWER = "1.03"
#: Sizes at which the kernels take from two to a hundred microseconds.
SAME = (
    "topk_softmax", "--backend", "triton",
    "--sweep", "T=1,64,1024,4096,16384;E=64,128,256,512;renormalize=true",
)  # fmt: skip
SPUN = ("topk_softmax", "--impl", f"{SPIN.name}:topk_softmax", "--sweep", "T=1,2,4,8,16,32,64,128")
MEASURED = ("--timer", "graph", "--device", "gpu", "--quick")
#: Artifacts differ in nothing else that is refused: how slow spins is a variable.
GATE = Gate(("slower",), allowed=frozenset({"clocks", "variables"}))


def run(folder: Path, runs: int) -> None:
    """Write the artifacts of some runs; what is slower is measured between what is not."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(runs):
        bench(SAME, folder / f"same-{number}.json")
        for name, share in (("spin", "1"), ("slow", SLOWER)):
            bench(SPUN, folder / f"{name}-{number}.json", ROCMOE_SPIN=share)


def bench(what: tuple[str, ...], out: Path, **environment: str) -> None:
    # Run where the kernel lies, so that artifacts name no folder of the machine.
    command = [sys.executable, "-m", "rocmoe", "bench", *what, *MEASURED, "--out"]
    subprocess.run(
        [*command, str(out.absolute())], check=False, cwd=SPIN.parent,
        env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def count(folders: list[Path]) -> None:
    """Print how many pairs of times came to each word."""
    for label, mine, theirs in (
        ("nothing changed", "same", "same"), ("nothing changed, 20 us", "spin", "spin"),
        ("3 % slower, 20 us", "spin", "slow"),
    ):  # fmt: skip
        within = [pair for folder in folders for pair in list_pairs(folder, mine, theirs)]
        show(f"{label}, {len(folders)} start(s) of the machine", within)
        if mine == theirs:
            across = [
                pair
                for one, other in itertools.combinations(folders, 2)
                for pair in itertools.product(list_runs(one, mine), list_runs(other, mine))
            ]
            show(f"{label}, of different starts", across)


def show(label: str, pairs: list[tuple[Path, Path]]) -> None:
    words = Counter(word for pair in pairs for word in compare(*pair))
    told = ", ".join(f"{word} {words[word]}" for word in sorted(words))
    print(f"{label}: {sum(words.values())} pairs: {told}")


def list_runs(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}-*.json"))


def list_pairs(folder: Path, mine: str, theirs: str) -> list[tuple[Path, Path]]:
    """Runs in the order of their numbers where both are of one kind, else all by all."""
    bases, news = list_runs(folder, mine), list_runs(folder, theirs)
    return [*itertools.pairwise(bases)] if mine == theirs else [*itertools.product(bases, news)]


def compare(base: Path, new: Path) -> list[str]:
    """The words for the times of two runs."""
    assert read_artifact(base).complete
    found = make_diff(read_side(str(base)), read_side(str(new)), GATE)
    return [change.verdict for change in found.changes if change.dimension == "slower"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("run")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--runs", type=int, default=5)
    commands.add_parser("count").add_argument("folders", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "run":
        run(given.folder, given.runs)
    else:
        count(given.folders)


if __name__ == "__main__":
    main()
