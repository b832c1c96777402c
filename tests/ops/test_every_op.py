"""What holds for every op, read from its declaration alone."""

import functools
import inspect
import math

import numpy as np
import pytest

from rocmoe.ops.backends import harm as harm_backend
from rocmoe.ops.backends import torch as torch_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.harm import list_harmed_ops, load_harms
from rocmoe.ops.core.implementation import writes_outputs
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import list_ops, list_pipelines, load_op
from rocmoe.ops.core.trivial import list_trivial_answers
from rocmoe.profiles.examination import draw_twice, examine
from rocmoe.profiles.suites import list_cases

CPU = Device("cpu")
#: A pipeline is declared, judged and harmed as an op is.
EVERY = (*list_ops(), *list_pipelines())
#: A case of a model's token ladder differs from its smaller ones in the token count alone, so the
#: largest stand for themselves through those.
LARGEST_INPUT = 500_000
#: Of a declared case.  Ten million probabilities take seconds a judgement, of which there are six a
#: case; the same patterns are declared with smaller vocabularies too.
LARGEST_DECLARED = 4_000_000
#: Of a right-but-different kernel, which has to pass them all; small cases have all patterns.
LARGEST_OF_RIGHT = 500_000

DESIGN = {
    "topk_softmax": "gating_output, topk, renormalize -> topk_weights, topk_ids",
    "topk_sigmoid": "gating_output, topk, renormalize, correction_bias -> topk_weights, topk_ids",
    "grouped_topk": "gating_output, correction_bias, topk, renormalize, num_expert_group, "
    "topk_group, scoring_func, routed_scaling_factor, num_fused_shared_experts -> "
    "topk_weights, topk_ids",
    "moe_sorting": "topk_ids, topk_weights, num_experts, unit_size, expert_mask, "
    "num_local_tokens, model_dim -> sorted_ids, sorted_weights, sorted_expert_ids, "
    "num_valid_ids, moe_buf",
    "moe_align_block_size": "topk_ids, num_experts, block_size -> sorted_token_ids, expert_ids, "
    "num_tokens_post_pad",
    "topk_softmax_sorting": "gating_output, topk, renormalize, unit_size, expert_mask, "
    "num_local_tokens, model_dim -> sorted_ids, sorted_weights, sorted_expert_ids, "
    "num_valid_ids, moe_buf",
    "top_k_renorm_probs": "probs, top_k -> renorm_probs",
    "top_p_renorm_probs": "probs, top_p -> renorm_probs",
    "top_k_top_p_renorm_probs": "probs, top_k, top_p, filter_apply_order -> renorm_probs",
    "chain_speculative_sampling": "candidates, target_probs, uniform_samples, "
    "uniform_samples_for_final_sampling, threshold_single, threshold_acc -> accept_length, "
    "bonus_token",
    "tree_speculative_sampling_target_only": "candidates, retrive_index, retrive_next_token, "
    "retrive_next_sibling, uniform_samples, uniform_samples_for_final_sampling, target_probs, "
    "draft_probs, threshold_single, threshold_acc, deterministic -> predicts, accept_index, "
    "accept_token_num",
    "qk_rmsnorm": "q, k, q_weight, k_weight, eps -> q_out, k_out",
    "qk_norm_rope": "qkv, q_weight, k_weight, cos_sin_cache, positions, num_heads_q, "
    "num_heads_kv, eps, is_neox_style, rotary_dim -> q, k, v",
    "dflash_verify": "target_logits, candidates, temperatures, top_k, top_p, uniform_samples, "
    "uniform_samples_for_final_sampling, threshold_single, threshold_acc -> accept_length, "
    "bonus_token",
}


@functools.cache
def quick_cases(op):
    return list_cases(load_op(op), "quick")


@functools.lru_cache(maxsize=32)
def draw_once(case):
    """What `examine` draws for a case, for all kernels of the op; nobody may write to it."""
    draws = draw_twice(load_op(case.op), case)
    for array in (value for inputs in draws for value in inputs.values()):
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return draws


def small_cases(op):
    """All declared cases and steps of the models' token ladders but the largest of both."""
    spec = load_op(op)
    declared = {spec.make_case(row).id for row in spec.cases}
    return [
        case
        for case in list_cases(spec, "full")
        if _largest(spec, case) <= (LARGEST_DECLARED if case.id in declared else LARGEST_INPUT)
    ]


def _largest(spec, case):
    return max(math.prod(spec.shape(argument, case)) for argument in spec.inputs if argument.axes)


def test_the_ops_are_those_of_the_design():
    assert set(EVERY) == set(DESIGN)


