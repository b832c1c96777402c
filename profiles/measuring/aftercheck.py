"""Whether what was timed was still right: some answers taken by chance while it was timed, the last
ones, and those of calls behind it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import name_outputs
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.workbench import Workbench, to_numpy
from rocmoe.profiles.examination import drop_undecided
from rocmoe.profiles.measuring.timers import Effort
from rocmoe.references.judging.elementwise import digest_values, join_digests
from rocmoe.references.judging.verdict import Check, Finding, Verdict

CHECK = "after_timing"
#: What a finding of this check calls its call: behind the four of the road.
CALL = 5


class SpotChecks:
    """Takes two answers by chance while samples are taken: one among the samples that are taken in
    any case, one among the rest.

    Each is destroyed ahead of its sample, so that a call which no longer computes shows.
    """

    def __init__(self, effort: Effort, benches: Sequence[Workbench]) -> None:
        late = range(effort.least, effort.samples)
        self._picked = {random.randrange(1, max(effort.least, 2)), *random.choices(late or [0])}
        self._benches = benches
        self.taken: list[Any] = []

    def picks(self, number: int) -> bool:
        """Whether the answer of the sample of this number is to be kept; never the first's, which
        has none before it."""
        return number > 0 and number in self._picked

    def before(self, returned: Any) -> None:
        destroy(returned, *self._benches)

    def after(self, returned: Any) -> None:
        self.taken.append(_copy(returned))


@dataclass(frozen=True)
class _Taken:
    """An output: a copy where it was, its values, and the word for them."""

    tensor: Any
    values: NDArray[Any]
    word: str


@dataclass
class AfterCheck:
    """Judges answers of calls made for timing, on the two draws of the road.

    passed: digests of answers known to be right, by the number of their draw.  One with the same
    bits is not judged again.
    """

    spec: OpSpec
    case: Case
    device: Device
    draws: Sequence[Inputs]
    strict: bool
    passed: set[tuple[int, str]] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _looked: int = 0
    _right: dict[int, dict[str, _Taken]] = field(default_factory=dict)

    def check_spots(self, label: str, spots: SpotChecks) -> None:
        """Whether the answers that were taken by chance are right."""
        for number, returned in enumerate(spots.taken, 1):
            self._look(f"{label}, answer {number} of those taken by chance", 0, returned)

    def check(self, label: str, returned: Any, again: Callable[[], Any], bench: Workbench) -> bool:
        """Whether the last timed answer is right, and two more: on the same inputs once the answer
        was destroyed (one that is remembered is now gone), and on others at the same addresses.

        again: makes the timed call once more and gives what it returned.  bench: holds the inputs
        of that call, and holds the first draw again afterwards.
        """
        before = len(self.failed)
        self._look(f"{label}, the last call", 0, returned)
        mutated, outside = bench.find_damage(self.draws[0])
        for output, words, index in (*mutated, *outside):
            self.failed.append(f"{label}: {output} was written {words}")
            self.findings.append(Finding(CHECK, output, index, f"written {words}", "unchanged"))
        self._look(f"{label}, the same inputs again", 0, self._repeat(returned, again, bench))
        destroy(returned, bench)
        bench.prepare(self.draws[1], poison=1)
        self._look(f"{label}, other inputs", 1, again())
        bench.prepare(self.draws[0], poison=0)
        return len(self.failed) == before

    def _repeat(self, returned: Any, again: Callable[[], Any], bench: Workbench) -> Any:
        destroy(returned, bench)
        return again()

    def _look(self, label: str, draw: int, returned: Any) -> None:
        named = name_outputs(self.spec, self.case, self.device, returned)
        self._looked += 1
        right = self._right.get(draw, {})
        taken = {name: _take(tensor, right.get(name)) for name, tensor in named.items()}
        if all(each is right.get(name) for name, each in taken.items()):
            return
        known = (draw, join_digests({name: each.word for name, each in taken.items()}))
        if known in self.passed:
            self._right[draw] = taken
            return
        outputs = {name: each.values for name, each in taken.items()}
        inputs = self.draws[draw]
        verdict = drop_undecided(
            self.spec.judge(inputs, outputs, dtype=self.case.dtype, strict=self.strict)
        )
        if verdict.failed:
            self.failed.append(f"{label}: {', '.join(verdict.failed)}")
            self.findings += [replace(f, check=CHECK, call=CALL) for f in verdict.findings]
        else:
            self.passed.add(known)
            self._right[draw] = taken

    def verdict(self) -> Verdict:
        """One check for all that was looked at."""
        detail = "; ".join(self.failed) or f"{self._looked} answers of timed calls"
        check = Check(CHECK, not self.failed, float(len(self.failed)), 0.0, detail)
        return Verdict((check,), tuple(self.findings))


def _take(tensor: Any, right: _Taken | None) -> _Taken:
    """An output, or the right one itself where it has the same bits: large ones are compared where
    they are, since to copy and convert them takes longer than all that is timed."""
    if right is not None and same_tensor_bits(tensor, right.tensor):
        return right
    values = to_numpy(tensor)
    return _Taken(tensor.detach().clone(), values, digest_values(values))


def destroy(returned: Any, *benches: Workbench) -> None:
    """Overwrite an answer, unless it lies in the memory of an input of one of the benches."""
    import torch

    for tensor in returned if isinstance(returned, (tuple, list)) else (returned,):
        if isinstance(tensor, torch.Tensor) and not any(bench.owns(tensor) for bench in benches):
            poison = float("nan") if tensor.is_floating_point() else torch.iinfo(tensor.dtype).max
            tensor.detach().fill_(poison)


def same_tensor_bits(found: Any, wanted: Any) -> bool:
    """Whether two tensors have one dtype, one shape and the same bits, a NaN's too."""
    import torch

    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return False
    if found.is_floating_point():
        words = {2: torch.int16, 4: torch.int32, 8: torch.int64}[found.element_size()]
        found, wanted = found.view(words), wanted.view(words)
    return bool(torch.equal(found, wanted))


def _copy(returned: Any) -> Any:
    if isinstance(returned, (tuple, list)):
        return type(returned)(_copy(each) for each in returned)
    return returned.clone() if hasattr(returned, "clone") else returned
