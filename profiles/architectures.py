"""What model architectures fix in code, and their configs therefore need not say.

A config.json of Hugging Face states sizes, and what its architecture leaves open.  The rest is in
the modeling code that its `model_type` names: read here from huggingface/transformers, in the words
of `Model` (profiles/model.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TRANSFORMERS = "huggingface/transformers 5.23.0, src/transformers/models"


@dataclass(frozen=True)
class Fact:
    """A value that code gives, with its source as profiles cite it."""

    value: object
    source: str


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the code of a model type decides, by the keys of `Model`.

    fixed: whatever a config says.  defaults: where a config says nothing; `topk_method` among them
    means that this key of the config decides on the bias and the groups.  names: the keys of a
    config that are not the usual ones.
    """

    fixed: Mapping[str, Fact] = field(default_factory=dict)
    defaults: Mapping[str, Fact] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Whether it has experts.
    routed: bool = True
    #: Whether its one shared expert, of `shared_expert_intermediate_size`, has a gate of its own.
    gated: bool = False
    #: Whether its attention is latent: there are no heads of query and key to norm.
    latent: bool = False
    #: The share of a head that is rotated, where a config says nothing.
    rotary: Fact | None = None


def cite(folder: str, words: str, part: str = "modeling") -> str:
    """The source for what the code in a folder of transformers' models says."""
    return f"verified: {TRANSFORMERS}/{folder}/{part}_{folder}.py: {words}"


def _default(folder: str, key: str, value: object) -> Fact:
    return Fact(value, cite(folder, f"the default of {key}", "configuration"))


def _whole_head(folder: str) -> Fact:
    return Fact(1.0, cite(folder, "the whole head is rotated"))


def _part_of_head(folder: str, share: float) -> Fact:
    return _default(folder, "partial_rotary_factor", share)


def _head_dim(folder: str, value: int) -> dict[str, Fact]:
    return {"head_dim": _default(folder, "head_dim", value)}


def _norm_heads(folder: str, *, less_one: bool = False) -> dict[str, Fact]:
    stored = ", whose stored weights are less by one than those the op takes" if less_one else ""
    return {"qk_norm": Fact(True, cite(folder, f"q_norm and k_norm over head_dim{stored}"))}


def _softmax(folder: str, router: str) -> dict[str, Fact]:
    """A softmax over all experts and the best of them, with nothing else."""
    return {
        "scoring_func": Fact("softmax", cite(folder, f"{router}, over all experts")),
        "correction_bias": Fact(False, cite(folder, f"{router} has none")),
        "routed_scaling_factor": Fact(1.0, cite(folder, f"{router} has no factor")),
    }


def _always_divide(folder: str, router: str) -> dict[str, Fact]:
    return {"renormalize": Fact(True, cite(folder, f"{router} always divides by the sum"))}


def _no_shared(folder: str, block: str) -> dict[str, Fact]:
    return {"num_fused_shared_experts": Fact(0, cite(folder, f"{block} has no shared expert"))}


def _one_group(folder: str, router: str) -> dict[str, Fact]:
    words = "the router has no groups; one group of all experts masks nothing and is the same"
    fact = Fact(1, cite(folder, f"{router}; {words} router"))
    return {"num_expert_group": fact, "topk_group": fact}


def _biased(folder: str, router: str) -> dict[str, Fact]:
    """Sigmoid scores with a bias, as DeepSeek-V3 has them; its groups are for a config to say."""
    return {
        "scoring_func": Fact("sigmoid", cite(folder, router)),
        "topk_method": Fact("noaux_tc", cite(folder, f"{router}.e_score_correction_bias: it")),
        "renormalize": _default(folder, "norm_topk_prob", True),
    }


def _ungrouped(folder: str, router: str) -> dict[str, Fact]:
    groups = {key: _default(folder, name, 1) for key, name in _GROUPS.items()}
    return {**_biased(folder, router), **groups}


def _latent(defaults: Mapping[str, Fact]) -> Architecture:
    return Architecture(latent=True, defaults=defaults)


def _dense(folder: str) -> Architecture:
    return Architecture(routed=False, rotary=_whole_head(folder))


_GROUPS = {"num_expert_group": "n_group", "topk_group": "topk_group"}
_INNER = {"moe_intermediate_size": ("intermediate_size",)}

