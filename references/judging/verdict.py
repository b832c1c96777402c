"""What a judge says: checks with an observed value and a limit, and the elements at fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Index = tuple[int, ...]

#: What stands or is due at an element: an array that broadcasts, or a function of the index,
#: which is only called for the findings that are kept.
Elements = ArrayLike | Callable[[Index], object]

#: Findings kept of one check; its `observed` still counts all of them.
FINDINGS_KEPT = 8


@dataclass(frozen=True)
class Finding:
    """One element at fault: which check, which output, where, what stood there, what was due.

    call: which call of the road it is from: 1 the first draw, 2 the second draw, 3 the first draw
    again, 4 the larger draw that decides a statistical check, 5 one made for timing.  where, place:
    of what a simulator saw rather than a judge, the instruction, and the first workgroup, wave and
    lane; `output` is the kernel then, and `wanted` is empty.
    """

    check: str
    output: str
    index: Index
    found: str
    wanted: str
    call: int = 1
    where: str = ""
    place: str = ""


@dataclass(frozen=True)
class Check:
    """One property and whether it holds.

    A bounded check observes error / limit, so its `limit` is 1.0 for every dtype; an exact check
    observes the number of wrong elements, and its `limit` is 0.0.  `ok` is None where the property
    could not be checked; `detail` says why.
    """

    name: str
    ok: bool | None
    observed: float
    limit: float
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """All checks of one judgement.

    `undecided` names a statistical check that asks for fresh, larger draws before it decides.
    """

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...] = ()
    undecided: str | None = None

    @property
    def ok(self) -> bool:
        """True when at least one property was checked and none is violated."""
        outcomes = [check.ok for check in self.checks if check.ok is not None]
        return bool(outcomes) and all(outcomes)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that do not hold."""
        return tuple(check.name for check in self.checks if check.ok is False)

    @property
    def error_ratio(self) -> float | None:
        """The largest error / limit among the bounded checks, None when there is none."""
        ratios = [check.observed for check in self.checks if check.limit == 1.0]
        return max(ratios) if ratios else None


@dataclass
class Judgement:
    """Collects checks; a judge makes one, adds to it, and returns `verdict()`."""

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    undecided: str | None = None

    def exact(
        self,
        name: str,
        bad: ArrayLike,
        *,
        output: str,
        found: Elements,
        wanted: Elements,
        detail: str = "",
    ) -> bool:
        """Add a check that no element may violate.

        `bad` is a boolean array; `found` and `wanted` say what stood and what was due there.  A
        scalar text such as "an id in [0, 8)" serves as `wanted`.
        """
        wrong = np.atleast_1d(np.asarray(bad, dtype=bool))
        count = int(np.count_nonzero(wrong))
        self.checks.append(Check(name, count == 0, float(count), 0.0, detail))
        places = np.flatnonzero(wrong)[:FINDINGS_KEPT]
        self._note(name, output, places, wrong.shape, found, wanted)
        return count == 0

    def bounded(
        self,
        name: str,
        error: ArrayLike,
        limit: ArrayLike,
        *,
        output: str,
        found: Elements,
        wanted: Elements,
        detail: str = "",
    ) -> bool:
        """Add a check that every `error` stays within its `limit` (same shape, limits > 0).

        An error that is not a number counts as infinite.
        """
        errors, limits = np.broadcast_arrays(np.atleast_1d(np.asarray(error, float)), limit)
        ratio = np.where(np.isnan(errors), np.inf, np.abs(errors)) / limits
        worst = float(ratio.max(initial=0.0))
        self.checks.append(Check(name, worst <= 1.0, worst, 1.0, detail))
        if worst > 1.0:
            self._note(name, output, _find_largest(ratio), ratio.shape, found, wanted)
        return worst <= 1.0

    def verdict(self) -> Verdict:
        """What was collected."""
        return Verdict(tuple(self.checks), tuple(self.findings), self.undecided)

    def _note(
        self,
        check: str,
        output: str,
        places: NDArray[np.intp],
        shape: Sequence[int],
        found: Elements,
        wanted: Elements,
    ) -> None:
        for place in places:
            index = tuple(int(i) for i in np.unravel_index(place, shape))
            texts = [format_element(_pick(elements, index, shape)) for elements in (found, wanted)]
            self.findings.append(Finding(check, output, index, texts[0], texts[1]))


def _find_largest(ratio: NDArray[np.float64]) -> NDArray[np.intp]:
    """Flat places of the largest ratios above 1, largest first."""
    flat = ratio.ravel()
    kept = min(FINDINGS_KEPT, flat.size)
    largest = np.argpartition(-flat, kept - 1)[:kept]
    ordered = largest[np.argsort(-flat[largest], kind="stable")]
    return np.asarray(ordered[flat[ordered] > 1.0])


def merge(*verdicts: Verdict) -> Verdict:
    """One verdict of several: checks of the same name become one that observes the worst."""
    worst: dict[str, Check] = {}
    for check in (check for verdict in verdicts for check in verdict.checks):
        known = worst.get(check.name)
        if known is None or _severity(check) > _severity(known):
            worst[check.name] = check
    findings = tuple(finding for verdict in verdicts for finding in verdict.findings)
    undecided = next((v.undecided for v in verdicts if v.undecided), None)
    return Verdict(tuple(worst.values()), findings, undecided)


def _severity(check: Check) -> tuple[bool, bool, float]:
    return check.ok is False, check.ok is not None, check.observed


def _pick(elements: Elements, index: Index, shape: Sequence[int]) -> object:
    if callable(elements):
        return elements(index)
    picked: object = np.broadcast_to(np.asarray(elements), shape)[index]
    return picked


def format_element(value: Any) -> str:
    """A number as a person reads it: nine digits tell any two float32 values apart."""
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.9g}"
    return str(value)
