"""Loads, stores and atomic operations of every width, with masks, strides and any alignment."""

from __future__ import annotations

from collections import Counter

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
    Finding,
    compare,
    few,
    fill,
    name_check,
    simulate,
)

WARPS = st.sampled_from([1, 2, 4, 8])
EITHER = st.booleans()
LOADED = st.sampled_from(["", "", ".ca", ".cg", ".cv"])
STORED = st.sampled_from(["", "", ".wb", ".cg", ".cs", ".wt"])


def of_bits(tensor):
    """As signed integers of the same size, which torch has all its functions for."""
    return tensor.view(getattr(torch, f"int{8 * tensor.element_size()}"))


def same_bits(found, wanted):
    kind = TYPES[f"int{8 * found.element_size()}"]
    compare(of_bits(found), of_bits(wanted).numpy(), kind)


@st.composite
def scatters(draw):
    kind = draw(st.sampled_from(INTEGERS + FLOATS))
    block, programs = draw(st.sampled_from([32, 64, 256, 1024])), draw(st.integers(1, 3))
    n = block * programs - draw(st.sampled_from([0, 0, 1, 7, 16]))
    return (
        kind,
        block,
        programs,
        n,
        draw(LOADED),
        draw(STORED),
        draw(EITHER),
        draw(EITHER),
        draw(WARPS),
    )


