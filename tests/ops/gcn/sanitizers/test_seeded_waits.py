"""Every barrier and wait of compiled kernels, dropped one at a time: what orders something is
missed, by the word of a model that shares no code with the sanitizers; the rest is not."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("triton", reason="triton is not installed")
from order_model import Model, Recorder
from portable_cases import CASES
from seeding import compile_case, list_seeds, sanitize

from rocmoe.ops.core.guard import poisoned_allocations
from rocmoe.ops.core.launch import simulating
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch
from rocmoe.ops.gcn.machine.run import Settings, run_launch
from rocmoe.ops.gcn.machine.schedule import ORDERS

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
#: Kernels with seeds that harm nothing, how many at most, and why.
HARMLESS = {
    # Each wave stores to what it alone read before the barrier.
    "sort_row": 3,
    # Two barriers with nothing in LDS between them, each of which would do; the last one before the
    # end; and waits for cache write-backs and for an atomic before the end, which nobody relies on.
    "collect_values": 10,
    # One wait for a store and the write-back behind it: the store alone is all that is modelled.
    "sum_last": 1,
}
#: Barriers, and counters of waits, that order something: at least so many, whatever the compiler.
CAUGHT = {
    "reduce_row": (2, 4),
    "sort_row": (4, 10),
    "count_values": (2, 4),
    "scan_row": (1, 6),
    "multiply": (2, 6),
    "count_sort": (3, 9),
    "collect_values": (3, 7),
    "sum_last": (2, 6),
}


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
    caught: Counter[str] = Counter()
    harmless = 0
    for seed in list_seeds(program):
        _, launch = compile_case(CASES[name](), arch)
        faults = [f for f in sanitize(seed.plant(program), launch) if not f.is_note]
        reported = any(f.check in ("racecheck", "waitcheck") for f in faults)
        wrong = model.find(seed.index, seed.kind, seed.slack)
        assert reported == bool(wrong), (seed, wrong, faults[:1])
        caught[seed.kind] += reported and not seed.slack
        harmless += not wrong
    assert harmless <= HARMLESS.get(name, 0)
    barriers, waits = CAUGHT[name]
    assert caught["barrier"] >= barriers
    assert caught["vmcnt"] + caught["lgkmcnt"] >= waits


def test_enough_is_seeded():
    barriers, waits = map(sum, zip(*CAUGHT.values(), strict=True))
    assert barriers >= 10
    assert waits >= 30
