"""Inputs that processes share are those that each would have drawn."""

import shutil

import numpy as np
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles import draws
from rocmoe.profiles.draws import load_inputs

CASES = (
    "topk_softmax:T=4,E=16,k=2:bf16:renormalize=true:normal:contiguous",
    "moe_sorting:T=4,E=8,k=2,U=32,D=0:fp32:expert_mask=none,num_local_tokens=none:uniform:contiguous",
    "top_p_renorm_probs:B=2,V=64:fp32:top_p=0.9:normal:contiguous",
)


def same(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        assert type(other[name]) is type(value)
        if isinstance(value, np.ndarray):
            assert other[name].dtype == value.dtype
            np.testing.assert_array_equal(other[name], value)
        else:
            assert other[name] == value


@pytest.mark.parametrize("case_id", CASES)
def test_what_is_kept_is_what_was_drawn(case_id, tmp_path, monkeypatch):
    case = parse_case(case_id)
    spec = load_op(case.op)
    drawn = [draw_inputs(spec, case, number) for number in (0, 1)]
    for number in (0, 1):
        same(load_inputs(spec, case, number, tmp_path), drawn[number])
    monkeypatch.setattr(draws, "draw_inputs", lambda *asked: pytest.fail("drawn again"))
    for number in (0, 1):
        same(load_inputs(spec, case, number, tmp_path), drawn[number])


def test_without_a_folder_or_without_room_they_are_drawn_each_time(tmp_path, monkeypatch):
    case = parse_case(CASES[0])
    spec = load_op(case.op)
    same(load_inputs(spec, case, 0, None), draw_inputs(spec, case, 0))
    monkeypatch.setattr(draws, "MOST_BYTES", 10)
    same(load_inputs(spec, case, 0, tmp_path), draw_inputs(spec, case, 0))
    monkeypatch.setattr(draws, "MOST_BYTES", 1 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 100))
    load_inputs(spec, case, 0, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_file_that_breaks_off_is_drawn_again(tmp_path):
    case = parse_case(CASES[0])
    spec = load_op(case.op)
    load_inputs(spec, case, 0, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    same(load_inputs(spec, case, 0, tmp_path), draw_inputs(spec, case, 0))
