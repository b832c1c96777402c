from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.machine.arena import BASE, Arena
from rocmoe.ops.gcn.machine.launch import Slot, Tensor
from rocmoe.ops.gcn.machine.storage import Storage, allocate


def make(
    name: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    itemsize: int = 4,
    memory: np.ndarray | None = None,
    offset: int = 0,
) -> Tensor:
    if memory is None:
        memory = np.arange(4096).astype(np.uint8)
    return Tensor(name, memory, offset, shape, strides, itemsize)


def inside(arena: Arena, address: int, size: int = 1, writing: bool = False) -> bool:
    return arena.find_outside(np.array([address]), size, writing) is None


def test_storages_are_copied_once_and_apart() -> None:
    memory = np.arange(4096).astype(np.uint8)
    first = make("first", (8, 4), (4, 1), memory=memory)
    second = make("second", (8,), (1,), memory=memory, offset=256)
    other = make("other", (16,), (1,))
    arena = Arena((first, second, other), 24)
    assert arena.address(second) == arena.address(first) + 256
    assert len(arena.allocations) == 2
    spans = sorted((part.address, part.end) for part in arena.allocations)
    spans = [(arena.kernarg_address, arena.kernarg_end), *spans]
    assert spans[0][0] >= BASE + 4096
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert start - end >= 4096
    assert len(arena.buffer) >= spans[-1][1] + 4096 - BASE
    start = arena.address(first) - BASE
    assert (arena.buffer[start : start + 4096] == memory).all()


@pytest.mark.parametrize("offset", range(0, 16, 3))
def test_alignment_stays_what_it_was(offset: int) -> None:
    whole = np.zeros(600, np.uint8)
    memory = whole[-whole.ctypes.data % 16 + offset :][:512]
    arena = Arena((make("x", (4,), (1,), memory=memory),), 8)
    assert arena.allocations[0].address % 16 == offset
    assert arena.allocations[0].address % 256 == offset
    assert arena.buffer.ctypes.data % 16 == 0


def test_only_what_tensors_cover_may_be_accessed() -> None:
    memory = np.zeros(4096, np.uint8)
    first = make("first", (4, 4), (8, 1), memory=memory, offset=64)
    second = make("second", (4,), (1,), memory=memory, offset=64 + first.extent)
    third = make("third", (4,), (1,), memory=memory, offset=1024)
    empty = make("empty", (0, 4), (4, 1), memory=memory, offset=2048)
    arena = Arena((first, second, third, empty), 16)
    base = arena.allocations[0].address
    # From 64 to 176 and, adjoining, to 192.
    expected = {63: False, 64: True, 100: True, 172: True, 175: True, 188: True, 189: False}
    expected |= {1020: False, 1024: True, 1036: True, 1037: False, 2048: False}
    for place, allowed in expected.items():
        assert inside(arena, base + place, 4 if place != 63 else 1) == allowed, place
    places = base + np.array([[64, 186, 1024], [1038, 60, 188]])
    outside = arena.find_outside(places, 4)
    assert outside.tolist() == [[False, False, False], [True, True, False]]


def test_kernarg_is_read_only() -> None:
    x = make("x", (4,), (1,))
    arena = Arena((x,), 24)
    assert inside(arena, arena.kernarg_address, 24)
    assert not inside(arena, arena.kernarg_address + 1, 24)
    assert not inside(arena, arena.kernarg_address, 4, writing=True)
    slots = (Slot(0, x), Slot(12, (77).to_bytes(4, "little")))
    arena.fill_kernarg(slots)
    assert arena.kernarg[:8].view(np.uint64)[0] == arena.address(x)
    assert arena.kernarg.view(np.uint32)[2:].tolist() == [0, 77, 0, 0]
    assert [arena.kernarg_dword(at) for at in (1, 3, 5, 6)] == [1, 77, 0, 0]


def test_an_arena_without_tensors() -> None:
    arena = Arena((), 0)
    assert not inside(arena, BASE)
    assert arena.locate(BASE) == "no tensor is near"
    arena.copy_back()


