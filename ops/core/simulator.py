"""The simulator as what launches are given to: compiles nothing, runs, checks, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from rocmoe.ops.core.compilation import CompiledKernel
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.guard import find_unwritten
from rocmoe.ops.core.kernarg import make_launch
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.counting.tally import Tally
from rocmoe.ops.gcn.machine.fault import Fault
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor
from rocmoe.ops.gcn.machine.lowering import Steps
from rocmoe.ops.gcn.machine.observer import Observer
from rocmoe.ops.gcn.machine.run import Report, Settings, run_launch
from rocmoe.ops.gcn.machine.schedule import ORDERS
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.sanitizers.counters import Counters
from rocmoe.ops.gcn.sanitizers.hazardcheck import check_hazards
from rocmoe.ops.gcn.sanitizers.initcheck import Initcheck
from rocmoe.ops.gcn.sanitizers.races_global import GlobalRaces
from rocmoe.ops.gcn.sanitizers.races_local import LocalRaces
from rocmoe.ops.gcn.sanitizers.registers import check_registers
from rocmoe.ops.gcn.sanitizers.waitcheck import Waitcheck

#: memcheck and synccheck are part of every run; the rest only watch when they are asked for.
CHECKS = ("memcheck", "initcheck", "racecheck", "waitcheck", "synccheck", "hazardcheck")
#: Those that every validation on `sim:ARCH` makes.
ALWAYS = ("memcheck", "waitcheck", "synccheck")


@dataclass(frozen=True)
class Watch:
    """What a simulation looks at.

    checks: among CHECKS. order: one of ORDERS, in which waves run. counts: whether memory traffic
    and bank conflicts are counted beside instructions.
    """

    checks: tuple[str, ...] = ALWAYS
    order: str = "together"
    counts: bool = True

    def __post_init__(self) -> None:
        for check in self.checks:
            if check not in CHECKS:
                raise unknown("sanitizer", check, CHECKS)
        if self.order not in ORDERS:
            raise unknown("wave order", self.order, ORDERS)


@dataclass(frozen=True)
class FaultRecord:
    """A fault in words.

    where: the line of the assembly and of the source. place: workgroup, wave and lane.
    """

    check: str
    kernel: str
    message: str
    where: str
    place: str
    count: int
    is_note: bool


@dataclass(frozen=True)
class Simulated:
    """What became of one launch."""

    kernel: str
    faults: tuple[FaultRecord, ...]
    counts: Mapping[str, int]


@dataclass
class Simulator:
    """An executor of launches (see `launch.simulating`) on one architecture.

    inexact: whether transcendental instructions are as far off as the hardware's may be.
    """

    arch: str
    watch: Watch = Watch()
    inexact: bool = False
    _done: list[Simulated] = field(default_factory=list)

    def launch(
        self, compiled: CompiledKernel, grid: tuple[int, int, int], arguments: Mapping[str, Any], /
    ) -> None:
        """Run a compiled Triton kernel on torch CPU tensors, which it changes in place."""
        program, steps = _read(compiled.assembly, compiled.name, self.inexact)
        made = make_launch(compiled, grid, arguments)
        self.run(program, program.kernel(compiled.name), made, steps)

    def run(
        self, program: Program, kernel: Kernel, launch: Launch, steps: Steps | None = None
    ) -> Report:
        """Run any kernel; what it did is kept for `take`."""
        if program.target.architecture != self.arch:
            raise RocmoeError(f"{program.file} is code for {program.target}, wanted {self.arch}")
        if "initcheck" in self.watch.checks:
            launch = replace(launch, slots=tuple(map(_mark_unwritten, launch.slots)))
        tally = Tally(self.arch)
        observers = _make_observers(self.watch.checks)
        if self.watch.counts:
            observers += tally.observers
        settings = Settings(order=self.watch.order)
        steps = steps or Steps(program, self.inexact)
        report = run_launch(program, kernel, launch, settings, observers, steps)
        check_registers(report)
        if "hazardcheck" in self.watch.checks:
            check_hazards(report)
        faults = tuple(_tell(report, fault) for fault in report.faults.listing())
        self._done.append(Simulated(kernel.name, faults, tally.add_up(report)))
        return report

    def take(self) -> list[Simulated]:
        """The launches since this was last asked."""
        done, self._done = self._done, []
        return done


def add_counts(launches: Iterable[Simulated]) -> dict[str, int]:
    """The counts of several launches together."""
    total: Counter[str] = Counter()
    for simulated in launches:
        total.update(simulated.counts)
    return dict(total)


@lru_cache(maxsize=64)
def _read(assembly: str, name: str, inexact: bool) -> tuple[Program, Steps]:
    """A program once read and lowered serves all launches of the same code."""
    program = read_program(assembly, name)
    return program, Steps(program, inexact)


def _make_observers(checks: tuple[str, ...]) -> tuple[Observer, ...]:
    counters = Counters()
    made: list[Observer] = []
    if "waitcheck" in checks:
        made.append(Waitcheck(counters))
    if "racecheck" in checks:
        made += [LocalRaces(counters), GlobalRaces(counters)]
    if made:
        made.insert(0, counters)
    if "initcheck" in checks:
        made.append(Initcheck())
    return tuple(made)


def _mark_unwritten(slot: Slot) -> Slot:
    if not isinstance(slot.value, Tensor):
        return slot
    unwritten = find_unwritten(slot.value.memory, slot.value.itemsize)
    return replace(slot, value=replace(slot.value, unwritten=unwritten))


def _tell(report: Report, fault: Fault) -> FaultRecord:
    instruction = report.program.instructions[fault.index]
    lane = "" if fault.lane is None else f", lane {fault.lane}"
    return FaultRecord(
        check=fault.check,
        kernel=report.kernel.name,
        message=fault.message,
        where=report.program.where(instruction),
        place=f"workgroup {fault.workgroup}, wave {fault.wave}{lane}",
        count=fault.count,
        is_note=fault.is_note,
    )
