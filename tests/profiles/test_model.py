"""Model profiles: the bundled ones are as published; a wrong one is told what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.model import (
    GROUP_KEYS,
    HEAD_KEYS,
    ROUTING_KEYS,
    SCORING_FUNCS,
    Model,
    build_model,
    list_models,
    load_model,
    parse_toml,
)

KEYS = [f.name for f in fields(Model) if f.name not in ("name", "summary", "sources")]
ROUTER_KEYS, ATTENTION_KEYS = KEYS[:12], KEYS[12:]

ROUTERS: Mapping[str, tuple[object, ...]] = {
    "deepseek-v3": (256, 8, 7168, 2048, "sigmoid", True, 8, 4, True, 2.5, 1, 129280),
    "deepseek-r1": (256, 8, 7168, 2048, "sigmoid", True, 8, 4, True, 2.5, 1, 129280),
    "deepseek-v3.2": (256, 8, 7168, 2048, "sigmoid", True, 8, 4, True, 2.5, 1, 129280),
    "deepseek-v4": (384, 6, 7168, 3072, "sqrtsoftplus", True, 1, 1, True, 2.5, 1, 129280),
    "deepseek-v4-small": (256, 6, 4096, 2048, "sqrtsoftplus", True, 1, 1, True, 1.5, 1, 129280),
    "kimi-k2": (384, 8, 7168, 2048, "sigmoid", True, 1, 1, True, 2.827, 1, 163840),
    "kimi-k3": (896, 16, 3584, 3072, "sigmoid", True, 1, 1, True, 1.0, 0, 163840),
    "qwen3-30b-a3b": (128, 8, 2048, 768, "softmax", False, None, None, True, 1.0, 0, 151936),
    "qwen3-235b-a22b": (128, 8, 4096, 1536, "softmax", False, None, None, True, 1.0, 0, 151936),
    "qwen3-next-80b-a3b": (512, 10, 2048, 512, "softmax", False, None, None, True, 1.0, 1, 151936),
    "qwen3.5-397b-a17b": (512, 10, 4096, 1024, "softmax", False, None, None, True, 1.0, 1, 248320),
    "gpt-oss-20b": (32, 4, 2880, 2880, "softmax", False, None, None, True, 1.0, 0, 201088),
    "gpt-oss-120b": (128, 4, 2880, 2880, "softmax", False, None, None, True, 1.0, 0, 201088),
    "mixtral-8x7b": (8, 2, 4096, 14336, "softmax", False, None, None, True, 1.0, 0, 32000),
    "mixtral-8x22b": (8, 2, 6144, 16384, "softmax", False, None, None, True, 1.0, 0, 32000),
    "llama-4-scout": (16, 1, 5120, 8192, "sigmoid", False, None, None, False, 1.0, 0, 202048),
    "llama-4-maverick": (128, 1, 5120, 8192, "sigmoid", False, None, None, False, 1.0, 0, 202048),
    "glm-4.5": (160, 8, 5120, 1536, "sigmoid", True, 1, 1, True, 2.5, 1, 151552),
    "glm-5": (256, 8, 6144, 2048, "sigmoid", True, 1, 1, True, 2.5, 1, 154880),
    "minimax-m2": (256, 8, 3072, 1536, "sigmoid", True, 1, 1, True, 1.0, 0, 200064),
    "minimax-m3": (128, 4, 6144, 3072, "sigmoid", True, 1, 1, True, 2.0, 1, 200064),
}
HEADS: Mapping[str, tuple[object, ...]] = {
    "deepseek-v4": (128, 1, 512, None, 64, 1e-6),
    "qwen3-8b": (32, 8, 128, True, 128, 1e-6),
    "qwen3-30b-a3b": (32, 4, 128, True, 128, 1e-6),
    "qwen3-next-80b-a3b": (16, 2, 256, True, 64, 1e-6),
    "qwen3.5-397b-a17b": (32, 2, 256, True, 64, 1e-6),
    "gpt-oss-120b": (64, 8, 64, None, 64, 1e-5),
    "mixtral-8x22b": (48, 8, 128, None, 128, 1e-5),
    "llama-4-scout": (40, 8, 128, None, 128, 1e-5),
    "glm-4.5": (96, 8, 128, True, 64, 1e-5),
    "minimax-m3": (64, 4, 128, True, 64, 1e-6),
}
LATENT_ATTENTION = {"deepseek-r1", "deepseek-v3", "deepseek-v3.2", "glm-5", "kimi-k2", "kimi-k3"}
BUNDLED = sorted([*ROUTERS, "qwen3-8b"])

ROUTER = (32, 4, 64, 96, "sigmoid", True, 8, 4, True, 2.5, 0, 1000)
VALID: Mapping[str, object] = dict(zip(KEYS, (*ROUTER, 8, 2, 16, True, 8, 1e-6), strict=True))


def show(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def write(values: Mapping[str, object], head: str = 'name = "x"\nsummary = "y"\n') -> str:
    """A profile with these values, all with a source."""
    entries = [f'[{k}]\nvalue = {show(v)}\nsource = "verified: s"\n' for k, v in values.items()]
    return head + "".join(entries)


def without(*keys: str) -> dict[str, object]:
    return {key: value for key, value in VALID.items() if key not in keys}


def refusal(text: str) -> str:
    """What this text is refused with: one line, after the name of the file."""
    with pytest.raises(RocmoeError) as refused:
        parse_toml(text, "mine.toml")
    file, _, message = str(refused.value).partition(": ")
    assert file == "mine.toml"
    assert "\n" not in message
    return message


# the bundled profiles


def test_bundled_models_are_listed_sorted() -> None:
    assert list_models() == BUNDLED


@pytest.mark.parametrize("name", BUNDLED)
def test_every_value_has_a_source_that_says_what_was_read_or_that_nothing_was(name: str) -> None:
    model = load_model(name)
    assert model.name == name
    assert model.values().keys() == model.sources.keys()
    for key, source in model.sources.items():
        assert re.match(r"(verified|from memory, unverified): \S+", source), f"{key}: {source}"


@pytest.mark.parametrize("name", ROUTERS)
def test_router_is_as_published(name: str) -> None:
    model = load_model(name)
    assert tuple(getattr(model, key) for key in ROUTER_KEYS) == ROUTERS[name]


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_as_published(name: str) -> None:
    model = load_model(name)
    assert tuple(getattr(model, key) for key in ATTENTION_KEYS) == HEADS[name]


def test_only_models_with_latent_attention_leave_the_heads_out() -> None:
    assert {name for name in BUNDLED if load_model(name).num_heads_q is None} == LATENT_ATTENTION


def test_router_stated_in_other_words_says_so() -> None:
    for name in ("gpt-oss-20b", "gpt-oss-120b"):
        assert "equals softmax over all" in load_model(name).sources["scoring_func"]
    for name in ("llama-4-scout", "llama-4-maverick"):
        assert "without renormalisation" in load_model(name).sources["scoring_func"]


# the record


def test_values_leave_out_what_a_dense_model_has_not() -> None:
    heads = dict(zip(ATTENTION_KEYS, HEADS["qwen3-8b"], strict=True))
    assert load_model("qwen3-8b").values() == {"hidden_size": 4096, "vocab_size": 151936, **heads}


def test_model_cannot_be_changed() -> None:
    model = load_model("kimi-k2")
    with pytest.raises(FrozenInstanceError):
        model.topk = 9  # type: ignore[misc]
    with pytest.raises(TypeError):
        model.sources["topk"] = "mine"  # type: ignore[index]
    model.values()["topk"] = 9
    assert model.values()["topk"] == 8


def test_two_loads_are_equal_and_hash_alike() -> None:
    assert len({load_model("kimi-k2"), load_model("kimi-k2"), load_model("kimi-k3")}) == 2


# loading


def test_path_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(write(VALID), encoding="utf-8")
    model = load_model(str(path))
    assert (model.name, model.summary, model.values()) == ("x", "y", VALID)
    assert model.sources == dict.fromkeys(VALID, "verified: s")


def test_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(RocmoeError, match=r"'deepsek-v3'; nearest: deepseek-v3$"):
        load_model("deepsek-v3")


@pytest.mark.parametrize("name", ["", "../models/kimi-k2", "KIMI"])
def test_what_is_no_bundled_name_is_refused(name: str) -> None:
    with pytest.raises(RocmoeError, match=re.escape(f"unknown model {name!r}")):
        load_model(name)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file"),
        (Path.mkdir, "directory"),
        (lambda path: path.write_bytes(b'name = "\xff"'), "not UTF-8"),
        (lambda path: path.write_text("name = \n"), "no TOML"),
    ],
    ids=["missing", "folder", "bytes", "syntax"],
)
def test_unreadable_file_is_named_with_the_reason(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "mine.toml"
    make(path)
    with pytest.raises(RocmoeError) as refused:
        load_model(str(path))
    file, _, message = str(refused.value).partition(": found ")
    assert file == str(path)
    assert re.fullmatch(f".*{reason}.*; wanted a profile", message)


# refusals


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("name = 'x'\n", "summary: found nothing"),
        ("summary = 'x'\n", "name: found nothing"),
        ("name = 3\n", "name: found 3"),
        ("name = ' '\n", "name: found ' '"),
    ],
)
def test_name_and_summary_are_strings(head: str, found: str) -> None:
    assert refusal(write(VALID, head)) == f"{found}; wanted a string that is not empty"


def test_unknown_key_is_met_with_the_nearest() -> None:
    wrong = {**VALID, "num_expert": 4}
    assert refusal(write(wrong)) == "found unknown key 'num_expert'; nearest: num_experts"
    with pytest.raises(RocmoeError, match=r"^config\.json: found unknown key 'num_expert'"):
        build_model("x", "y", wrong, dict.fromkeys(wrong, "verified: s"), "config.json")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("topk = 4", "topk: found 4; wanted a table of value and source"),
        ("[topk]\nvalue = 4", "topk.source: found nothing; wanted a table of value and source"),
        ("[topk]\nsource = 's'", "topk.value: found nothing; wanted a table of value and source"),
        ("[topk]\nsorce = 's'", "topk: found 'sorce'; wanted value and source alone"),
    ],
    ids=["bare", "no source", "no value", "more"],
)
def test_entry_is_a_table_of_value_and_source(entry: str, message: str) -> None:
    assert refusal(write(without("topk"), f'name = "x"\nsummary = "y"\n{entry}\n')) == message


HEARSAY = ["", "a paper", "verified: ", "from memory: x", "from memory, unverified:", 3]


@pytest.mark.parametrize("source", HEARSAY)
def test_source_says_how_far_it_is_to_be_believed(source: object) -> None:
    text = write({"vocab_size": 1000}).replace('"verified: s"', show(source))
    wanted = "'verified: ...' or 'from memory, unverified: ...'"
    assert refusal(text) == f"vocab_size.source: found {source!r}; wanted {wanted}"


A_SCORING = "one of softmax, sigmoid, sqrtsoftplus"


@pytest.mark.parametrize("key", [key for key in VALID if type(VALID[key]) is int])
@pytest.mark.parametrize("value", [-1, 4.0, True, "4"])
def test_count_is_an_integer(key: str, value: object) -> None:
    low = 0 if key == "num_fused_shared_experts" else 1
    message = f"{key}: found {value!r}; wanted an integer of at least {low}"
    assert refusal(write({**VALID, key: value})) == message


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("topk", 0, "an integer of at least 1"),
        ("correction_bias", 1, "true or false"),
        ("renormalize", "true", "true or false"),
        ("scoring_func", "relu", A_SCORING),
        ("scoring_func", True, A_SCORING),
        ("routed_scaling_factor", 0.0, "a number above 0"),
        ("routed_scaling_factor", True, "a number above 0"),
        ("routed_scaling_factor", float("nan"), "a number above 0"),
        ("routed_scaling_factor", float("inf"), "a number above 0"),
        ("routed_scaling_factor", 10**400, "a number above 0"),
        ("rms_norm_eps", "1e-6", "a number above 0"),
    ],
)
def test_value_of_the_wrong_kind(key: str, value: object, wanted: str) -> None:
    assert refusal(write({**VALID, key: value})) == f"{key}: found {value!r}; wanted {wanted}"


def test_whole_number_is_a_factor_and_becomes_a_float() -> None:
    model = parse_toml(write({**VALID, "routed_scaling_factor": 2}), "x.toml")
    assert repr(model.routed_scaling_factor) == "2.0"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("topk", 33, "topk: found 33; wanted at most num_experts, 32"),
        ("topk", 17, "topk: found 17; wanted at most the 16 experts of the groups kept"),
        ("num_expert_group", 5, "num_experts: found 32; wanted a multiple of num_expert_group, 5"),
        ("topk_group", 9, "topk_group: found 9; wanted at most num_expert_group, 8"),
        ("num_heads_kv", 3, "num_heads_q: found 8; wanted a multiple of num_heads_kv, 3"),
        ("rotary_dim", 7, "rotary_dim: found 7; wanted an even number"),
        ("rotary_dim", 18, "rotary_dim: found 18; wanted at most head_dim, 16"),
    ],
)
def test_values_that_contradict_each_other(key: str, value: int, message: str) -> None:
    assert refusal(write({**VALID, key: value})) == message


@pytest.mark.parametrize("key", [*ROUTING_KEYS, *GROUP_KEYS, *HEAD_KEYS])
def test_keys_that_stand_together_are_all_there(key: str) -> None:
    message = refusal(write(without(key)))
    assert message.startswith(f"{key}: found nothing; wanted a value beside ")


def test_groups_alone_are_no_router() -> None:
    message = "num_experts: found nothing; wanted a value beside num_expert_group"
    assert refusal(write({key: VALID[key] for key in GROUP_KEYS})) == message


# properties

small = st.integers(min_value=1, max_value=12)
optional = st.sampled_from(
    [GROUP_KEYS, ROUTING_KEYS + GROUP_KEYS, (*HEAD_KEYS, "rotary_dim"), ("vocab_size",)]
)


@settings(max_examples=200, deadline=None)
@given(experts=small, topk=small, groups=small, kept=small)
def test_router_is_accepted_exactly_when_a_row_can_be_routed(
    experts: int, topk: int, groups: int, kept: int
) -> None:
    sizes = {"num_experts": experts, "topk": topk, "num_expert_group": groups, "topk_group": kept}
    text = write({**VALID, **sizes})
    if experts % groups == 0 and kept <= groups and topk <= experts // groups * kept:
        assert parse_toml(text, "x.toml").values() == {**VALID, **sizes}
    else:
        assert refusal(text)


@settings(max_examples=100, deadline=None)
@given(
    scoring=st.sampled_from(SCORING_FUNCS),
    renormalize=st.booleans(),
    factor=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    heads_kv=small,
    left_out=st.lists(optional),
)
def test_what_is_written_is_what_is_read(
    scoring: str, renormalize: bool, factor: float, heads_kv: int, left_out: list[tuple[str, ...]]
) -> None:
    changes = {"scoring_func": scoring, "renormalize": renormalize, "num_heads_kv": heads_kv}
    values = {**VALID, **changes, "routed_scaling_factor": factor, "num_heads_q": 4 * heads_kv}
    gone = {key for part in left_out for key in part}
    values = {key: value for key, value in values.items() if key not in gone}
    assert parse_toml(write(values), "x.toml").values() == values
