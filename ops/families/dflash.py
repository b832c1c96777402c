"""DFlash verification in torch, stage by stage: vectorised, and as published for ROCm.

Published: what sgl-project/sglang#23388 says of its fallbacks, written anew from that: a sort, a
cumulative sum and a scatter in each filter, and a Python loop that reads with `.item()`.
"""

from __future__ import annotations

from typing import Any

from rocmoe.ops.chain_speculative_sampling import run_torch as run_chain
from rocmoe.ops.families.renorm import divide_by_sum, keep_top_k, keep_top_p
from rocmoe.references.judging.logit_walk import GREEDY_BELOW
from rocmoe.references.judging.replay import SMALLEST_THRESHOLD


def find_greedy(temperatures: Any, top_k: Any) -> Any:
    """The greedy sequences, bool [B]."""
    return (temperatures < GREEDY_BELOW) | (top_k == 1)


def soften(target_logits: Any, temperatures: Any, top_k: Any) -> Any:
    """probs f32 [B*N, V]: softmax at each sequence's temperature, at 1 where it is greedy."""
    import torch

    warm = torch.where(find_greedy(temperatures, top_k), 1.0, temperatures)
    return torch.softmax(target_logits.float() / warm[:, None, None], dim=-1).flatten(0, 1)


def repeat(of_sequence: Any, candidates: Any) -> Any:
    """A value a sequence [B] as one a row [B*N]."""
    return of_sequence[:, None].expand(candidates.shape).flatten()


def filter_by_rank(probs: Any, top_k: Any, candidates: Any) -> Any:
    """probs f32 [B*N, V] of the top_k [B] likeliest tokens over their sum; ties are kept."""
    return divide_by_sum(keep_top_k(probs, repeat(top_k, candidates)))


def filter_by_mass(probs: Any, top_p: Any, candidates: Any) -> Any:
    """probs f32 [B*N, V] of the tokens within top_p [B] over their sum; ties are kept."""
    return divide_by_sum(keep_top_p(probs, repeat(top_p, candidates)))


def verify(
    candidates: Any,
    probs: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> tuple[Any, Any]:
    """accept_length i32 [B], bonus_token i32 [B] of all sequences by their coins."""
    return run_chain(
        candidates,
        probs.view(*candidates.shape, probs.shape[1]),
        uniform_samples,
        uniform_samples_for_final_sampling,
        threshold_single,
        threshold_acc,
    )


def settle_greedy(
    target_logits: Any,
    candidates: Any,
    temperatures: Any,
    top_k: Any,
    accept_length: Any,
    bonus_token: Any,
) -> tuple[Any, Any]:
    """accept_length i32 [B], bonus_token i32 [B] with those of greedy sequences by the argmax."""
    import torch

    best = target_logits.argmax(dim=-1)
    length = (candidates[:, 1:] == best[:, :-1]).long().cumprod(dim=1).sum(dim=1)
    token = best.gather(1, length[:, None])[:, 0]
    greedy = find_greedy(temperatures, top_k)
    return (
        torch.where(greedy, length.int(), accept_length),
        torch.where(greedy, token.int(), bonus_token),
    )


def cut_by_rank(probs: Any, top_k: Any, candidates: Any) -> Any:
    """Published: sort, drop the ranks from top_k on, divide, scatter; ties are cut."""
    import torch

    ranked, order = probs.sort(dim=-1, descending=True)
    ranks = torch.arange(probs.shape[1], device=probs.device)
    ranked = ranked.masked_fill(ranks >= repeat(top_k, candidates)[:, None], 0.0)
    return _scatter(ranked, order)


def cut_by_mass(probs: Any, top_p: Any, candidates: Any) -> Any:
    """Published: sort, add up, drop what lies past top_p, divide, scatter; ties are cut.

    sglang skips the filter where top_p is 1; rounded sums above 1 would drop the tail.
    """
    import torch

    mass = repeat(torch.where(top_p >= 1.0, torch.inf, top_p), candidates)
    ranked, order = probs.sort(dim=-1, descending=True)
    before = ranked.cumsum(dim=-1) - ranked
    ranked = ranked.masked_fill(before > mass[:, None], 0.0)
    return _scatter(ranked, order)


def _scatter(ranked: Any, order: Any) -> Any:
    import torch

    share = ranked / ranked.sum(dim=-1, keepdim=True)
    return torch.zeros_like(share).scatter_(-1, order, share)


def verify_in_a_loop(
    target_logits: Any,
    candidates: Any,
    temperatures: Any,
    top_k: Any,
    probs: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> tuple[Any, Any]:
    """Published: a Python loop over sequences and drafts that reads each value on the host.

    accept_length i32 [B], bonus_token i32 [B].
    """
    import torch

    batch, nodes = candidates.shape
    probs = probs.view(batch, nodes, probs.shape[1])
    best = target_logits.argmax(dim=-1)
    greedy = find_greedy(temperatures, top_k)
    accept_length = torch.zeros(batch, dtype=torch.int32, device=probs.device)
    bonus_token = torch.zeros_like(accept_length)
    divisor = max(threshold_acc, SMALLEST_THRESHOLD)
    for row in range(batch):
        follows_argmax = bool(greedy[row].item())
        length = 0
        for step in range(nodes - 1):
            draft = int(candidates[row, step + 1].item())
            if follows_argmax:
                accepted = int(best[row, step].item()) == draft
            else:
                probability = float(probs[row, step, draft].item())
                coin = float(uniform_samples[row, step].item())
                accepted = coin <= probability / divisor or probability >= threshold_single
            if not accepted:
                break
            length += 1
        if follows_argmax:
            bonus = best[row, length]
        else:
            coin = uniform_samples_for_final_sampling[row]
            bonus = _draw_in_a_loop(probs[row, length], candidates[row, length + 1 :], coin)
        accept_length[row] = length
        bonus_token[row] = bonus.int()
    return accept_length, bonus_token


def _draw_in_a_loop(probs: Any, drafts: Any, coin: Any) -> Any:
    """A token of probs [V] without the first of the drafts left, by coin * sum."""
    left = probs.clone()
    if len(drafts):
        left[int(drafts[0].item())] = 0.0
    prefix = left.cumsum(dim=-1)
    passed = (prefix > coin * prefix[-1]) & (left > 0)
    if bool(passed.any().item()):
        return passed.int().argmax()
    return len(left) - 1 - (left > 0).flip(-1).int().argmax()
