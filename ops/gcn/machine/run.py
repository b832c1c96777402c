"""Executing a launch: batches of workgroups, and in each the waves until all have ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.machine.arena import Arena
from rocmoe.ops.gcn.machine.fault import DeadlockError, Fault, FaultLog
from rocmoe.ops.gcn.machine.hidden_arguments import list_hidden
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor
from rocmoe.ops.gcn.machine.lowering import Steps
from rocmoe.ops.gcn.machine.machine import Machine, Placement
from rocmoe.ops.gcn.machine.observer import Observer, listeners
from rocmoe.ops.gcn.machine.schedule import make_schedule
from rocmoe.ops.gcn.machine.setup import set_up
from rocmoe.ops.gcn.machine.step import Outcome, Transfer
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.semantics.words import Array

#: Waves that run at once: as many as let a register's values stay in a core's cache.
BATCH_WAVES = 1024


@dataclass(frozen=True)
class Settings:
    """order: one of schedule.ORDERS. max_steps: instructions that a batch may issue, each for
    any number of its waves, before it counts as one that does not end."""

    order: str = "together"
    batch_waves: int = BATCH_WAVES
    max_steps: int = 5_000_000


@dataclass
class Report:
    """What a launch did.

    executed: how many waves ran each instruction, int64 [instructions]. transfers: the jumps that
    were taken, from and to which instruction. waves: of the whole launch.
    """

    program: Program
    kernel: Kernel
    faults: FaultLog
    executed: Array
    waves: int
    transfers: set[tuple[int, int]] = field(default_factory=set)


def run_launch(
    program: Program,
    kernel: Kernel,
    launch: Launch,
    settings: Settings,
    observers: tuple[Observer, ...] = (),
    steps: Steps | None = None,
) -> Report:
    """Execute a kernel; tensors are changed in place.

    steps: of the program, where it was run before.

    Raises `UnsupportedError` where it comes to an instruction that is not simulated, and
    `DeadlockError` where it does not end.
    """
    arena = _make_arena(kernel, launch)
    counts = np.zeros(len(program.instructions), np.int64)
    report = Report(program, kernel, FaultLog(), counts, launch.workgroups * launch.waves)
    steps = steps or Steps(program)
    machine: Machine | None = None
    with np.errstate(all="ignore"):
        for placement in _batches(launch, settings.batch_waves):
            machine = _make_machine(program, kernel, launch, arena, placement, report, observers)
            _Batch(machine, steps, report, settings).run(kernel.entry)
        if machine is not None:
            for observer in observers:
                observer.end(machine)
    arena.copy_back()
    return report


def _make_arena(kernel: Kernel, launch: Launch) -> Arena:
    """Memory with all tensors, and their addresses in the kernarg segment."""
    tensors = [slot.value for slot in launch.slots if isinstance(slot.value, Tensor)]
    arena = Arena(tensors, _size_kernarg(kernel, launch))
    arena.fill_kernarg((*list_hidden(kernel, launch), *launch.slots))
    return arena


def _size_kernarg(kernel: Kernel, launch: Launch) -> int:
    ends = [slot.offset + _size(slot) for slot in launch.slots]
    declared = kernel.metadata.kernarg_segment_size if kernel.metadata else 0
    return max([declared, kernel.descriptor.kernarg_size, *ends])


def _size(slot: Slot) -> int:
    return 8 if isinstance(slot.value, Tensor) else len(slot.value)


def _batches(launch: Launch, batch_waves: int) -> Iterator[Placement]:
    """Whole workgroups, in the order in which the hardware starts them."""
    several = max(1, batch_waves // launch.waves)
    for start in range(0, launch.workgroups, several):
        workgroups = np.arange(start, min(start + several, launch.workgroups))
        yield Placement(
            group=np.repeat(np.arange(len(workgroups)), launch.waves),
            workgroup=np.repeat(workgroups, launch.waves),
            slot=np.tile(np.arange(launch.waves), len(workgroups)),
        )


def _make_machine(
    program: Program,
    kernel: Kernel,
    launch: Launch,
    arena: Arena,
    placement: Placement,
    report: Report,
    observers: tuple[Observer, ...],
) -> Machine:
    machine = Machine(
        program,
        arena,
        placement,
        kernel.descriptor.group_segment_fixed_size + launch.lds_bytes,
        kernel.descriptor.private_segment_fixed_size,
        report.faults,
        observers,
    )
    set_up(machine, kernel, launch)
    for observer in observers:
        observer.begin(machine)
    return machine


class _Batch:
    """The waves of one machine: where each stands, which have ended, which wait at a barrier."""

    def __init__(self, machine: Machine, steps: Steps, report: Report, settings: Settings) -> None:
        self.machine, self.steps, self.report, self.settings = machine, steps, report, settings
        self.alive = np.ones(machine.waves, np.bool_)
        self.waiting = np.zeros(machine.waves, np.bool_)
        self.schedule = make_schedule(settings.order, machine.placement)
        self.joins = _find_joins(machine.program, self.schedule.redraws)
        self.issued = 0
        self.before = listeners(machine.observers, "step")
        self.after = listeners(machine.observers, "done")

    def run(self, entry: int) -> None:
        self.places = np.full(self.machine.waves, entry, np.int64)
        while self.alive.any():
            self._open_barriers()
            runnable = self.alive & ~self.waiting
            place, chosen = self.schedule.pick(self.places, runnable)
            every = bool(chosen.all())
            self.machine.select(None if every else np.flatnonzero(chosen))
            alone = bool((runnable == chosen).all())
            if not self._run_from(place, alone):
                return
        for observer in self.machine.observers:
            observer.finish(self.machine)

    def _run_from(self, place: int, alone: bool) -> bool:
        """Until the chosen waves jump, wait, end, or others may join them; false: gave up."""
        machine, counts = self.machine, self.report.executed
        while True:
            step = self.steps[place]
            machine.index = place
            counts[place] += machine.n
            self.issued += 1
            for tell in self.before:
                tell(machine, step)
            transfer = step.run(machine)
            machine.clock += 1
            for tell in self.after:
                tell(machine, step)
            if transfer is not None:
                self._move(place, transfer)
                return self.issued < self.settings.max_steps or self._give_up()
            place += 1
            if place in self.joins and not (alone and not self.schedule.redraws):
                self.places[machine.sel] = place
                return True

    def _move(self, place: int, transfer: Transfer) -> None:
        sel = self.machine.sel
        if transfer.outcome is Outcome.END:
            self.alive[sel] = False
        elif transfer.outcome is Outcome.BARRIER:
            self.places[sel] = place + 1
            self.waiting[sel] = True
        else:
            self.places[sel] = transfer.targets
            for target in np.unique(transfer.targets):
                self.report.transfers.add((place, int(target)))

    def _open_barriers(self) -> None:
        """Where every wave that has not ended waits; those that ended do not count."""
        if not self.waiting.any():
            return
        group = self.machine.placement.group
        busy = np.zeros(self.machine.groups, np.bool_)
        busy[group[self.alive & ~self.waiting]] = True
        opened = self.waiting & ~busy[group]
        if opened.any():
            self.waiting[opened] = False
            for observer in self.machine.observers:
                observer.release(self.machine, np.flatnonzero(opened))

    def _give_up(self) -> bool:
        """Report waves that others wait for in vain; raise where nobody waits."""
        placement, program = self.machine.placement, self.machine.program
        waiting = np.flatnonzero(self.waiting & self.alive)
        if not len(waiting):
            at = int(self.places[self.alive].min())
            raise DeadlockError(
                f"no end after {self.issued} instructions; still running at "
                f"{program.where(program.instructions[at])}"
            )
        wave = int(waiting[0])
        group = placement.group == placement.group[wave]
        missing = np.flatnonzero(group & self.alive & ~self.waiting)
        slots = ", ".join(str(int(placement.slot[each])) for each in missing)
        at = int(self.places[missing[0]])
        where = program.where(program.instructions[at])
        message = f"waits at the barrier for wave {slots}, which never arrives: it is at {where}"
        index, place = int(self.places[wave]) - 1, (placement.workgroup[wave], placement.slot[wave])
        fault = Fault("synccheck", index, int(place[0]), int(place[1]), None, message)
        self.report.faults.add(fault)
        return False


def _find_joins(program: Program, at_memory: bool) -> frozenset[int]:
    """Where waves may meet others: labels; and memory accesses, where the order is redrawn."""
    joins = set(program.labels.values())
    prefixes = ("ds_", "global_", "buffer_", "flat_")
    if at_memory:
        joins |= {
            at for at, each in enumerate(program.instructions) if each.name.startswith(prefixes)
        }
    return frozenset(joins)
