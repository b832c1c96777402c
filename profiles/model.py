"""Model profiles: the sizes and routing rules of published models, each value with its source.

A profile is a TOML file as `sourced_toml` describes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rocmoe.profiles.model_config import parse_config
from rocmoe.profiles.sourced_toml import (
    COUNT,
    COUNT_OR_NONE,
    FLAG,
    POSITIVE,
    Kind,
    check_entries,
    list_bundled,
    one_of,
    parse_entries,
    read_bundled,
    read_file,
    wrong,
)

SCORING_FUNCS = ("softmax", "sigmoid", "sqrtsoftplus")
#: Keys that stand together: a profile with one of them has them all.
ROUTING_KEYS = (
    "num_experts",
    "topk",
    "scoring_func",
    "correction_bias",
    "renormalize",
    "routed_scaling_factor",
    "num_fused_shared_experts",
)
GROUP_KEYS = ("num_expert_group", "topk_group")
HEAD_KEYS = ("num_heads_q", "num_heads_kv", "head_dim")

_FOLDER = "models"
_ABOUT = ("name", "summary", "sources")


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a model sets for the ops; None is a size or rule that it does not have.

    The names are those of the ops' parameters. `scoring_func` with `renormalize` states the
    router: gpt-oss (top k of the logits, softmax over those k) is softmax with renormalize, and
    Llama-4 (sigmoid of the top-1 logit) is sigmoid without. One group of one states a router with
    a correction bias and no groups.
    """

    name: str
    summary: str
    #: Routed experts (E) and how many of them a token goes to (k).
    num_experts: int | None = None
    topk: int | None = None
    #: The row that a routed expert reads (H), and its inner width before any sharding (I).
    hidden_size: int | None = None
    moe_intermediate_size: int | None = None
    scoring_func: str | None = None
    correction_bias: bool | None = None
    num_expert_group: int | None = None
    topk_group: int | None = None
    renormalize: bool | None = None
    routed_scaling_factor: float | None = None
    num_fused_shared_experts: int | None = None
    vocab_size: int | None = None
    #: Absent where the attention is latent: no norm per head, so nothing for the QK norm ops.
    num_heads_q: int | None = None
    num_heads_kv: int | None = None
    head_dim: int | None = None
    #: True where query and key are normed head by head with a weight of head_dim.
    qk_norm: bool | None = None
    rotary_dim: int | None = None
    rms_norm_eps: float | None = None
    #: Where each value is from, by its name.
    sources: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))

    def values(self) -> dict[str, object]:
        """The values that the model has, by name: what an op's `from_model` is given."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ABOUT}
        return {name: value for name, value in named.items() if value is not None}


def list_models() -> list[str]:
    """The names of the bundled models, sorted."""
    return list_bundled(_FOLDER)


def load_model(name_or_path: str) -> Model:
    """The bundled model of that name, or the one of a path: a profile that ends in `.toml`, a
    config.json of Hugging Face, or a folder that holds one.

    An unknown name, an unreadable file, a key that is unknown, has no source or contradicts the
    others, and an architecture that is not known are `RocmoeError`, naming the file, the key, what
    was found and what is wanted.
    """
    if name_or_path not in list_models():
        if name_or_path.endswith(".toml"):
            return parse_toml(read_file(Path(name_or_path)), name_or_path)
        if os.path.isdir(name_or_path):
            return _load_config(Path(name_or_path, "config.json"))
        if name_or_path.endswith(".json"):
            return _load_config(Path(name_or_path))
    text = read_bundled(_FOLDER, "model", name_or_path)
    return parse_toml(text, f"{name_or_path}.toml")


def _load_config(path: Path) -> Model:
    found = parse_config(read_file(path), str(path))
    return build_model(found.name, found.summary, found.values, found.sources, str(path))


def parse_toml(text: str, file: str) -> Model:
    """The model that the text of a profile describes; `file` names it in errors."""
    found = parse_entries(text, _KINDS, file)
    return build_model(found.name, found.summary, found.values, found.sources, file)


def build_model(
    name: str,
    summary: str,
    values: Mapping[str, object],
    sources: Mapping[str, str],
    file: str,
) -> Model:
    """The checked record of values that any format was read into; `file` names it in errors."""
    typed = check_entries(values, sources, _KINDS, file)
    for key, found, wanted in _contradictions(typed):
        raise wrong(file, key, found, wanted)
    return Model(name=name, summary=summary, sources={key: sources[key] for key in typed}, **typed)


_KINDS: Mapping[str, Kind] = {
    "num_experts": COUNT,
    "topk": COUNT,
    "hidden_size": COUNT,
    "moe_intermediate_size": COUNT,
    "scoring_func": one_of(SCORING_FUNCS),
    "correction_bias": FLAG,
    "num_expert_group": COUNT,
    "topk_group": COUNT,
    "renormalize": FLAG,
    "routed_scaling_factor": POSITIVE,
    "num_fused_shared_experts": COUNT_OR_NONE,
    "vocab_size": COUNT,
    "num_heads_q": COUNT,
    "num_heads_kv": COUNT,
    "head_dim": COUNT,
    "qk_norm": FLAG,
    "rotary_dim": COUNT,
    "rms_norm_eps": POSITIVE,
}


def _contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, object, str]]:
    """Key, found and wanted of whatever no model can have at once.

    Lazy and in this order: what `_bad_routing` reads is there once `_incomplete` is content.
    """
    yield from _incomplete(values)
    yield from _bad_routing(values)
    yield from _bad_heads(values)


def _incomplete(values: Mapping[str, Any]) -> Iterator[tuple[str, object, str]]:
    for some, needed in (
        (ROUTING_KEYS + GROUP_KEYS, ROUTING_KEYS),
        (GROUP_KEYS, GROUP_KEYS),
        (HEAD_KEYS, HEAD_KEYS),
    ):
        given = [key for key in some if key in values]
        for key in needed if given else ():
            if key not in values:
                yield key, None, f"a value beside {given[0]}"


def _bad_routing(values: Mapping[str, Any]) -> Iterator[tuple[str, object, str]]:
    if "num_experts" not in values:
        return
    experts, topk = values["num_experts"], values["topk"]
    if topk > experts:
        yield "topk", topk, f"at most num_experts, {experts}"
    if "num_expert_group" not in values:
        return
    groups, kept = values["num_expert_group"], values["topk_group"]
    if experts % groups:
        yield "num_experts", experts, f"a multiple of num_expert_group, {groups}"
    if kept > groups:
        yield "topk_group", kept, f"at most num_expert_group, {groups}"
    if topk > (room := experts // groups * kept):
        yield "topk", topk, f"at most the {room} experts of the groups kept"


def _bad_heads(values: Mapping[str, Any]) -> Iterator[tuple[str, object, str]]:
    heads_q, heads_kv = values.get("num_heads_q"), values.get("num_heads_kv")
    if heads_q and heads_kv and heads_q % heads_kv:
        yield "num_heads_q", heads_q, f"a multiple of num_heads_kv, {heads_kv}"
    head, rotary = values.get("head_dim"), values.get("rotary_dim")
    if rotary and rotary % 2:
        yield "rotary_dim", rotary, "an even number"
    if rotary and head and rotary > head:
        yield "rotary_dim", rotary, f"at most head_dim, {head}"
