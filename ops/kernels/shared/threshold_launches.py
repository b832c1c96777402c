"""Which of the threshold's kernels run for a matrix, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rocmoe.ops.core.launch import find_arch, launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.overlap import announces, can_overlap
from rocmoe.ops.kernels.shared.threshold_kernels import (
    FIELDS,
    renormalise_rows,
    settle_rows,
    sift_rows,
    write_rows,
)
from rocmoe.ops.kernels.shared.threshold_whole import renormalise_whole_rows


def renormalise(
    table: Sequence[Variant],
    probs: Any,
    top_k: Any = None,
    top_p: Any = None,
    sequential: bool = False,
) -> Any:
    """renorm_probs f32 [B, V] of probs f32 [B, V] in any layout, as a table's variant does it.

    top_k: int, i32 [B], or None for no rank.  top_p: float, f32 [B], or None for no mass.
    sequential: p is of the mass that top_k keeps.
    """
    import torch

    rows, vocabulary = probs.shape
    renorm_probs = torch.empty((rows, vocabulary), dtype=torch.float32, device=probs.device)
    variant = choose(table, find_arch(probs), B=rows, V=vocabulary)
    shared = {
        "probs": probs,
        "V": vocabulary,
        "row_stride": probs.stride(0),
        "column_stride": probs.stride(1),
        "WIDE": grow_to_power_of_2(vocabulary) * probs.stride(1) >= 2**31,
        **_describe(top_k, top_p, sequential),
    }
    if variant.name == "row":
        width = grow_to_power_of_2(vocabulary)
        warps = max(1, min(variant["most_warps"], width // variant["columns_a_warp"]))
        launch(renormalise_rows, (rows,), renorm_probs=renorm_probs, BLOCK=width,
               num_warps=warps, **shared)  # fmt: skip
    elif variant.name == "whole":
        _launch_whole(variant, renorm_probs, shared)
    else:
        _launch_in_parts(variant, renorm_probs, shared)
    return renorm_probs


def _launch_whole(variant: Variant, renorm_probs: Any, shared: dict[str, Any]) -> None:
    import torch

    rows, vocabulary = renorm_probs.shape
    warps = variant["warps"]
    lanes = _find_lanes(renorm_probs)
    room = (rows, variant["room"])
    launch(
        renormalise_whole_rows,
        (rows,),
        listed=torch.empty(room, dtype=torch.int32, device=renorm_probs.device),
        renorm_probs=renorm_probs,
        few=_choose_few(variant, vocabulary),
        SAMPLE=variant["sample"],
        WAVES=warps,
        LANES=lanes,
        DEPTH=_choose_depth(variant["depth"], lanes, shared["SEQUENTIAL"]),
        ROOM=variant["room"] // warps,
        SLOTS=variant["held"] // warps,
        CHUNK=max(variant["tile"] // warps, 4),
        BLOCK=variant["block"],
        num_warps=warps,
        **shared,
    )


def _launch_in_parts(variant: Variant, renorm_probs: Any, shared: dict[str, Any]) -> None:
    import torch

    rows, vocabulary = renorm_probs.shape
    parts, waves = variant["parts"], variant["sift_warps"]
    lists = parts * waves
    room = variant["room"] // lists
    lanes = _find_lanes(renorm_probs)
    listed, lengths, told, settled = (
        torch.empty((rows, count), dtype=torch.int32, device=renorm_probs.device)
        for count in (lists * room, lists, FIELDS.value * parts, 2)
    )
    overlap = can_overlap(renorm_probs)
    shared |= {"listed": listed, "lengths": lengths, "told": told, "PARTS": parts, "ROOM": room}
    launch(
        sift_rows,
        (rows * parts,),
        few=_choose_few(variant, vocabulary),
        SAMPLE=variant["sample"],
        WAVES=waves,
        LANES=lanes,
        DEPTH=_choose_depth(variant["depth"], lanes, shared["SEQUENTIAL"]),
        ANNOUNCE=overlap and announces(variant, "sift"),
        num_warps=waves,
        **shared,
    )
    launch(
        settle_rows,
        (rows,),
        settled=settled,
        LISTS_A_ROW=lists,
        CHUNK=max(variant["tile"] // lists, 4),
        OVERLAP=overlap,
        ANNOUNCE=overlap and announces(variant, "settle"),
        num_warps=variant["settle_warps"],
        overlap=overlap,
        **shared,
    )
    blocks = divide_up(vocabulary, variant["block"])
    places = ("probs", "V", "row_stride", "column_stride", "WIDE")
    launch(
        write_rows,
        (rows * blocks,),
        settled=settled,
        renorm_probs=renorm_probs,
        blocks=blocks,
        BLOCK=variant["block"],
        OVERLAP=overlap,
        num_warps=variant["write_warps"],
        overlap=overlap,
        **{name: shared[name] for name in places},
    )


def _find_lanes(tensor: Any) -> int:
    return 64 if find_arch(tensor).startswith("gfx9") else 32


def _choose_few(variant: Variant, vocabulary: int) -> int:
    """Sampled keys that stand for an eighth of what a row's lists have room for."""
    few: int = variant["room"] * variant["sample"] // vocabulary // 8
    return few


def _choose_depth(depth: int, lanes: int, sequential: bool) -> int:
    """Keys a lane sifts at once: of wide waves' masks, more do not fit into scalar registers."""
    if lanes > 32:
        depth //= 4 if sequential else 2
    return max(depth, 1)


def _describe(top_k: Any, top_p: Any, sequential: bool) -> dict[str, Any]:
    import torch

    rank_per_row, mass_per_row = (isinstance(each, torch.Tensor) for each in (top_k, top_p))
    both = top_k is not None and top_p is not None
    arguments = {
        "BY_RANK": top_k is not None,
        "BY_MASS": top_p is not None,
        "SEQUENTIAL": sequential and both,
        "RANK_PER_ROW": rank_per_row,
        "MASS_PER_ROW": mass_per_row,
        "top_k_stride": top_k.stride(0) if rank_per_row else 0,
        "top_p_stride": top_p.stride(0) if mass_per_row else 0,
    }
    if not rank_per_row:
        top_k = min(int(top_k or 0), 2**31 - 1)
    if not mass_per_row:
        top_p = 1.0 if top_p is None else float(top_p)
    return {"top_k": top_k, "top_p": top_p, **arguments}
