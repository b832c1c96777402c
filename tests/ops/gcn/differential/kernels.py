"""Triton kernels whose operations, types and shapes are constants that the tests draw."""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def _product(a, b):
    return a * b


@triton.jit
def _either(a, b):
    return a | b


@triton.jit
def _greater(a, b):
    return tl.maximum(a, b)


@triton.jit
def _step(factor, term, next_factor, next_term):
    """Composition of x -> factor * x + term, which does not commute."""
    return factor * next_factor, term * next_factor + next_term


@triton.jit
def _first_of_largest(value, place, next_value, next_place):
    take = (value > next_value) | ((value == next_value) & (place < next_place))
    return tl.where(take, value, next_value), tl.where(take, place, next_place)


@triton.jit
def reduce_tile(
    x, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr, AXIS: tl.constexpr, HOW: tl.constexpr
):
    rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    first = tl.program_id(0) * ROWS * COLUMNS
    tile = tl.load(x + first + rows * COLUMNS + columns)
    if HOW == "sum":
        result = tl.sum(tile, AXIS)
    elif HOW == "max":
        result = tl.max(tile, AXIS)
    elif HOW == "min":
        result = tl.min(tile, AXIS)
    elif HOW == "argmax":
        result = tl.argmax(tile, AXIS)
    elif HOW == "argmin":
        result = tl.argmin(tile, AXIS)
    elif HOW == "xor":
        result = tl.xor_sum(tile, AXIS)
    elif HOW == "product":
        result = tl.reduce(tile, AXIS, _product)
    elif HOW == "or":
        result = tl.reduce(tile, AXIS, _either)
    else:
        places = tl.broadcast_to(columns if AXIS == 1 else rows, tile.shape)
        _, result = tl.reduce((tile, places), AXIS, _first_of_largest)
    kept: tl.constexpr = COLUMNS if AXIS == 0 else ROWS
    tl.store(y + tl.program_id(0) * kept + tl.arange(0, kept), result)


@triton.jit
def reduce_all(x, y, SIZE: tl.constexpr, HOW: tl.constexpr):
    """Of a whole tile, and of the scalars that come of it."""
    tile = tl.load(x + tl.program_id(0) * SIZE + tl.arange(0, SIZE))
    if HOW == "sum":
        tl.store(y + tl.program_id(0), tl.sum(tile) + tl.sum(tile, 0))
    elif HOW == "max":
        tl.store(y + tl.program_id(0), tl.max(tile))
    elif HOW == "argmax":
        tl.store(y + tl.program_id(0), tl.argmax(tile, 0))
    else:
        tl.store(y + tl.program_id(0), tl.min(tile))


@triton.jit
def scan_tile(
    x, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr, AXIS: tl.constexpr, HOW: tl.constexpr,
    REVERSE: tl.constexpr,
):  # fmt: skip
    rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    places = tl.program_id(0) * ROWS * COLUMNS + rows * COLUMNS + columns
    tile = tl.load(x + places)
    if HOW == "sum":
        result = tl.cumsum(tile, AXIS, reverse=REVERSE)
    elif HOW == "product":
        result = tl.cumprod(tile, AXIS, reverse=REVERSE)
    elif HOW == "max":
        result = tl.associative_scan(tile, AXIS, _greater, reverse=REVERSE)
    else:
        _, result = tl.associative_scan((tile | 1, tile), AXIS, _step, reverse=REVERSE)
    tl.store(y + places, result)


@triton.jit
def sort_tile(
    x, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr, KEPT: tl.constexpr, HOW: tl.constexpr,
    DESCENDING: tl.constexpr,
):  # fmt: skip
    rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    first = tl.program_id(0) * ROWS
    tile = tl.load(x + (first + rows) * COLUMNS + columns)
    if HOW == "sort":
        result = tl.sort(tile, 1, descending=DESCENDING)
    elif HOW == "topk":
        result = tl.topk(tile, KEPT, 1)
    else:
        result = tl.flip(tile, 1)
    tl.store(y + (first + rows) * KEPT + tl.arange(0, KEPT)[None, :], result)


