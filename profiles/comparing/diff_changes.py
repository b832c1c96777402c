"""What became of one result from one run to another: wrong, slower, costlier, or none of it.

correctness  A regression is a result that passed and does not any more, that is gone (missing,
             refused or unavailable), or that is wrong and was not in the base at all.  What was
             wrong and still is, is told.
slower       Each measurement by timer, cache state and stage; `diff_times` has the rule.
counts       What a simulated run counts.  It is exact, so that any increase beyond a tolerance is a
             regression: of all instructions, of bytes and segments of memory, of LDS.  Counts of
             waves, and of a class of instructions, are told, but are no cost of their own.
resources    What the code of a kernel says: more registers, spills, scratch or LDS, or less
             occupancy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from rocmoe.profiles.artifact import Result
from rocmoe.profiles.budget import LEAST
from rocmoe.profiles.comparing.comparability import Dimension
from rocmoe.profiles.comparing.diff_times import (
    Noise,
    find_obstacle,
    judge_times,
    match_measurements,
)
from rocmoe.profiles.isa_record import IsaRecord
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.outcome import BAD, RAN

#: A compiler that moves an address or two changes counts by less.
COUNT_TOLERANCE = 0.005
#: Of what a kernel's record says, what it costs.
RESOURCES = ("vgpr", "agpr", "sgpr", "spills", "scratch_bytes", "lds_bytes", "occupancy")
#: How many of the others that differ a note tells.
TOLD = 3

Word = Literal[
    "BROKEN", "GONE", "SLOWER", "WORSE", "AMBIGUOUS", "FASTER", "FIXED", "BETTER", "FAILING", "NEW",
    "SAME",
]  # fmt: skip


class Change(msgspec.Struct, frozen=True):
    """What became of one thing from base to new.

    what: of a time its timer, cache state and stage; of counts and resources the name of that which
    grew most, behind its kernel.  base, new: status, median in microseconds, count or resource;
    null where there is none.  ratio: new / base; low, high: of its interval; margin: beyond which
    it tells; null where there is none.  others: what else differs, base and new by name.
    regression: whether it fails a gate on its dimension.
    """

    dimension: Dimension
    verdict: Word
    case: str
    backend: str
    device: str
    regression: bool = False
    what: str = ""
    base: float | str | None = None
    new: float | str | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    note: str = ""
    others: dict[str, list[float]] = {}


def compare_statuses(
    base: Result | None, new: Result | None, *, allow_missing: bool, note: str = ""
) -> Change | None:
    """Whether a result still passes; None where it ran on neither side.

    One of them must be there.  note: on a result that is missing.
    """
    known = new or base
    assert known is not None
    before, after = (each.status if each else None for each in (base, new))
    verdict = _judge_statuses(before, after)
    if verdict is None:
        return None
    lost = verdict == "GONE" and before == "pass" and not allow_missing
    return Change(
        "correctness", verdict, known.case.id, _name_backend(base, new), known.device,
        lost or verdict == "BROKEN", "", before, after, note=(new.reason or "") if new else note,
    )  # fmt: skip


def _judge_statuses(before: str | None, after: str | None) -> Word | None:
    """The word for two statuses; None where nothing ran on either side."""
    if after in BAD:
        return "FAILING" if before in BAD else "BROKEN"
    if after == "pass":
        return "SAME" if before == "pass" else "FIXED" if before in BAD else "NEW"
    return "GONE" if before in RAN else None


def compare_times(base: Result, new: Result, noise: Noise) -> Iterator[Change]:
    """The measurements that can be compared."""
    for key, before, after in match_measurements(base, new):
        if before is None or after is None or find_obstacle(before, after) is not None:
            continue
        judged = judge_times(before, after, noise)
        notes = ["unverified"] * ("unverified" in (before.status, after.status))
        yield Change(
            "slower", judged.word, new.case.id, _name_backend(base, new), new.device,
            judged.word == "SLOWER", " ".join(filter(None, key)),
            find_median(before.samples_us), find_median(after.samples_us),
            judged.ratio.value, judged.ratio.low, judged.ratio.high, judged.margin,
            "; ".join([*notes, *filter(None, [judged.note])]),
        )  # fmt: skip


def compare_counts(base: Result, new: Result, tolerance: float) -> Iterator[Change]:
    """The counts of both as one change, if both have them; one that is missing is zero."""
    if not (base.counts and new.counts):
        return
    counts = {
        name: (base.counts.get(name, 0.0), new.counts.get(name, 0.0))
        for name in sorted({*base.counts, *new.counts})
        if not name.endswith("_per_token")
    }
    if any(map(_is_cost, counts)):
        yield _weigh("counts", base, new, counts, tolerance)


def compare_resources(base: Result, new: Result) -> Iterator[Change]:
    """A change for each kernel that both have."""
    for kernel, before, after in match_kernels(base, new):
        if before is not None and after is not None:
            yield _weigh("resources", base, new, _pair_resources(before, after), 0.0, kernel)


def match_kernels(
    base: Result, new: Result
) -> list[tuple[str, IsaRecord | None, IsaRecord | None]]:
    """The kernels of both by name and architecture, in the order of several that share these."""
    old, now = _index_kernels(base), _index_kernels(new)
    return [(key[0], old.get(key), now.get(key)) for key in dict.fromkeys([*old, *now])]


def _index_kernels(result: Result) -> dict[tuple[str, str, int], IsaRecord]:
    found: dict[tuple[str, str, int], IsaRecord] = {}
    for record in result.isa or ():
        known = sum(key[:2] == (record.kernel, record.arch) for key in found)
        found[record.kernel, record.arch, known] = record
    return found


def _pair_resources(before: IsaRecord, after: IsaRecord) -> dict[str, tuple[float, float]]:
    found = {}
    for name in RESOURCES:
        old, new = getattr(before, name), getattr(after, name)
        if old is not None and new is not None:
            found[name] = (float(old), float(new))
    return found


def _weigh(
    dimension: Dimension,
    base: Result,
    new: Result,
    values: Mapping[str, tuple[float, float]],
    tolerance: float,
    kernel: str = "",
) -> Change:
    """The change of that cost which grew most, or shrank most where none grew."""
    growth = {name: _find_growth(name, *pair) for name, pair in values.items()}
    costs = {name: share for name, share in growth.items() if _is_cost(name)}
    name = max(costs, key=lambda each: costs[each])
    verdict: Word = "WORSE" if costs[name] > tolerance else "SAME"
    if verdict == "SAME" and min(costs.values()) < -tolerance:
        verdict, name = "BETTER", min(costs, key=lambda each: costs[each])
    others = [each for each, share in growth.items() if share and each != name]
    others.sort(key=lambda each: -abs(growth[each]))
    old, now = values[name]
    return Change(
        dimension, verdict, new.case.id, _name_backend(base, new), new.device, verdict == "WORSE",
        " ".join(filter(None, [kernel, name])), old, now, now / old if old else None,
        margin=tolerance, note=", ".join(_tell(each, *values[each]) for each in others[:TOLD]),
        others={each: [*values[each]] for each in others},
    )  # fmt: skip


def _find_growth(name: str, old: float, new: float) -> float:
    """By what share a cost grew; of what should be large, by what share it fell."""
    if name in LEAST:
        old, new = new, old
    if old == new:
        return 0.0
    return new / old - 1.0 if old else math.inf


def _is_cost(name: str) -> bool:
    return name != "waves" and not name.startswith("instructions_")


def _tell(name: str, old: float, new: float) -> str:
    return f"{name} {old:g} -> {new:g}"


def _name_backend(base: Result | None, new: Result | None) -> str:
    names = [each.selector for each in (base, new) if each is not None]
    return " -> ".join(dict.fromkeys(names))
