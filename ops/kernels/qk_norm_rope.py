"""qk_norm_rope in portable Triton: query, key and value heads in one launch.

A program has several heads of one kind.  What is paired by the rotation lies in one lane: the
halves of a head are loaded apart where they pair up, and neighbours come in the same vector.
Where these are a small part of a head it is loaded whole for its norm, and they once more.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import find_arch, launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.heads import find_scale, locate_heads, span_rows, widen

#: heads: of queries, keys and values, of all tokens.  times: how often what is rotated goes into a
#: head.  neox: whether halves are paired, 1 or 0.  elements: of heads padded to a power of two that
#: a program has.  Microseconds: bf16, warm.  `rows`: Hq = 32, Hkv = 8, D = 128, all of it rotated.
#: `twice`: Hq = 32, Hkv = 2, D = 256, of which 64 are rotated.
VARIANTS = (
    Variant(
        "rows",
        "16 elements a lane, two vectors of 16 bytes, as is best on H100; not measured on AMD "
        "hardware, where `twice` takes 833 instructions for 823 at D = 256, and LDS",
        arch="gfx",
        parameters={"elements": 4096, "num_warps": 4},
    ),
    Variant(
        "twice",
        "16 bytes a lane and load where chunks as wide as what is rotated have 4; H100, T = 1, 64: "
        "1.70, 2.18 us, `rows` takes 2.86, 3.33 us",
        most={"heads": 4096},
        least={"times": 4, "neox": 1},
        parameters={"elements": 1024, "num_warps": 4},
    ),
    Variant(
        "twice",
        "H100, T = 1024: 10.42 us; 1024 and 2048 elements take 10.86, 10.83 us, `rows` 12.39 us",
        least={"times": 4, "neox": 1},
        parameters={"elements": 4096, "num_warps": 4},
    ),
    Variant(
        "rows",
        "H100, T = 1, 1024, 16384: 1.61, 6.23, 140.4 us; 4096 elements take 1.94, 6.19, 141.1 us, "
        "`twice` 6.61 us at T = 1024",
        parameters={"elements": 2048, "num_warps": 4},
    ),
)

#: Up to so many loads cover what is not rotated.
MOST_CHUNKS = 8


@triton.jit
def load_pairs(
    places, rows, column_stride, present,
    HALF: tl.constexpr, PAIRS: tl.constexpr, NEOX: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Both elements [ROWS, PAIRS] of each rotated pair, float32.  PAIRS: HALF up to a power of two.

    places: what a head's first element is found from with `rows` [ROWS, 1], offsets in elements.
    """
    if NEOX:
        pairs = tl.arange(0, PAIRS)[None, :]
        mask = present & (pairs < HALF)
        offsets = widen(pairs, WIDE) * column_stride
        first = tl.load(places + rows + offsets, mask=mask, other=0.0)
        offsets = widen(HALF + pairs, WIDE) * column_stride
        second = tl.load(places + rows + offsets, mask=mask, other=0.0)
    else:
        columns = tl.arange(0, 2 * PAIRS)[None, :]
        mask = present & (columns < 2 * HALF)
        offsets = widen(columns, WIDE) * column_stride
        both = tl.load(places + rows + offsets, mask=mask, other=0.0)
        first, second = tl.split(both.reshape(both.shape[0], PAIRS, 2))
    return first.to(tl.float32), second.to(tl.float32)


@triton.jit
def store_pairs(
    places, rows, first, second, present,
    HALF: tl.constexpr, PAIRS: tl.constexpr, NEOX: tl.constexpr,
):  # fmt: skip
    """The inverse of `load_pairs`, into contiguous heads."""
    first, second = first.to(places.dtype.element_ty), second.to(places.dtype.element_ty)
    if NEOX:
        pairs = tl.arange(0, PAIRS)[None, :]
        mask = present & (pairs < HALF)
        tl.store(places + rows + pairs, first, mask=mask)
        tl.store(places + rows + (HALF + pairs), second, mask=mask)
    else:
        columns = tl.arange(0, 2 * PAIRS)[None, :]
        both = tl.join(first, second).reshape(first.shape[0], 2 * PAIRS)
        tl.store(places + rows + columns, both, mask=present & (columns < 2 * HALF))


