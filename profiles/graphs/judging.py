"""Whether a replay's answer is right, and if not, whether it is one of the capture's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.spec import Inputs, OpSpec, Outputs
from rocmoe.profiles.examination import drop_undecided
from rocmoe.profiles.graphs.draws import Draw
from rocmoe.profiles.graphs.record import Fault
from rocmoe.references.judging.elementwise import digest, same_bits
from rocmoe.references.judging.verdict import Verdict

Masks = Mapping[str, NDArray[np.bool_]]


class FaultError(Exception):
    """A trial went wrong; the words say how."""

    def __init__(self, fault: Fault, words: str) -> None:
        super().__init__(words)
        self.fault, self.words = fault, words


class Judge:
    """Judges answers of replays, by the op's judge and against an eager run.

    passed: digests of the answers that were right, by the label of their draw: the same bits are
    not judged again.
    """

    def __init__(self, spec: OpSpec, dtype: str, strict: bool) -> None:
        self._spec, self._dtype, self._strict = spec, dtype, strict
        self.passed: set[tuple[str, str]] = set()

    def judge(self, inputs: Inputs, outputs: Outputs) -> Verdict:
        """The op's own verdict, without what only a second look could decide."""
        return drop_undecided(
            self._spec.judge(inputs, outputs, dtype=self._dtype, strict=self._strict)
        )

    def reduce(self, inputs: Inputs, outputs: Outputs) -> Outputs:
        """What runs are compared by: the op's canonical form, all bits if strict."""
        return outputs if self._strict else self._spec.canonical(inputs, outputs)

    def check(self, draw: Draw, outputs: Outputs, eager: Outputs, held: Masks) -> None:
        """Raise `FaultError` where outputs are unwritten, wrong, or unlike those of an eager run.

        held: elements that still hold what they were filled with ahead of the replay.
        """
        key = (draw.label, digest(outputs))
        if key in self.passed:
            return
        due = self._spec.must_write(draw.case, draw.inputs)
        for name, mask in held.items():
            left = mask & due.get(name, np.True_) & ~same_bits(outputs[name], eager[name])
            if left.any():
                raise FaultError("stale", _tell_unwritten(name, left))
        verdict = self.judge(draw.inputs, outputs)
        if not verdict.ok:
            raise FaultError("wrong", _tell_verdict(verdict))
        if unlike := self._find_unlike(draw.inputs, outputs, eager):
            raise FaultError("wrong", f"{unlike} is unlike that of an eager call")
        self.passed.add(key)

    def is_right(self, inputs: Inputs, outputs: Outputs) -> bool:
        """Whether a judge passes outputs for inputs that they may not even fit."""
        try:
            return self.judge(inputs, outputs).ok
        except (ValueError, IndexError, KeyError, ArithmeticError):
            return False

    def explain(
        self, fault: FaultError, draw: Draw, outputs: Outputs, eager: Outputs, then: Captured
    ) -> FaultError:
        """The fault itself, or that the answer is one of the inputs of the capture."""
        if fault.fault != "wrong" or draw.label == then.draw.label:
            return fault
        if self.is_right(then.draw.inputs, outputs):
            return FaultError("stale", "it gives the answer to the inputs of the capture")
        for name, value in draw.inputs.items():
            before = then.draw.inputs[name]
            if not isinstance(value, np.ndarray) or np.array_equal(value, before):
                continue
            if self.is_right({**draw.inputs, name: before}, outputs):
                return FaultError("stale", f"it goes by what {name} held at the capture")
        for name, values in outputs.items():
            if _is_same(values, then.answer[name]) and not _is_same(values, eager[name]):
                return FaultError("stale", f"{name} is still that of the capture's inputs")
        return fault

    def _find_unlike(self, inputs: Inputs, outputs: Outputs, eager: Outputs) -> str | None:
        mine, theirs = self.reduce(inputs, outputs), self.reduce(inputs, eager)
        return next((name for name in mine if not _is_same(mine[name], theirs[name])), None)


class Captured:
    """What a graph was captured on: the inputs, and the eager answer to them."""

    def __init__(self, draw: Draw, answer: Outputs) -> None:
        self.draw, self.answer = draw, answer


def _is_same(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return left.shape == right.shape and bool(same_bits(left, right).all())


def _tell_unwritten(name: str, left: NDArray[np.bool_]) -> str:
    first = list(map(int, np.argwhere(left)[0]))
    return f"{name}{first} and {int(left.sum()) - 1} more of it are not written by the replay"


def _tell_verdict(verdict: Verdict) -> str:
    failed = ", ".join(verdict.failed)
    for finding in verdict.findings:
        place = f"{finding.output}{list(finding.index)}" if finding.index else finding.output
        return f"failed {failed}: {place} is {finding.found}, wanted {finding.wanted}"
    return f"failed {failed}"
