"""dflash_verify: from logits to accepted drafts, through temperature, top-k, top-p and the chain.

The rows of a batch may be greedy or sample; see references/dflash_verify.py for the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rocmoe.ops import chain_speculative_sampling as chain
from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.inputs import round_to
from rocmoe.ops.core.patterns.drafts import CHAIN_PATTERNS
from rocmoe.ops.core.patterns.target_logits import PATTERNS
from rocmoe.ops.core.pipeline import Pipeline, Stage
from rocmoe.ops.core.spec import Argument, Cost, Inputs, OpSpec, Outputs, Param, Row
from rocmoe.ops.families import dflash
from rocmoe.ops.families.gating import ITEM_BYTES
from rocmoe.ops.families.renorm import (
    ALL_TOKENS,
    TOP_K_PARAM,
    TOP_P_PARAM,
    draw_top_k,
    draw_top_p,
)
from rocmoe.ops.families.speculative import (
    CANDIDATES,
    COINS,
    SPECULATIVE_SIZES,
    THRESHOLD_INPUTS,
    THRESHOLDS,
    add_siblings,
    check_verification,
    look_again,
    size_by_model,
    verification_degenerate,
)
from rocmoe.references import dflash_verify as reference
from rocmoe.references.judging.logit_walk import find_greedy

TEMPERATURE_PARAM = Param("float", "0 is greedy; per_row draws a tensor of 0, .25, .8, 1 and 1.5",
                          ("per_row",))  # fmt: skip

#: Candidates of a sequence in z-lab/Qwen3-8B-DFlash-b16: the accepted token and 15 drafts.
BLOCK_SIZE = 16


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """Logits by the case's pattern; drafts and coins for what the filters leave of them."""
    pattern = PATTERNS[case.pattern]
    batch, nodes, vocabulary = (case.sizes[size] for size in "BNV")
    logits = round_to(pattern.fill(rng, batch, nodes, vocabulary), case.dtype)
    source = np.arange(batch) // pattern.repeats * pattern.repeats
    settings = {
        "temperatures": round_to(_draw_temperatures(case, rng), "fp32"),
        "top_k": np.broadcast_to(np.asarray(draw_top_k(case, rng)), (batch,))[source],
        "top_p": round_to(np.asarray(draw_top_p(case, rng), float) * np.ones(batch), "fp32"),
    }
    settings = {name: values[source] for name, values in settings.items()}
    logits = logits[source]
    # NaN is out of contract, and its drafts and coins are any.
    target_probs = reference.filter_logits(np.nan_to_num(logits, nan=0.0, neginf=-np.inf),
                                           **settings)  # fmt: skip
    drafts, coins = CHAIN_PATTERNS[pattern.drafts], CHAIN_PATTERNS[pattern.coins]
    parents = np.tile(np.arange(nodes) - 1, (batch, 1))
    candidates = drafts.draft(rng, target_probs, parents)[source]
    bars = add_siblings(target_probs, candidates, parents)
    # A coin near the bar of a draft that was dropped would be 0, which accepts it.
    bars = np.where(bars > 0.0, bars, 1.0)
    single, acc = (float(case.params[name] or 0.0) for name in THRESHOLDS)
    return {
        "target_logits": logits,
        "candidates": candidates,
        **settings,
        "uniform_samples": coins.toss(rng, bars, parents),
        "uniform_samples_for_final_sampling": coins.finish(rng, bars),
        "threshold_single": single,
        "threshold_acc": acc,
    }


def _draw_temperatures(case: Case, rng: np.random.Generator) -> Any:
    """The case's temperature for each sequence, or for per_row a mixture of a third greedy."""
    batch = case.sizes["B"]
    if case.params["temperature"] != "per_row":
        return np.full(batch, float(case.params["temperature"] or 0.0))
    return rng.permutation(np.resize([0.8, 0.0, 1.5, 1.0, 0.0, 0.25], batch))


