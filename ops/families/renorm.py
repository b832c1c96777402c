"""What the renormalisation ops share in their declarations and torch implementations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.probabilities import PATTERNS
from rocmoe.ops.core.spec import Argument, Cost, Inputs, Outputs, Param, Row
from rocmoe.references.judging.support import FLUSHED

RENORM_SIZES = {"B": "rows of probabilities (requests, or draft positions)", "V": "vocabulary"}

PROBS = Argument("probs", ("B", "V"), "fp32", doc="probabilities, each row normalised or zero")
TOP_K = Argument("top_k", ("B",), "i32", doc="tokens kept of a row: an int, or i32 [B]")
TOP_P = Argument("top_p", ("B",), "fp32", doc="mass kept of a row: a float, or f32 [B]")
OUTPUTS = (Argument("renorm_probs", ("B", "V"), "fp32", doc="kept probabilities over their sum"),)

TOP_K_PARAM = Param("int", "tokens kept; per_row draws a tensor of 1, V - 1, V, 1 << 30 and few",
                    ("per_row",))  # fmt: skip
TOP_P_PARAM = Param("float", "mass kept; per_row draws a tensor of 0, .001, .1, .5, .9, 1 - eps, 1",
                    ("per_row",))  # fmt: skip

#: "All tokens" in sglang's sampling parameters (TOP_K_ALL): far beyond any vocabulary.
ALL_TOKENS = 1 << 30

LARGEST_BELOW_ONE = 1.0 - 2.0**-24


def draw_probs(case: Case, rng: np.random.Generator) -> NDArray[np.float64]:
    """probs [B, V] by the case's pattern."""
    return PATTERNS[case.pattern].fill(rng, case.sizes["B"], case.sizes["V"])


def draw_top_k(case: Case, rng: np.random.Generator) -> Value | NDArray[np.int64]:
    """The case's top_k, or for per_row an i64 [B]; the first of the mixture is the telling one."""
    if case.params["top_k"] != "per_row":
        return case.params["top_k"]
    vocabulary = case.sizes["V"]
    mixture = [5, ALL_TOKENS, 1, vocabulary - 1, 2, vocabulary, 50]
    return rng.permutation(np.resize(mixture, case.sizes["B"])).clip(min=1)


def draw_top_p(case: Case, rng: np.random.Generator) -> Value | NDArray[np.float64]:
    """The case's top_p, or for per_row an f64 [B]; the first of the mixture is the telling one."""
    if case.params["top_p"] != "per_row":
        return case.params["top_p"]
    mixture = [0.5, 0.0, 0.9, 1.0, LARGEST_BELOW_ONE, 1e-3, 0.1]
    return rng.permutation(np.resize(mixture, case.sizes["B"]))


def renorm_degenerate(case: Case) -> str | None:
    """Contents of which a copy is the right answer, whatever is asked for."""
    if case.sizes["B"] == 0:
        return "no rows: nothing is computed"
    if case.sizes["V"] == 1 or case.pattern == "one_hot":
        return "all mass on one token: the copy is right"
    if case.pattern == "all_equal":
        return "every token ties and is kept: the copy is right"
    return None


def renorm_out_of_contract(case: Case) -> str | None:
    """Rows that are no probabilities, and a top_k that keeps nothing."""
    if case.pattern == "unnormalised":
        return "rows that do not sum to one have no specified answer"
    if case.pattern == "nan_rows":
        return "rows with NaN have no specified answer"
    top_k = case.params.get("top_k")
    if isinstance(top_k, int) and top_k <= 0:
        return "top_k <= 0: libraries take it for all, one or 50"
    return None


def check_renorm(case: Case) -> str | None:
    """There must be a token to keep, and top_p must be a number."""
    if case.sizes["V"] < 1:
        return "V=0: there is no token to keep"
    if case.params.get("top_p") != case.params.get("top_p"):
        return "top_p is not a number"
    return None


def renorm_cost(case: Case) -> Cost:
    """Probabilities read once and written once, one comparison each."""
    elements = case.sizes["B"] * case.sizes["V"]
    tensors = [value for value in case.params.values() if value == "per_row"]
    return Cost(4 * (elements + case.sizes["B"] * len(tensors)), 4 * elements, elements)


def mark_kept(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The canonical form of top-k: which tokens are kept; their quotients may vary by rounding.

    Where mass decides, the kept set depends on rounding too, and no form is left to compare.
    """
    solid = inputs["probs"] >= FLUSHED
    return {name: (value != 0) & solid for name, value in outputs.items()}


def vocabulary_of(model: Mapping[str, Any]) -> dict[str, int] | None:
    """The sizes that a model gives, None for one whose vocabulary is not known."""
    return {"V": model["vocab_size"]} if model.get("vocab_size") else None


def make_row(suite: str, B: int, V: int, pattern: str, why: str, **params: Any) -> Row:
    """A declared case; `layout` among the params stands for itself."""
    layout = params.pop("layout", "contiguous")
    return Row(suite, {"B": B, "V": V}, "fp32", params, pattern, layout, why)


def rank_probs(probs: Any) -> Any:
    """Each row from its largest probability to its smallest."""
    import torch

    return torch.sort(probs, dim=-1, descending=True).values


def keep_top_k(probs: Any, top_k: Any) -> Any:
    """The probabilities no smaller than the k-th largest of their row, zeros elsewhere.

    top_k: int, or integer [B].
    """
    import torch

    vocabulary = probs.shape[1]
    if isinstance(top_k, torch.Tensor):
        floor = rank_probs(probs).gather(1, top_k.long().clamp(1, vocabulary)[:, None] - 1)
    else:
        floor = torch.topk(probs, min(max(int(top_k), 1), vocabulary)).values[:, -1:]
    return keep_from(probs, floor)


def keep_top_p(probs: Any, top_p: Any) -> Any:
    """The probabilities whose mass strictly above is below top_p, zeros elsewhere.

    top_p: float, or f32 [B].  Masses are added in float64.  Tokens that tie with the first of
    their class come after it, so counting the places whose mass before them is below top_p finds
    the class where it is reached.
    """
    target = column(top_p, probs)
    ranked = rank_probs(probs)
    count = (sum_before(ranked)[:, 1:] < target).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, count).masked_fill(target >= 1.0, 0.0))


def column(value: Any, probs: Any) -> Any:
    """A scalar, or one value a row, as float64 [1, 1] or [B, 1]."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.double()[:, None]
    return torch.full((1, 1), float(value), dtype=torch.float64, device=probs.device)


def sum_before(ranked: Any) -> Any:
    """The mass before each place of a row, in float64."""
    import torch

    mass = torch.zeros(ranked.shape, dtype=torch.float64, device=ranked.device)
    torch.cumsum(ranked[:, :-1], dim=-1, dtype=torch.float64, out=mass[:, 1:])
    return mass


def keep_from(probs: Any, floor: Any) -> Any:
    """The probabilities of at least `floor` [B, 1], zeros elsewhere."""
    import torch

    return torch.where(probs >= floor, probs, 0.0)


def divide_by_sum(kept: Any) -> Any:
    """Each row over its sum, f32; a row of zeros stays."""
    import torch

    total = kept.sum(dim=-1, keepdim=True, dtype=torch.float64)
    return (kept / torch.where(total > 0.0, total, 1.0)).float()
