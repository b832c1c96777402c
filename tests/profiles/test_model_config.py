"""Models by a config.json of Hugging Face: as published, and told what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.architectures import ARCHITECTURES
from rocmoe.profiles.model import Model, list_models, load_model

# What the published configs state of what a model profile holds, under their own keys.

MLA = {"num_attention_heads": 128, "num_key_value_heads": 128, "kv_lora_rank": 512,
       "qk_rope_head_dim": 64, "v_head_dim": 128}  # fmt: skip
NOAUX = {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": True}
DEEPSEEK_V3 = {
    **MLA, **NOAUX, "model_type": "deepseek_v3", "n_routed_experts": 256, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5,
    "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "vocab_size": 129280, "rms_norm_eps": 1e-06,
}  # fmt: skip
DEEPSEEK_V4 = {
    **NOAUX, "model_type": "deepseek_v4", "scoring_func": "sqrtsoftplus", "head_dim": 512,
    "num_attention_heads": 128, "num_key_value_heads": 1, "qk_rope_head_dim": 64,
    "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 6,
    "routed_scaling_factor": 2.5, "hidden_size": 7168, "moe_intermediate_size": 3072,
    "vocab_size": 129280, "rms_norm_eps": 1e-06, "num_hash_layers": 3,
}  # fmt: skip
KIMI_K2 = {
    **DEEPSEEK_V3, "model_type": "kimi_k2", "n_routed_experts": 384, "n_group": 1, "topk_group": 1,
    "routed_scaling_factor": 2.827, "vocab_size": 163840, "num_attention_heads": 64,
}  # fmt: skip
KIMI_K3 = {
    "model_type": "kimi_k3",
    "text_config": {
        **MLA, "model_type": "kimi_linear", "num_experts": 896, "num_experts_per_token": 16,
        "routed_expert_hidden_size": 3584, "hidden_size": 7168, "intermediate_size": 18432,
        "moe_intermediate_size": 3072, "moe_router_activation_func": "sigmoid",
        "topk_method": "noaux_tc", "num_expert_group": 1, "topk_group": 1, "moe_renormalize": True,
        "routed_scaling_factor": 1.0, "num_shared_experts": 2, "vocab_size": 163840,
        "rms_norm_eps": 1e-05,
    },
}  # fmt: skip
QWEN3_8B = {
    "model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "head_dim": 128,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 151936,
    "rms_norm_eps": 1e-06, "rope_scaling": None,
}  # fmt: skip
QWEN3_30B = {
    **QWEN3_8B, "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144,
    "num_key_value_heads": 4, "moe_intermediate_size": 768, "num_experts": 128,
    "num_experts_per_tok": 8, "norm_topk_prob": True,
}  # fmt: skip
QWEN3_NEXT = {
    "model_type": "qwen3_next", "hidden_size": 2048, "intermediate_size": 5120, "head_dim": 256,
    "num_attention_heads": 16, "num_key_value_heads": 2, "partial_rotary_factor": 0.25,
    "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts": 512,
    "num_experts_per_tok": 10, "norm_topk_prob": True, "vocab_size": 151936, "rms_norm_eps": 1e-06,
}  # fmt: skip
QWEN3_5 = {
    "model_type": "qwen3_5_moe",
    "text_config": {
        "model_type": "qwen3_5_moe_text", "hidden_size": 4096, "head_dim": 256,
        "num_attention_heads": 32, "num_key_value_heads": 2,
        "rope_parameters": {"partial_rotary_factor": 0.25, "rope_type": "default"},
        "moe_intermediate_size": 1024, "shared_expert_intermediate_size": 1024,
        "num_experts": 512, "num_experts_per_tok": 10, "vocab_size": 248320, "rms_norm_eps": 1e-06,
    },
    "vision_config": {"model_type": "qwen3_5_moe", "hidden_size": 1152},
}  # fmt: skip
GPT_OSS = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64,
    "num_attention_heads": 64, "num_key_value_heads": 8, "num_local_experts": 128,
    "num_experts_per_tok": 4, "experts_per_token": 4, "vocab_size": 201088, "rms_norm_eps": 1e-05,
}  # fmt: skip
MIXTRAL = {
    "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
    "num_experts_per_tok": 2, "vocab_size": 32000, "rms_norm_eps": 1e-05,
}  # fmt: skip
MAVERICK = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192,
        "intermediate_size_mlp": 16384, "head_dim": 128, "num_attention_heads": 40,
        "num_key_value_heads": 8, "num_local_experts": 128, "num_experts_per_tok": 1,
        "use_qk_norm": False, "vocab_size": 202048, "rms_norm_eps": 1e-05,
    },
}  # fmt: skip
GLM_4_5 = {
    "model_type": "glm4_moe", "hidden_size": 5120, "intermediate_size": 12288, "head_dim": 128,
    "num_attention_heads": 96, "num_key_value_heads": 8, "partial_rotary_factor": 0.5,
    "use_qk_norm": True, "n_routed_experts": 160, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "n_group": 1, "topk_group": 1, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
    "moe_intermediate_size": 1536, "vocab_size": 151552, "rms_norm_eps": 1e-05,
}  # fmt: skip
GLM_5 = {
    **DEEPSEEK_V3, "model_type": "glm_moe_dsa", "n_group": 1, "topk_group": 1, "head_dim": 64,
    "hidden_size": 6144, "vocab_size": 154880, "rms_norm_eps": 1e-05,
}  # fmt: skip
MINIMAX_M2 = {
    "model_type": "minimax_m2", "hidden_size": 3072, "intermediate_size": 1536, "head_dim": 128,
    "num_attention_heads": 48, "num_key_value_heads": 8, "rotary_dim": 64,
    "qk_norm_type": "per_layer", "use_qk_norm": True, "num_local_experts": 256,
    "num_experts_per_tok": 8, "scoring_func": "sigmoid", "use_routing_bias": True,
    "shared_intermediate_size": 0, "vocab_size": 200064, "rms_norm_eps": 1e-06,
}  # fmt: skip
MINIMAX_M3 = {
    "model_type": "minimax_m3_vl",
    "text_config": {
        "hidden_size": 6144, "intermediate_size": 3072, "head_dim": 128,
        "num_attention_heads": 64, "num_key_value_heads": 4, "rotary_dim": 64,
        "qk_norm_type": "per_head", "use_gemma_norm": True, "num_local_experts": 128,
        "num_experts_per_tok": 4, "scoring_func": "sigmoid", "use_routing_bias": True,
        "n_shared_experts": 1, "routed_scaling_factor": 2.0, "shared_intermediate_size": 3072,
        "vocab_size": 200064, "rms_norm_eps": 1e-06,
    },
}  # fmt: skip

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "deepseek-v3": DEEPSEEK_V3,
    "deepseek-r1": DEEPSEEK_V3,
    "deepseek-v3.2": {**DEEPSEEK_V3, "model_type": "deepseek_v32"},
    "deepseek-v4": DEEPSEEK_V4,
    "deepseek-v4-small": {
        **DEEPSEEK_V4, "hidden_size": 4096, "moe_intermediate_size": 2048, "n_routed_experts": 256,
        "num_attention_heads": 64, "routed_scaling_factor": 1.5,
    },
    "kimi-k2": KIMI_K2,
    "kimi-k3": KIMI_K3,
    "qwen3-8b": QWEN3_8B,
    "qwen3-30b-a3b": QWEN3_30B,
    "qwen3-235b-a22b": {
        **QWEN3_30B, "hidden_size": 4096, "moe_intermediate_size": 1536, "num_attention_heads": 64,
    },
    "qwen3-next-80b-a3b": QWEN3_NEXT,
    "qwen3.5-397b-a17b": QWEN3_5,
    "gpt-oss-120b": GPT_OSS,
    "gpt-oss-20b": {**GPT_OSS, "num_local_experts": 32},
    "mixtral-8x7b": MIXTRAL,
    "mixtral-8x22b": {
        **MIXTRAL, "hidden_size": 6144, "intermediate_size": 16384, "num_attention_heads": 48,
    },
    "llama-4-maverick": MAVERICK,
    "llama-4-scout": {
        **MAVERICK,
        "text_config": {**MAVERICK["text_config"], "num_local_experts": 16, "use_qk_norm": True},
    },
    "glm-4.5": GLM_4_5,
    "glm-5": GLM_5,
    "minimax-m2": MINIMAX_M2,
    "minimax-m3": MINIMAX_M3,
}  # fmt: skip


def load(folder: Path, config: object, name: str = "config.json") -> Model:
    """The model of a config written into a file of a folder."""
    text = config if isinstance(config, str) else json.dumps(config)
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return load_model(str(folder / name))


def refusal(folder: Path, config: object) -> str:
    """What a config is refused with: one line, after the name of the file."""
    with pytest.raises(RocmoeError) as refused:
        load(folder, config)
    start = f"{folder / 'config.json'}: "
    assert str(refused.value).startswith(start)
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(start)


def without(config: Mapping[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in config.items() if key not in keys}


# as published


def test_every_bundled_model_has_a_config_here() -> None:
    assert sorted(PUBLISHED) == list_models()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_gives_the_bundled_model(tmp_path: Path, name: str) -> None:
    model = load(tmp_path, PUBLISHED[name])
    assert model.values() == load_model(name).values()


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_value_says_where_it_is_from(tmp_path: Path, name: str) -> None:
    model = load(tmp_path, PUBLISHED[name])
    assert model.sources.keys() == model.values().keys()
    own = f"verified: {tmp_path / 'config.json'}: "
    for key, source in model.sources.items():
        if source.startswith(own):
            path = re.match(r"[\w.]+", source.removeprefix(own))
            assert path is not None
            found: Any = PUBLISHED[name]
            for part in path[0].split("."):
                found = found[part]
            derived = ("rotary_dim", "correction_bias", "num_fused_shared_experts")
            derived += ("head_dim",) if name.startswith("mixtral") else ()
            assert found == getattr(model, key) or key in derived, f"{key}: {source}"
        else:
            assert source.startswith(("verified: huggingface/", "verified: vllm-project/")), source


def test_sources_name_the_key_and_the_code(tmp_path: Path) -> None:
    model = load(tmp_path, QWEN3_5)
    path = tmp_path / "config.json"
    assert model.sources["num_experts"] == f"verified: {path}: text_config.num_experts"
    assert model.sources["rotary_dim"] == (
        f"verified: {path}: text_config.rope_parameters.partial_rotary_factor is 0.25 of head_dim"
    )
    assert model.sources["renormalize"] == (
        "verified: huggingface/transformers 5.23.0, src/transformers/models/qwen3_5_moe/"
        "modeling_qwen3_5_moe.py: Qwen3_5MoeTopKRouter always divides by the sum"
    )


def test_what_the_code_is_cited_for_is_what_the_bundled_profiles_cite(tmp_path: Path) -> None:
    for name in ("mixtral-8x7b", "qwen3-next-80b-a3b", "minimax-m2"):
        model, bundled = load(tmp_path, PUBLISHED[name]), load_model(name)
        for key in ("scoring_func", "correction_bias", "routed_scaling_factor", "qk_norm"):
            if "transformers" in bundled.sources.get(key, ""):
                assert model.sources[key] == bundled.sources[key]


# what a config may say otherwise


def test_deepseek_v2_has_groups_only_where_its_method_uses_them(tmp_path: Path) -> None:
    lite = {
        **DEEPSEEK_V3, "model_type": "deepseek_v2", "scoring_func": "softmax",
        "topk_method": "greedy", "norm_topk_prob": False, "n_routed_experts": 64,
        "n_shared_experts": 2, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 6,
        "routed_scaling_factor": 1.0, "vocab_size": 102400,
    }  # fmt: skip
    model = load(tmp_path, lite)
    assert (model.scoring_func, model.correction_bias, model.renormalize) == (
        "softmax", False, False,
    )  # fmt: skip
    assert (model.num_expert_group, model.num_fused_shared_experts) == (None, 2)
    whole = {**lite, "topk_method": "group_limited_greedy", "n_group": 8, "topk_group": 3}
    grouped = load(tmp_path, whole)
    assert (grouped.num_expert_group, grouped.topk_group, grouped.correction_bias) == (8, 3, False)


def test_what_transformers_leaves_out_when_it_saves_is_what_its_code_does(tmp_path: Path) -> None:
    saved = load(tmp_path, without(DEEPSEEK_V3, "scoring_func", "topk_method", "norm_topk_prob"))
    assert saved.values() == load_model("deepseek-v3").values()
    assert "DeepseekV3TopkRouter" in saved.sources["correction_bias"]


@pytest.mark.parametrize(
    ("inner", "fused"), [(1408, 1), (5632, 0), (0, 0)], ids=["as wide", "wider", "none"]
)
def test_a_shared_expert_is_fused_if_it_is_as_wide_as_a_routed_one(
    tmp_path: Path, inner: int, fused: int
) -> None:
    config = {
        **QWEN3_NEXT, "model_type": "qwen2_moe", "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": inner,
    }  # fmt: skip
    assert load(tmp_path, config).num_fused_shared_experts == fused


def test_no_shared_experts_may_be_null(tmp_path: Path) -> None:
    assert load(tmp_path, {**KIMI_K2, "n_shared_experts": None}).num_fused_shared_experts == 0


def test_a_head_is_a_share_of_the_row_where_nothing_else_is_said(tmp_path: Path) -> None:
    llama = {**QWEN3_8B, "model_type": "llama", "head_dim": None, "num_key_value_heads": None}
    model = load(tmp_path, llama)
    assert (model.num_heads_q, model.num_heads_kv, model.head_dim) == (32, 32, 128)
    assert (model.rotary_dim, model.qk_norm, model.num_experts) == (128, None, None)
    assert "hidden_size / num_attention_heads" in model.sources["head_dim"]


def test_a_default_of_the_code_beats_a_share_of_the_row(tmp_path: Path) -> None:
    model = load(tmp_path, without(GPT_OSS, "head_dim"))
    assert model.head_dim == 64
    assert "the default of head_dim" in model.sources["head_dim"]


def test_glm_norms_its_heads_only_if_told_to(tmp_path: Path) -> None:
    air = load(tmp_path, without(GLM_4_5, "use_qk_norm", "partial_rotary_factor"))
    assert (air.qk_norm, air.rotary_dim) == (False, 64)


def test_text_config_may_leave_its_type_to_the_whole(tmp_path: Path) -> None:
    inner = without(KIMI_K2, "model_type")
    model = load(tmp_path, {"model_type": "kimi_k25", "text_config": inner})
    assert model.values() == load_model("kimi-k2").values()


# names and places


def test_a_model_is_named_by_its_folder_its_cache_or_its_file(tmp_path: Path) -> None:
    assert load(tmp_path / "Kimi-K2", KIMI_K2).name == "Kimi-K2"
    cached = tmp_path / "models--moonshotai--Kimi-K2-Instruct" / "snapshots" / "0123abc"
    cached.mkdir(parents=True)
    assert load(cached, KIMI_K2).name == "Kimi-K2-Instruct"
    assert load(tmp_path, KIMI_K2, "mine.json").name == "mine"


def test_a_folder_is_read_by_its_config(tmp_path: Path) -> None:
    model = load(tmp_path / "K2", KIMI_K2)
    assert load_model(str(tmp_path / "K2")) == model
    (tmp_path / "empty").mkdir()
    wanted = re.escape(str(tmp_path / "empty" / "config.json"))
    with pytest.raises(RocmoeError, match=f"^{wanted}: found no readable file"):
        load_model(str(tmp_path / "empty"))


def test_a_bundled_name_comes_before_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path / "kimi-k2", QWEN3_8B)
    monkeypatch.chdir(tmp_path)
    assert load_model("kimi-k2").num_experts == 384
    assert load_model("./kimi-k2").num_experts is None


# refusals


def test_an_unknown_architecture_is_met_with_the_nearest_and_the_next_step(tmp_path: Path) -> None:
    assert refusal(tmp_path, {**QWEN3_8B, "model_type": "qwen3_mo"}) == (
        "unknown model_type 'qwen3_mo'; nearest: qwen3_moe; for another architecture write a "
        "TOML profile"
    )


@pytest.mark.parametrize("found", [None, 3, "", ["qwen3"]])
def test_a_config_names_its_architecture(tmp_path: Path, found: object) -> None:
    message = refusal(tmp_path, {**QWEN3_8B, "model_type": found})
    assert message.startswith("model_type: found ")
    assert "deepseek_v3" in message


@pytest.mark.parametrize(
    ("config", "key", "named"),
    [
        (DEEPSEEK_V3, "n_routed_experts", "num_experts or n_routed_experts or num_local_experts"),
        (DEEPSEEK_V3, "num_experts_per_tok", "num_experts_per_tok or num_experts_per_token"),
        (DEEPSEEK_V3, "n_group", "n_group or num_expert_group"),
        (DEEPSEEK_V3, "topk_group", "topk_group"),
        (DEEPSEEK_V3, "routed_scaling_factor", "routed_scaling_factor"),
        (DEEPSEEK_V3, "n_shared_experts", "n_shared_experts or num_shared_experts"),
        (DEEPSEEK_V3, "moe_intermediate_size", "moe_intermediate_size"),
        (DEEPSEEK_V3, "vocab_size", "vocab_size"),
        (MIXTRAL, "intermediate_size", "intermediate_size"),
        (QWEN3_NEXT, "shared_expert_intermediate_size", "shared_expert_intermediate_size"),
        (QWEN3_8B, "num_attention_heads", "num_attention_heads"),
        (QWEN3_8B, "num_key_value_heads", "num_key_value_heads"),
        (QWEN3_8B, "rms_norm_eps", "rms_norm_eps"),
        (QWEN3_8B, "hidden_size", "hidden_size"),
    ],
)
def test_a_missing_key_is_named(
    tmp_path: Path, config: Mapping[str, object], key: str, named: str
) -> None:
    kind = config["model_type"]
    wanted = f"{named}: found nothing; wanted a value, as of every {kind}"
    assert refusal(tmp_path, without(config, key)) == wanted


def test_a_missing_key_of_a_part_is_named_with_the_part(tmp_path: Path) -> None:
    text = without(QWEN3_5["text_config"], "vocab_size")
    message = refusal(tmp_path, {**QWEN3_5, "text_config": text})
    assert message.startswith("text_config.vocab_size: found nothing")


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (MIXTRAL, {"scoring_func": "sigmoid"},
         "scoring_func: found 'sigmoid'; wanted 'softmax', which is what mixtral computes"),
        (QWEN3_30B, {"n_shared_experts": 1},
         "n_shared_experts: found 1; wanted 0, which is what qwen3_moe computes"),
        (DEEPSEEK_V4, {"n_group": 8},
         "n_group: found 8; wanted 1, which is what deepseek_v4 computes"),
        (DEEPSEEK_V3, {"topk_method": "auction"},
         "topk_method: found 'auction'; wanted one of noaux_tc, group_limited_greedy, greedy"),
        (DEEPSEEK_V3, {"topk_method": ["noaux_tc"]},
         "topk_method: found ['noaux_tc']; "
         "wanted one of noaux_tc, group_limited_greedy, greedy"),
        (DEEPSEEK_V3, {"scoring_func": "tanh"},
         "scoring_func: found 'tanh'; wanted one of softmax, sigmoid, sqrtsoftplus"),
        (DEEPSEEK_V3, {"num_experts_per_tok": 300},
         "topk: found 300; wanted at most num_experts, 256"),
        (QWEN3_8B, {"num_attention_heads": "32"},
         "num_attention_heads: found '32'; wanted an integer of at least 1"),
        (QWEN3_8B, {"head_dim": 0}, "head_dim: found 0; wanted an integer of at least 1"),
        (MIXTRAL, {"hidden_size": 4097},
         "head_dim: found nothing; wanted a value: 4097 is no multiple of 32"),
        (QWEN3_NEXT, {"partial_rotary_factor": "all"},
         "partial_rotary_factor: found 'all'; wanted a number above 0"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(
    tmp_path: Path, config: Mapping[str, object], change: Mapping[str, object], message: str
) -> None:
    assert refusal(tmp_path, {**config, **change}) == message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "no JSON object"),
        ('{"model_type": "llama4", "text_config": 3}', "3; wanted an object"),
    ],
    ids=["syntax", "depth", "list", "part"],
)
def test_what_is_no_config_is_refused(tmp_path: Path, text: str, found: str) -> None:
    assert f"found {found}" in refusal(tmp_path, text)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_reads_a_config_that_states_what_its_code_leaves_open(
    tmp_path: Path, kind: str
) -> None:
    open_keys = {
        "routed_scaling_factor": ("routed_scaling_factor", 2.5),
        "num_fused_shared_experts": ("n_shared_experts", 1),
        "num_expert_group": ("n_group", 1),
        "topk_group": ("topk_group", 1),
    }
    fixed = ARCHITECTURES[kind].fixed
    stated = dict(pair for key, pair in open_keys.items() if key not in fixed)
    sizes = without(DEEPSEEK_V3, *NOAUX, *(name for name, _ in open_keys.values()))
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64}
    shared = {"shared_expert_intermediate_size": 2048}
    model = load(tmp_path, {**sizes, **heads, **shared, **stated, "model_type": kind})
    assert model.vocab_size == 129280
    assert (model.num_experts is not None) == ARCHITECTURES[kind].routed
    assert (model.head_dim is None) == ARCHITECTURES[kind].latent
