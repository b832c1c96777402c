"""Launching the sorting kernels: what a sort is called with, and the launches of each variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.launch import launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.overlap import announces, can_overlap
from rocmoe.ops.kernels.shared.sort_kernels import (
    count_chunks,
    place_chunks,
    scan_counts,
    sort_at_once,
)
from rocmoe.ops.kernels.shared.sort_reordered import place_in_order

TILE = 32
#: Elements of moe_buf that a program fills, and the blocks that it names at a time.
ZEROS, BLOCKS = 8192, 32
#: The fewest bits of an expert's index: a tensor of its sets is never a single one.
FEWEST_BITS = 4


@dataclass(frozen=True)
class Sort:
    """Arguments of a sort: inputs and outputs by the names of the kernels' parameters.

    topk_weights, expert_mask, num_local_tokens, sorted_weights, moe_buf: None where there are none.
    unit: positions of a block.  late: whether the launch ahead makes ids and weights.
    """

    topk_ids: Any
    topk_weights: Any | None
    expert_mask: Any | None
    num_local_tokens: Any | None
    sorted_ids: Any
    sorted_weights: Any | None
    block_experts: Any
    totals: Any
    moe_buf: Any | None
    num_experts: int
    unit: int
    late: bool = False

    @property
    def tokens(self) -> int:
        return int(self.topk_ids.shape[0])

    @property
    def topk(self) -> int:
        return int(self.topk_ids.shape[1])

    @property
    def pairs(self) -> int:
        return self.tokens * self.topk

    @property
    def overlaps(self) -> bool:
        """Whether its launches may start before the ones ahead of them have ended."""
        return can_overlap(self.topk_ids)

    @property
    def bits(self) -> int:
        """Of an expert's index."""
        return count_bits(self.num_experts)

    @property
    def width(self) -> int:
        return 0 if self.moe_buf is None else int(self.moe_buf.shape[1])

    @property
    def fillers(self) -> int:
        """Programs that fill moe_buf."""
        return divide_up(self.tokens * self.width, ZEROS)

    def outputs(self) -> dict[str, Any]:
        """The arguments of a kernel that writes the outputs."""
        token_stride, slot_stride = (0, 0)
        if self.topk_weights is not None:
            token_stride, slot_stride = self.topk_weights.stride()
        return {
            "topk_weights": self.topk_weights,
            "expert_mask": self.expert_mask,
            "sorted_ids": self.sorted_ids,
            "sorted_weights": self.sorted_weights,
            "block_experts": self.block_experts,
            "totals": self.totals,
            "moe_buf": self.moe_buf,
            "weight_token_stride": token_stride,
            "weight_slot_stride": slot_stride,
            "WEIGHT_ROWS": not is_packed(self.topk_weights),
            "UNIT": self.unit,
            "UNITS": grow_to_power_of_2(self.unit),
            "WIDTH": self.width,
            "BLOCKS": BLOCKS,
            "ZEROS": ZEROS,
            **self.inputs(),
        }

    def ids(self) -> dict[str, Any]:
        """The ids, as a kernel that writes the outputs reads them."""
        token_stride, slot_stride = self.topk_ids.stride()
        return {
            "topk_ids": self.topk_ids,
            "id_token_stride": token_stride,
            "id_slot_stride": slot_stride,
            "ID_ROWS": not is_packed(self.topk_ids),
        }

    def inputs(self) -> dict[str, Any]:
        """The arguments of every kernel that reads ids."""
        reach = max(reach_of(self.topk_ids), reach_of(self.topk_weights))
        return {
            "num_local_tokens": self.num_local_tokens,
            "tokens": self.tokens,
            "K": self.topk,
            "E": self.num_experts,
            "WIDE": reach >= 2**31,
            "OVERLAP": self.overlaps,
            "LATE": self.late,
        }


def count_bits(num_experts: int) -> int:
    """Bits of the largest expert's index, in two halves of as many."""
    return max(FEWEST_BITS, (num_experts - 1).bit_length() + 1 & ~1)


def is_packed(tensor: Any | None) -> bool:
    """Whether an element's offset is its flat index."""
    return tensor is None or tensor.is_contiguous()


def reach_of(tensor: Any | None) -> int:
    """The largest offset of an element, those between the last row and its tile's end included."""
    if tensor is None:
        return 0
    tokens, topk = tensor.shape
    token_stride, slot_stride = tensor.stride()
    return int((tokens + 2**15) * token_stride + topk * slot_stride)


def run_variant(variant: Variant, sort: Sort) -> None:
    """Launch what a row of a table says."""
    RUNNERS[variant.name](variant, sort)


def run_at_once(variant: Variant, sort: Sort) -> None:
    """One launch. Parameters: most tiles at a time, experts a program, warps."""
    tiles = min(variant["tiles"], grow_to_power_of_2(max(1, divide_up(sort.pairs, TILE))))
    slabs = divide_up(sort.pairs, tiles * TILE)
    each = variant["experts"]
    launch(
        sort_at_once,
        (divide_up(sort.num_experts, each) + sort.fillers,),
        **sort.outputs(),
        **sort.ids(),
        slabs=slabs,
        HALF=sort.bits // 2,
        TILES=tiles,
        ONE_SLAB=slabs <= 1,
        EACH=each,
        num_warps=variant["warps"],
        overlap=sort.overlaps and sort.late,
    )


