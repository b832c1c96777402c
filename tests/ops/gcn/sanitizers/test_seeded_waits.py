"""Every barrier and wait of compiled kernels, dropped one at a time: what orders something is
missed, by the word of a model that shares no code with the sanitizers; the rest is not."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("triton", reason="triton is not installed")
from order_model import Model, Recorder
from seeding import CASES, compile_case, list_seeds, sanitize

from rocmoe.ops.core.guard import poisoned_allocations
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch
from rocmoe.ops.gcn.machine.run import Settings, run_launch
from rocmoe.ops.gcn.machine.schedule import ORDERS
from rocmoe.ops.core.launch import simulating

ARCHS = ("gfx90a", "gfx942", "gfx950")
#: The long ones are compiled much alike for all three.
SEEDED = [(name, "gfx942") for name in CASES] + [
    (name, arch)
    for arch in ("gfx90a", "gfx950")
    for name in CASES
    if (name, arch) not in (("sort_row", "gfx90a"), ("sort_row", "gfx950"), ("multiply", "gfx90a"))
]
#: Notes that unmodified kernels are worth, and why.
NOTES = {
    "count_values": "the same value",  # all waves clear the bins
    "count_sort": "the same value",
    "sum_last": "an atomic fetched before may order them",
}
#: Kernels with drops that harm nothing, how many at most, and why.
HARMLESS = {
    # Each wave reads back what it stored itself, or another barrier follows before the next store.
    "sort_row": 3,
    # Between two barriers nothing is in LDS to be ordered; and waits around cache write-backs,
    # which order what no other workgroup of this kernel reads.
    "collect_values": 7,
}

caught: Counter[str] = Counter()


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", CASES)
def test_an_unmodified_kernel_has_no_finding(name, arch):
    for order in ORDERS:
        with poisoned_allocations(0):
            case = CASES[name]()
        simulator = Simulator(arch, Watch(CHECKS, order, counts=False))
        with simulating(simulator):
            case.run()
        case.check()
        (simulated,) = simulator.take()
        notes = [fault.message for fault in simulated.faults if fault.is_note]
        assert len(notes) == len(simulated.faults), [f for f in simulated.faults if not f.is_note]
        assert all(NOTES.get(name, "none") in note for note in notes), notes
        assert bool(notes) == (name in NOTES)


@pytest.mark.parametrize(("name", "arch"), SEEDED)
def test_what_orders_an_access_is_missed(name, arch):
    program, launch = compile_case(CASES[name](), arch)
    recorder = Recorder()
    run_launch(program, program.kernel(), launch, Settings(), (recorder,))
    model = Model(program, recorder)
    assert model.find() == "", "the compiler's own waits and barriers are enough"
    harmless = 0
    for seed in list_seeds(program):
        program_without = seed.plant(program)
        _, launch = compile_case(CASES[name](), arch)
        faults = [f for f in sanitize(program_without, launch) if not f.is_note]
        reported = any(f.check in ("racecheck", "waitcheck") for f in faults)
        wrong = model.find(seed.index, seed.kind)
        assert reported == bool(wrong), (seed, wrong, faults[:1])
        caught[seed.kind] += reported
        harmless += not wrong
    assert harmless <= HARMLESS.get(name, 0)


def test_enough_was_seeded():
    if sum(caught.values()):  # not where another process ran the seeds
        assert caught["barrier"] >= 10
        assert caught["vmcnt"] + caught["lgkmcnt"] >= 30
