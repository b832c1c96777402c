"""Transcendental instructions that are as far off as the hardware's may be."""

import numpy as np

from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine.inexact import disturb, lower


def test_normal_results_move_by_one_ulp_and_by_the_same_every_time():
    values = np.random.default_rng(0).uniform(1.001, 1.999, 1000).astype(np.float32)
    moved = disturb(values, "f32")
    steps = moved.view(np.int32) - values.view(np.int32)
    assert set(steps.tolist()) == {-1, 1}
    assert 400 < np.count_nonzero(steps == 1) < 600
    assert (disturb(values, "f32") == moved).all()


def test_exact_results_and_those_that_are_no_normal_numbers_stay():
    values = np.array([0.0, -0.0, 1.0, 0.5, -4.0, np.inf, -np.inf, np.nan, 1e-40], np.float32)
    assert (disturb(values, "f32").view(np.uint32) == values.view(np.uint32)).all()


def test_f64_moves_by_its_own_bound():
    values = np.array([1.25, -3.3])
    steps = disturb(values, "f64").view(np.int64) - values.view(np.int64)
    assert np.abs(steps).tolist() == [2**29, 2**29]


class _Target:
    architecture = "gfx942"


class _Program:
    target = _Target()


def test_only_transcendental_instructions_of_f32_and_f64_are_inexact():
    def lowered(text):
        return lower(_Program(), parse_instruction(text)) is not None

    assert lowered("v_exp_f32_e32 v0, v1")
    assert lowered("v_rcp_f64_e32 v[0:1], v[2:3]")
    assert not lowered("v_exp_f16_e32 v0, v1")
    assert not lowered("v_add_f32_e32 v0, v1, v2")
