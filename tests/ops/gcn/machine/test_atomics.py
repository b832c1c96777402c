from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.machine.atomics import ATOMICS, apply_atomic

Model = Callable[[int, int, int, int], int]


def _signed(word: int, bits: int) -> int:
    return word - (1 << bits) if word >> (bits - 1) else word


def _float(word: int, bits: int) -> float:
    code, form = ("<I", "<f") if bits == 32 else ("<Q", "<d")
    return float(struct.unpack(form, struct.pack(code, word))[0])


def _on_floats(choose: Callable[[float, float], bool]) -> Model:
    """The operand where `choose(operand, old)` holds, else what was there."""
    return lambda old, x, _, bits: x if choose(_float(x, bits), _float(old, bits)) else old


def _compare(old: int, x: int, compare: int, bits: int) -> int:
    return x if _float(old, bits) == _float(compare, bits) else old


MODELS: dict[str, Model] = {
    "add": lambda old, x, _, bits: old + x,
    "sub": lambda old, x, _, bits: old - x,
    "rsub": lambda old, x, _, bits: x - old,
    "inc": lambda old, x, _, bits: 0 if old >= x else old + 1,
    "dec": lambda old, x, _, bits: x if old == 0 or old > x else old - 1,
    "smin": lambda old, x, _, bits: min(_signed(old, bits), _signed(x, bits)),
    "umin": lambda old, x, _, bits: min(old, x),
    "smax": lambda old, x, _, bits: max(_signed(old, bits), _signed(x, bits)),
    "umax": lambda old, x, _, bits: max(old, x),
    "and": lambda old, x, _, bits: old & x,
    "or": lambda old, x, _, bits: old | x,
    "xor": lambda old, x, _, bits: old ^ x,
    "mskor": lambda old, x, mask, bits: (old & ~mask) | x,
    "wrap": lambda old, x, more, bits: old - x if old >= x else old + more,
    "swap": lambda old, x, _, bits: x,
    "cmpswap": lambda old, x, compare, bits: x if old == compare else old,
    **dict.fromkeys(("cmpswap_f32", "cmpswap_f64"), _compare),
    **dict.fromkeys(("min_f32", "min_f64"), _on_floats(lambda x, old: x < old)),
    **dict.fromkeys(("max_f32", "max_f64"), _on_floats(lambda x, old: x > old)),
}
INTEGERS = [name for name in MODELS if "_f" not in name]
CASES = [
    *((name, bits) for name in INTEGERS for bits in (32, 64)),
    *((name, int(name[-2:])) for name in MODELS if "_f" in name),
]
#: NaNs (quiet, signalling), infinities, zeros of both signs, denormals, and integers near the ends.
EDGES = {
    32: [
        *(0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00000005, 0x80000007),
        *(0x7FC00001, 0x7F800001, 0x7F800000, 0xFF800000, 0x3F800000, 0xBF800000),
    ],
    64: [
        *(0, 1, 2, 3, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 5, (1 << 63) + 7),
        *((0x7FF8 << 48) + 1, (0x7FF0 << 48) + 1),
        *(top << 48 for top in (0x7FF0, 0xFFF0, 0x3FF0, 0xBFF0)),
    ],
}


def _words(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from(EDGES[bits]), st.integers(0, (1 << bits) - 1))


def _run_in_turn(
    model: Model, bits: int, memory: list[int], updates: list[tuple[int, int, int]]
) -> tuple[list[int], list[int]]:
    memory, old = list(memory), []
    for place, value, compare in updates:
        old.append(memory[place])
        memory[place] = model(memory[place], value, compare, bits) % (1 << bits)
    return memory, old


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_updates_are_those_of_one_lane_after_the_other(name: str, bits: int) -> None:
    dtype = np.dtype(f"u{bits // 8}")
    word = _words(bits)

    @settings(max_examples=40, deadline=None, database=None)
    @given(
        st.lists(word, min_size=4, max_size=4),
        st.lists(st.tuples(st.integers(0, 3), word, word), max_size=24),
        st.booleans(),
    )
    def compare(memory: list[int], updates: list[tuple[int, int, int]], want_old: bool) -> None:
        expected, old = _run_in_turn(MODELS[name], bits, memory, updates)
        view = np.array(memory, dtype)
        columns = list(zip(*updates, strict=True)) or [(), (), ()]
        places = np.array(columns[0], np.int64)
        values, others = (np.array(column, dtype) for column in columns[1:])
        found = apply_atomic(name, view, places, values, others, want_old)
        assert view.tolist() == expected
        if want_old:
            assert found is not None
            assert found.tolist() == old
        else:
            assert found is None

    compare()


