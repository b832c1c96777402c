import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import qk_norm_rope as reference
from rocmoe.references import qk_rmsnorm

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
D, HQ, HKV, MAX_POS = 16, 3, 2, 128


def round_to(values, dtype):
    return torch.as_tensor(values).to(DTYPES[dtype]).double().numpy()


def make_inputs(seed=0, tokens=6, neox=True, rotary_dim=D, dtype="bf16", heads=(HQ, HKV)):
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0.0, 2 * np.pi, (MAX_POS, rotary_dim // 2))
    return {
        "qkv": round_to(rng.standard_normal((tokens, (heads[0] + 2 * heads[1]) * D)), dtype),
        "q_weight": round_to(rng.standard_normal(D), dtype),
        "k_weight": round_to(rng.standard_normal(D), dtype),
        "cos_sin_cache": round_to(np.concatenate([np.cos(angles), np.sin(angles)], 1), "fp32"),
        "positions": rng.integers(0, MAX_POS, tokens),
        "num_heads_q": heads[0],
        "num_heads_kv": heads[1],
        "eps": 1e-6,
        "is_neox_style": neox,
        "rotary_dim": rotary_dim,
    }


def answer(inputs, dtype="bf16"):
    return {name: round_to(y, dtype) for name, y in reference.oracle(**inputs).items()}


def judge(inputs, outputs, *, dtype="bf16", strict=False):
    return reference.judge(inputs, outputs, dtype=dtype, strict=strict)


def rotate_by_loop(head, weight, row, eps, neox, rotary_dim):
    """One head, in plain Python, straight from the definition."""
    root = math.sqrt(sum(x * x for x in head) / len(head) + eps)
    n = [x / root * w for x, w in zip(head, weight, strict=True)]
    half, out = rotary_dim // 2, list(n)
    for i in range(half):
        a, b = (i, i + half) if neox else (2 * i, 2 * i + 1)
        cos, sin = row[i], row[half + i]
        out[a], out[b] = n[a] * cos - n[b] * sin, n[b] * cos + n[a] * sin
    return out


@pytest.mark.parametrize("neox", [True, False])
@pytest.mark.parametrize("rotary_dim", [D, D // 2, 2])
def test_oracle_agrees_with_a_loop_over_pairs(neox, rotary_dim):
    inputs = make_inputs(1, neox=neox, rotary_dim=rotary_dim)
    outputs = reference.oracle(**inputs)
    for token, position in enumerate(inputs["positions"]):
        row = inputs["cos_sin_cache"][position].tolist()
        heads = inputs["qkv"][token].reshape(-1, D).tolist()
        q = [rotate_by_loop(h, inputs["q_weight"], row, 1e-6, neox, rotary_dim) for h in heads[:HQ]]
        k = [
            rotate_by_loop(h, inputs["k_weight"], row, 1e-6, neox, rotary_dim)
            for h in heads[HQ : HQ + HKV]
        ]
        np.testing.assert_allclose(outputs["q"][token], np.ravel(q), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(outputs["k"][token], np.ravel(k), rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(outputs["v"][token], np.ravel(heads[HQ + HKV :]))


def test_pairs_of_neighbours_turn_as_complex_numbers():
    inputs = make_inputs(2, neox=False)
    plain = qk_rmsnorm.oracle(
        inputs["qkv"][:, : HQ * D], inputs["qkv"][:, HQ * D : (HQ + HKV) * D],
        inputs["q_weight"], inputs["k_weight"], 1e-6,
    )  # fmt: skip
    rows = inputs["cos_sin_cache"][inputs["positions"]]
    turn = (rows[:, : D // 2] + 1j * rows[:, D // 2 :])[:, None, :]
    pairs = plain["k_out"].reshape(-1, HKV, D // 2, 2)
    wanted = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
    found = reference.oracle(**inputs)["k"].reshape(-1, HKV, D // 2, 2)
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], wanted, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.booleans(),
    st.sampled_from([2, D // 2, D]),
    st.sampled_from(sorted(DTYPES)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_oracle_passes_its_own_strict_judge(seed, neox, rotary_dim, dtype, heads):
    inputs = make_inputs(seed, 5, neox, rotary_dim, dtype, heads)
    for outputs in (reference.oracle(**inputs), answer(inputs, dtype)):
        verdict = judge(inputs, outputs, dtype=dtype, strict=True)
        assert verdict.ok, verdict.findings


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from(sorted(DTYPES)))
def test_float32_passes_where_the_rotation_cancels(seed, neox, dtype):
    inputs = make_inputs(seed, 20, neox, dtype=dtype)
    half = D // 2
    # Every pair is turned by an eighth of a circle, and its elements are nearly equal.
    inputs["cos_sin_cache"][:] = np.float32(math.sqrt(0.5))
    heads = inputs["qkv"].reshape(20, -1, D)
    first, second = (slice(0, half), slice(half, D)) if neox else (slice(0, D, 2), slice(1, D, 2))
    heads[..., second] = round_to(heads[..., first] * (1 + 2.0**-12), dtype)
    for name in ("q_weight", "k_weight"):
        inputs[name] = np.full(D, inputs[name][0])
    assert judge(inputs, compute_in_float32(inputs, dtype), dtype=dtype).ok


def compute_in_float32(inputs, dtype):
    """The op in float32 throughout, one rounding at the end."""
    single = {
        name: torch.from_numpy(np.ascontiguousarray(value)).float().numpy()
        for name, value in inputs.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    cos, sin = reference.look_up(single["cos_sin_cache"], inputs["positions"], inputs["rotary_dim"])
    q, k, v = reference.split_qkv(single["qkv"], inputs["num_heads_q"], inputs["num_heads_kv"])
    outputs = {"v": v.astype(float)}
    for name, rows in (("q", q), ("k", k)):
        heads = rows.reshape(len(rows), -1, D)
        scale = 1 / np.sqrt(np.square(heads).mean(axis=2, keepdims=True) + np.float32(1e-6))
        normed = heads * scale * single[f"{name}_weight"]
        turned = reference.rotate(normed, cos, sin, inputs["is_neox_style"])
        assert turned.dtype == np.float32
        outputs[name] = round_to(turned.reshape(rows.shape), dtype)
    return outputs


def test_no_tokens():
    inputs = make_inputs(tokens=0)
    assert judge(inputs, reference.oracle(**inputs)).ok


def test_a_nan_stays_in_its_head():
    inputs = make_inputs()
    inputs["qkv"][2, D + 3] = np.nan
    outputs = answer(inputs)
    assert np.isnan(outputs["q"]).sum() == D
    assert judge(inputs, outputs).ok
    outputs["q"][2, 0] = np.nan
    assert judge(inputs, outputs).failed == ("within_rounding",)


def test_an_infinity_takes_its_partner_with_it():
    inputs = make_inputs()
    inputs["qkv"][2, 3] = np.inf
    row = reference.oracle(**inputs)["q"][2, :D]
    assert np.flatnonzero(np.isnan(row)).tolist() == [3, 3 + D // 2]
    assert (row[~np.isnan(row)] == 0.0).all()


def test_values_are_copied_bit_for_bit():
    inputs = make_inputs()
    v = inputs["qkv"][:, (HQ + HKV) * D :]
    v[0, :4] = [np.nan, np.inf, -0.0, 2.0**-133]
    outputs = answer(inputs)
    assert judge(inputs, outputs).ok
    for column, wrong in ((0, 0.0), (1, -np.inf), (2, 0.0), (3, 0.0), (4, np.nan)):
        spoiled = {**outputs, "v": outputs["v"].copy()}
        spoiled["v"][0, column] = wrong
        verdict = judge(inputs, spoiled)
        assert verdict.failed == ("v_is_copied",), column
        assert verdict.findings[0].index == (0, column)


def rounded_between(inputs):
    """The normalised heads are rounded to bf16, then rotated."""
    q, k, v = reference.split_qkv(inputs["qkv"], HQ, HKV)
    normed = qk_rmsnorm.oracle(q, k, inputs["q_weight"], inputs["k_weight"], inputs["eps"])
    rows = (inputs["cos_sin_cache"], inputs["positions"], inputs["rotary_dim"])
    cos, sin = reference.look_up(*rows)
    turned = {
        name: reference.rotate(
            round_to(normed[f"{name}_out"], "bf16").reshape(len(v), -1, D), cos, sin, True
        ).reshape(len(v), -1)
        for name in ("q", "k")
    }
    return {**{name: round_to(y, "bf16") for name, y in turned.items()}, "v": v}


def swap_cache(inputs, sign=1.0):
    cos, sin = np.split(inputs["cos_sin_cache"], 2, axis=1)
    return np.concatenate([sin, cos] if sign > 0 else [cos, -sin], axis=1)


def late(inputs):
    return inputs["positions"] - (inputs["positions"] >= 99)


HARMS = {
    "rounded between": rounded_between,
    "style swapped": lambda i: answer({**i, "is_neox_style": False}),
    "sine negated": lambda i: answer({**i, "cos_sin_cache": swap_cache(i, -1.0)}),
    "sines first": lambda i: answer({**i, "cos_sin_cache": swap_cache(i)}),
    "cache in bf16": lambda i: answer({**i, "cos_sin_cache": round_to(i["cos_sin_cache"], "bf16")}),
    "position off by one from 99 on": lambda i: answer({**i, "positions": late(i)}),
    "k weighted as q": lambda i: answer({**i, "k_weight": i["q_weight"]}),
    "not rotated": lambda i: answer({**i, "cos_sin_cache": np.eye(1, D).repeat(MAX_POS, 0)}),
    "zeros": lambda i: {**{n: y * 0.0 for n, y in answer(i).items()}, "v": answer(i)["v"]},
}


@pytest.mark.parametrize("harm", HARMS)
def test_harms_are_refused(harm):
    inputs = make_inputs(3, tokens=64)
    assert judge(inputs, answer(inputs)).ok
    assert judge(inputs, HARMS[harm](inputs)).failed == ("within_rounding",)


def test_what_lies_beyond_rotary_dim_must_not_turn():
    inputs = make_inputs(4, rotary_dim=D // 2)
    cos, sin = np.split(inputs["cos_sin_cache"], 2, axis=1)
    whole = {**inputs, "rotary_dim": D, "cos_sin_cache": np.concatenate([cos, cos, sin, sin], 1)}
    verdict = judge(inputs, answer(whole))
    assert verdict.failed == ("within_rounding",)
    kept = answer(inputs)
    kept["q"].reshape(-1, HQ, D)[..., D // 2 :] = 0.0
    verdict = judge(inputs, kept)
    assert all(finding.index[1] % D >= D // 2 for finding in verdict.findings)
