"""Harmed pipelines of dflash_verify: mostly the right one with another function for a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.chain_speculative_sampling import count_accepted, take_residual
from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families import dflash
from rocmoe.ops.families.renorm import divide_by_sum, keep_top_k, keep_top_p
from rocmoe.ops.families.speculative import draw_tokens
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    WriteInto,
    edit_input,
    edit_inputs,
    fix_inputs,
    list_memory_harms,
    read_dense,
    write_past_end,
)
from rocmoe.ops.harms.shared.paths import read_aligned
from rocmoe.ops.harms.shared.speculative import LAST_COIN, draw_in_float32
from rocmoe.ops.pipelines.dflash_verify import OUTPUTS, run_fallback, run_torch

Pair = tuple[Any, Any]
#: (candidates, target, unfiltered, length, coins) -> the bonus tokens; target and unfiltered are
#: probabilities [B, N, V].
Draw = Callable[[Any, Any, Any, Any, Any], Any]


def _scale(target_logits: Any, temperatures: Any, top_k: Any, dtype: Any = None) -> Any:
    """logits / temperature [B, N, V], in another dtype than float32 if one is given."""
    import torch

    warm = torch.where(dflash.find_greedy(temperatures, top_k), 1.0, temperatures)
    dtype = dtype or torch.float32
    return target_logits.to(dtype) / warm[:, None, None].to(dtype)


def _soften_at_one(target_logits: Any) -> Any:
    return target_logits.float().softmax(dim=-1).flatten(0, 1)


def _soften_in_bfloat16(target_logits: Any, temperatures: Any, top_k: Any) -> Any:
    import torch

    scaled = _scale(target_logits, temperatures, top_k, torch.bfloat16)
    return torch.softmax(scaled.float(), dim=-1).flatten(0, 1)


def _soften_at_once(target_logits: Any, temperatures: Any, top_k: Any) -> Any:
    """The largest logit is not subtracted, so that exp(x) overflows."""
    return divide_by_sum(_scale(target_logits, temperatures, top_k).exp().flatten(0, 1))


def _soften_by_position(target_logits: Any, temperatures: Any, top_k: Any) -> Any:
    """Row r has the temperature of sequence r % B."""
    import torch

    nodes = target_logits.shape[1]
    warm = torch.where(dflash.find_greedy(temperatures, top_k), 1.0, temperatures).repeat(nodes)
    return torch.softmax(target_logits.float().flatten(0, 1) / warm[:, None], dim=-1)


def _soften_by_reciprocal(target_logits: Any, temperatures: Any, top_k: Any) -> Any:
    """Right: a product with 1 / T and log2(e), powers of two, and a division at the end."""
    import torch

    warm = torch.where(dflash.find_greedy(temperatures, top_k), 1.0, temperatures)
    scaled = target_logits.float() * (1.4426950408889634 * warm.reciprocal())[:, None, None]
    powers = (scaled - scaled.amax(dim=-1, keepdim=True)).exp2().flatten(0, 1)
    return powers * powers.sum(dim=-1, keepdim=True).reciprocal()


def _soften_the_best(target_logits: Any, temperatures: Any, top_k: Any) -> Any:
    """Right: softmax over the top_k largest logits alone, cut by rank, as sglang does by now."""
    import torch

    scaled = _scale(target_logits, temperatures, top_k)
    ranked, order = scaled.sort(dim=-1, descending=True)
    ranks = torch.arange(scaled.shape[-1], device=scaled.device)
    share = torch.softmax(ranked.masked_fill(ranks >= top_k[:, None, None], -torch.inf), dim=-1)
    return torch.zeros_like(share).scatter_(-1, order, share).flatten(0, 1)


def _keep_all(probs: Any) -> Any:
    return probs


def _rank_by_first(probs: Any, top_k: Any, candidates: Any) -> Any:
    return dflash.filter_by_rank(probs, top_k[:1].expand(len(top_k)), candidates)


def _rank_one_less(probs: Any, top_k: Any, candidates: Any) -> Any:
    return dflash.filter_by_rank(probs, (top_k - 1).clamp(min=1), candidates)


def _keep_by_rank(probs: Any, top_k: Any, candidates: Any) -> Any:
    return keep_top_k(probs, dflash.repeat(top_k, candidates))


def _keep_by_mass(probs: Any, top_p: Any, candidates: Any) -> Any:
    return keep_top_p(probs, dflash.repeat(top_p, candidates))


def _filter_jointly(probs: Any, top_k: Any, top_p: Any, candidates: Any) -> Any:
    import torch

    ranked = _keep_by_rank(probs, top_k, candidates)
    return divide_by_sum(torch.minimum(ranked, _keep_by_mass(probs, top_p, candidates)))


def _drop_boundary(probs: Any, top_p: Any, candidates: Any) -> Any:
    """The token with which the mass reaches top_p is dropped, where it is not the likeliest."""
    import torch

    kept = dflash.filter_by_mass(probs, top_p, candidates)
    least = torch.where(kept > 0, kept, 2.0).amin(dim=-1, keepdim=True)
    last = (kept == least) & (kept < kept.amax(dim=-1, keepdim=True))
    return divide_by_sum(kept.masked_fill(last & (dflash.repeat(top_p, candidates) < 1)[:, None],
                                          0.0))  # fmt: skip


def _end_with(draw: Draw) -> Callable[..., Pair]:
    """A chain stage whose bonus tokens are drawn in another way."""

    def verify(
        target_logits: Any,
        temperatures: Any,
        top_k: Any,
        candidates: Any,
        probs: Any,
        uniform_samples: Any,
        uniform_samples_for_final_sampling: Any,
        threshold_single: float,
        threshold_acc: float,
    ) -> Pair:
        target = probs.view(*candidates.shape, probs.shape[1])
        length = count_accepted(
            candidates, target, uniform_samples, threshold_single, threshold_acc
        )
        unfiltered = dflash.soften(target_logits, temperatures, top_k).view_as(target)
        coins = uniform_samples_for_final_sampling
        return length.int(), draw(candidates, target, unfiltered, length, coins).int()

    return verify


def _draw_unfiltered(candidates: Any, target: Any, unfiltered: Any, length: Any, coins: Any) -> Any:
    return draw_tokens(take_residual(candidates, unfiltered, length), coins)


def _draw_rejected(candidates: Any, target: Any, unfiltered: Any, length: Any, coins: Any) -> Any:
    """The aiter fork's rule: the rejected draft stays in the draw."""
    return draw_tokens(_take_row(target, length), coins)


