"""Harmed kernels that every renormalisation op can have, made from the op's own torch one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm

Inputs = dict[str, Any]
#: An op's function, called with its inputs by name.
Run = Callable[..., Any]

SMALLEST_NORMAL = 2.0**-126


def list_renorm_harms(run: Run) -> tuple[Harm, ...]:
    """The harms that need nothing of the op but probs and renorm_probs."""
    return (
        Harm("not_divided", "kept probabilities are not divided", spoil_answer(run, _only_kept)),
        Harm("full_sum", "divided by the sum of all tokens", spoil_answer(run, _use_full_sum)),
        Harm("stale_sum", "divided by the row before's sum", spoil_answer(run, _use_stale_sum)),
        Harm("drop_lane", "lane 63 is left out of the kept sum", spoil_answer(run, _drop_lane)),
        Harm("temperature", "probabilities are those at temperature 1.02", edit_probs(run, _warm)),
        Harm("drop_tail_block", "the rest after blocks of 1024 is dropped", drop_tail(run, 1024)),
        Harm("drop_tail_vector", "the rest after vectors of 4 is dropped", drop_tail(run, 4)),
        Harm("ignore_stride", "the row stride is ignored", edit_probs(run, _read_densely)),
        Harm("half_precision", "results are rounded to bfloat16", spoil_answer(run, _halve_bits)),
        Harm("zero_rows_nan", "zero rows are divided by zero", spoil_answer(run, _fill_nan)),
        Harm("drop_last_row", "the last row is never written", _drop_last_row(run)),
        Harm("unwritten_zeros", "only kept tokens are written", _write_kept_only(run)),
        Harm("write_past_end", "one element past renorm_probs is written", _write_past_end(run)),
        Harm("mutate_input", "the answer also replaces probs", spoil_answer(run, _mutate_input)),
        Harm("cache_by_pointer", "answers are remembered by address", _CacheByPointer(run)),
        Harm("disturb_next_call", "a call's answer depends on the one before", _DisturbNext(run)),
        Harm("other_sums", "64 lanes add in float32, then a reciprocal",
             spoil_answer(run, _add_in_lanes), right=True),
        Harm("flush_denormals", "denormal numbers become zeros", _flush_denormals(run), right=True),
    )  # fmt: skip


def spoil_answer(run: Run, spoil: Callable[[Any, Any], Any]) -> Run:
    """A kernel whose answer is changed by `spoil(probs, renorm_probs)`."""

    def harmed(**inputs: Any) -> Any:
        return spoil(inputs["probs"], run(**inputs))

    return harmed


def edit_probs(run: Run, edit: Callable[[Any], Any]) -> Run:
    """A kernel that sees other probabilities than it is given."""

    def harmed(probs: Any, **rest: Any) -> Any:
        return run(probs=edit(probs), **rest)

    return harmed


def edit_param(run: Run, name: str, edit: Callable[[Any, int], Any]) -> Run:
    """A kernel that takes a parameter for what `edit(value, vocabulary)` says of it."""

    def harmed(**inputs: Any) -> Any:
        return run(**{**inputs, name: edit(inputs[name], inputs["probs"].shape[1])})

    return harmed


def read_row_zero(value: Any, vocabulary: int) -> Any:
    """The parameter as a kernel sees it that reads row 0's for every row."""
    import torch

    return value[:1].expand_as(value) if isinstance(value, torch.Tensor) else value


def drop_tail(run: Run, width: int) -> Run:
    """A kernel that handles whole blocks only; a vocabulary shorter than one is handled."""

    def edit(probs: Any) -> Any:
        whole = probs.shape[1] // width * width
        cut = probs.clone()
        cut[:, whole or probs.shape[1] :] = 0.0
        return cut

    return edit_probs(run, edit)


def divide_safely(values: Any, total: Any) -> Any:
    """values [B, V] over total [B, 1], and over one where that is zero."""
    import torch

    return values / torch.where(total > 0.0, total, 1.0)