@triton.jit
def load_chunks(
    places, rows, column_stride, present,
    BEGIN: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Elements from BEGIN to D of heads, as tiles [ROWS, CHUNK] of float32; as `load_pairs`."""
    columns = tl.arange(0, CHUNK)[None, :]
    chunks = ()
    for done in tl.static_range(BEGIN, D, CHUNK):
        mask = present & (columns < D - done)
        along = widen(done + columns, WIDE) * column_stride
        chunk = tl.load(places + rows + along, mask=mask, other=0.0)
        chunks += (chunk.to(tl.float32),)
    return chunks


@triton.jit
def turn_heads(
    qkv, out, weight, cos_sin_cache, positions, first, heads, row_stride, column_stride,
    cache_stride, eps, HEADS: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr,
    NEOX: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, PAIRS: tl.constexpr,
    CHUNK: tl.constexpr, TWICE: tl.constexpr,
):  # fmt: skip
    """Normalise and rotate the heads of one kind from number `first` on; qkv starts with them.

    TWICE: the chunks cover a whole head, and what is rotated is loaded again to rotate it.
    """
    token, start, tokens, offsets = locate_heads(
        first, row_stride, column_stride, HEADS, D, WIDE, ROWS
    )
    qkv += start
    numbers = tl.arange(0, ROWS)[:, None]
    present = numbers < heads - first
    position = tl.load(positions + token + tokens, mask=present, other=0)
    if TWICE:
        kept = load_chunks(qkv, offsets, column_stride, present, 0, D, WIDE, CHUNK)
    pairs = tl.arange(0, PAIRS)[None, :]
    angles = cos_sin_cache + position * cache_stride + pairs
    turned = present & (pairs < HALF)
    x, y = load_pairs(qkv, offsets, column_stride, present, HALF, PAIRS, NEOX, WIDE)
    cos = tl.load(angles, mask=turned, other=0.0)
    sin = tl.load(angles + HALF, mask=turned, other=0.0)
    squares = 0.0
    if not TWICE:
        kept = load_chunks(qkv, offsets, column_stride, present, 2 * HALF, D, WIDE, CHUNK)
        squares = tl.sum(x * x + y * y, 1)
    for number in tl.static_range(len(kept)):
        squares += tl.sum(kept[number] * kept[number], 1)
    scale = find_scale(squares, eps, D)
    only = tl.zeros([1, 1], tl.int32)
    of_x, of_y = load_pairs(weight, only, 1, only == 0, HALF, PAIRS, NEOX, False)
    x, y = x * scale * of_x, y * scale * of_y
    out += first.to(tl.int64) * D
    rows = numbers * D
    store_pairs(out, rows, x * cos - y * sin, y * cos + x * sin, present, HALF, PAIRS, NEOX)
    columns = tl.arange(0, CHUNK)[None, :]
    for number in tl.static_range(len(kept)):
        places = (0 if TWICE else 2 * HALF) + number * CHUNK + columns
        factors = tl.load(weight + places, mask=places < D, other=0.0).to(tl.float32)
        chunk = (kept[number] * scale * factors).to(out.dtype.element_ty)
        mask = present & (places < D)
        if TWICE:
            mask = mask & (places >= 2 * HALF)
        tl.store(out + rows + places, chunk, mask=mask)


@triton.jit
def copy_heads(
    qkv, out, first, heads, row_stride, column_stride,
    HEADS: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    """Copy heads from number `first` on; qkv starts with them."""
    _, start, _, offsets = locate_heads(first, row_stride, column_stride, HEADS, D, WIDE, ROWS)
    numbers = tl.arange(0, ROWS)[:, None]
    columns = tl.arange(0, COLUMNS)[None, :]
    present = (numbers < heads - first) & (columns < D)
    offsets += widen(columns, WIDE) * column_stride
    copied = tl.load(qkv + start + offsets, mask=present)
    tl.store(out + first.to(tl.int64) * D + numbers * D + columns, copied, mask=present)


@triton.jit
def turn_queries_and_keys(
    qkv,
    q_weight,
    k_weight,
    cos_sin_cache,
    positions,
    q,
    k,
    v,
    q_heads,
    kv_heads,
    row_stride,
    column_stride,
    cache_stride,
    eps,
    HQ: tl.constexpr,
    HKV: tl.constexpr,
    D: tl.constexpr,
    HALF: tl.constexpr,
    NEOX: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PAIRS: tl.constexpr,
    CHUNK: tl.constexpr,
    TWICE: tl.constexpr,
):
    """q_heads, kv_heads: of all tokens together.  Programs of queries first, then keys, values."""
    program = tl.program_id(0)
    of_queries = (q_heads + (ROWS - 1)) // ROWS
    of_keys = (kv_heads + (ROWS - 1)) // ROWS
    if program < of_queries:
        turn_heads(
            qkv, q, q_weight, cos_sin_cache, positions, program * ROWS, q_heads, row_stride,
            column_stride, cache_stride, eps, HQ, D, HALF, NEOX, WIDE, ROWS, PAIRS, CHUNK, TWICE,
        )  # fmt: skip
    elif program < of_queries + of_keys:
        keys = qkv + tl.full([], HQ * D, tl.int64) * column_stride
        turn_heads(
            keys, k, k_weight, cos_sin_cache, positions, (program - of_queries) * ROWS, kv_heads,
            row_stride, column_stride, cache_stride, eps, HKV, D, HALF, NEOX, WIDE, ROWS, PAIRS,
            CHUNK, TWICE,
        )  # fmt: skip
    else:
        values = qkv + tl.full([], (HQ + HKV) * D, tl.int64) * column_stride
        copy_heads(
            values, v, (program - of_queries - of_keys) * ROWS, kv_heads, row_stride,
            column_stride, HKV, D, WIDE, ROWS, COLUMNS,
        )  # fmt: skip


def choose_chunk(kept: int, rotated: int) -> int:
    """Elements of a head beyond the rotated ones that are loaded together, a power of two.

    As many as of the rotated ones (`rotated`) where that makes a few chunks, since they then lie
    in the same lanes.
    """
    return rotated if kept <= MOST_CHUNKS * rotated else grow_to_power_of_2(kept)


def qk_norm_rope(
    qkv: Any,
    q_weight: Any,
    k_weight: Any,
    cos_sin_cache: Any,
    positions: Any,
    num_heads_q: int,
    num_heads_kv: int,
    eps: float,
    is_neox_style: bool,
    rotary_dim: int,
) -> tuple[Any, Any, Any]:
    """q [T, Hq*D], k and v [T, Hkv*D] of qkv [T, (Hq+2*Hkv)*D] in any layout.

    Weights [D], positions i64 [T] contiguous; cos_sin_cache f32 [max_pos, rotary_dim] with
    contiguous rows.  Float32 through norm and rotation, one rounding; values are copied.
    Semantics: ROCm/aiter `fused_qk_norm_rope_cache_pts_quant_shuffle` without cache and
    quantisation.
    """
    import torch

    tokens, head_dim = qkv.shape[0], q_weight.shape[0]
    q, k, v = (
        torch.empty((tokens, heads * head_dim), dtype=qkv.dtype, device=qkv.device)
        for heads in (num_heads_q, num_heads_kv, num_heads_kv)
    )
    q_heads, kv_heads = tokens * num_heads_q, tokens * num_heads_kv
    columns, pairs = map(grow_to_power_of_2, (head_dim, rotary_dim // 2))
    variant = choose(
        VARIANTS,
        find_arch(qkv),
        heads=q_heads + 2 * kv_heads,
        D=head_dim,
        times=head_dim // rotary_dim,
        neox=int(is_neox_style),
    )
    twice = variant.name == "twice"
    rows = max(1, variant["elements"] // columns)
    few = min(num_heads_q, num_heads_kv)
    launch(
        turn_queries_and_keys,
        (divide_up(q_heads, rows) + 2 * divide_up(kv_heads, rows),),
        qkv=qkv,
        q_weight=q_weight,
        k_weight=k_weight,
        cos_sin_cache=cos_sin_cache,
        positions=positions,
        q=q,
        k=k,
        v=v,
        q_heads=q_heads,
        kv_heads=kv_heads,
        row_stride=qkv.stride(0),
        column_stride=qkv.stride(1),
        cache_stride=cos_sin_cache.stride(0),
        eps=eps,
        HQ=num_heads_q,
        HKV=num_heads_kv,
        D=head_dim,
        HALF=rotary_dim // 2,
        NEOX=bool(is_neox_style),
        WIDE=span_rows(qkv, few, rows) >= 2**31,
        ROWS=rows,
        COLUMNS=columns,
        PAIRS=pairs,
        CHUNK=columns
        if twice
        else choose_chunk(head_dim - rotary_dim, pairs if is_neox_style else 2 * pairs),
        TWICE=twice,
        num_warps=variant["num_warps"],
    )
    return q, k, v