def _draw_from_row_before(
    candidates: Any, target: Any, unfiltered: Any, length: Any, coins: Any
) -> Any:
    return draw_tokens(take_residual(candidates, target, (length - 1).clamp(min=0)), coins)


def _draw_without_sum(
    candidates: Any, target: Any, unfiltered: Any, length: Any, coins: Any
) -> Any:
    """The coin is held against sums that no longer reach one."""
    prefix = take_residual(candidates, target, length).double().cumsum(dim=-1)
    return (prefix <= coins.double()[:, None]).sum(dim=-1).clamp(max=prefix.shape[1] - 1)


def _draw_in_float32(candidates: Any, target: Any, unfiltered: Any, length: Any, coins: Any) -> Any:
    """Right: float32 sums of normalised masses."""
    return draw_in_float32(take_residual(candidates, target, length), coins)


def _take_row(target: Any, rows: Any) -> Any:
    return target.gather(1, rows[:, None, None].expand(-1, 1, target.shape[2]))[:, 0]


def _leave_greedy(accept_length: Any, bonus_token: Any) -> Pair:
    """Greedy sequences keep what their coins gave."""
    return accept_length, bonus_token


def _rank_greedy(inputs: Inputs) -> Inputs:
    """Greedy is taken for top_k 1, as sglang's sampling parameters say it."""
    import torch

    greedy = dflash.find_greedy(inputs["temperatures"], inputs["top_k"])
    return {"top_k": torch.where(greedy, 1, inputs["top_k"])}


def _follow(best: Any, lag: int = 0) -> Callable[..., Pair]:
    """A greedy stage with another argmax; lag: how many rows late a draft meets its own."""

    def settle(
        target_logits: Any, candidates: Any, temperatures: Any, top_k: Any,
        accept_length: Any, bonus_token: Any,
    ) -> Pair:  # fmt: skip
        import torch

        found = best(target_logits)
        met = found.roll(-lag, dims=1)[:, :-1]
        length = (candidates[:, 1:] == met).long().cumprod(dim=1).sum(dim=1)
        token = found.gather(1, length[:, None])[:, 0]
        greedy = dflash.find_greedy(temperatures, top_k)
        return (
            torch.where(greedy, length.int(), accept_length),
            torch.where(greedy, token.int(), bonus_token),
        )

    return settle


def _find_last_best(target_logits: Any) -> Any:
    """The highest index among equal largest logits."""
    return target_logits.shape[2] - 1 - target_logits.flip(-1).argmax(dim=-1)


