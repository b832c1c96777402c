"""Two runs of the same cases against each other: what is a pair, and what a gate fails on.

Results are pairs where case, backend and device are the same; any GPU is the same device here, as
whether two GPUs may be compared is a matter of `comparability`.  `diff_changes` says what becomes
of a pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.profiles.address import name_result, read_address, select_results, split_address
from rocmoe.profiles.artifact import Artifact, Result
from rocmoe.profiles.comparing.comparability import (
    DIMENSIONS,
    Difference,
    Dimension,
    Pair,
    check_kinds,
    find_differences,
)
from rocmoe.profiles.comparing.diff_changes import (
    COUNT_TOLERANCE,
    Change,
    compare_counts,
    compare_resources,
    compare_statuses,
    compare_times,
    match_kernels,
)
from rocmoe.profiles.comparing.diff_times import find_obstacle, learn_noise, match_measurements
from rocmoe.profiles.outcome import RAN, Exit

FORMAT: Final = "rocmoe.diff"
VERSION = 1

AMBIGUOUS = "ambiguous"
#: What --fail-on takes.  Resources fail only where asked for: a register that costs no wave costs
#: no time either, and where it does the times and the occupancy say so.
FAIL_ON = (*DIMENSIONS, AMBIGUOUS)
DEFAULT_FAIL_ON = ("correctness", "slower", "counts")

Key = tuple[str, str, str]
Paired = tuple[Result | None, Result | None]


class Diff(msgspec.Struct, frozen=True):
    """A comparison of two artifacts.  inconclusive: why it may have missed what it should fail on;
    gaps: what else was not compared."""

    format: Literal["rocmoe.diff"]
    version: int
    base: str
    new: str
    fail_on: list[str]
    exit: int
    differences: list[Difference]
    changes: list[Change]
    inconclusive: list[str]
    gaps: list[str]

    def fails_on(self, change: Change) -> bool:
        """Whether the exit code comes from a change."""
        return change.regression and change.dimension in self.fail_on


@dataclass(frozen=True)
class Gate:
    """What a comparison fails on.

    explicit: whether that was asked for, so that there must be something of it to compare.
    allowed: kinds of differences.  count_tolerance: as a share.
    """

    fail_on: Sequence[str] = DEFAULT_FAIL_ON
    explicit: bool = False
    allowed: frozenset[str] = frozenset()
    allow_missing: bool = False
    count_tolerance: float = COUNT_TOLERANCE


@dataclass(frozen=True)
class Side:
    """An artifact, or the results in it that are addressed. name: as it was given."""

    name: str
    file: Path
    artifact: Artifact
    results: Sequence[Result]
    address: str = ""


def make_gate(
    fail_on: str | None, allow: str | None, allow_missing: bool, count_tolerance: float
) -> Gate:
    """The gate that words with commas in between and a percentage stand for; None is the default.

    Raises `RocmoeError` for a word that there is none of.
    """
    words = DEFAULT_FAIL_ON if fail_on is None else _split(fail_on)
    for word in words:
        if word not in FAIL_ON:
            raise unknown("word for --fail-on", word, FAIL_ON)
    kinds = check_kinds(_split(allow) if allow is not None else ())
    return Gate(words, fail_on is not None, kinds, allow_missing, count_tolerance / 100.0)


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",")))


def read_side(text: str) -> Side:
    """The artifact that `FILE`, `FILE#CASE` or `FILE#CASE@BACKEND` stands for.

    Raises `RocmoeError` as `read_address`.
    """
    file, artifact, results = read_address(text)
    return Side(text, file, artifact, results, split_address(text)[1])


def pair_results(base: Side, new: Side) -> list[Paired]:
    """Results of both by case, backend and device; two that are both addressed are a pair.

    An address on one side holds for the other too.  Raises `RocmoeError` for a result that an
    artifact has twice, and for a pair of two cases.
    """
    addressed = "@" in base.address and "@" in new.address
    if addressed and len(base.results) == len(new.results) == 1:
        mine, theirs = new.results[0], base.results[0]
        if mine.case.id != theirs.case.id:
            raise RocmoeError(
                f"{theirs.case.id} and {mine.case.id} are not the same case, so that nothing of "
                "them compares"
            )
        return [(theirs, mine)]
    old = _index(base, new.address)
    now = _index(new, base.address)
    return [(old.get(key), now.get(key)) for key in dict.fromkeys([*old, *now])]


def _index(side: Side, address: str) -> dict[Key, Result]:
    found: dict[Key, Result] = {}
    for result in select_results(side.results, address):
        device = "gpu" if result.device.startswith("gpu") else result.device
        key = (result.case.id, result.selector, device)
        if key in found:
            raise RocmoeError(f"{side.name} has {name_result(result)} twice on {device}")
        found[key] = result
    return found


def make_diff(base: Side, new: Side, gate: Gate) -> Diff:
    """Compare what can be compared, and judge it by a gate; raises as `pair_results`."""
    pairs = pair_results(base, new)
    both = [(old, now) for old, now in pairs if old is not None and now is not None]
    differences = find_differences(base.artifact, new.artifact, both, gate.allowed)
    refused = {word for each in differences if not each.allowed for word in each.dimensions}
    noise = learn_noise([base.artifact, new.artifact])
    changes: list[Change] = []
    if "correctness" not in refused:
        changes += _compare_statuses(pairs, gate)
    for old, now in ((old, now) for old, now in both if old.status == now.status == "pass"):
        if "slower" not in refused:
            changes += compare_times(old, now, noise)
        if "counts" not in refused:
            changes += compare_counts(old, now, gate.count_tolerance)
        if "resources" not in refused:
            changes += compare_resources(old, now)
    inconclusive = _list_misses(pairs, differences, changes, gate)
    return Diff(
        FORMAT, VERSION, base.name, new.name, [*gate.fail_on],
        _judge(changes, inconclusive, gate), differences, changes, inconclusive,
        _list_gaps(base, new, both),
    )  # fmt: skip


def _compare_statuses(pairs: Sequence[Paired], gate: Gate) -> Iterator[Change]:
    known = {name_result(new): new for _, new in pairs if new is not None}
    for base, new in pairs:
        other = known.get(name_result(base)) if base is not None else None
        note = f"new has it on {other.device} ({other.status})" if other is not None else ""
        if change := compare_statuses(base, new, allow_missing=gate.allow_missing, note=note):
            yield change


def _judge(changes: Sequence[Change], inconclusive: Sequence[str], gate: Gate) -> Exit:
    failing = {each.dimension for each in changes if each.regression} & {*gate.fail_on}
    if "correctness" in failing:
        return Exit.FAILED
    if failing:
        return Exit.REGRESSED
    return Exit.INCONCLUSIVE if inconclusive else Exit.PASSED


def _list_misses(
    pairs: Sequence[Paired],
    differences: Sequence[Difference],
    changes: Sequence[Change],
    gate: Gate,
) -> list[str]:
    """Why a gate that finds nothing may have missed something."""
    compared = {each.dimension for each in changes if each.verdict not in ("NEW", "GONE")}
    results = [result for pair in pairs for result in pair if result is not None]
    misses = []
    for word in DIMENSIONS:
        if not (word in gate.fail_on or (word == "slower" and AMBIGUOUS in gate.fail_on)):
            continue
        refused = [each for each in differences if word in each.dimensions and not each.allowed]
        if refused:
            listed = ", ".join(dict.fromkeys(each.what for each in refused))
            misses.append(f"{word} is not compared, by a difference in {listed}")
        elif word not in compared and (gate.explicit or any(_has(each, word) for each in results)):
            misses.append(f"{word}: nothing of it can be compared")
    ambiguous = sum(each.verdict == "AMBIGUOUS" for each in changes)
    if AMBIGUOUS in gate.fail_on and ambiguous:
        misses.append(f"{ambiguous} time(s) are ambiguous")
    if not compared and not misses:
        misses.append("nothing that ran is in both")
    return misses


def _has(result: Result, dimension: Dimension) -> bool:
    found = {
        "correctness": result.status in RAN,
        "slower": bool(result.measurements),
        "counts": bool(result.counts),
        "resources": bool(result.isa),
    }
    return found[dimension]


def _list_gaps(base: Side, new: Side, both: Sequence[Pair]) -> list[str]:
    """What was not compared, a line for alike ones."""
    gaps = [
        f"{name}, {side.file}, was interrupted; its results after that are missing"
        for name, side in (("base", base), ("new", new))
        if not side.artifact.complete
    ]
    faults = Counter(
        (new.selector, " ".join(filter(None, key)), obstacle)
        for old, new in both
        for key, before, after in match_measurements(old, new)
        if (obstacle := find_obstacle(before, after)) is not None
    )
    gaps += [f"{name}, {what}: {why} ({n} case(s))" for (name, what, why), n in faults.items()]
    kernels = Counter(
        (new.selector, kernel, "new" if before is None else "base")
        for old, new in both
        if old.isa and new.isa
        for kernel, before, after in match_kernels(old, new)
        if before is None or after is None
    )
    gaps += [f"{name}: kernel {kernel} is only in {side} ({n} case(s))"
             for (name, kernel, side), n in kernels.items()]  # fmt: skip
    return gaps
