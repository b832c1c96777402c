"""What the sorting ops share in their declarations, and the torch sort itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.expert_ids import OUT_OF_CONTRACT
from rocmoe.ops.core.spec import Argument, Param, Sizes
from rocmoe.ops.families.gating import check_topk
from rocmoe.references.moe_sorting import SLOT_SHIFT, count_positions

SORTING_SIZES = {
    "T": "tokens",
    "E": "experts, the disabled ones included",
    "k": "experts a token goes to (topk)",
    "U": "block size (unit_size)",
    "D": "width of moe_buf (model_dim); 0 for none",
}

#: The number of enabled experts that each word for expert_mask leaves; drawn from `E`.  The shares
#: are those of ROCm/FlyDSL tests/kernels/test_moe_sorting.py @11c4174d.
_ENABLED: Mapping[str, Callable[[int], int]] = {
    "all": lambda experts: experts,
    "share70": lambda experts: round(0.7 * experts),
    "half": lambda experts: experts // 2,
    "share30": lambda experts: round(0.3 * experts),
    "one_off": lambda experts: experts - 1,
    "no_expert": lambda experts: 0,
    "upper_half": lambda experts: experts - experts // 2,
}

#: The local token count that each word for num_local_tokens stands for.
_LOCAL: Mapping[str, Callable[[int], int]] = {
    "all": lambda tokens: tokens,
    "all_but_one": lambda tokens: max(tokens - 1, 0),
    "half": lambda tokens: tokens // 2,
    "zero": lambda tokens: 0,
}

SORTING_PARAMS = {
    "expert_mask": Param(
        "word or none",
        "which experts are local: that share at random, or the upper half as on rank 1 of 2",
        tuple(_ENABLED),
    ),
    "num_local_tokens": Param(
        "int or none", "how many rows hold tokens of this rank", tuple(_LOCAL)
    ),
}

SORTING_INPUTS = (
    Argument("expert_mask", ("E",), "i32", optional=True, doc="1 for experts of this rank"),
    Argument("num_local_tokens", ("one",), "i32", optional=True, doc="rows that hold tokens"),
    Argument("model_dim", doc="width of moe_buf, 0 for none"),
)

SORTING_OUTPUTS = (
    Argument("sorted_ids", ("P",), "i32", doc="(slot << 24) | token by expert, padded to U"),
    Argument("sorted_weights", ("P",), "fp32", doc="the weight of each id, 0 at padding"),
    Argument("sorted_expert_ids", ("blocks",), "i32", doc="local expert of each block of U ids"),
    Argument("num_valid_ids", ("two",), "i32", doc="padded total, local token count"),
    Argument("moe_buf", ("T", "D"), "bf16", optional=True, doc="zeros in the rows of tokens"),
)

SORTING_DERIVED: Mapping[str, Callable[[Sizes], int]] = {
    "P": lambda sizes: count_positions(sizes["T"], sizes["k"], sizes["E"], sizes["U"]),
    "blocks": lambda sizes: -(-SORTING_DERIVED["P"](sizes) // sizes["U"]),
    "one": lambda sizes: 1,
    "two": lambda sizes: 2,
}

#: The largest topk whose padding slot fits the byte beside an unused 255.
LARGEST_TOPK = 254


def draw_expert_mask(case: Case, rng: np.random.Generator) -> NDArray[np.int64] | None:
    """expert_mask [E] of zeros and ones by the case's word, None for none."""
    word, experts = case.params["expert_mask"], case.sizes["E"]
    if word is None:
        return None
    mask = np.zeros(experts, dtype=np.int64)
    mask[experts - _ENABLED[str(word)](experts) :] = 1
    return mask if word == "upper_half" else rng.permutation(mask)


def draw_local_tokens(case: Case) -> NDArray[np.int64] | None:
    """num_local_tokens [1], None for none."""
    word = case.params["num_local_tokens"]
    return None if word is None else np.array([count_local(case)], dtype=np.int64)


def count_local(case: Case) -> int:
    """How many rows of a case hold tokens."""
    word, tokens = case.params["num_local_tokens"], case.sizes["T"]
    if isinstance(word, str):
        return _LOCAL[word](tokens)
    return tokens if word is None else int(word)