def keep_greedy(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The canonical form: the answers of greedy sequences, which no rounding may change."""
    greedy = find_greedy(inputs["temperatures"], inputs["top_k"])
    return {name: np.where(greedy, values, 0) for name, values in outputs.items()}


def check_case(case: Case) -> str | None:
    """As the chain's; and settings are numbers, no temperature below zero."""
    temperature, top_p = case.params["temperature"], case.params["top_p"]
    if isinstance(temperature, (int, float)) and not 0.0 <= temperature < float("inf"):
        return f"temperature={temperature} is not in [0, inf)"
    if top_p != top_p:
        return "top_p is not a number"
    return check_verification(case)


def out_of_contract(case: Case) -> str | None:
    """Rows that give no probabilities, and a top_k that keeps nothing."""
    if case.pattern == "nan_rows":
        return "rows with NaN have no specified answer"
    top_k = case.params["top_k"]
    if isinstance(top_k, int) and top_k <= 0:
        return "top_k <= 0: libraries take it for all, one or 50"
    return None


def cost(case: Case) -> Cost:
    """One row of logits a sequence at least: none behind a rejection need be read."""
    batch, nodes, vocabulary = (case.sizes[size] for size in "BNV")
    small = batch * nodes * (8 + 4) + batch * (4 * 4)
    logits = batch * vocabulary * ITEM_BYTES[case.dtype]
    return Cost(logits + small, batch * 8, 4 * batch * vocabulary)


def cost_of_temperature(case: Case) -> Cost:
    """All logits read once, all probabilities written once."""
    elements = _count_elements(case)
    return Cost(elements * ITEM_BYTES[case.dtype], 4 * elements, 4 * elements)


def cost_of_filter(case: Case) -> Cost:
    """All probabilities read once and written once, by one filter or by both at once."""
    elements = _count_elements(case)
    return Cost(4 * elements, 4 * elements, 2 * elements)


def cost_of_greedy(case: Case) -> Cost:
    """Candidates, and an argmax a row that the first stage found in passing."""
    batch, nodes = case.sizes["B"], case.sizes["N"]
    return Cost(batch * nodes * (8 + 4), batch * 8, batch * nodes)


def _count_elements(case: Case) -> int:
    return case.sizes["B"] * case.sizes["N"] * case.sizes["V"]


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """DFlash's block over the model's vocabulary, with the settings of sglang#23388."""
    return size_by_model(model, BLOCK_SIZE, temperature=0.8, top_k=20, top_p=0.9)


INPUTS = (
    Argument("target_logits", ("B", "N", "V"), "case", doc="what follows each candidate"),
    CANDIDATES,
    Argument("temperatures", ("B",), "fp32", doc="of each sequence; below 1e-6 is greedy"),
    Argument("top_k", ("B",), "i32", doc="tokens kept of a row; 1 is greedy"),
    Argument("top_p", ("B",), "fp32", doc="mass kept of what top_k keeps"),
    *COINS,
    *THRESHOLD_INPUTS,
)
OUTPUTS = (
    Argument("accept_length", ("B",), "i32", doc="accepted drafts"),
    Argument("bonus_token", ("B",), "i32", doc="the token drawn after them"),
)
_make = partial(Pipeline, tuple(each.name for each in INPUTS), tuple(o.name for o in OUTPUTS))
_ANSWER = ("accept_length", "bonus_token")

run_torch = _make((
    Stage("temperature", ("probs",), dflash.soften, cost_of_temperature),
    Stage("top_k", ("probs",), dflash.filter_by_rank, cost_of_filter),
    Stage("top_p", ("probs",), dflash.filter_by_mass, cost_of_filter),
    Stage("chain", _ANSWER, dflash.verify, chain.cost),
    Stage("greedy", _ANSWER, dflash.settle_greedy, cost_of_greedy),
))  # fmt: skip

#: The composite that sgl-project/sglang#23388 replaces; the greedy rule is part of its loop.
run_fallback = _make((
    Stage("temperature", ("probs",), dflash.soften, cost_of_temperature),
    Stage("top_k", ("probs",), dflash.cut_by_rank, cost_of_filter),
    Stage("top_p", ("probs",), dflash.cut_by_mass, cost_of_filter),
    Stage("chain", _ANSWER, dflash.verify_in_a_loop, chain.cost,
          host_reads="drafts, probabilities and coins one at a time"),
))  # fmt: skip


def _row(
    suite: str, B: int, N: int, V: int, pattern: str, why: str, *, dtype: str = "fp32",
    temperature: Value = 0.8, top_k: Value = 20, top_p: Value = 0.9, single: float = 1.0,
    acc: float = 1.0, layout: str = "contiguous",
) -> Row:  # fmt: skip
    params: dict[str, Value] = {
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "threshold_single": single,
        "threshold_acc": acc,
    }  # fmt: skip
    return Row(suite, {"B": B, "N": N, "V": V}, dtype, params, pattern, layout, why)


_smoke, _quick, _full = (partial(_row, suite) for suite in ("smoke", "quick", "full"))
_EACH: dict[str, Any] = {"temperature": "per_row", "top_k": "per_row", "top_p": "per_row"}

CASES = (
    _smoke(4, BLOCK_SIZE, 256, "served", "the settings of sglang#23388: 0.8, 20, 0.9"),
    _smoke(6, 4, 128, "normal", "greedy and sampling sequences in one batch", **_EACH),
    _quick(16, BLOCK_SIZE, 500, "normal", "DFlash's block of 16"),
    _quick(48, 4, 300, "normal", "every kind of setting in one batch", **_EACH),
    _quick(48, 4, 300, "dropped_drafts", "coins of zero in such a batch", **_EACH),
    _quick(16, 6, 1000, "normal", "bfloat16 logits tie at both boundaries", dtype="bf16"),
    _quick(48, 4, 300, "normal", "bfloat16 with every kind of setting", dtype="bf16", **_EACH),
    _quick(33, 6, 500, "three_runs", "greedy by temperature 0", temperature=0.0),
    _quick(33, 6, 500, "three_runs", "greedy by top_k 1, as sglang says it", top_k=1),
    _quick(33, 5, 300, "tied_best", "equal largest logits, temperature 0", temperature=0.0),
    _quick(33, 5, 300, "tied_best", "equal largest logits, top_k 1", top_k=1, temperature=1.0),
    _quick(33, 5, 300, "tied_best", "greedy looks at no threshold", temperature=0.0, single=0.0,
           acc=0.0),
    _quick(32, 4, 500, "normal", "two tokens, then one or both", temperature=1.0, top_k=2,
           top_p=0.55),
    _quick(32, 4, 500, "flat", "the k likeliest hold little: where the order of filters shows",
           temperature=1.0, top_k=100, top_p=0.5),
    _quick(16, 4, 500, "normal", "top-p alone", top_k=ALL_TOKENS),
    _quick(16, 4, 500, "normal", "top-k alone", top_p=1.0),
    _quick(16, 4, 500, "normal", "temperature alone", top_k=500, top_p=1.0),
    _quick(16, 4, 500, "normal", "p = 0 keeps the likeliest", top_p=0.0),
    _quick(32, 4, 256, "ties", "classes of equals at both boundaries", temperature=1.0, top_k=50,
           top_p=0.8),
    _quick(32, 4, 500, "far", "around 300 and -300"),
    _quick(32, 4, 500, "peaked", "weights that underflow", top_k=ALL_TOKENS, top_p=1.0),
    _quick(32, 4, 500, "peaked", "a high temperature", temperature=8.0),
    _quick(32, 4, 500, "normal", "a low temperature", temperature=0.1),
    _quick(32, 4, 1000, "masked", "fewer tokens than top_k are possible", top_p=1.0),
    _quick(32, 4, 1023, "last_token", "no vector loads, and a tail that matters", temperature=1.5),
    _quick(16, BLOCK_SIZE, 256, "all_accepted", "the bonus token comes from the last row"),
    _quick(32, 6, 256, "all_rejected", "it comes from row 0, without the draft", top_p=1.0),
    _quick(32, 4, 300, "dropped_drafts", "a coin of zero accepts what the filters dropped"),
    _quick(32, 4, 300, "normal", "thresholds below one", single=0.5, acc=0.8),
    _quick(16, 4, 300, "normal", "thresholds of 0: samplers accept everything", single=0.0,
           acc=0.0),
    _quick(1024, 3, 64, "lossless", "tokens follow the filtered target", temperature=1.2,
           top_p=0.95),
    _quick(7, 4, 500, "normal", "row stride V + 10", layout="strided", **_EACH),
    _quick(7, 4, 500, "normal", "base pointers not 16-byte aligned", dtype="bf16",
           layout="offset", **_EACH),
    _quick(16, 1, 300, "normal", "no drafts: only the bonus token", **_EACH),
    _quick(2, 3, 20001, "normal", "a row that takes several rounds", top_k=50),
    _quick(1, 3, 151937, "normal", "one past Qwen's vocabulary"),
    _quick(0, 4, 300, "normal", "no sequences"),
    _quick(8, 3, 1, "normal", "a single token"),
    _quick(16, 4, 300, "nan_rows", "NaN must not lead out of bounds"),
    _quick(16, 4, 300, "normal", "top_k = 0", top_k=0),
    _full(1, BLOCK_SIZE, 151936, "normal", "Qwen3-8B with DFlash's block", dtype="bf16"),
    _full(256, BLOCK_SIZE, 512, "normal", "a large batch of every kind of setting", **_EACH),
    _full(64, 8, 512, "ties", "ties with every kind of setting", **_EACH),
)  # fmt: skip

SPEC = OpSpec(
    name="dflash_verify",
    summary="logits to accepted drafts and the token after them: temperature, top-k, top-p, chain",
    source="sgl-project/sglang python/sglang/srt/speculative/dflash_utils.py @00731f0, and #23388",
    sizes=SPECULATIVE_SIZES,
    dtypes=("fp32", "bf16"),
    params={
        "temperature": TEMPERATURE_PARAM,
        "top_k": TOP_K_PARAM,
        "top_p": TOP_P_PARAM,
        **THRESHOLDS,
    },
    patterns=tuple(PATTERNS),
    inputs=INPUTS,
    outputs=OUTPUTS,
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=cost,
    canonical=keep_greedy,
    degenerate=verification_degenerate,
    out_of_contract=out_of_contract,
    refuse_case=check_case,
    from_model=from_model,
    second_look=look_again,
    torch_variants={"fallback": run_fallback},
)
