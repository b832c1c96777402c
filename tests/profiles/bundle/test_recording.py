"""What an examination leaves in the folder of a bundle."""

from dataclasses import dataclass

import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import InputsError
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.bundle.recording import examine_recorded, examine_replayed, read_draws

CASE = parse_case("topk_softmax:T=5,E=16,k=2:bf16:renormalize=false:normal:strided")
SPEC = load_op("topk_softmax")
CPU = Device("cpu")


def bind_doubled(gating_output, topk, renormalize):
    """How a library is called."""
    return lambda: SPEC.run_torch(gating_output, topk, renormalize)


def call_doubled(gating_output, topk, renormalize):
    weights, ids = bind_doubled(gating_output, topk, renormalize)()
    return weights * 2, ids


@dataclass(frozen=True)
class OfLibrary(Implementation):
    """An implementation as an adapter of a library makes it."""

    @property
    def binder(self):
        return bind_doubled


def test_the_source_that_calls_a_library_is_kept(tmp_path):
    kernel = OfLibrary("topk_softmax", "aiter", call_doubled)
    examined = examine_recorded(SPEC, CASE, kernel, CPU, False, str(tmp_path))
    assert "weights" in examined.verdict.failed
    source = (tmp_path / "call.py").read_text()
    assert source.startswith("def bind_doubled(")
    assert "call_doubled" not in source


def test_a_recording_is_replayed_to_the_same_verdict(tmp_path):
    kernel = Implementation("topk_softmax", "user", call_doubled)
    examined = examine_recorded(SPEC, CASE, kernel, CPU, False, str(tmp_path))
    replayed = examine_replayed(SPEC, CASE, kernel, CPU, False, str(tmp_path))
    assert replayed.verdict == examined.verdict
    assert not (tmp_path / "call.py").exists()


def test_inputs_are_there_before_the_first_call_and_outputs_once_it_returned(tmp_path):
    seen = []

    def give_up(gating_output, topk, renormalize):
        seen.append({p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.safetensors")})
        if len(seen) == 2:
            raise RuntimeError
        return SPEC.run_torch(gating_output, topk, renormalize)

    kernel = Implementation("topk_softmax", "user", give_up)
    with pytest.raises(RuntimeError):
        examine_recorded(SPEC, CASE, kernel, CPU, False, str(tmp_path))
    before = {f"{name}/{n}.safetensors" for name in ("inputs", "expected") for n in (0, 1)}
    assert seen == [before, before | {"actual/1.safetensors"}]


def test_inputs_of_another_case_are_refused(tmp_path):
    kernel = Implementation("topk_softmax", "user", SPEC.run_torch)
    examine_recorded(SPEC, CASE, kernel, CPU, False, str(tmp_path))
    other = parse_case(CASE.id.replace("T=5", "T=6"))
    with pytest.raises(InputsError, match="they are 2, and not all of case"):
        read_draws(SPEC, other, tmp_path)
    (tmp_path / "inputs/1.safetensors").unlink()
    with pytest.raises(InputsError, match="FileNotFoundError"):
        read_draws(SPEC, CASE, tmp_path)


def test_what_is_out_of_contract_has_nothing_expected(tmp_path):
    spec = load_op("moe_sorting")
    row = next(row for row in spec.cases if row.pattern == "ids_past_end")
    case = spec.make_case(row)

    def touch_nothing(**arguments):
        shapes = [spec.shape(output, case) for output in spec.outputs]
        kinds = [torch.int32, torch.float32, torch.int32, torch.int32, torch.bfloat16]
        return tuple(torch.zeros(s, dtype=k) for s, k in zip(shapes, kinds, strict=True))

    kernel = Implementation("moe_sorting", "user", touch_nothing)
    assert examine_recorded(spec, case, kernel, CPU, False, str(tmp_path)).verdict.ok
    assert list((tmp_path / "expected").iterdir()) == []
    assert {p.name for p in (tmp_path / "actual").iterdir()} == {"1.safetensors", "3.safetensors"}