def _drop_tail(target_logits: Any) -> Any:
    cut = target_logits.clone()
    cut[:, :, max(cut.shape[2] // 64 * 64, 1) :] = -float("inf")
    return cut


def _follow_first(inputs: Inputs) -> Inputs:
    """All sequences are greedy once the first one is."""
    import torch

    greedy = dflash.find_greedy(inputs["temperatures"][:1], inputs["top_k"][:1])
    return {"temperatures": torch.where(greedy, 0.0, inputs["temperatures"])}


_change = run_torch.change

HARMS = (
    Harm("ignore_temperature", "logits are softened at temperature 1",
         _change(temperature=_soften_at_one)),
    Harm("temperature_by_position", "row r has the temperature of sequence r % B",
         _change(temperature=_soften_by_position)),
    Harm("bfloat16_temperature", "logits are divided in bfloat16",
         _change(temperature=_soften_in_bfloat16)),
    Harm("forget_largest", "the largest logit is not subtracted",
         _change(temperature=_soften_at_once)),
    Harm("ignore_top_k", "top-p alone", _change(top_k=_keep_all)),
    Harm("ignore_top_p", "top-k alone", _change(top_p=_keep_all)),
    Harm("top_k_of_first", "the first sequence's top_k serves all", _change(top_k=_rank_by_first)),
    Harm("top_k_one_less", "one token less passes top-k", _change(top_k=_rank_one_less)),
    Harm("drop_boundary", "the token that reaches top_p is dropped", _change(top_p=_drop_boundary)),
    Harm("top_p_first", "top-p before top-k",
         _change(top_k=dflash.filter_by_mass, top_p=dflash.filter_by_rank)),
    Harm("filter_jointly", "top_p is of the whole row, as in the aiter fork's fused kernel",
         _change(top_k=_keep_all, top_p=_filter_jointly)),
    Harm("divide_once", "not renormalised between the filters", _change(top_k=_keep_by_rank)),
    Harm("skip_division", "not renormalised after the filters", _change(top_p=_keep_by_mass)),
    Harm("draw_unfiltered", "the bonus token is drawn from unfiltered probabilities",
         _change(chain=_end_with(_draw_unfiltered))),
    Harm("keep_rejected", "the rejected draft can be drawn again",
         _change(chain=_end_with(_draw_rejected))),
    Harm("draw_from_row_before", "the bonus token is drawn from the row before",
         _change(chain=_end_with(_draw_from_row_before))),
    Harm("forget_sum", "the last coin is not multiplied by the sum",
         _change(chain=_end_with(_draw_without_sum))),
    Harm("sample_greedy", "greedy sequences are sampled at temperature 1",
         _change(greedy=_leave_greedy)),
    Harm("greedy_by_rank", "greedy is top_k 1 with coins, and equals are kept",
         edit_inputs(_change(greedy=_leave_greedy), _rank_greedy)),
    Harm("greedy_by_coin", "greedy is top_k 1 with coins, and a coin of 0 accepts any draft",
         edit_inputs(_change(top_k=dflash.cut_by_rank, greedy=_leave_greedy), _rank_greedy)),
    Harm("greedy_for_all", "one greedy sequence makes its batch greedy",
         edit_inputs(run_torch, _follow_first)),
    Harm("greedy_row_late", "a draft is held against the argmax of its own row",
         _change(greedy=_follow(lambda logits: logits.argmax(-1), lag=1))),
    Harm("last_of_equals", "the highest index among equal largest logits is the argmax",
         _change(greedy=_follow(_find_last_best)), strict_only=True),
    Harm("cut_ties", "the published composite: ties are cut by rank", run_fallback,
         strict_only=True),
    Harm("ignore_threshold_single", "no draft is accepted for its own probability",
         fix_inputs(run_torch, threshold_single=2.0)),
    Harm("coin_of_next_node", "each node reads the coin of the one after",
         edit_input(run_torch, "uniform_samples", lambda coins: coins.roll(-1, dims=1))),
    Harm("reuse_coin", "the last draw takes the first coin again",
         edit_inputs(run_torch, lambda inputs: {LAST_COIN: inputs["uniform_samples"][:, 0]})),
    Harm("drop_tail", "tokens past the last 64 are never drawn",
         edit_input(run_torch, "target_logits", _drop_tail)),
    Harm("ignore_stride", "the row stride of the logits is ignored",
         edit_input(run_torch, "target_logits", read_dense)),
    Harm("misread_offset", "vector loads start at the aligned address below",
         edit_input(run_torch, "target_logits", read_aligned)),
    Harm("write_past_end", "one element past bonus_token is written",
         write_past_end(run_torch, OUTPUTS, "bonus_token")),
    *list_memory_harms(run_torch, edit_input(run_torch, LAST_COIN, lambda coins: 0.5 * coins)),
    Harm("reciprocal", "powers of two, and products with reciprocals",
         _change(temperature=_soften_by_reciprocal), right=True),
    Harm("soften_the_best", "softmax over the top_k largest logits alone",
         _change(temperature=_soften_the_best, top_k=_keep_all), right=True),
    Harm("float32", "the last draw in float32", _change(chain=_end_with(_draw_in_float32)),
         right=True),
    Harm("write_in_place", "writes into the outputs given", WriteInto(run_torch, OUTPUTS),
         right=True),
)  # fmt: skip
