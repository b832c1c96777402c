from hypothesis import given
from hypothesis import strategies as st

from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2


@given(st.integers(0, 2**40), st.integers(1, 2**20))
def test_parts_hold_a_size_and_one_less_does_not(size, part):
    parts = divide_up(size, part)
    assert (parts - 1) * part < size <= parts * part


@given(st.integers(0, 2**40))
def test_a_power_of_two_is_the_smallest_that_holds_a_size(size):
    power = grow_to_power_of_2(size)
    assert power.bit_count() == 1
    assert size <= power
    assert power == 1 or power // 2 < size