@pytest.mark.parametrize("name", ["add_f32", "add_f64"])
@pytest.mark.parametrize("places_count", [1, 3, 700])
@pytest.mark.parametrize("want_old", [False, True])
def test_float_additions_round_one_after_the_other(
    name: str, places_count: int, want_old: bool
) -> None:
    """The sums of 500 numbers of very different size depend on the order and on every rounding."""
    dtype = np.dtype(f"f{int(name[-2:]) // 8}")
    generator = np.random.default_rng(5)
    places = generator.integers(0, places_count, 500)
    values = (generator.standard_normal(500) * 10.0 ** generator.integers(-6, 7, 500)).astype(dtype)
    memory = generator.standard_normal(places_count).astype(dtype)
    expected, old = memory.copy(), np.empty_like(values)
    for at, (place, value) in enumerate(zip(places, values, strict=True)):
        old[at] = expected[place]
        expected[place] = dtype.type(expected[place] + value)
    found = apply_atomic(name, memory, places, values, want_old=want_old)
    np.testing.assert_array_equal(memory, expected)
    if want_old:
        np.testing.assert_array_equal(found, old)


def _bits(*words: int) -> np.ndarray:
    return np.array(words, np.uint32)


@pytest.mark.parametrize(
    ("name", "memory", "values", "expected"),
    [
        ("add_f32", 0x3F800000, (0x40000000,), 0x40400000),
        ("add_f32", 0x7F800001, (0x7FC00002,), 0x7FC00001),  # the first NaN, quiet
        ("add_f32", 0x3F800000, (0x7F800003,), 0x7FC00003),
        ("add_f32", 0x7F800000, (0xFF800000,), 0xFFC00000),  # inf - inf
        ("add_f32", 0x3F800000, (0x7F800000, 0xFF800000), 0xFFC00000),
        ("add_f32", 0x7F7FFFFF, (0x7F7FFFFF,), 0x7F800000),
        ("add_f32", 0x7F7FFFFF, (0x7F7FFFFF, 0xFF800000), 0xFFC00000),
        ("add_f32", 0x00000003, (0x00000004,), 0x00000007),  # denormals stay
        ("add_f32", 0x80000000, (0x80000000,), 0x80000000),
        ("add_f32_flush", 0x00000003, (0x00000004,), 0x00000000),
        ("add_f32_flush", 0x00800000, (0x80800001,), 0x80000000),
        ("add_f32_flush", 0x00000003, (0x3F800000,), 0x3F800000),
        ("pk_add_f16", 0x3C003C00, (0x40003800,), 0x42003E00),
        ("pk_add_f16", 0x7BFF0001, (0x7BFF0001,), 0x7C000002),
        ("pk_add_f16", 0x7C003C00, (0xFC007E01,), 0xFE007E01),
        ("pk_add_f16", 0x3C003C00, (0x3C003C00, 0x3C00BC00), 0x42003C00),
        ("pk_add_bf16", 0x3F803F80, (0x40003F00,), 0x40403FC0),
        ("pk_add_bf16", 0x43803F80, (0x3F803F80,), 0x43804000),  # 256 + 1 ties to even
        ("pk_add_bf16", 0x43823F80, (0x3F800000,), 0x43823F80),  # 260 + 1 rounds down
        ("pk_add_bf16", 0x7F803F80, (0xFF807FC1,), 0xFFC07FC1),
        ("pk_add_bf16", 0x00010001, (0x00010002,), 0x00020003),
    ],
)
@pytest.mark.parametrize("want_old", [False, True])
def test_float_additions_of_edge_values(
    name: str, memory: int, values: tuple[int, ...], expected: int, want_old: bool
) -> None:
    view = _bits(memory)
    found = apply_atomic(
        name, view, np.zeros(len(values), np.int64), _bits(*values), want_old=want_old
    )
    assert hex(int(view[0])) == hex(expected)
    if want_old:
        assert found is not None
        assert found[0] == memory


def test_operands_may_be_views_of_any_type_of_the_same_size() -> None:
    memory = np.array([7, -7], np.int32)
    old = apply_atomic("umax", memory, np.array([0, 1]), _bits(9, 3), want_old=True)
    assert memory.tolist() == [9, -7]
    assert old is not None
    assert old.dtype == np.int32
    assert old.tolist() == [7, -7]


def test_far_places_are_told_apart_and_together() -> None:
    """Places too far apart to be marked are sorted; both ways must see the same repetitions."""
    memory = np.zeros(1 << 20, np.uint32)
    places = np.array([0, (1 << 20) - 1, 5, 5])
    old = apply_atomic("add", memory, places, _bits(1, 2, 3, 4), want_old=True)
    assert old is not None
    assert old.tolist() == [0, 0, 0, 3]
    assert [memory[0], memory[5], memory[-1]] == [1, 7, 2]


def test_every_operation_is_tested() -> None:
    rounding = {"add_f32", "add_f64", "add_f32_flush", "pk_add_f16", "pk_add_bf16"}
    assert set(ATOMICS) == set(MODELS) | rounding