def share_visible(case: Case) -> float:
    """The share of a local token's pairs that are expected at enabled experts."""
    word, experts = case.params["expert_mask"], case.sizes["E"]
    return 1.0 if word is None else _ENABLED[str(word)](experts) / experts


def check_sorting(case: Case) -> str | None:
    """k in [1, E] and at most 254, T below 2^24, U at least 1, local tokens in [0, T]."""
    tokens, local = case.sizes["T"], case.params["num_local_tokens"]
    if reason := check_topk(case) or check_unit(case, "U"):
        return reason
    if case.sizes["k"] > LARGEST_TOPK:
        return f"k={case.sizes['k']} does not fit the slot byte of a packed id; wanted at most 254"
    if tokens >= 1 << SLOT_SHIFT:
        return f"T={tokens} does not fit the 24 token bits of a packed id; wanted below 2^24"
    if isinstance(local, int) and not 0 <= local <= tokens:
        return f"num_local_tokens={local} is not in [0, T={tokens}]"
    return None


def check_unit(case: Case, size: str) -> str | None:
    """A block holds at least one entry."""
    return f"{size}={case.sizes[size]}; wanted at least 1" if case.sizes[size] < 1 else None


def sorting_degenerate(case: Case) -> str | None:
    """Cases on which there is nothing to sort and nothing to count."""
    return "no local tokens: nothing is sorted" if count_local(case) == 0 else None


def ids_out_of_contract(case: Case) -> str | None:
    """Contents of topk_ids that no contract covers."""
    return OUT_OF_CONTRACT.get(case.pattern)


def mask_written(case: Case, total: int) -> dict[str, NDArray[np.bool_]]:
    """`must_write` of the sorting outputs: the first `total` positions, the rows of tokens."""
    sizes = case.sizes
    positions = np.arange(SORTING_DERIVED["P"](sizes)) < total
    rows = np.arange(sizes["T"]) < count_local(case)
    return {
        "sorted_ids": positions,
        "sorted_weights": positions,
        "sorted_expert_ids": np.arange(SORTING_DERIVED["blocks"](sizes)) < total // sizes["U"],
        "moe_buf": np.broadcast_to(rows[:, None], (sizes["T"], sizes["D"])),
    }


def model_sizes(model: Mapping[str, Any], shared: int) -> dict[str, int] | None:
    """E and k of a model with experts, `shared` more of each; None for a dense model."""
    if "num_experts" not in model:
        return None
    return {"E": model["num_experts"] + shared, "k": model["topk"] + shared}


NO_MASK: Mapping[str, Value] = {"expert_mask": None, "num_local_tokens": None}


def sort_blocks(experts: Any, num_experts: int, unit: int, length: int) -> tuple[Any, Any, Any]:
    """Sort entries by expert into padded runs.

    experts i64 [n], num_experts for an entry that is left out -> order [n] of the entries, the
    position of each in that order (`length` for one left out), and ends [E] of the experts' runs.
    Nothing is copied to the host.
    """
    import torch

    owners, order = torch.sort(experts, stable=True)
    known = torch.arange(num_experts, device=experts.device)
    firsts = torch.searchsorted(owners, known)
    counts = torch.searchsorted(owners, known, right=True) - firsts
    padded = (counts + (unit - 1)) // unit * unit
    ends = torch.cumsum(padded, dim=0)
    shift = (ends - padded - firsts)[owners.clamp(max=num_experts - 1)]
    ranks = torch.arange(len(owners), device=experts.device)
    return order, torch.where(owners < num_experts, ranks + shift, length), ends


def scatter_entries(values: Any, positions: Any, length: int, padding: Any) -> Any:
    """values [n] at their positions among `length` ones that hold `padding`, a 0-d tensor."""
    room = padding.expand(length + 1).clone()  # the last place takes what is left out
    return room.scatter_(0, positions, values)[:length]


def find_block_owners(ends: Any, unit: int, length: int) -> Any:
    """The expert of each of the blocks that `length` positions have; the last one past the end."""
    import torch

    firsts = torch.arange(0, length, unit, device=ends.device)
    return torch.searchsorted(ends, firsts, right=True).clamp(max=len(ends) - 1)