@dataclass(frozen=True)
class Counts:
    """What is known of the pairs of each chunk of `tiles` tiles.

    counts i16 [chunks, experts]; planes i32 [1 + bits, chunks * tiles], or None where they are not
    kept: see `sort_pairs.tally`.
    """

    counts: Any
    planes: Any | None
    chunks: int
    tiles: int

    def arguments(self) -> dict[str, Any]:
        """Those of a kernel that writes or reads them."""
        return {
            "counts": self.counts,
            "planes": self.planes,
            "stride": self.chunks * self.tiles,
        }


def allocate_counts(sort: Sort, tiles: int, keep_planes: bool) -> Counts:
    """Room for the counts of pairs in chunks of so many tiles, unwritten."""
    import torch

    chunks, device = max(1, divide_up(sort.pairs, tiles * TILE)), sort.topk_ids.device
    planes = None
    if keep_planes:
        shape = (1 + sort.bits, chunks * tiles)
        planes = torch.empty(shape, dtype=torch.int32, device=device)
    return Counts(
        counts=torch.empty((chunks, 2**sort.bits), dtype=torch.int16, device=device),
        planes=planes,
        chunks=chunks,
        tiles=tiles,
    )


def run_counted(variant: Variant, sort: Sort) -> None:
    """Two launches. Parameters: tiles a chunk; experts whose padding a program writes; warps of
    each launch; whether pairs are read before counts.
    """
    known = count_pairs(variant, sort, keep_planes=True)
    launch(
        place_chunks,
        place_grid(variant, sort, known),
        **sort.outputs(),
        **sort.ids(),
        **known.arguments(),
        chunks=known.chunks,
        BITS=sort.bits,
        TILES=known.tiles,
        ROWS=grow_to_power_of_2(known.chunks),
        EARLY=bool(variant["early"]),
        EACH=variant["experts"],
        num_warps=variant["place_warps"],
        overlap=sort.overlaps,
    )


def run_scanned(variant: Variant, sort: Sort) -> None:
    """Three launches. Parameters: tiles a chunk; experts and chunks that a scan takes at once;
    experts whose padding a program writes; pairs that the lanes of a placing program load at once,
    4 each; warps of each launch.
    """
    known = count_pairs(variant, sort, keep_planes=False)
    pairs, line = known.tiles * TILE, variant["line"]
    launch(
        place_in_order,
        place_grid(variant, sort, known),
        **sort.outputs(),
        **sort.ids(),
        counts=known.counts,
        starts=scan_pairs(variant, sort, known),
        chunks=known.chunks,
        BITS=sort.bits,
        LOG=pairs.bit_length() - 1,
        LINE=line,
        LANE_BITS=(4 * max(1, pairs // line)).bit_length() - 1,
        WARP_BITS=variant["place_warps"].bit_length() - 1,
        WAIT_FIRST=not (sort.overlaps and announces(variant, "scan")),
        EACH=variant["experts"],
        num_warps=variant["place_warps"],
        overlap=sort.overlaps,
    )


def count_pairs(variant: Variant, sort: Sort, keep_planes: bool) -> Counts:
    """The launch that counts the pairs of each chunk."""
    known = allocate_counts(sort, variant["tiles"], keep_planes)
    ids = sort.ids()
    launch(
        count_chunks,
        (known.chunks,),
        **sort.inputs(),
        **known.arguments(),
        topk_ids=sort.topk_ids,
        token_stride=ids["id_token_stride"],
        slot_stride=ids["id_slot_stride"],
        ROWS=ids["ID_ROWS"],
        HALF=sort.bits // 2,
        TILES=known.tiles,
        ANNOUNCE=sort.overlaps and announces(variant, "count"),
        num_warps=variant["count_warps"],
        overlap=sort.overlaps and sort.late,
    )
    return known


def scan_pairs(variant: Variant, sort: Sort, known: Counts) -> Any:
    """The launch that makes i32 [chunks + 1, experts]: the pairs before each chunk, and all."""
    import torch

    experts = 2**sort.bits
    starts = torch.empty(
        (known.chunks + 1, experts), dtype=torch.int32, device=sort.topk_ids.device
    )
    width = min(experts, variant["scan_experts"])
    launch(
        scan_counts,
        (experts // width,),
        counts=known.counts,
        starts=starts,
        chunks=known.chunks,
        BITS=sort.bits,
        ROWS=min(variant["scan_chunks"], max(2, grow_to_power_of_2(known.chunks))),
        EXPERTS=width,
        OVERLAP=sort.overlaps,
        ANNOUNCE=sort.overlaps and announces(variant, "scan"),
        num_warps=variant["scan_warps"],
        overlap=sort.overlaps,
    )
    return starts


def place_grid(variant: Variant, sort: Sort, known: Counts) -> tuple[int]:
    """Programs that place chunks, those that write padding, and those that fill moe_buf."""
    padders = divide_up(sort.num_experts, variant["experts"])
    return (known.chunks + padders + sort.fillers,)


RUNNERS: Mapping[str, Callable[[Variant, Sort], None]] = {
    "at_once": run_at_once,
    "counted": run_counted,
    "scanned": run_scanned,
}