def _only_kept(probs: Any, answer: Any) -> Any:
    import torch

    return torch.where(answer != 0.0, probs, 0.0)


def _use_full_sum(probs: Any, answer: Any) -> Any:
    return divide_safely(_only_kept(probs, answer), probs.sum(dim=-1, keepdim=True))


def _use_stale_sum(probs: Any, answer: Any) -> Any:
    kept = _only_kept(probs, answer)
    return divide_safely(kept, kept.sum(dim=-1, keepdim=True).roll(1, dims=0))


def _drop_lane(probs: Any, answer: Any) -> Any:
    import torch

    kept = _only_kept(probs, answer)
    lane = torch.arange(probs.shape[1], device=probs.device) % 64
    return divide_safely(kept, kept.masked_fill(lane == 63, 0.0).sum(dim=-1, keepdim=True))


def _warm(probs: Any) -> Any:
    warmed = probs.pow(1.0 / 1.02)
    return divide_safely(warmed, warmed.sum(dim=-1, keepdim=True))


def _read_densely(probs: Any) -> Any:
    return probs.as_strided(probs.shape, (probs.shape[1], 1))


def _halve_bits(probs: Any, answer: Any) -> Any:
    return answer.bfloat16().float()


def _fill_nan(probs: Any, answer: Any) -> Any:
    return answer.masked_fill((probs == 0.0).all(dim=-1, keepdim=True), float("nan"))


def _mutate_input(probs: Any, answer: Any) -> Any:
    probs.copy_(answer)
    return answer


def _add_in_lanes(probs: Any, answer: Any) -> Any:
    """Right: every 64th token is added in turn, then the lanes' sums, all in float32."""
    import torch

    kept = _only_kept(probs, answer)
    padded = torch.nn.functional.pad(kept, (0, -probs.shape[1] % 64))
    sums = padded.new_zeros(len(probs), 64)
    for start in range(0, padded.shape[1], 64):
        sums = sums + padded[:, start : start + 64]
    total = sums.sum(dim=-1, keepdim=True)
    return kept * torch.where(total > 0.0, total, 1.0).reciprocal()


def _flush(values: Any) -> Any:
    return values.masked_fill(values < SMALLEST_NORMAL, 0.0)


def _flush_denormals(run: Run) -> Run:
    """Right: what hardware does that knows no denormal numbers."""
    return spoil_answer(edit_probs(run, _flush), lambda probs, answer: _flush(answer))


def _drop_last_row(run: Run) -> Run:
    def harmed(renorm_probs: Any, **inputs: Any) -> None:
        renorm_probs[:-1] = run(**inputs)[:-1]

    return harmed


def _write_kept_only(run: Run) -> Run:
    """As into memory that the kernel takes for zeros and the caller never cleared."""

    def harmed(renorm_probs: Any, **inputs: Any) -> None:
        import torch

        answer = run(**inputs)
        renorm_probs.copy_(torch.where(answer != 0.0, answer, renorm_probs))

    return harmed


def _write_past_end(run: Run) -> Run:
    """One element more than there are is written, as a kernel does that rounds V up."""

    def harmed(renorm_probs: Any, **inputs: Any) -> None:
        renorm_probs.copy_(run(**inputs))
        end = renorm_probs.storage_offset() + renorm_probs.numel()
        renorm_probs.as_strided((1,), (1,), end).fill_(0)

    return harmed


class _CacheByPointer:
    """The answer of an earlier call is handed out for the same address."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answers: dict[tuple[int, int], Any] = {}

    def __call__(self, probs: Any, **rest: Any) -> Any:
        key = (probs.data_ptr(), probs.numel())
        if key not in self._answers:
            self._answers[key] = self._run(probs=probs, **rest)
        return self._answers[key]


class _DisturbNext:
    """Every second call is off by what the first left behind."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._calls = 0

    def __call__(self, **inputs: Any) -> Any:
        self._calls += 1
        return self._run(**inputs) * (1.0 + 0.01 * (self._calls % 2 == 0))
