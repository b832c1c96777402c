"""Harmed kernels that moe_sorting and its fusions can have, made from a right one.

They take the canonical inputs by keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.sorting_spoilers import SPOILERS, Sorted, Spoil, read_slots

Kernel = Callable[..., Any]


def list_sorting_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms that need nothing of a sorting op but its inputs and outputs."""
    return (
        *(Harm(name, text, spoil_sort(run, do), right=right) for name, text, right, do in SPOILERS),
        Harm("masked_expert_kept", "expert_mask is ignored", change_inputs(run, expert_mask=None)),
        Harm("padded_rows_kept", "rows past the local ones are sorted too", _keep_padded_rows(run)),
        Harm("write_past_end", "one element past sorted_ids is written", _write_past_end(run)),
        Harm("rely_on_prefill", "padding is left to what the buffer held", _rely_on_prefill(run)),
        Harm("cache_by_pointer", "answers are remembered by address", CacheByPointer(run)),
        Harm("stale_output", "every call hands out the answer of the one before", Stale(run)),
        Harm("disturb_next_call", "a counter is not cleared between calls", Uncleared(run, 3)),
    )


def spoil_sort(run: Kernel, spoil: Spoil) -> Kernel:
    """A kernel whose answer `spoil` changes in place."""

    def harmed(**inputs: Any) -> Any:
        outputs = run(**inputs)
        spoil(_open_answer(outputs, inputs))
        return outputs

    return harmed


def _open_answer(outputs: tuple[Any, ...], inputs: Mapping[str, Any]) -> Sorted:
    ids, weights, experts, counts, moe_buf = outputs
    tokens = len(inputs["topk_ids"] if "topk_ids" in inputs else inputs["gating_output"])
    unit, mask = inputs["unit_size"], inputs["expert_mask"]
    return Sorted(ids, weights, experts, counts, moe_buf, _find_topk(inputs), unit, tokens, mask)


def _find_topk(inputs: Mapping[str, Any]) -> int:
    found = inputs["topk"] if "topk" in inputs else inputs["topk_ids"].shape[1]
    return int(found)


def change_inputs(run: Kernel, **changed: Any) -> Kernel:
    """A kernel that sees other inputs than it is given."""

    def harmed(**inputs: Any) -> Any:
        return run(**{**inputs, **changed})

    return harmed


def _keep_padded_rows(run: Kernel) -> Kernel:
    def harmed(num_local_tokens: Any, **inputs: Any) -> Any:
        outputs = run(num_local_tokens=None, **inputs)
        if num_local_tokens is not None:
            outputs[3][1:] = num_local_tokens
        return outputs

    return harmed


def _write_past_end(run: Kernel) -> Kernel:
    """One id more than the buffer holds is written, as a store of several does."""

    def harmed(
        sorted_ids: Any,
        sorted_weights: Any,
        sorted_expert_ids: Any,
        num_valid_ids: Any,
        moe_buf: Any,
        **inputs: Any,
    ) -> None:
        given = (sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids, moe_buf)
        for tensor, right in zip(given, run(**inputs), strict=True):
            tensor.copy_(right)
        write_past(sorted_ids)

    return harmed


def _rely_on_prefill(run: Kernel) -> Kernel:
    """Ids and weights are written where pairs go and nowhere else."""

    def harmed(
        sorted_ids: Any,
        sorted_weights: Any,
        sorted_expert_ids: Any,
        num_valid_ids: Any,
        moe_buf: Any,
        **inputs: Any,
    ) -> None:
        ids, weights, experts, counts, zeros = run(**inputs)
        pairs = read_slots(ids) != _find_topk(inputs)
        sorted_ids[pairs], sorted_weights[pairs] = ids[pairs], weights[pairs]
        sorted_expert_ids.copy_(experts)
        num_valid_ids.copy_(counts)
        moe_buf.copy_(zeros)

    return harmed


def write_past(tensor: Any) -> None:
    """Write the element after the last one of a 1-d tensor."""
    tensor.as_strided((1,), (1,), tensor.storage_offset() + len(tensor)).fill_(0)


class CacheByPointer:
    """The answer of an earlier call is handed out for the same address."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._answers: dict[tuple[Any, ...], Any] = {}

    def __call__(self, **inputs: Any) -> Any:
        key = tuple(
            value.data_ptr() if hasattr(value, "data_ptr") else value for value in inputs.values()
        )
        if key not in self._answers:
            self._answers[key] = self._run(**inputs)
        return self._answers[key]


class Stale:
    """The answer of the call before, where its shapes fit."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._before: tuple[Any, ...] = ()

    def __call__(self, **inputs: Any) -> Any:
        now = tuple(tensor.clone() for tensor in self._run(**inputs))
        before, self._before = self._before, now
        fits = [tensor.shape for tensor in before] == [tensor.shape for tensor in now]
        return before if fits else now


class Uncleared:
    """Every second call adds the last call's first count, in output `counter`, to its own."""

    def __init__(self, run: Kernel, counter: int) -> None:
        self._run, self._counter, self._left = run, counter, 0

    def __call__(self, **inputs: Any) -> Any:
        outputs = self._run(**inputs)
        counted = int(outputs[self._counter][0])
        outputs[self._counter][0] += self._left
        self._left = 0 if self._left else counted
        return outputs
