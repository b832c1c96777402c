"""The counts of a launch put together, as an artifact keeps them."""

from __future__ import annotations

from collections import Counter

from rocmoe.ops.gcn.counting.banks import BankConflicts
from rocmoe.ops.gcn.counting.classes import CLASSES, classify
from rocmoe.ops.gcn.counting.traffic import Traffic
from rocmoe.ops.gcn.machine.observer import Observer
from rocmoe.ops.gcn.machine.run import Report


class Tally:
    """Collects the counts of one launch."""

    def __init__(self, arch: str) -> None:
        self._traffic, self._banks = Traffic(), BankConflicts(arch)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those that must watch the run."""
        return (self._traffic, self._banks)

    def add_up(self, report: Report) -> dict[str, int]:
        """`waves`, `instructions`, `instructions_CLASS`, and what was seen of memory and LDS.

        Instructions are wave instructions: one that a wave of 64 lanes issues counts once.
        """
        by_class: Counter[str] = Counter()
        for instruction, times in zip(report.program.instructions, report.executed, strict=True):
            if times:
                by_class[classify(instruction)] += int(times)
        return {
            "waves": report.waves,
            "instructions": sum(by_class.values()),
            **{f"instructions_{name}": by_class[name] for name in CLASSES if by_class[name]},
            **dict(sorted(self._traffic.counts.items())),
            **dict(sorted(self._banks.counts.items())),
        }