@triton.jit
def rearrange(x, indexes, y, ROWS: tl.constexpr, COLUMNS: tl.constexpr, HOW: tl.constexpr):
    rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    places = rows * COLUMNS + columns
    tile = tl.load(x + places)
    if HOW == "transpose":
        tl.store(y + columns * ROWS + rows, tile)
    elif HOW == "trans":
        across = tl.arange(0, COLUMNS)[:, None] * ROWS + tl.arange(0, ROWS)[None, :]
        tl.store(y + across, tl.trans(tile))
    elif HOW == "reshape":
        flat = tl.reshape(tile, [ROWS * COLUMNS])
        tl.store(y + tl.arange(0, ROWS * COLUMNS), flat)
    elif HOW == "gather columns":
        tl.store(y + places, tl.gather(tile, tl.load(indexes + places), 1))
    elif HOW == "gather rows":
        tl.store(y + places, tl.gather(tile, tl.load(indexes + places), 0))
    elif HOW == "interleave":
        mixed = tl.interleave(tile, tile + tile)
        tl.store(y + rows * 2 * COLUMNS + tl.arange(0, 2 * COLUMNS)[None, :], mixed)
    elif HOW == "split":
        pairs = tl.reshape(tile, [ROWS, COLUMNS // 2, 2])
        even, odd = tl.split(pairs)
        half = rows * (COLUMNS // 2) + tl.arange(0, COLUMNS // 2)[None, :]
        tl.store(y + half, even)
        tl.store(y + ROWS * (COLUMNS // 2) + half, odd)
    else:
        cube = tl.reshape(tile, [ROWS, COLUMNS // 4, 4])
        turned = tl.permute(cube, (2, 0, 1))
        at = tl.arange(0, 4)[:, None, None] * ROWS * (COLUMNS // 4)
        at += tl.arange(0, ROWS)[None, :, None] * (COLUMNS // 4)
        tl.store(y + at + tl.arange(0, COLUMNS // 4)[None, None, :], turned)


@triton.jit
def count_bins(x, y, n, SIZE: tl.constexpr, BINS: tl.constexpr):
    columns = tl.arange(0, SIZE)
    values = tl.load(x + tl.program_id(0) * n + columns, mask=columns < n, other=0)
    counts = tl.histogram(values, BINS, mask=columns < n)
    tl.store(y + tl.program_id(0) * BINS + tl.arange(0, BINS), counts)


@triton.jit
def move_scattered(
    x, sources, targets, y, n, OTHER: tl.constexpr, BLOCK: tl.constexpr, LOADED: tl.constexpr,
    STORED: tl.constexpr, VOLATILE: tl.constexpr,
):  # fmt: skip
    """y[targets] = x[sources], where both are in range."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    source = tl.load(sources + at, mask=at < n, other=-1)
    target = tl.load(targets + at, mask=at < n, other=-1)
    values = tl.load(
        x + source, mask=source >= 0, other=OTHER, cache_modifier=LOADED, volatile=VOLATILE
    )
    tl.store(y + target, values, mask=target >= 0, cache_modifier=STORED)


@triton.jit
def copy_tiles(
    x, y, m, n, row_stride, column_stride, out_row_stride, out_column_stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, ADDED: tl.constexpr, LOADED: tl.constexpr,
    STORED: tl.constexpr, VOLATILE: tl.constexpr,
):  # fmt: skip
    """y = x + ADDED on any strides, in tiles."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (rows < m) & (columns < n)
    tile = tl.load(
        x + rows * row_stride + columns * column_stride, mask=inside, other=0,
        cache_modifier=LOADED, volatile=VOLATILE,
    )  # fmt: skip
    tl.store(
        y + rows * out_row_stride + columns * out_column_stride, tile + ADDED, mask=inside,
        cache_modifier=STORED,
    )  # fmt: skip


@triton.jit
def update(
    memory, places, values, old, n, HOW: tl.constexpr, BLOCK: tl.constexpr, KEEP: tl.constexpr,
    SEM: tl.constexpr, SCOPE: tl.constexpr,
):  # fmt: skip
    """An atomic operation at each of `places`; KEEP: what was there before goes to `old`."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    target = memory + tl.load(places + at, mask=inside, other=0)
    value = tl.load(values + at, mask=inside, other=0)
    if HOW == "add":
        before = tl.atomic_add(target, value, mask=inside, sem=SEM, scope=SCOPE)
    elif HOW == "max":
        before = tl.atomic_max(target, value, mask=inside, sem=SEM, scope=SCOPE)
    elif HOW == "min":
        before = tl.atomic_min(target, value, mask=inside, sem=SEM, scope=SCOPE)
    elif HOW == "and":
        before = tl.atomic_and(target, value, mask=inside, sem=SEM, scope=SCOPE)
    elif HOW == "or":
        before = tl.atomic_or(target, value, mask=inside, sem=SEM, scope=SCOPE)
    elif HOW == "xor":
        before = tl.atomic_xor(target, value, mask=inside, sem=SEM, scope=SCOPE)
    elif HOW == "xchg":
        before = tl.atomic_xchg(target, value, mask=inside, sem=SEM, scope=SCOPE)
    else:
        # Lanes out of range swap 0 for 0 at a place of their own.
        target = tl.where(inside, target, memory + n + at)
        before = tl.atomic_cas(target, tl.zeros([BLOCK], value.dtype), value, sem=SEM, scope=SCOPE)
    if KEEP:
        tl.store(old + at, before, mask=inside)


@triton.jit
def count_programs(counter, lock, guarded, old, SEM: tl.constexpr):
    """Scalars: a ticket each, and a sum that a lock guards."""
    ticket = tl.atomic_add(counter, 1, sem=SEM)
    tl.store(old + ticket, tl.program_id(0))
    while tl.atomic_cas(lock, 0, 1) == 1:
        pass
    tl.store(guarded, tl.load(guarded, volatile=True) * 3 + 1)
    tl.debug_barrier()
    tl.atomic_xchg(lock, 0)


@triton.jit
def multiply(
    a, b, c, d, K, a_row, a_column, b_row, b_column,
    M: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
    STAGES: tl.constexpr, OUT: tl.constexpr,
):  # fmt: skip
    """d [.., N] = a [.., K] times b [K, ..] plus c [.., N]; a tile a program."""
    rows = tl.program_id(0) * M + tl.arange(0, M)
    columns = tl.program_id(1) * N + tl.arange(0, N)
    depth = tl.arange(0, BLOCK)
    width = tl.num_programs(1) * N
    sums = tl.zeros([M, N], OUT)
    for start in tl.range(0, K, BLOCK, num_stages=STAGES):
        left = tl.load(a + rows[:, None] * a_row + (start + depth)[None, :] * a_column)
        right = tl.load(b + (start + depth)[:, None] * b_row + columns[None, :] * b_column)
        sums = tl.dot(left, right, sums, input_precision=PRECISION, out_dtype=OUT)
    places = rows[:, None] * width + columns[None, :]
    tl.store(d + places, sums + tl.load(c + places))


@triton.jit
def multiply_scaled(
    a, a_scale, b, b_scale, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
    A_FORMAT: tl.constexpr, B_FORMAT: tl.constexpr, A_PACKED: tl.constexpr, B_PACKED: tl.constexpr,
):  # fmt: skip
    """c [M, N] of a [M, K] and b [K, N] in blocks of 32 with a scale each; PACKED: in a byte."""
    rows, columns = tl.arange(0, M), tl.arange(0, N)
    a_depth, b_depth = tl.arange(0, K // A_PACKED), tl.arange(0, K // B_PACKED)
    blocks = tl.arange(0, K // 32)
    left = tl.load(a + rows[:, None] * (K // A_PACKED) + a_depth[None, :])
    right = tl.load(b + b_depth[:, None] * N + columns[None, :])
    left_scale, right_scale = None, None
    if a_scale is not None:
        left_scale = tl.load(a_scale + rows[:, None] * (K // 32) + blocks[None, :])
    if b_scale is not None:
        right_scale = tl.load(b_scale + columns[:, None] * (K // 32) + blocks[None, :])
    sums = tl.dot_scaled(left, left_scale, A_FORMAT, right, right_scale, B_FORMAT)
    tl.store(c + rows[:, None] * N + columns[None, :], sums)


@triton.jit
def multiply_twice(a, b, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """(a b) b^T, as attention does: the first product is rounded to the type of b."""
    rows, columns, depth = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    left = tl.load(a + rows[:, None] * K + depth[None, :])
    right = tl.load(b + depth[:, None] * N + columns[None, :])
    product = tl.dot(left, right).to(b.dtype.element_ty)
    again = tl.dot(product, tl.trans(right))
    tl.store(c + rows[:, None] * K + depth[None, :], again)


@triton.jit(noinline=True)
def _collatz(x, limit):
    """Steps until 1, at most `limit`; a call that is not inlined."""
    steps = 0
    while (x != 1) & (steps < limit):
        if x % 2 == 0:  # noqa: SIM108  a branch, no selection
            x = x // 2
        else:
            x = 3 * x + 1
        steps += 1
    return steps


@triton.jit(noinline=True)
def _mix(value, factor):
    return value * factor + (value >> 3)


@triton.jit
def walk(x, y, n, limit, BLOCK: tl.constexpr, HOW: tl.constexpr):
    """Loops, branches and calls that go otherwise in every program."""
    program = tl.program_id(0) + tl.num_programs(0) * (
        tl.program_id(1) + tl.num_programs(1) * tl.program_id(2)
    )
    at = program * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + at)
    if HOW == "loop":
        for i in range(program % 5):
            values = values * 3 + i
        result = values
    elif HOW == "branch":
        if program % 3 == 0:
            result = values + 1
        elif program % 3 == 1:
            result = values * values
        else:
            result = tl.cumsum(values, 0)
    elif HOW == "return":
        if program % 2 == 1:
            return
        result = -values
    elif HOW == "while":
        total = tl.sum(values, 0)
        steps = 0
        while (total > 0) & (steps < limit):
            total -= tl.max(values, 0) + 1
            steps += 1
        result = values + steps
    elif HOW == "scalar call":
        result = values + _collatz(program + 1, limit)
    elif HOW == "call":
        mixed = program
        for i in range(program % 3 + 1):
            mixed = _mix(mixed, i + 2) + _collatz(mixed + 1, limit)
        result = values ^ mixed
    else:
        result = values
        while tl.max(result, 0) > n:
            result = tl.where(result > n, result >> 1, result)
    tl.store(y + at, result)


@triton.jit
def combine(x, y, z, w, wide, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """Products and sums that may become one instruction."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a, b, c = tl.load(x + at), tl.load(y + at), tl.load(z + at)
    sums = (a * b + c) * a - b
    tl.store(w + at, sums + (c - a * b))
    tl.store(wide + at, a.to(WIDE) * b.to(WIDE) + c.to(WIDE) - (a * c).to(WIDE) * b.to(WIDE))


@triton.jit
def draw_random(y, seed, BLOCK: tl.constexpr, HOW: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if HOW == "randint":
        tl.store(y + at, tl.randint(seed, at))
    elif HOW == "randint4x":
        a, b, c, d = tl.randint4x(seed, at)
        tl.store(y + at, a ^ (b * 3) ^ (c * 5) ^ (d * 7))
    else:
        tl.store(y + at, tl.rand(seed, at))


@triton.jit
def convert(x, y, BLOCK: tl.constexpr, TO: tl.constexpr, BACK: tl.constexpr):
    """To a type of 8 bits and back."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + at).to(TO)
    if BACK is None:
        tl.store(y + at, values)
    else:
        tl.store(y + at, values.to(BACK))


@triton.jit
def apply(x, y, z, BLOCK: tl.constexpr, HOW: tl.constexpr):
    """A function that hardware approximates, or that a library computes."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a, b = tl.load(x + at), tl.load(y + at)
    if HOW == "exp2":
        r = tl.exp2(a)
    elif HOW == "exp":
        r = tl.exp(a)
    elif HOW == "log2":
        r = tl.log2(a)
    elif HOW == "log":
        r = tl.log(a)
    elif HOW == "sqrt":
        r = tl.sqrt(a)
    elif HOW == "rsqrt":
        r = tl.rsqrt(a)
    elif HOW == "sigmoid":
        r = tl.sigmoid(a)
    elif HOW == "divide":
        r = a / b
    elif HOW == "sin":
        r = tl.sin(a)
    elif HOW == "cos":
        r = tl.cos(a)
    elif HOW == "erf":
        r = tl.erf(a)
    elif HOW == "tanh":
        r = libdevice.tanh(a)
    elif HOW == "tan":
        r = libdevice.tan(a)
    elif HOW == "atan":
        r = libdevice.atan(a)
    elif HOW == "atan2":
        r = libdevice.atan2(a, b)
    elif HOW == "asin":
        r = libdevice.asin(a)
    elif HOW == "acos":
        r = libdevice.acos(a)
    elif HOW == "sinh":
        r = libdevice.sinh(a)
    elif HOW == "cosh":
        r = libdevice.cosh(a)
    elif HOW == "asinh":
        r = libdevice.asinh(a)
    elif HOW == "log1p":
        r = libdevice.log1p(a)
    elif HOW == "expm1":
        r = libdevice.expm1(a)
    elif HOW == "log10":
        r = libdevice.log10(a)
    elif HOW == "erfc":
        r = libdevice.erfc(a)
    elif HOW == "hypot":
        r = libdevice.hypot(a, b)
    elif HOW == "pow":
        r = libdevice.pow(a, b)
    else:
        r = libdevice.fmod(a, b)
    tl.store(z + at, r)
