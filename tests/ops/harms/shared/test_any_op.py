"""The makers of harmed kernels do the one thing they say and nothing else."""

import pytest
import torch

from rocmoe.ops.core.guard import FencedTensor
from rocmoe.ops.core.implementation import writes_outputs
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.harms.shared.any_op import (
    CacheByPointer,
    DisturbNext,
    Stale,
    WriteInto,
    drop_last_row,
    edit_input,
    fix_inputs,
    leave_last_row,
    read_dense,
    scale_first,
    spoil_outputs,
    write_past,
    write_past_end,
    write_where,
)

SPEC = load_op("topk_softmax")
LOGITS = torch.tensor([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]])


def run(gating_output, topk, renormalize):
    """Two outputs of the shapes of topk_softmax's, in which every input shows."""
    weights = gating_output[:, :topk] * (2.0 if renormalize else 1.0)
    return weights, weights.int()


def call(kernel, gating_output=LOGITS, topk=2, renormalize=False):
    return kernel(gating_output=gating_output, topk=topk, renormalize=renormalize)


def hand_over(kernel, fill=-7):
    """What a destination-passing kernel leaves in outputs that hold `fill`."""
    given = {
        "topk_weights": torch.full((2, 2), float(fill)),
        "topk_ids": torch.full((2, 2), fill, dtype=torch.int32),
    }
    assert kernel(gating_output=LOGITS, topk=2, renormalize=False, **given) is None
    return tuple(given.values())


def same(found, wanted):
    return all(torch.equal(left, right) for left, right in zip(found, wanted, strict=True))


def test_an_edited_input_is_the_only_one_that_changes_and_the_callers_stays():
    before = LOGITS.clone()
    negated = call(edit_input(run, "gating_output", lambda logits: -logits))
    assert same(negated, [-output for output in call(run)])
    assert same(call(fix_inputs(run, renormalize=True)), call(run, renormalize=True))
    assert torch.equal(before, LOGITS)


def test_a_spoiler_is_given_inputs_and_outputs_of_one_or_several():
    weights, ids = call(run)
    swapped = spoil_outputs(run, lambda inputs, weights, ids: (ids, weights * inputs["topk"]))
    assert same(call(swapped), (ids, 2 * weights))
    alone = spoil_outputs(lambda **inputs: inputs["gating_output"], lambda inputs, answer: -answer)
    assert torch.equal(call(alone), -LOGITS)
    assert same(call(scale_first(run, 3.0)), (3 * weights, ids))


def test_an_address_is_remembered_until_shape_or_scalars_differ():
    kernel, memory = CacheByPointer(run), LOGITS.clone()
    first = call(kernel, memory)
    memory.zero_()
    assert call(kernel, memory) is first
    assert same(call(kernel, memory, topk=1), call(run, memory, topk=1))
    assert same(call(kernel, memory[:1]), call(run, memory[:1]))


def test_every_second_call_is_disturbed():
    kernel = DisturbNext(run, fix_inputs(run, renormalize=True))
    answers = [call(kernel) for _ in range(4)]
    for index, answer in enumerate(answers):
        assert same(answer, call(run, renormalize=bool(index % 2)))


def test_a_stale_answer_is_that_of_the_call_before():
    kernel, other = Stale(run), LOGITS + 1
    assert same(call(kernel), call(run))
    assert same(call(kernel, other), call(run))
    assert same(call(kernel, LOGITS), call(run, other))
    assert same(call(kernel, topk=1), call(run, topk=1))


def test_destination_passing_kernels_name_the_outputs_and_returning_ones_do_not():
    assert writes_outputs(SPEC, WriteInto(run, SPEC.outputs))
    for kernel in (scale_first(run, 2.0), CacheByPointer(run), Stale(run)):
        assert not writes_outputs(SPEC, kernel)


def test_what_is_stored_into_the_outputs():
    weights, ids = call(run)
    assert same(hand_over(WriteInto(run, SPEC.outputs)), (weights, ids))

    def find_large(inputs, weights, ids):
        return {"topk_ids": ids >= 3}

    left = hand_over(write_where(run, SPEC.outputs, find_large))
    assert same(left, (weights, ids.where(ids >= 3, -7)))
    last = hand_over(leave_last_row(run, SPEC.outputs, "topk_ids"))
    assert same(last, (weights, torch.cat((ids[:1], torch.full_like(ids[:1], -7)))))


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("count", [1, 4])
def test_writing_past_the_end_hits_what_comes_right_after(shape, count):
    fenced = FencedTensor(shape, torch.float32, "contiguous", "cpu")
    fenced.fill(None, poison=0)
    write_past(fenced.tensor, count)
    hit = [words for words, index in fenced.find_damage(may_write=False)]
    assert hit == [f"{4 * place} bytes past the last element" for place in range(count)]


def test_the_answer_is_whole_when_an_element_past_it_is_written():
    memory = torch.full((5,), -7, dtype=torch.int32)
    given = {"topk_weights": torch.zeros(2, 2), "topk_ids": memory[:4].view(2, 2)}
    write_past_end(run, SPEC.outputs, "topk_ids")(
        gating_output=LOGITS, topk=2, renormalize=False, **given
    )
    assert same(given.values(), call(run))
    assert memory[4] == 0


def test_a_dropped_row_is_not_written_and_the_others_are():
    rows = torch.arange(6.0).view(3, 2)
    short = drop_last_row(rows)
    assert torch.equal(short[:2], rows[:2])
    assert short.data_ptr() != rows.data_ptr()


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4)])
def test_dense_rows_are_those_of_memory_without_gaps(shape):
    layout = "strided" if len(shape) > 1 else "contiguous"
    fenced = FencedTensor(shape, torch.float32, layout, "cpu")
    fenced.buffer.copy_(torch.arange(fenced.length))
    dense, size = read_dense(fenced.tensor), fenced.tensor.numel()
    assert dense.flatten().tolist() == list(range(fenced.start, fenced.start + size))
