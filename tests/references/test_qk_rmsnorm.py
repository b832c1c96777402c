import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import qk_rmsnorm as reference

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
D = 16


def round_to(values, dtype):
    return torch.as_tensor(values).to(DTYPES[dtype]).double().numpy()


def make_inputs(seed=0, tokens=6, heads=(3, 2), head_dim=D, dtype="bf16", eps=1e-6):
    rng = np.random.default_rng(seed)
    shapes = [(tokens, heads[0] * head_dim), (tokens, heads[1] * head_dim), head_dim, head_dim]
    values = [round_to(rng.standard_normal(shape), dtype) for shape in shapes]
    return dict(zip(("q", "k", "q_weight", "k_weight"), values, strict=True), eps=eps)


def answer(inputs, dtype="bf16"):
    return {name: round_to(y, dtype) for name, y in reference.oracle(**inputs).items()}


def judge(inputs, outputs, *, dtype="bf16", strict=False):
    return reference.judge(inputs, outputs, dtype=dtype, strict=strict)


@pytest.mark.parametrize(("name", "heads"), [("q", 3), ("k", 2)])
def test_oracle_agrees_with_torch_rms_norm_in_float64(name, heads):
    inputs = make_inputs()
    wanted = torch.nn.functional.rms_norm(
        torch.from_numpy(inputs[name]).view(6, heads, D),
        (D,),
        weight=torch.from_numpy(inputs[f"{name}_weight"]),
        eps=1e-6,
    )
    found = reference.oracle(**inputs)[f"{name}_out"]
    np.testing.assert_allclose(found, wanted.flatten(1).numpy(), rtol=1e-13)


def test_oracle_agrees_with_a_loop_over_elements():
    inputs = make_inputs(1, tokens=2, heads=(2, 1), head_dim=3, eps=0.01)
    found = reference.oracle(**inputs)["q_out"]
    for token in range(2):
        for head in range(2):
            x = [float(inputs["q"][token, head * 3 + i]) for i in range(3)]
            root = math.sqrt(sum(value * value for value in x) / 3 + 0.01)
            for i in range(3):
                wanted = x[i] / root * float(inputs["q_weight"][i])
                assert found[token, head * 3 + i] == pytest.approx(wanted, rel=1e-13)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 40),
    st.sampled_from(sorted(DTYPES)),
    st.sampled_from([1e-4, 1.0, 200.0]),
)
def test_oracle_passes_its_own_strict_judge(seed, heads, head_dim, dtype, magnitude):
    inputs = make_inputs(seed, 5, heads, head_dim, dtype)
    inputs["q"], inputs["k"] = (round_to(inputs[x] * magnitude, dtype) for x in ("q", "k"))
    for outputs in (reference.oracle(**inputs), answer(inputs, dtype)):
        verdict = judge(inputs, outputs, dtype=dtype, strict=True)
        assert verdict.ok, verdict.findings


def test_no_tokens():
    inputs = make_inputs(tokens=0)
    assert judge(inputs, reference.oracle(**inputs)).ok


def test_a_nan_stays_in_its_head():
    inputs = make_inputs()
    inputs["q"][2, D + 3] = np.nan
    outputs = answer(inputs)
    assert np.isnan(outputs["q_out"]).sum() == D
    assert judge(inputs, outputs).ok
    leaked = {**outputs, "q_out": outputs["q_out"].copy()}
    leaked["q_out"][2, :D] = np.nan
    verdict = judge(inputs, leaked)
    assert verdict.failed == ("within_rounding",)
    assert (verdict.findings[0].output, verdict.findings[0].index[0]) == ("q_out", 2)
    hidden = {**outputs, "q_out": np.nan_to_num(outputs["q_out"])}
    assert judge(inputs, hidden).failed == ("nan_stays",)


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_an_infinity_makes_itself_nan_and_its_head_zero(infinity):
    inputs = make_inputs()
    inputs["k"][1, 4] = infinity
    row = reference.oracle(**inputs)["k_out"][1]
    assert np.isnan(row[4])
    assert (np.delete(row[:D], 4) == 0.0).all()
    assert np.isfinite(row[D:]).all()