def test_what_was_stored_is_copied_back_and_nothing_else() -> None:
    x, y, z = (make(name, (16,), (1,)) for name in "xyz")
    y.memory.flags.writeable = False
    arena = Arena((x, y, z), 0)
    start = arena.address(x) - BASE
    arena.buffer[start : start + 64] = 1
    arena.mark_stored(arena.address(x) + 16, arena.address(x) + 20)
    arena.mark_stored(arena.address(x) + 4, arena.address(x) + 8)
    arena.copy_back()
    assert (x.memory[4:20] == 1).all()
    assert x.memory[:4].tolist() == [0, 1, 2, 3]
    assert x.memory[20] == 20
    # Marked from x to z: y, between them, did not change and is read only.
    arena.buffer[arena.address(z) - BASE] = 9
    arena.mark_stored(arena.address(x), arena.address(z) + 4)
    arena.copy_back()
    assert (z.memory[0], z.memory[1]) == (9, 1)
    assert (x.memory[:64] == 1).all()


@pytest.mark.parametrize(
    ("place", "size", "words"),
    [
        (0, 4, "ids[0, 0]"),
        (12 * 40 + 3 * 4, 4, "ids[12, 3]"),
        (12 * 40 + 3 * 4 + 2, 2, "ids[12, 3] + 2 bytes"),
        (3 * 40 + 8 * 4 - 4, 4, "ids[3, 7]"),
        (3 * 40 + 8 * 4 + 4, 4, "2 elements past row 3 of ids"),
        (3 * 40 + 8 * 4 + 1, 1, "1 element past row 3 of ids + 1 byte"),
        (15 * 40 + 32 - 4, 4, "ids[15, 7]"),
        (15 * 40 + 32 - 8, 16, "8 bytes past the end of ids[16, 8]"),
        (15 * 40 + 32, 1, "1 byte past the end of ids[16, 8]"),
        (-24, 4, "24 bytes before the start of ids[16, 8]"),
        (-4097, 1, "no tensor is near"),
        (1 << 40, 1, "no tensor is near"),
    ],
)
def test_locate(place: int, size: int, words: str) -> None:
    ids = make("ids", (16, 8), (10, 1))
    arena = Arena((ids,), 0)
    assert arena.locate(arena.address(ids) + place, size) == words


def test_locate_by_any_strides() -> None:
    shapes = {
        "column": ((5, 4), (1, 8), [2, 3]),
        "broadcast": ((5, 4), (0, 1), [0, 3]),
        "cube": ((2, 3, 4), (100, 20, 2), [1, 2, 3]),
        "vector": ((7,), (3,), [6]),
        "scalar": ((), (), []),
        "single": ((1, 6), (1, 1), [0, 5]),
    }
    for name, (shape, strides, index) in shapes.items():
        tensor = make(name, shape, strides)
        arena = Arena((tensor,), 0)
        place = sum(i * s for i, s in zip(index, strides, strict=True)) * 4
        assert arena.locate(arena.address(tensor) + place, 4) == f"{name}{index}"


def test_locate_of_mingled_views_names_the_one_with_the_element() -> None:
    memory = np.zeros(640, np.uint8)
    left = make("left", (16, 4), (10, 1), memory=memory)
    right = make("right", (16, 6), (10, 1), memory=memory, offset=16)
    arena = Arena((left, right), 0)
    base = arena.address(left)
    assert arena.locate(base + 80 + 12, 4) == "left[2, 3]"
    assert arena.locate(base + 80 + 16, 4) == "right[2, 0]"


def test_locate_of_the_kernarg_segment() -> None:
    arena = Arena((make("x", (4,), (1,)),), 32)
    start = arena.kernarg_address
    assert arena.locate(start + 16, 8) == "kernarg + 16"
    assert arena.locate(start + 28, 8) == "4 bytes past the end of kernarg (32 bytes)"
    assert arena.locate(start - 8, 8) == "8 bytes before the start of kernarg"


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([1, 2, 4, 8, 12, 16]),
    places=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    seed=st.integers(0, 999),
)
def test_storage_moves_words_from_and_to_any_place(size: int, places: list[int], seed: int) -> None:
    octets = allocate(64)
    octets[:] = np.random.default_rng(seed).integers(0, 256, 64)
    storage = Storage(octets)
    expected = bytearray(octets.tobytes())
    at = np.array(places, np.int64)
    dwords = storage.load(at, size)
    for number, place in enumerate(places):
        found = b"".join(int(dword[number]).to_bytes(4, "little") for dword in dwords)
        assert found[:size] == bytes(expected[place : place + size])
        assert not any(found[size:])
    values = np.random.default_rng(seed + 1).integers(0, 1 << 32, (4, len(places)), np.uint32)
    storage.store(at, size, list(values[: max(size // 4, 1)]))
    for number, place in enumerate(places):
        word = b"".join(int(value[number]).to_bytes(4, "little") for value in values)
        expected[place : place + size] = word[:size]
    assert octets.tobytes() == bytes(expected)
