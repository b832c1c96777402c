"""Harmed kernels of chain_speculative_sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocmoe.ops.chain_speculative_sampling import (
    SPEC,
    count_accepted,
    find_passing,
    run_torch,
    take_residual,
)
from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.speculative import draw_tokens
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    WriteInto,
    spoil_outputs,
    write_past_end,
    write_where,
)
from rocmoe.ops.harms.shared.speculative import (
    LAST_COIN,
    add_up,
    draw_in_float32,
    list_speculative_harms,
)
from rocmoe.ops.harms.shared.values import scan_in_any_order

Pair = tuple[Any, Any]
_DECIDES = ("candidates", "target_probs", "uniform_samples", "threshold_single", "threshold_acc")


def _count(inputs: Inputs) -> Any:
    return count_accepted(**{name: inputs[name] for name in _DECIDES})


def _left(inputs: Inputs, length: Any) -> Any:
    return take_residual(inputs["candidates"], inputs["target_probs"], length)


def _draw(inputs: Inputs, length: Any, mass: Any) -> Pair:
    return length.int(), draw_tokens(mass, inputs[LAST_COIN]).int()


def _row(inputs: Inputs, rows: Any) -> Any:
    """Rows `rows` [B] of the target, in full."""
    target = inputs["target_probs"]
    return target.gather(1, rows[:, None, None].expand(-1, 1, target.shape[2]))[:, 0]


def _keep_rejected(**inputs: Any) -> Pair:
    """The aiter fork's rule: draft probabilities are zero, hence nothing is subtracted."""
    length = _count(inputs)
    return _draw(inputs, length, _row(inputs, length))


def _exclude_last_draft(**inputs: Any) -> Pair:
    """With all drafts accepted, the last one is excluded from the bonus draw too."""
    length = _count(inputs)
    mass = _left(inputs, length)
    done = (length == inputs["candidates"].shape[1] - 1)[:, None]
    last = inputs["candidates"][:, -1:]
    return _draw(inputs, length, mass.scatter(1, last, mass.gather(1, last) * ~done))


def _count_all_passing(**inputs: Any) -> Pair:
    """Drafts after the first rejection are counted too."""
    passing = find_passing(**{name: inputs[name] for name in _DECIDES})
    length = passing.sum(dim=1)
    return _draw(inputs, length, _left(inputs, length))


def _count_bonus(inputs: Inputs, length: Any, bonus: Any) -> Pair:
    return length + 1, bonus


def _draw_from_first_row(**inputs: Any) -> Pair:
    """With all drafts accepted, the bonus comes from row 0."""
    length = _count(inputs)
    done = length == inputs["candidates"].shape[1] - 1
    mass = _row(inputs, length * 0)
    return _draw(inputs, length, mass.where(done[:, None], _left(inputs, length)))


def _draw_from_row_before(**inputs: Any) -> Pair:
    length = _count(inputs)
    return _draw(inputs, length, _left(inputs, (length - 1).clamp(min=0)))


def _draw_by_exclusive_prefix(**inputs: Any) -> Pair:
    """The first token whose prefix without itself exceeds coin * sum: one too far."""
    length = _count(inputs)
    mass = _left(inputs, length).double()
    prefix = mass.cumsum(dim=-1)
    target = inputs[LAST_COIN].double()[:, None] * prefix[:, -1:]
    found = ((prefix - mass) <= target).sum(dim=-1)
    return length.int(), found.clamp(max=mass.shape[1] - 1).int()


def _draw_at_least(**inputs: Any) -> Pair:
    """The first prefix >= coin * sum: a coin of zero draws token 0, whatever its mass."""
    length = _count(inputs)
    prefix = _left(inputs, length).double().cumsum(dim=-1)
    target = inputs[LAST_COIN].double()[:, None] * prefix[:, -1:]
    return length.int(), (prefix < target).sum(dim=-1).int()


def _forget_sum(**inputs: Any) -> Pair:
    """The coin is held against sums that no longer reach one."""
    length = _count(inputs)
    mass = _left(inputs, length)
    prefix = mass.double().cumsum(dim=-1)
    found = (prefix <= inputs[LAST_COIN].double()[:, None]).sum(dim=-1)
    return length.int(), found.clamp(max=mass.shape[1] - 1).int()


