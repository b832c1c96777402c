"""The road of a kernel that serves no op: run it twice, watch both, compare bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.declared_tensors import Memory, lay_out
from rocmoe.ops.core.element_types import decode
from rocmoe.ops.core.guard import forget_unwritten
from rocmoe.ops.core.kernel_launch import LoadedKernel
from rocmoe.ops.core.launch import simulating
from rocmoe.ops.core.simulator import Simulated, Simulator, Watch, add_counts
from rocmoe.profiles.examination import Examination
from rocmoe.profiles.simulation import judge_faults
from rocmoe.references.judging.verdict import Check, Judgement, Verdict, format_element, merge

NO_JUDGE = Check(
    "judge", None, 0.0, 0.0, "not applied: the launch file names no op whose oracle there is"
)


@dataclass(frozen=True)
class _Done:
    memories: Sequence[Memory]
    launches: tuple[Simulated, ...]


def examine_bare(loaded: LoadedKernel, watch: Watch) -> Examination:
    """Run a kernel on the tensors of its launch file, twice, and compare what it left in them.

    Under order together the second run meets other poison, so that a result that depends on
    memory that nobody wrote shows; under any other order the second run is under together.
    Raises RocmoeError where the launch cannot be.
    """
    first = _run(loaded, watch, poison=0)
    if watch.order == "together":
        again = _run(loaded, replace(watch, checks=(), counts=False), poison=1)
        compared = _compare("repeatable", again, first, "the second run", "the first")
    else:
        again = _run(loaded, Watch((), counts=False), poison=0)
        compared = _compare("order", first, again, f"order {watch.order}", "order together")
    verdict = merge(
        judge_faults(first.launches, watch.checks),
        compared,
        Verdict((NO_JUDGE, *_find_unwritten(first))),
    )
    return Examination(verdict, {**add_counts(first.launches)} or None)


def _run(loaded: LoadedKernel, watch: Watch, poison: int) -> _Done:
    forget_unwritten()
    memories = [lay_out(declared, poison) for declared in loaded.file.tensors]
    simulator = Simulator(loaded.arch, watch)
    with simulating(simulator):
        loaded.run({}, {memory.declared.name: memory.view for memory in memories})
    return _Done(memories, tuple(simulator.take()))


def _find_unwritten(done: _Done) -> list[Check]:
    """A remark for each tensor that started as poison and still holds some."""
    checks = []
    for memory in done.memories:
        left = int(np.count_nonzero(memory.find_poison().all(axis=1)))
        if memory.declared.fill == "poison" and left:
            name, shape = memory.declared.name, memory.declared.shape
            detail = f"not known: {left} of {int(np.prod(shape))} elements of {name} hold poison"
            checks.append(Check("all_written", None, float(left), 0.0, detail))
    return checks


def _compare(check: str, done: _Done, wanted: _Done, name: str, other: str) -> Verdict:
    """Whether two runs left the same bits; name, other: what the runs are called."""
    judgement = Judgement()
    for found, due in zip(done.memories, wanted.memories, strict=True):
        left, right = _read(found), _read(due)
        judgement.exact(
            check,
            _find_differences(found, due),
            output=found.declared.name,
            found=_Teller(left, f" in {name}"),
            wanted=_Teller(right, f", as in {other}"),
            detail=f"{name} against {other}",
        )
    return merge(judgement.verdict())


@dataclass(frozen=True)
class _Teller:
    """Words for an element, called with its index."""

    values: NDArray[np.generic]
    suffix: str

    def __call__(self, index: tuple[int, ...]) -> str:
        return format_element(self.values[index]) + self.suffix


def _find_differences(found: Memory, due: Memory) -> NDArray[np.bool_]:
    """Elements whose bits differ; what neither run wrote differs by its poison alone."""
    unwritten = found.find_poison() & due.find_poison()
    different = (found.read() != due.read()) & ~unwritten
    return np.asarray(different.any(axis=1)).reshape(found.declared.shape)


def _read(memory: Memory) -> NDArray[np.generic]:
    return decode(memory.read(), memory.declared.dtype).reshape(memory.declared.shape)
