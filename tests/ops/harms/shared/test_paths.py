"""A harm of one path shows on that path and nowhere else."""

import pytest
import torch

from rocmoe.ops.core.spec import Argument
from rocmoe.ops.harms.shared.paths import (
    choose_path,
    leave_rows_from,
    list_layout_harms,
    read_aligned,
)

WIDE = torch.arange(60, dtype=torch.float32).reshape(4, 15)
OUT = (Argument("out", ("T", "E"), "fp32"),)


def run(rows):
    """A copy of the rows."""
    return rows.clone()


def is_large(inputs):
    return len(inputs["rows"]) > 2


def test_the_harmed_kernel_is_chosen_where_it_applies():
    kernel = choose_path(is_large, lambda rows: -rows, run)
    assert torch.equal(kernel(rows=WIDE), -WIDE)
    assert torch.equal(kernel(rows=WIDE[:2]), WIDE[:2])


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("ignore_stride_large", WIDE[:, :7]),
        ("misread_offset_large", WIDE.flatten()[1:57].view(4, 14)),
    ],
)
def test_layout_harms_show_on_their_path_and_for_their_layout_alone(name, view):
    harms = {harm.name: harm for harm in list_layout_harms(run, ("rows",), "large", is_large)}
    assert set(harms) == {"ignore_stride_large", "misread_offset_large"}
    kernel = harms[name].function
    assert not torch.equal(kernel(rows=view), view)
    assert torch.equal(kernel(rows=view[:2]), view[:2])
    dense = view.clone()
    assert torch.equal(kernel(rows=dense), dense)


def test_vector_loads_start_at_the_aligned_address_below():
    memory = torch.arange(64, dtype=torch.float32)
    start = -memory.data_ptr() // 4 % 4
    assert torch.equal(read_aligned(memory[start : start + 8]), memory[start : start + 8])
    late = memory[start + 1 : start + 9]
    assert read_aligned(late)[1:].tolist() == late[:-1].tolist()


def test_rows_past_a_grid_keep_what_they_held():
    out = torch.full((4, 15), -7.0)
    leave_rows_from(3, run, OUT, "out")(rows=WIDE, out=out)
    assert torch.equal(out[:3], WIDE[:3])
    assert (out[3] == -7.0).all()