@pytest.mark.parametrize("op", EVERY)
def test_signature(op):
    spec = load_op(op)
    names = [
        ", ".join(argument.name for argument in group) for group in (spec.inputs, spec.outputs)
    ]
    assert " -> ".join(names) == DESIGN[op]
    assert list(inspect.signature(spec.run_torch).parameters) == names[0].split(", ")
    assert not writes_outputs(spec, spec.run_torch)
    assert spec.summary
    assert spec.source


@pytest.mark.parametrize("op", EVERY)
def test_every_case_is_one_word_that_parses_back(op):
    for case in list_cases(load_op(op), "full"):
        assert parse_case(case.id) == case
        assert not set(case.id) & set(" \t@#/*?[]{}()$&|<>;'\"\\")
        assert load_op(op).check_case(case) == case


@pytest.mark.parametrize("op", EVERY)
def test_every_declared_case_says_why_it_is_there(op):
    assert all(row.why for row in load_op(op).cases)
    assert any(row.suite == "smoke" for row in load_op(op).cases)


@pytest.mark.parametrize("op", EVERY)
def test_the_draw_is_the_same_every_time_and_another_for_another_seed(op):
    spec = load_op(op)
    case = quick_cases(op)[0]
    first, again = draw_inputs(spec, case), draw_inputs(spec, case)
    other, second = draw_inputs(spec, case.with_seed(1)), draw_inputs(spec, case, draw=1)
    arrays = [name for name, value in first.items() if isinstance(value, np.ndarray)]
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in arrays)
    for changed in (other, second):
        assert any(not np.array_equal(first[name], changed[name]) for name in arrays)


@pytest.mark.parametrize("op", EVERY)
def test_oracle_passes_its_own_strict_judge_and_no_trivial_answer_does(op):
    spec = load_op(op)
    told = 0
    for case in small_cases(op):
        if spec.out_of_contract(case):
            continue
        inputs = draw_inputs(spec, case)
        right = dict(spec.oracle(**inputs))
        verdict = spec.judge(inputs, right, dtype=case.dtype, strict=True)
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
        passed = [
            name
            for name, answer in list_trivial_answers(spec, inputs, right).items()
            if spec.judge(inputs, answer, dtype=case.dtype, strict=False).ok
        ]
        reason = spec.degenerate(case)
        assert bool(passed) == bool(reason), (case.id, passed, reason)
        told += reason is None
    assert told >= 5, "degenerate cases must not be the only evidence for an op"


@pytest.mark.parametrize("op", EVERY)
def test_torch_implementation_passes_strictly(op):
    spec = load_op(op)
    implementation = torch_backend.find(spec, "")
    for case in quick_cases(op):
        verdict = examine(spec, case, implementation, CPU, strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])


@pytest.mark.parametrize("op", EVERY)
def test_outputs_of_wild_values_are_judged_not_tripped_over(op):
    spec = load_op(op)
    for case in quick_cases(op)[::3]:
        if spec.out_of_contract(case) or spec.degenerate(case):
            continue
        inputs = draw_inputs(spec, case)
        right = dict(spec.oracle(**inputs))
        for wild in (np.nan, np.inf, -np.inf, -1, 2147450879, -(2**31)):
            outputs = {name: _fill(value, wild) for name, value in right.items()}
            verdict = spec.judge(inputs, outputs, dtype=case.dtype, strict=True)
            assert not verdict.ok, (case.id, wild)


def _fill(value, wild):
    if value.dtype.kind == "f":
        return np.full_like(value, wild)
    return np.full_like(value, wild if math.isfinite(wild) else -7)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # it is copied from
@pytest.mark.parametrize(
    ("op", "name"), [(op, name) for op in list_harmed_ops() for name in load_harms(op)]
)
def test_harm(op, name):
    """A wrong kernel is caught on some quick case, a right one passes all but the largest of them,
    which `rocmoe selftest` gives it too."""
    spec, harm = load_op(op), load_harms(op)[name]
    implementation = harm_backend.find(spec, name)
    cases = sorted(quick_cases(op), key=lambda case: _largest(spec, case))
    if harm.right:
        cases = [case for case in cases if _largest(spec, case) <= LARGEST_OF_RIGHT]

    def is_caught(strict):
        for case in cases:
            draws = draw_once(case) if _largest(spec, case) <= LARGEST_OF_RIGHT else None
            try:
                found = examine(spec, case, implementation, CPU, strict=strict, draws=draws)
            except RocmoeError:
                return True
            if not found.verdict.ok:
                return True
        return False

    assert is_caught(strict=False) == (not harm.right and not harm.strict_only)
    if harm.strict_only:
        assert is_caught(strict=True)


def test_there_are_enough_harms():
    assert set(list_harmed_ops()) == set(EVERY)
    harms = [harm for op in list_harmed_ops() for harm in load_harms(op).values()]
    assert sum(not harm.right for harm in harms) >= 40
    assert sum(harm.right for harm in harms) >= 12