_DEEPSEEK_V2 = _latent({
    "scoring_func": Fact("softmax", cite("deepseek_v2", "DeepseekV2TopkRouter, over all experts")),
    "topk_method": _default("deepseek_v2", "topk_method", "greedy"),
    "renormalize": _default("deepseek_v2", "norm_topk_prob", False),
})  # fmt: skip
_DEEPSEEK_V3 = _latent(_biased("deepseek_v3", "DeepseekV3TopkRouter"))
_DEEPSEEK_V32 = _latent(_biased("deepseek_v32", "DeepseekV32TopkRouter"))
_DEEPSEEK_V4 = Architecture(
    fixed=_one_group("deepseek_v4", "DeepseekV4TopKRouter"),
    defaults={
        **_biased("deepseek_v4", "DeepseekV4TopKRouter"),
        **_head_dim("deepseek_v4", 512),
        "scoring_func": _default("deepseek_v4", "scoring_func", "sqrtsoftplus"),
    },
    rotary=_part_of_head("deepseek_v4", 64 / 512),
)
_GLM4_MOE = Architecture(
    defaults={
        **_ungrouped("glm4_moe", "Glm4MoeTopkRouter"),
        "qk_norm": _default("glm4_moe", "use_qk_norm", False),
    },
    names={"qk_norm": ("use_qk_norm",)},
    rotary=_part_of_head("glm4_moe", 0.5),
)
_KIMI_LINEAR = _latent(_ungrouped("kimi_linear", "KimiLinearTopkRouter"))

_QWEN2_MOE = Architecture(
    fixed=_softmax("qwen2_moe", "Qwen2MoeTopKRouter"),
    defaults={"renormalize": _default("qwen2_moe", "norm_topk_prob", False)},
    gated=True,
    rotary=_whole_head("qwen2_moe"),
)
_QWEN3 = Architecture(
    routed=False,
    fixed=_norm_heads("qwen3"),
    defaults=_head_dim("qwen3", 128),
    rotary=_whole_head("qwen3"),
)
_QWEN3_MOE = Architecture(
    fixed={
        **_softmax("qwen3_moe", "Qwen3MoeTopKRouter"),
        **_no_shared("qwen3_moe", "Qwen3MoeSparseMoeBlock"),
        **_norm_heads("qwen3_moe"),
    },
    defaults={"renormalize": _default("qwen3_moe", "norm_topk_prob", False)},
    rotary=_whole_head("qwen3_moe"),
)
_QWEN3_VL_MOE = Architecture(
    fixed={
        **_softmax("qwen3_vl_moe", "Qwen3VLMoeTextTopKRouter"),
        **_always_divide("qwen3_vl_moe", "Qwen3VLMoeTextTopKRouter"),
        **_no_shared("qwen3_vl_moe", "Qwen3VLMoeTextSparseMoeBlock"),
        **_norm_heads("qwen3_vl_moe"),
    },
    rotary=_whole_head("qwen3_vl_moe"),
)
_QWEN3_NEXT = Architecture(
    fixed={
        **_softmax("qwen3_next", "Qwen3NextTopKRouter"),
        **_norm_heads("qwen3_next", less_one=True),
    },
    defaults={
        "renormalize": _default("qwen3_next", "norm_topk_prob", True),
        **_head_dim("qwen3_next", 256),
    },
    gated=True,
    rotary=_part_of_head("qwen3_next", 0.25),
)
_QWEN3_5 = Architecture(
    routed=False,
    fixed=_norm_heads("qwen3_5", less_one=True),
    defaults=_head_dim("qwen3_5", 256),
    rotary=_part_of_head("qwen3_5", 0.25),
)
_QWEN3_5_MOE = Architecture(
    fixed={
        **_softmax("qwen3_5_moe", "Qwen3_5MoeTopKRouter"),
        **_always_divide("qwen3_5_moe", "Qwen3_5MoeTopKRouter"),
        **_norm_heads("qwen3_5_moe", less_one=True),
    },
    defaults=_head_dim("qwen3_5_moe", 256),
    gated=True,
    rotary=_part_of_head("qwen3_5_moe", 0.25),
)

_OF_THE_BEST = (
    "GptOssTopKRouter takes the top k logits and a softmax over those k, which equals softmax over "
    "all, top k, divide by their sum (renormalize = true)"
)
_GPT_OSS = Architecture(
    fixed={
        **_softmax("gpt_oss", "GptOssTopKRouter"),
        "scoring_func": Fact("softmax", cite("gpt_oss", _OF_THE_BEST)),
        "renormalize": Fact(True, cite("gpt_oss", _OF_THE_BEST)),
        **_no_shared("gpt_oss", "GptOssMLP"),
    },
    defaults=_head_dim("gpt_oss", 64),
    names=_INNER,
    rotary=_whole_head("gpt_oss"),
)
_MIXTRAL = Architecture(
    fixed={
        **_softmax("mixtral", "MixtralTopKRouter"),
        **_always_divide("mixtral", "MixtralTopKRouter"),
        **_no_shared("mixtral", "MixtralSparseMoeBlock"),
    },
    names=_INNER,
    rotary=_whole_head("mixtral"),
)
_OF_THE_LOGIT = (
    "Llama4Router selects by the raw logit (top 1) and weighs by its sigmoid, without "
    "renormalisation"
)
_BESIDE = (
    "verified: vllm-project/vllm 0303cbd, vllm/model_executor/models/llama4.py: Llama4MoE runs the "
    "one shared expert beside the routed ones, whose rows alone are scaled first"
)
_LLAMA4 = Architecture(
    fixed={
        **_softmax("llama4", "Llama4Router"),
        "scoring_func": Fact("sigmoid", cite("llama4", _OF_THE_LOGIT)),
        "renormalize": Fact(False, cite("llama4", _OF_THE_LOGIT)),
        "num_fused_shared_experts": Fact(0, _BESIDE),
    },
    defaults=_head_dim("llama4", 128),
    names=_INNER,
    rotary=_whole_head("llama4"),
)
_MINIMAX = Architecture(
    fixed={
        **_softmax("minimax", "MiniMaxTopKRouter"),
        **_always_divide("minimax", "MiniMaxTopKRouter"),
        **_no_shared("minimax", "MiniMaxSparseMoeBlock"),
    },
    names=_INNER,
    rotary=_whole_head("minimax"),
)