def check_scatter(arch, drawn):
    kind, block, programs, n, loaded, stored, volatile, aligned, num_warps = drawn
    random = np.random.default_rng(n)
    # One element in, so that no vector is aligned.
    x = fill(random, kind, n + 1)[0 if aligned else 1 :]
    sources = random.integers(-(n // 4), n, n).astype(np.int32)
    targets = random.permutation(2 * n)[:n].astype(np.int32) - n // 4
    y = torch.full((2 * n + 1,), 77).to(kind.torch)[0 if aligned else 1 :]
    wanted = y.clone()
    kept = targets >= 0
    other = torch.full((n,), 5).to(kind.torch)
    moved = torch.where(torch.from_numpy(sources >= 0), x[np.maximum(sources, 0)], other)
    of_bits(wanted)[torch.from_numpy(targets[kept]).long()] = of_bits(moved)[torch.from_numpy(kept)]
    simulate(kernels.move_scattered, (programs,), arch, family="scatter", x=x,
             sources=torch.from_numpy(np.maximum(sources, -1)),
             targets=torch.from_numpy(np.maximum(targets, -1)), y=y, n=n, OTHER=5, BLOCK=block,
             LOADED=loaded, STORED=stored, VOLATILE=volatile, num_warps=num_warps)  # fmt: skip
    same_bits(y, wanted)


@st.composite
def copies(draw):
    kind = draw(st.sampled_from(INTEGERS + FLOATS))
    rows, columns = draw(st.sampled_from([1, 4, 32])), draw(st.sampled_from([8, 64, 128]))
    m, n = draw(st.integers(1, 2 * rows)), draw(st.integers(1, 2 * columns))
    n = draw(st.sampled_from([n, 2 * columns]))
    strides = (draw(st.integers(0, 2)), draw(st.sampled_from([1, 1, 2, 3])), draw(EITHER))
    return (kind, rows, columns, m, n, strides, draw(st.integers(0, 3)), draw(LOADED), draw(STORED),
            draw(EITHER), draw(WARPS))  # fmt: skip


def check_copy(arch, drawn):
    kind, rows, columns, m, n, strides, start, loaded, stored, volatile, num_warps = drawn
    random = np.random.default_rng(m * n)
    padding, column_stride, transposed = strides
    row_stride = n * column_stride + padding
    x = fill(random, kind, m * row_stride + start, edges=False)[start:]
    x = x.as_strided((m, n), (row_stride, column_stride), start)
    y = torch.zeros((n, m) if transposed else (m, n), dtype=kind.torch)
    y = y.T if transposed else y
    grid = (triton.cdiv(m, rows), triton.cdiv(n, columns))
    simulate(kernels.copy_tiles, grid, arch, family="copy", x=x, y=y, m=m, n=n,
             row_stride=row_stride, column_stride=column_stride, out_row_stride=y.stride(0),
             out_column_stride=y.stride(1), ROWS=rows, COLUMNS=columns, ADDED=0, LOADED=loaded,
             STORED=stored, VOLATILE=volatile, num_warps=num_warps)  # fmt: skip
    same_bits(y.contiguous(), x.contiguous())


_INTEGER = tuple(TYPES[name] for name in ("int32", "int64", "uint32", "uint64"))
_BITWISE = {
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "add": np.add,
    "max": np.maximum, "min": np.minimum,
}  # fmt: skip


@st.composite
def updates(draw):
    how = draw(st.sampled_from(["add", "add", "max", "min", "and", "or", "xor", "xchg", "cas"]))
    kinds = _INTEGER
    if how == "add":
        kinds += FLOATS
    elif how in ("max", "min"):
        kinds += FLOATS[2:]
    elif how == "xchg":
        kinds += FLOATS[2:3]  # LLVM has no buffer_atomic_swap of f64
    kind = draw(st.sampled_from(kinds))
    block, programs = draw(st.sampled_from([16, 64, 256, 512])), draw(st.integers(1, 4))
    n = block * programs - draw(st.sampled_from([0, 0, 1, 5]))
    places = draw(st.sampled_from([1, 2, 3, 17, n]))
    sem = draw(st.sampled_from(["relaxed", "acquire", "release", "acq_rel"]))
    scope = draw(st.sampled_from(["gpu", "cta", "sys"]))
    return how, kind, block, programs, n, places, draw(EITHER), sem, scope, draw(WARPS)


def check_update(arch, drawn):
    how, kind, block, programs, n, places, keep, sem, scope, num_warps = drawn
    random = np.random.default_rng(n)
    low = -9 if kind.is_signed and how not in ("cas",) else 0
    if kind.bits == 16:
        low, high = -1, 2
    else:
        high = 2**20 if kind.bits == 64 else 1000
    at = random.integers(0, places, n) if places < n else random.permutation(n)
    if how in ("max", "min") and not keep and arch != "gfx90a":
        # Triton compares as unsigned whatever the type, where it first reduces in a wave what
        # nobody reads back (triton-lang/triton 0e0df29, AtomicRMWOpsEmitter.cpp, performOp).
        low = 0
    values = random.integers(1 if how in ("cas", "xchg") else low, high, n)
    if how in ("cas", "xchg"):
        values = random.permutation(n) + 1
    # Elements past the places are for those lanes that are out of range (cas).
    size = n + block * programs
    memory = torch.from_numpy(np.zeros(size)).to(kind.torch)
    if how not in ("cas", "xchg"):
        memory = torch.from_numpy(random.integers(low, high, size).astype(np.float64)).to(
            kind.torch
        )
    before = memory.clone()
    values = torch.from_numpy(values.astype(np.float64)).to(kind.torch)
    old = torch.zeros(n, dtype=kind.torch)
    simulate(kernels.update, (programs,), arch, family="atomic", memory=memory,
             places=torch.from_numpy(at.astype(np.int32)), values=values, old=old, n=n, HOW=how,
             BLOCK=block, KEEP=keep, SEM=sem, SCOPE=scope, num_warps=num_warps)  # fmt: skip
    check_result(how, kind, at, values, old if keep else None, before, memory)


def check_result(how, kind, at, values, old, before, memory):
    """Whatever the order was, each swap hands on what another one left."""
    start, values, end = (t.double().numpy() if kind.is_float else t.numpy()
                          for t in (before, values, memory))  # fmt: skip
    if how in _BITWISE:
        wanted = start.copy()
        _BITWISE[how].at(wanted, at, values)
        compare(memory, wanted.astype(kind.numpy), kind)
        if old is not None and how == "add":
            check_sums(
                start, at, values, old.double().numpy() if kind.is_float else old.numpy(), end
            )
        return
    for place in np.unique(at):
        here = at == place
        if old is not None:
            seen = Counter(old.numpy()[here].tolist()) + Counter([end[place].item()])
            given = Counter(values[here].tolist()) + Counter([start[place].item()])
            if how == "cas":
                given = Counter({0: 1, end[place].item(): int(here.sum())})
            if seen != given:
                raise Finding(f"{how} at {place}: {seen}, wanted {given}")
        if end[place] not in values[here]:
            raise Finding(f"{how} at {place}: {end[place]} was never stored")


def check_sums(start, at, values, old, end):
    """Old values and their updates form a chain from the first value to the last."""
    for place in np.unique(at)[:20]:
        here = at == place
        left = Counter((old[here]).tolist()) + Counter([end[place].item()])
        right = Counter((old[here] + values[here]).tolist()) + Counter([start[place].item()])
        if left != right:
            raise Finding(f"add at {place}: {left - right} and {right - left}")


@st.composite
def tickets(draw):
    return draw(st.integers(1, 4)), draw(st.sampled_from(["relaxed", "acq_rel"])), draw(WARPS)


def check_tickets(arch, drawn):
    programs, sem, num_warps = drawn
    counter, lock, guarded = (torch.zeros(1, dtype=torch.int32) for _ in range(3))
    old = torch.full((programs,), -1, dtype=torch.int32)
    # Programs hand `guarded` on by a lock, which a sanitizer of races need not understand.
    simulate(kernels.count_programs, (programs,), arch, family="lock", watched=False,
             counter=counter, lock=lock, guarded=guarded, old=old, SEM=sem,
             num_warps=num_warps)  # fmt: skip
    wanted = 0
    for _ in range(programs):
        wanted = (wanted * 3 + 1) % 2**32
    assert (counter.item(), lock.item()) == (programs, 0)
    assert guarded.item() % 2**32 == wanted
    assert sorted(old.tolist()) == list(range(programs))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(
    ("check", "drawn"),
    [(check_scatter, scatters()), (check_copy, copies()), (check_update, updates()),
     (check_tickets, tickets())],
    ids=name_check,
)  # fmt: skip
def test_agrees_with_numpy(arch, check, drawn):
    few(8)(given(drawn)(lambda each: check(arch, each)))()