def _add_in_half_precision(**inputs: Any) -> Pair:
    length = _count(inputs)
    mass = _left(inputs, length)
    prefix = add_up(mass.half()).float()
    hit = (prefix > inputs[LAST_COIN][:, None] * prefix[:, -1:]) & (mass > 0)
    return length.int(), hit.byte().argmax(dim=-1).int()


def _stop_after_rejection(inputs: Inputs, length: Any, bonus: Any) -> Mapping[str, Any]:
    """Where all drafts are accepted, the bonus token is what stood there."""
    return {"bonus_token": length < inputs["candidates"].shape[1] - 1}


def _float32(**inputs: Any) -> Pair:
    """Right: float32 throughout, probabilities normalised first, a product for the quotient."""
    coins = inputs["uniform_samples"][:, :-1] * max(inputs["threshold_acc"], 1e-9)
    probability = _read_drafts(inputs)
    passing = (coins <= probability) | (probability >= inputs["threshold_single"])
    length = passing.long().cumprod(dim=1).sum(dim=1)
    bonus = draw_in_float32(_left(inputs, length), inputs[LAST_COIN])
    return length.int(), bonus.int()


def _add_in_any_order(**inputs: Any) -> Pair:
    """Right: float32 sums whose rounding differs from call to call."""
    length = _count(inputs)
    mass = _left(inputs, length)
    return length.int(), draw_in_float32(mass, inputs[LAST_COIN], scan_in_any_order).int()


def _draw_within_16(**inputs: Any) -> Pair:
    """Rows are drawn from up to the sixteenth."""
    length = _count(inputs)
    return _draw(inputs, length, _left(inputs, length.clamp(max=15)))


def _multiply_by_reciprocal(**inputs: Any) -> Pair:
    """Right: by a reciprocal of threshold_acc."""
    probability = _read_drafts(inputs)
    scaled = probability * (1.0 / max(inputs["threshold_acc"], 1e-9))
    passing = inputs["uniform_samples"][:, :-1] <= scaled
    passing |= probability.double() >= inputs["threshold_single"]
    length = passing.long().cumprod(dim=1).sum(dim=1)
    return _draw(inputs, length, _left(inputs, length))


def _read_drafts(inputs: Inputs) -> Any:
    """The target's probability [B, N - 1] of each draft."""
    drafts = inputs["candidates"][:, 1:, None]
    return inputs["target_probs"][:, :-1].gather(2, drafts)[:, :, 0]


HARMS = (
    Harm("keep_rejected", "the rejected draft can be drawn again", _keep_rejected),
    Harm("exclude_last_draft", "the last accepted draft is excluded", _exclude_last_draft),
    Harm("count_all_passing", "drafts after a rejection are counted", _count_all_passing),
    Harm("count_bonus", "accept_length counts the bonus token",
         spoil_outputs(run_torch, _count_bonus)),
    Harm("draw_from_first_row", "all accepted: drawn from row 0", _draw_from_first_row),
    Harm("draw_from_row_before", "drawn from the row before", _draw_from_row_before),
    Harm("exclusive_prefix", "drawn by an exclusive prefix", _draw_by_exclusive_prefix),
    Harm("prefix_at_least", "drawn by prefix >= coin * sum", _draw_at_least),
    Harm("draw_within_16", "rows from the 17th on are never drawn from", _draw_within_16),
    Harm("forget_sum", "the coin is not multiplied by the sum", _forget_sum),
    Harm("half_precision_sum", "prefixes are added in float16", _add_in_half_precision),
    Harm("leave_unwritten", "the bonus after accepted drafts is not written",
         write_where(run_torch, SPEC.outputs, _stop_after_rejection)),
    Harm("write_past_end", "one element past bonus_token is written",
         write_past_end(run_torch, SPEC.outputs, "bonus_token")),
    *list_speculative_harms(run_torch),
    Harm("float32", "float32 scans, normalised first", _float32, right=True),
    Harm("any_sum_order", "sums are added in another order at every call", _add_in_any_order,
         right=True),
    Harm("write_in_place", "writes into the outputs given",
         WriteInto(_multiply_by_reciprocal, SPEC.outputs), right=True),
)  # fmt: skip