def _make_minimax(
    folder: str, router: str, holder: str, fixed: Mapping[str, Fact], defaults: Mapping[str, Fact]
) -> Architecture:
    """Sigmoid scores with a bias, which the class `holder` keeps, and no groups."""
    bias = Fact(True, cite(folder, f"{holder}.e_score_correction_bias"))
    scores = {"scoring_func": Fact("sigmoid", cite(folder, router)), "correction_bias": bias}
    return Architecture(
        fixed={**_one_group(folder, router), **_always_divide(folder, router), **fixed},
        defaults={**scores, **_head_dim(folder, 128), **defaults},
        names=_INNER,
        rotary=_whole_head(folder),
    )


_NO_FACTOR = Fact(1.0, cite("minimax_m2", "MiniMaxM2TopKRouter has no factor"))
_MINIMAX_M2 = _make_minimax(
    "minimax_m2",
    "MiniMaxM2TopKRouter",
    "MiniMaxM2SparseMoeBlock",
    {"routed_scaling_factor": _NO_FACTOR, **_no_shared("minimax_m2", "MiniMaxM2SparseMoeBlock")},
    {},
)
_ONE_SHARED = Fact(1, cite("minimax_m3_vl", "MiniMaxM3VLSparseMoeBlock.shared_experts"))
_MINIMAX_M3 = _make_minimax(
    "minimax_m3_vl",
    "MiniMaxM3VLTopKRouter",
    "MiniMaxM3VLTopKRouter",
    _norm_heads("minimax_m3_vl", less_one=True),
    {
        "routed_scaling_factor": _default("minimax_m3_vl", "routed_scaling_factor", 2.0),
        "num_fused_shared_experts": _ONE_SHARED,
    },
)

#: By `model_type`, of a config or of the `text_config` in it.  Kimi-K2 is code of its own on the
#: Hub, which transformers reads as DeepSeek-V3 (configuration_kimi_k25.py).
ARCHITECTURES: Mapping[str, Architecture] = {
    "deepseek_v2": _DEEPSEEK_V2,
    "deepseek_v3": _DEEPSEEK_V3,
    "deepseek_v32": _DEEPSEEK_V32,
    "deepseek_v4": _DEEPSEEK_V4,
    "glm4_moe": _GLM4_MOE,
    "glm4_moe_lite": _latent(_ungrouped("glm4_moe_lite", "Glm4MoeLiteTopkRouter")),
    "glm_moe_dsa": _latent(_ungrouped("glm_moe_dsa", "GlmMoeDsaTopkRouter")),
    "gpt_oss": _GPT_OSS,
    "kimi_k2": _DEEPSEEK_V3,
    "kimi_k25": _DEEPSEEK_V3,
    "kimi_k3": _KIMI_LINEAR,
    "kimi_linear": _KIMI_LINEAR,
    "llama": _dense("llama"),
    "llama4": _LLAMA4,
    "llama4_text": _LLAMA4,
    "minimax": _MINIMAX,
    "minimax_m2": _MINIMAX_M2,
    "minimax_m3": _MINIMAX_M3,
    "minimax_m3_vl": _MINIMAX_M3,
    "minimax_m3_vl_text": _MINIMAX_M3,
    "mistral": _dense("mistral"),
    "mixtral": _MIXTRAL,
    "qwen2": _dense("qwen2"),
    "qwen2_moe": _QWEN2_MOE,
    "qwen3": _QWEN3,
    "qwen3_5": _QWEN3_5,
    "qwen3_5_moe": _QWEN3_5_MOE,
    "qwen3_5_moe_text": _QWEN3_5_MOE,
    "qwen3_5_text": _QWEN3_5,
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_next": _QWEN3_NEXT,
    "qwen3_vl_moe": _QWEN3_VL_MOE,
    "qwen3_vl_moe_text": _QWEN3_VL_MOE,
}
