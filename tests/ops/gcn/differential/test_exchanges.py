"""Reductions, scans, sorts and rearrangements: what waves and lanes hand each other."""

from __future__ import annotations

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from . import kernels  # noqa: E402
from .rig import (  # noqa: E402
    ARCHS,
    FLOATS,
    INTEGERS,
    TYPES,
    compare,
    few,
    fill,
    name_check,
    simulate,
    to_numpy,
)

WARPS = st.sampled_from([1, 2, 4, 8])
EITHER = st.booleans()
I32 = TYPES["int32"]
#: Types in which tiles are summed or multiplied: narrower ones become these first.
WIDENED = {"int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}


def sizes(low, high):
    return st.sampled_from([2**n for n in range(low, high + 1)])


def fill_small(random, kind, shape):
    """Small whole numbers, of which sums are exact in any order, and many are equal."""
    low = -3 if kind.is_signed else 0
    values = random.integers(low, 4, shape)
    return torch.from_numpy(values.astype(np.float64)).to(kind.torch)


@st.composite
def reductions(draw):
    how = draw(st.sampled_from(["sum", "max", "min", "argmax", "argmin", "xor", "or", "product",
                                "first of largest"]))  # fmt: skip
    kinds = INTEGERS if how in ("xor", "or", "product") else (*INTEGERS, *FLOATS)
    rows, columns = draw(sizes(0, 6)), draw(sizes(1, 9))
    columns = min(columns, 8192 // rows)
    if draw(EITHER):
        rows, columns = columns, rows
    return how, draw(st.sampled_from(kinds)), rows, columns, draw(st.integers(0, 1)), draw(WARPS)


def check_reduction(arch, drawn):
    how, kind, rows, columns, axis, num_warps = drawn
    random = np.random.default_rng(rows * columns)
    programs = 2
    shape = (programs, rows, columns)
    exact = how in ("max", "min", "xor", "or", "product")
    x = fill(random, kind, shape) if exact else fill_small(random, kind, shape)
    values = to_numpy(x, kind)
    into = I32 if "arg" in how or "first" in how else TYPES[WIDENED.get(kind.name, kind.name)]
    y = torch.zeros((programs, rows if axis else columns), dtype=into.torch)
    simulate(kernels.reduce_tile, (programs,), arch, family="reduction", x=x, y=y, ROWS=rows,
             COLUMNS=columns, AXIS=axis, HOW=how, num_warps=num_warps)  # fmt: skip
    compare(y, reduce_numpy(values, how, axis + 1, kind, into), into)


def reduce_numpy(values, how, axis, kind, into):
    if how in ("sum", "product"):
        # Of integers modulo the type's range. A product of narrow ones stays in their type.
        inner = into.numpy if how == "sum" else kind.numpy
        compute = np.add if how == "sum" else np.multiply
        return compute.reduce(values, axis, inner).astype(into.numpy)
    if how in ("argmax", "first of largest"):
        return np.argmax(values, axis).astype(np.int32)
    if how == "argmin":
        return np.argmin(values, axis).astype(np.int32)
    compute = {"max": np.fmax, "min": np.fmin, "xor": np.bitwise_xor, "or": np.bitwise_or}[how]
    return compute.reduce(values, axis).astype(into.numpy)


@st.composite
def totals(draw):
    how = draw(st.sampled_from(["sum", "max", "argmax", "min"]))
    return how, draw(st.sampled_from(INTEGERS + FLOATS)), draw(sizes(1, 12)), draw(WARPS)


def check_total(arch, drawn):
    how, kind, size, num_warps = drawn
    random = np.random.default_rng(size)
    x = fill_small(random, kind, (3, size))
    if kind.name in ("float16", "bfloat16") and size > 128:
        x[:, 128:] = 0
    into = I32 if how == "argmax" else TYPES[WIDENED.get(kind.name, kind.name)]
    y = torch.zeros(3, dtype=into.torch)
    simulate(kernels.reduce_all, (3,), arch, family="reduction", x=x, y=y, SIZE=size, HOW=how,
             num_warps=num_warps)  # fmt: skip
    wanted = reduce_numpy(to_numpy(x, kind), how, 1, kind, into)
    compare(y, wanted + wanted if how == "sum" else wanted, into)


@st.composite
def scans(draw):
    how = draw(st.sampled_from(["sum", "product", "max", "steps"]))
    kinds = [kind for kind in INTEGERS if kind.bits >= 32] if how != "sum" else INTEGERS + FLOATS
    kinds = (*INTEGERS, *FLOATS[2:]) if how == "max" else kinds
    rows, columns = draw(sizes(0, 5)), draw(sizes(1, 8))
    columns = min(columns, 4096 // rows)
    if draw(EITHER):
        rows, columns = columns, rows
    axis, reverse = draw(st.integers(0, 1)), draw(EITHER)
    return how, draw(st.sampled_from(kinds)), rows, columns, axis, reverse, draw(WARPS)


def check_scan(arch, drawn):
    how, kind, rows, columns, axis, reverse, num_warps = drawn
    random = np.random.default_rng(rows * columns)
    shape = (2, rows, columns)
    x = fill_small(random, kind, shape) if kind.is_float else fill(random, kind, shape)
    into = TYPES[WIDENED.get(kind.name, kind.name)] if how == "sum" else kind
    y = torch.zeros(shape, dtype=into.torch)
    simulate(kernels.scan_tile, (2,), arch, family="scan", x=x, y=y, ROWS=rows, COLUMNS=columns,
             AXIS=axis, HOW=how, REVERSE=reverse, num_warps=num_warps)  # fmt: skip
    values = to_numpy(x, kind).astype(into.numpy)
    order = np.flip(values, axis + 1) if reverse else values
    wanted = scan_numpy(order, how, axis + 1)
    compare(y, np.flip(wanted, axis + 1) if reverse else wanted, into)


def scan_numpy(values, how, axis):
    if how == "steps":
        values = np.moveaxis(values, axis, 0)
        results = [values[0]]
        for each in values[1:]:
            results.append(results[-1] * (each | each.dtype.type(1)) + each)
        return np.moveaxis(np.stack(results), 0, axis)
    compute = {"sum": np.add, "product": np.multiply, "max": np.fmax}[how]
    return compute.accumulate(values, axis, values.dtype)


@st.composite
def sorts(draw):
    how = draw(st.sampled_from(["sort", "sort", "topk", "flip"]))
    columns = draw(sizes(1, 8))
    rows = min(draw(sizes(0, 4)), 1024 // columns)
    kept = min(columns, draw(sizes(0, 4))) if how == "topk" else columns
    return (
        how,
        draw(st.sampled_from(INTEGERS + FLOATS)),
        rows,
        columns,
        kept,
        draw(EITHER),
        draw(WARPS),
    )


def check_sort(arch, drawn):
    how, kind, rows, columns, kept, descending, num_warps = drawn
    random = np.random.default_rng(rows * columns + kept)
    x = fill(random, kind, (2, rows, columns))
    if kind.is_float:
        x = torch.nan_to_num(x, nan=2.0)
    y = torch.zeros((2, rows, kept), dtype=kind.torch)
    simulate(kernels.sort_tile, (2,), arch, family="sort", x=x, y=y, ROWS=rows, COLUMNS=columns,
             KEPT=kept, HOW=how, DESCENDING=descending, num_warps=num_warps)  # fmt: skip
    values = to_numpy(x, kind)
    wanted = np.sort(values, 2)
    if how == "flip":
        wanted = np.flip(values, 2)
    elif descending or how == "topk":
        wanted = np.flip(wanted, 2)[:, :, :kept]
    compare(y, wanted, kind)


HOWS = ("transpose", "trans", "reshape", "gather columns", "gather rows", "interleave", "split",
        "permute")  # fmt: skip


@st.composite
def rearrangements(draw):
    rows, columns = draw(sizes(0, 6)), draw(sizes(2, 7))
    return (draw(st.sampled_from(HOWS)), draw(st.sampled_from(INTEGERS + FLOATS)), rows, columns,
            draw(WARPS))  # fmt: skip


def check_rearrangement(arch, drawn):
    how, kind, rows, columns, num_warps = drawn
    random = np.random.default_rng(rows * columns)
    x = fill(random, kind, (rows, columns))
    most = columns if how == "gather columns" else rows
    indexes = random.integers(0, most, (rows, columns)).astype(np.int32)
    values = to_numpy(x, kind)
    with np.errstate(all="ignore"):
        wanted = {
            "transpose": lambda: values.T,
            "trans": lambda: values.T,
            "reshape": lambda: values.reshape(-1),
            "gather columns": lambda: np.take_along_axis(values, indexes, 1),
            "gather rows": lambda: np.take_along_axis(values, indexes, 0),
            "interleave": lambda: np.stack([values, to_numpy(x + x, kind) if kind.is_float
                                            else values + values], 2),
            "split": lambda: np.stack([values[:, ::2], values[:, 1::2]]),
            "permute": lambda: values.reshape(rows, columns // 4, 4).transpose(2, 0, 1),
        }[how]()  # fmt: skip
    y = torch.zeros(wanted.shape, dtype=kind.torch)
    simulate(kernels.rearrange, (1,), arch, family="rearrangement", x=x,
             indexes=torch.from_numpy(indexes), y=y, ROWS=rows, COLUMNS=columns, HOW=how,
             num_warps=num_warps)  # fmt: skip
    compare(y, wanted, kind)


@st.composite
def histograms(draw):
    return draw(sizes(1, 11)), draw(sizes(1, 8)), draw(st.integers(0, 2)), draw(WARPS)


def check_histogram(arch, drawn):
    size, bins, fewer, num_warps = drawn
    n = max(1, size - fewer)
    x = torch.from_numpy(np.random.default_rng(size).integers(0, bins, (2, n)).astype(np.int32))
    y = torch.zeros((2, bins), dtype=torch.int32)
    simulate(kernels.count_bins, (2,), arch, family="histogram", x=x, y=y, n=n, SIZE=size,
             BINS=bins, num_warps=num_warps)  # fmt: skip
    compare(y, np.stack([np.bincount(row, minlength=bins) for row in x.numpy()]), I32)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(
    ("check", "drawn"),
    [(check_reduction, reductions()), (check_total, totals()), (check_scan, scans()),
     (check_sort, sorts()), (check_rearrangement, rearrangements()),
     (check_histogram, histograms())],
    ids=name_check,
)  # fmt: skip
def test_agrees_with_numpy(arch, check, drawn):
    few(8)(given(drawn)(lambda each: check(arch, each)))()
