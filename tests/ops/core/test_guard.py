import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.guard import POISONS, FencedTensor, find_poison, poisoned_allocations
from rocmoe.ops.core.spec import LAYOUTS

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.int64)


def make_fenced(layout="contiguous", dtype=torch.float32, shape=(4, 6), values=None):
    fenced = FencedTensor(shape, dtype, layout, "cpu")
    fenced.fill(values, 0)
    return fenced


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_contents_and_layout(layout, dtype):
    values = np.arange(24).reshape(4, 6)
    fenced = make_fenced(layout, dtype, values=values)
    np.testing.assert_array_equal(fenced.tensor.double().numpy(), values)
    assert fenced.tensor.stride() == ((16 if layout == "strided" else 6), 1)
    aligned = fenced.tensor.data_ptr() % 64 == fenced.buffer.data_ptr() % 64
    assert aligned == (layout != "offset")
    assert fenced.find_damage(False) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("poison", [0, 1])
def test_poison_is_not_a_number(dtype, poison):
    fenced = FencedTensor((3, 5), dtype, "contiguous", "cpu")
    fenced.fill(None, poison)
    assert fenced.buffer.isnan().all()
    assert find_poison(fenced.tensor, poison).all()
    assert not find_poison(fenced.tensor, 1 - poison).any()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(LAYOUTS)),
    st.sampled_from(DTYPES),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.data(),
)
def test_any_single_write_out_of_place_is_found(layout, dtype, shape, data):
    fenced = make_fenced(layout, dtype, tuple(shape))
    covered = torch.zeros(len(fenced.buffer), dtype=torch.bool)
    torch.as_strided(covered, fenced.tensor.shape, fenced.strides, fenced.start).fill_(True)
    place = data.draw(st.integers(0, len(fenced.buffer) - 1))
    fenced.buffer[place] = 1
    damage = fenced.find_damage(True)
    assert len(damage) == (not covered[place])
    everywhere = fenced.find_damage(False)
    assert len(everywhere) == 1
    words, index = everywhere[0]
    assert (words == "inside") == bool(covered[place])
    if covered[place]:
        assert fenced.tensor[index] == 1


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (-1, "4 bytes before the first element"),
        (3 * 16 + 6, "0 bytes past the last element"),
        (3 * 16 + 6 + 20, "80 bytes past the last element"),
        (16 + 6, "0 bytes past row [1]"),
    ],
)
def test_damage_is_placed(offset, words):
    fenced = make_fenced("strided")
    fenced.buffer[fenced.start + offset] = 0
    assert fenced.find_damage(True) == [(words, ())]


def test_only_what_may_be_written_may_be_written():
    fenced = make_fenced()
    fenced.tensor.fill_(1)
    may_write = np.ones((4, 6), dtype=bool)
    may_write[3, 2] = False
    assert fenced.find_damage(may_write) == [("inside", (3, 2))]


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(5, 3),
        lambda: torch.empty_like(torch.ones(5, 3)),
        lambda: torch.ones(2, 3).new_empty((5, 3)),
        lambda: torch.empty_strided((5, 3), (3, 1)),
        lambda: torch.empty(5, 3, dtype=torch.int32),
        lambda: torch.empty(5, 3, dtype=torch.bfloat16),
    ],
)
def test_allocations_are_poisoned(allocate):
    with poisoned_allocations(1):
        made = allocate()
        zeros = torch.zeros(4)
    assert find_poison(made, 1).all()
    assert not find_poison(zeros, 1).any()


def test_poisons_differ_in_every_byte():
    first, second = (np.array([word], "<u2").view(np.uint8) for word in POISONS)
    assert (first != second).all()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,), (2, 0, 3)])
def test_tensors_without_elements(shape):
    fenced = make_fenced(shape=shape, values=np.zeros(shape))
    assert tuple(fenced.tensor.shape) == shape
    assert fenced.find_damage(True) == []
    fenced.buffer[fenced.start] = 1
    assert len(fenced.find_damage(True)) == 1
