"""FlashInfer's chain_speculative_sampling: rejection sampling with coins of its own.

flashinfer/sampling.py of flashinfer-python 0.7.2.post1.  It draws its coins itself and takes the
probabilities of a draft model.  With a point mass on each draft its rule is the op's at thresholds
(1, 1): a draft x passes with probability q(x), and what is rejected is drawn from the rest of q.
So the distribution of its tokens can be judged, and nothing else of it: no coins to replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rocmoe.ops.backends.flashinfer.limits import aligned_vectors, some_rows
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import dense_rows, only_arch, only_if, only_param
from rocmoe.ops.core.peer import Form, PeerVariant
from rocmoe.ops.core.spec import OpSpec
from rocmoe.references.chain_speculative_sampling import list_emitted, make_drafts
from rocmoe.references.judging.lossless import judge_lossless
from rocmoe.references.judging.verdict import Check, Judgement, Verdict

SAMPLING = "flashinfer/sampling.py of flashinfer-python 0.7.2.post1"
KERNEL = "flashinfer/data/csrc/sampling.cu of flashinfer-python 0.7.2.post1"
NOTE = "not checked: it draws coins of its own, so that only the distribution is judged"


def bind_chain_speculative_sampling(
    candidates: Any,
    target_probs: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> Callable[[], Any]:
    """Drafts as int32 and their point masses are made ahead of the call; the token behind the
    accepted drafts is picked out of the answer within it."""
    import torch
    from flashinfer.sampling import chain_speculative_sampling

    del uniform_samples, uniform_samples_for_final_sampling, threshold_single, threshold_acc
    drafts = candidates[:, 1:].contiguous()
    draft_probs = torch.zeros_like(target_probs[:, :-1], memory_format=torch.contiguous_format)
    draft_probs.scatter_(2, drafts[:, :, None], 1.0)
    draft_ids = drafts.int()

    def call() -> Any:
        tokens, _, emitted = chain_speculative_sampling(draft_probs, draft_ids, target_probs)
        return emitted, tokens.gather(1, emitted[:, None].long())[:, 0]

    return call


def restate(spec: OpSpec) -> OpSpec:
    """The op with its outputs in range and of the right distribution, and no more."""
    return replace(spec, judge=judge)


def judge(inputs: Any, outputs: Any, *, dtype: str, strict: bool) -> Verdict:
    """Judge accept_length [B] and bonus_token [B] without the coins of `inputs`."""
    del dtype, strict
    _, nodes, vocabulary = inputs["target_probs"].shape
    length, bonus = outputs["accept_length"], outputs["bonus_token"]
    judgement = Judgement()
    judgement.exact(
        "accept_length", (length < 0) | (length >= nodes), output="accept_length", found=length,
        wanted=f"a number in [0, {nodes})",
    )  # fmt: skip
    judgement.exact(
        "bonus_token", (bonus < 0) | (bonus >= vocabulary), output="bonus_token", found=bonus,
        wanted=f"a token in [0, {vocabulary})",
    )  # fmt: skip
    judgement.checks.append(Check("coins", None, 0.0, 0.0, NOTE))
    drafts = make_drafts(inputs)
    emitted = list_emitted(drafts, length.clip(0, nodes - 1).astype("int64"), bonus.astype("int64"))
    judge_lossless(judgement, "bonus_token", drafts, emitted)
    return judgement.verdict()


def _is_judged(case: Case) -> bool:
    """Of other patterns no distribution is known, and nothing of the answer would be judged."""
    return case.pattern == "lossless"


VARIANTS = (
    PeerVariant(
        "chain_speculative_sampling",
        "chain_speculative_sampling",
        (
            Form(
                "flashinfer.sampling:chain_speculative_sampling",
                ("draft_probs", "draft_token_ids", "target_probs"),
                bind_chain_speculative_sampling,
            ),
        ),
        (
            only_arch(SAMPLING, "sm"),
            only_if(_is_judged, "draws coins of its own: only pattern lossless can judge it",
                    SAMPLING, "contract"),
            only_param("threshold_single", (1.0,), "has no thresholds", SAMPLING, "contract"),
            only_param("threshold_acc", (1.0,), "has no thresholds", SAMPLING, "contract"),
            only_if(lambda case: case.sizes["N"] > 1, "wants a draft", SAMPLING, "contract"),
            some_rows(KERNEL),
            dense_rows(KERNEL, "checked"),
            aligned_vectors("V", KERNEL),
        ),
        restate,
    ),
)  # fmt: skip
