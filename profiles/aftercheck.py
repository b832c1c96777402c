"""Whether what was timed was still right: the last answers, and those of calls behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import name_outputs
from rocmoe.ops.core.spec import Inputs, OpSpec, Outputs
from rocmoe.ops.core.workbench import Workbench, to_numpy
from rocmoe.profiles.examination import drop_undecided
from rocmoe.references.judging.elementwise import same_bits
from rocmoe.references.judging.verdict import Check, Finding, Verdict

CHECK = "after_timing"
#: What a finding of this check calls its call: behind the four of the road.
CALL = 5


@dataclass
class AfterCheck:
    """Judges answers of calls made for timing, on the two draws of the road.

    passed: answers known to be right, by the number of their draw.  One with the same bits is not
    judged again.
    """

    spec: OpSpec
    case: Case
    device: Device
    draws: Sequence[Inputs]
    strict: bool
    passed: list[tuple[int, Outputs]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _looked: int = 0

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
        outputs = {name: to_numpy(tensor) for name, tensor in named.items()}
        self._looked += 1
        if any(draw == known and _equal(outputs, kept) for known, kept in self.passed):
            return
        inputs = self.draws[draw]
        verdict = drop_undecided(
            self.spec.judge(inputs, outputs, dtype=self.case.dtype, strict=self.strict)
        )
        if verdict.failed:
            self.failed.append(f"{label}: {', '.join(verdict.failed)}")
            self.findings += [replace(f, check=CHECK, call=CALL) for f in verdict.findings]
        else:
            self.passed.append((draw, outputs))

    def verdict(self) -> Verdict:
        """One check for all that was looked at."""
        detail = "; ".join(self.failed) or f"{self._looked} answers of timed calls"
        check = Check(CHECK, not self.failed, float(len(self.failed)), 0.0, detail)
        return Verdict((check,), tuple(self.findings))


def destroy(returned: Any, bench: Workbench) -> None:
    """Overwrite an answer, unless it lies in the memory of an input."""
    import torch

    for tensor in returned if isinstance(returned, (tuple, list)) else (returned,):
        if isinstance(tensor, torch.Tensor) and not bench.owns(tensor):
            poison = float("nan") if tensor.is_floating_point() else torch.iinfo(tensor.dtype).max
            tensor.detach().fill_(poison)


def _equal(outputs: Outputs, kept: Outputs) -> bool:
    return all(bool(same_bits(outputs[name], kept[name]).all()) for name in kept)
