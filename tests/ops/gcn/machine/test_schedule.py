"""Which waves run next, by the name of an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.machine.machine import Placement
from rocmoe.ops.gcn.machine.schedule import ORDERS, PATIENCE, make_schedule

#: Two workgroups of three waves.
PLACEMENT = Placement(
    np.array([0, 0, 0, 1, 1, 1]), np.array([4, 4, 4, 5, 5, 5]), np.array([0, 1, 2, 0, 1, 2])
)
PLACES = np.array([9, 5, 9, 5, 5, 7])


def _pick(order: str, runnable: list[bool]) -> tuple[int, list[int]]:
    schedule = make_schedule(order, PLACEMENT)
    place, chosen = schedule.pick(PLACES, np.array(runnable))
    return place, np.flatnonzero(chosen).tolist()


@pytest.mark.parametrize(
    ("order", "runnable", "place", "chosen"),
    [
        ("together", [1, 1, 1, 1, 1, 1], 5, [1, 3, 4]),
        ("together", [1, 0, 1, 0, 0, 1], 7, [5]),
        ("together", [1, 0, 1, 0, 0, 0], 9, [0, 2]),
        ("first", [1, 1, 1, 1, 1, 1], 5, [3]),  # the first of workgroup 0 is further
        ("first", [0, 1, 1, 1, 0, 1], 5, [1, 3]),
        ("first", [1, 1, 1, 0, 0, 0], 9, [0]),
        ("last", [1, 1, 1, 1, 1, 1], 7, [5]),
        ("last", [1, 1, 0, 1, 1, 0], 5, [1, 4]),
    ],
)
def test_choice(order: str, runnable: list[bool], place: int, chosen: list[int]) -> None:
    assert _pick(order, [bool(each) for each in runnable]) == (place, chosen)


@pytest.mark.parametrize("order", ORDERS)
def test_every_choice_is_runnable_and_at_one_place(order: str) -> None:
    random, schedule = np.random.default_rng(3), make_schedule(order, PLACEMENT)
    for _ in range(200):
        runnable = random.random(6) < 0.5
        runnable[random.integers(6)] = True
        places = random.integers(0, 3, 6)
        place, chosen = schedule.pick(places, runnable)
        assert chosen.any()
        assert not (chosen & ~runnable).any()
        assert set(places[chosen]) == {place}


def test_random_takes_all_orders_and_is_repeatable() -> None:
    def draw() -> list[list[int]]:
        schedule = make_schedule("random", PLACEMENT)
        picks = (schedule.pick(np.zeros(6), np.ones(6, np.bool_)) for _ in range(50))
        return [np.flatnonzero(chosen).tolist() for _, chosen in picks]

    assert draw() == draw()
    assert {(a, b - 3) for a, b in draw()} == {(a, b) for a in range(3) for b in range(3)}


def test_unknown_order() -> None:
    with pytest.raises(RocmoeError, match=r"wave order 'lats'.*last"):
        make_schedule("lats", PLACEMENT)


SPIN = """
  v_lshrrev_b32_e32 v1, 6, v0
  v_readfirstlane_b32 s4, v1
  v_mov_b32_e32 v2, {bytes}
  v_mov_b32_e32 v3, 1
  v_mov_b32_e32 v4, 0
  ds_write_b32 v2, v4
  s_barrier
  s_cmp_eq_u32 s4, {producer}
  s_cbranch_scc1 .Lproduce
.Lspin:
  ds_read_b32 v4, v2
  s_waitcnt lgkmcnt(0)
  v_readfirstlane_b32 s5, v4
  s_cmp_eq_u32 s5, 0
  s_cbranch_scc1 .Lspin
  s_endpgm
.Lproduce:
  s_mov_b32 s5, 3
.Lwork:
  s_sub_u32 s5, s5, 1
  s_cmp_lg_u32 s5, 0
  s_cbranch_scc1 .Lwork
  ds_write_b32 v2, v3
  s_endpgm
"""


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("producer", [0, 2])
def test_waves_that_spin_let_others_run(
    order: str, producer: int, run_kernel: Callable[..., Any]
) -> None:
    text = SPIN.format(bytes=16, producer=producer)
    done = run_kernel(text, block=192, order=order, max_steps=10 * PATIENCE)
    assert not done.report.faults.faults
    assert done.registers["s5"].tolist() == [0 if wave == producer else 1 for wave in range(3)]