def test_a_head_of_zeros_stays_zero():
    inputs = make_inputs()
    inputs["q"][0, :D] = 0.0
    outputs = answer(inputs)
    assert (outputs["q_out"][0, :D] == 0.0).all()
    outputs["q_out"][0, 5] = np.nan
    assert judge(inputs, outputs).failed == ("within_rounding",)


def test_where_squares_overflow_float32_zero_and_the_definition_both_pass():
    inputs = make_inputs()
    inputs["q"][:, :D] = round_to(inputs["q"][:, :D] * 2.0**70, "bf16")
    outputs = answer(inputs)
    assert judge(inputs, outputs).ok
    outputs["q_out"][:, :D] = 0.0
    assert judge(inputs, outputs).ok
    outputs["q_out"][:, D : 2 * D] = 0.0
    assert not judge(inputs, outputs).ok


def test_denormal_heads_may_be_flushed_where_float32_flushes_them():
    inputs = make_inputs()
    inputs["k"][:] = round_to(inputs["k"] * 2.0**-130, "bf16")
    outputs = answer(inputs)
    assert judge(inputs, outputs).ok
    assert judge(inputs, {**outputs, "k_out": np.zeros_like(outputs["k_out"])}).ok


def spoil_weight_after_cast(inputs):
    plain = {**inputs, "q_weight": np.ones(D), "k_weight": np.ones(D)}
    rounded = answer(plain)
    return {
        name: round_to(y * np.tile(inputs[f"{name[0]}_weight"], y.shape[1] // D), "bf16")
        for name, y in rounded.items()
    }


def spoil_mean_over_row(inputs):
    wide = {**inputs, **{f"{x}_weight": np.tile(inputs[f"{x}_weight"], n) for x, n in HEADS}}
    return answer(wide)


HEADS = (("q", 3), ("k", 2))

HARMS = {
    "q weight for k": lambda inputs: answer({**inputs, "k_weight": inputs["q_weight"]}),
    "weight after the cast": spoil_weight_after_cast,
    "mean over the row": spoil_mean_over_row,
    "eps missing": lambda inputs: answer({**inputs, "eps": 0.0}),
    "a little too warm": lambda inputs: {n: y / 1.02 for n, y in answer(inputs).items()},
    "last head dropped": lambda inputs: {
        n: np.concatenate([y[:, :-D], np.zeros_like(y[:, -D:])], axis=1)
        for n, y in answer(inputs).items()
    },
    "zeros": lambda inputs: {n: np.zeros_like(y) for n, y in answer(inputs).items()},
    "never written": lambda inputs: {n: np.full_like(y, np.nan) for n, y in answer(inputs).items()},
    "input copied": lambda inputs: {"q_out": inputs["q"], "k_out": inputs["k"]},
}


@pytest.mark.parametrize("harm", HARMS)
def test_harms_are_refused(harm):
    inputs = make_inputs(3, tokens=64, eps=0.02)
    assert judge(inputs, HARMS[harm](inputs)).failed == ("within_rounding",)


def test_one_element_off_by_one_number_is_named():
    inputs = make_inputs(4)
    outputs = answer(inputs)
    outputs["k_out"][5, D + 2] *= 1 + 2.0**-6
    finding = judge(inputs, outputs).findings[0]
    assert (finding.check, finding.output, finding.index) == (
        "within_rounding",
        "k_out",
        (5, D + 2),
    )
    assert finding.wanted.endswith("(head 1, element 2)")


def test_the_limit_is_half_an_ulp_and_little_more():
    inputs = make_inputs(5, tokens=200)
    verdict = judge(inputs, answer(inputs))
    assert 0.9 < verdict.error_ratio <= 1.0
