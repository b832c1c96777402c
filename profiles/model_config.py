"""Models by the config.json of Hugging Face: each value with the key, or the code, it is from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.profiles.architectures import ARCHITECTURES, Architecture
from rocmoe.profiles.sourced_toml import COUNT, POSITIVE, Entries, Kind, wrong

#: What configs call the values of a `Model`: the first of these that is stated counts.
NAMES: Mapping[str, tuple[str, ...]] = {
    "num_experts": ("num_experts", "n_routed_experts", "num_local_experts"),
    "topk": ("num_experts_per_tok", "num_experts_per_token"),
    "hidden_size": ("hidden_size",),
    "moe_intermediate_size": ("moe_intermediate_size",),
    "scoring_func": ("scoring_func", "moe_router_activation_func"),
    "topk_method": ("topk_method",),
    "correction_bias": ("use_routing_bias",),
    "num_expert_group": ("n_group", "num_expert_group"),
    "topk_group": ("topk_group",),
    "renormalize": ("norm_topk_prob", "moe_renormalize"),
    "routed_scaling_factor": ("routed_scaling_factor",),
    "num_fused_shared_experts": ("n_shared_experts", "num_shared_experts"),
    "vocab_size": ("vocab_size",),
    "num_heads_q": ("num_attention_heads",),
    "num_heads_kv": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "qk_norm": (),
    "rotary_dim": ("rotary_dim", "qk_rope_head_dim"),
    "rms_norm_eps": ("rms_norm_eps",),
}
#: What DeepSeek's words for ways of selecting mean: whether there is a bias, and groups.
TOPK_METHODS: Mapping[str, tuple[bool, bool, str]] = {
    "noaux_tc": (True, True, "which selects by score plus bias and weighs by the score alone"),
    "group_limited_greedy": (False, True, "which adds no bias"),
    "greedy": (False, False, "which adds no bias and has no groups"),
}
WANTED = "a config.json of Hugging Face"

Sourced = tuple[object, str]


def parse_config(text: str, file: str) -> Entries:
    """The values of a `Model`, not checked yet, that the text of a config.json stands for.

    file: names the model, by the folder that it lies in, and the config in sources and errors.
    What the architecture fixes is taken from its code.  Raises `RocmoeError` for what is no config,
    for a model type that is not known, and for a key that is missing or contradicts the code.
    """
    config = _read(text, file)
    kind = config.find_type()
    entries = dict(_list_entries(_Reader(config, kind, ARCHITECTURES[kind])))
    values = {key: value for key, (value, _) in entries.items()}
    sources = {key: source for key, (_, source) in entries.items()}
    return Entries(_name(Path(file)), f"{kind}, by {file}", values, sources)


@dataclass(frozen=True)
class _Config:
    """The keys of a language model; outer_type: the model type of what it is the text part of."""

    keys: Mapping[str, object]
    prefix: str
    outer_type: object
    file: str

    def find_type(self) -> str:
        found = self.keys.get("model_type") or self.outer_type
        if not isinstance(found, str):
            raise wrong(self.file, "model_type", found, f"one of {', '.join(ARCHITECTURES)}")
        if found not in ARCHITECTURES:
            error = unknown("model_type", found, ARCHITECTURES)
            raise RocmoeError(
                f"{self.file}: {error}; for another architecture write a TOML profile"
            )
        return found

    def cite(self, key: str) -> str:
        return f"verified: {self.file}: {self.prefix}{key}"

    def wrong(self, key: str, found: object, wanted: str) -> RocmoeError:
        return wrong(self.file, self.prefix + key, found, wanted)


def _read(text: str, file: str) -> _Config:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RocmoeError(f"{file}: found no JSON ({error}); wanted {WANTED}") from None
    if not isinstance(document, dict):
        raise RocmoeError(f"{file}: found no JSON object; wanted {WANTED}")
    if "text_config" not in document:
        return _Config(document, "", None, file)
    inner = document["text_config"]
    if not isinstance(inner, dict):
        raise wrong(file, "text_config", inner, "an object")
    return _Config(inner, "text_config.", document.get("model_type"), file)


def _name(path: Path) -> str:
    """What a config is of: its folder, or the model in a cache of the Hub; or the file itself."""
    path = path.absolute()
    if path.name != "config.json":
        return path.stem
    for part in path.parts:
        if part.startswith("models--"):
            return part.rpartition("--")[2]
    return path.parent.name or path.stem


@dataclass(frozen=True)
class _Reader:
    """A config as the code of its architecture reads it."""

    config: _Config
    kind: str
    architecture: Architecture

    def find(self, key: str) -> Sourced | None:
        """What the code fixes, else what the config states, else the code's default."""
        stated = self._find_stated(key)
        fact = self.architecture.fixed.get(key)
        if fact and stated and stated[0] != fact.value:
            name = stated[1].rpartition(": ")[2]
            wanted = f"{fact.value!r}, which is what {self.kind} computes"
            raise wrong(self.config.file, name, stated[0], wanted)
        fact = fact or (None if stated else self.architecture.defaults.get(key))
        return (fact.value, fact.source) if fact else stated

    def take(self, key: str) -> Sourced:
        """As `find`; a value that is not there is an error."""
        found = self.find(key)
        if found is None:
            names = " or ".join(self._list_names(key))
            raise self.config.wrong(names, None, f"a value, as of every {self.kind}")
        return found

    def take_number(self, key: str, kind: Kind = COUNT) -> tuple[float, str]:
        """A value to calculate with."""
        value, source = self.take(key)
        if not kind.accepts(value):
            raise wrong(self.config.file, source.rpartition(": ")[2], value, kind.wanted)
        assert isinstance(value, (int, float))
        return value, source

    def _find_stated(self, key: str) -> Sourced | None:
        for name in self._list_names(key):
            if (value := self.config.keys.get(name)) is not None:
                return value, self.config.cite(name)
        return None

    def _list_names(self, key: str) -> Sequence[str]:
        return self.architecture.names.get(key, NAMES[key])


def _list_entries(reader: _Reader) -> Iterator[tuple[str, Sourced]]:
    if reader.architecture.routed:
        yield from _list_routing(reader)
    yield "hidden_size", _find_row(reader)
    yield "vocab_size", reader.take("vocab_size")
    if not reader.architecture.latent:
        yield from _list_heads(reader)
    yield "rms_norm_eps", reader.take("rms_norm_eps")


def _list_routing(reader: _Reader) -> Iterator[tuple[str, Sourced]]:
    for key in ("num_experts", "topk", "moe_intermediate_size", "scoring_func"):
        yield key, reader.take(key)
    yield from _list_selection(reader)
    for key in ("renormalize", "routed_scaling_factor"):
        yield key, reader.take(key)
    yield "num_fused_shared_experts", _count_shared(reader)


def _list_selection(reader: _Reader) -> Iterator[tuple[str, Sourced]]:
    """The bias and the groups; there may be none of the latter."""
    if "topk_method" not in reader.architecture.defaults:
        yield "correction_bias", reader.take("correction_bias")
        grouped = "num_expert_group" in reader.architecture.fixed
    else:
        method, source = reader.take("topk_method")
        if not isinstance(method, str) or method not in TOPK_METHODS:
            raise reader.config.wrong("topk_method", method, f"one of {', '.join(TOPK_METHODS)}")
        biased, grouped, words = TOPK_METHODS[method]
        yield "correction_bias", (biased, f"{source} is {method}, {words}")
    for key in ("num_expert_group", "topk_group") if grouped else ():
        yield key, reader.take(key)


def _find_row(reader: _Reader) -> Sourced:
    """The row that a routed expert reads: the model's, or a latent one."""
    key = "routed_expert_hidden_size"
    latent = reader.config.keys.get(key)
    return reader.take("hidden_size") if latent is None else (latent, reader.config.cite(key))


def _count_shared(reader: _Reader) -> Sourced:
    """The shared experts that can be run as routed ones: they read the same row and are as wide."""
    keys = reader.config.keys
    if reader.architecture.gated:
        key = "shared_expert_intermediate_size"
        if key not in keys:
            raise reader.config.wrong(key, None, f"a value, as of every {reader.kind}")
        alike = keys[key] == reader.take("moe_intermediate_size")[0]
        words = "as wide as a routed one" if alike else "not as wide as a routed one, if any"
        return int(alike), f"{reader.config.cite(key)}: one shared expert, {words}"
    names = NAMES["num_fused_shared_experts"]
    if null := next((name for name in names if name in keys and keys[name] is None), None):
        return 0, f"{reader.config.cite(null)} is null"
    value, source = reader.take("num_fused_shared_experts")
    if value and _find_row(reader)[0] != keys.get("hidden_size"):
        return 0, f"{source}; they read the full row, so they cannot be fused"
    return value, source


def _list_heads(reader: _Reader) -> Iterator[tuple[str, Sourced]]:
    keys = reader.config.keys
    heads, source = reader.take_number("num_heads_q")
    yield "num_heads_q", (heads, source)
    name = "num_key_value_heads"
    if name in keys and keys[name] is None:
        words = "is null: as many as num_attention_heads"
        yield "num_heads_kv", (heads, f"{reader.config.cite(name)} {words}")
    else:
        yield "num_heads_kv", reader.take("num_heads_kv")
    head_dim, source = _find_head_dim(reader, int(heads))
    yield "head_dim", (head_dim, source)
    if norm := reader.find("qk_norm"):
        yield "qk_norm", norm
    yield "rotary_dim", _find_rotary_dim(reader, head_dim)


def _find_head_dim(reader: _Reader, heads: int) -> tuple[int, str]:
    if reader.find("head_dim") is not None:
        value, source = reader.take_number("head_dim")
        return int(value), source
    hidden, source = reader.take_number("hidden_size")
    if hidden % heads:
        raise reader.config.wrong("head_dim", None, f"a value: {hidden} is no multiple of {heads}")
    return int(hidden) // heads, f"{source} / num_attention_heads"


def _find_rotary_dim(reader: _Reader, head_dim: int) -> Sourced:
    """Of the config, or the share of the head that it or the code says."""
    if (stated := reader.find("rotary_dim")) is not None:
        return stated
    name, nested = "partial_rotary_factor", reader.config.keys.get("rope_parameters")
    places = {name: reader.config.keys}
    if isinstance(nested, dict):
        places[f"rope_parameters.{name}"] = nested
    for place, keys in places.items():
        if (share := keys.get(name)) is not None:
            if not POSITIVE.accepts(share):
                raise reader.config.wrong(place, share, POSITIVE.wanted)
            return _rotate(share, head_dim, reader.config.cite(place))
    assert reader.architecture.rotary is not None
    return _rotate(reader.architecture.rotary.value, head_dim, reader.architecture.rotary.source)


def _rotate(share: object, head_dim: int, source: str) -> Sourced:
    assert isinstance(share, (int, float))
    words = "" if share == 1 else f" is {share:g} of head_dim"
    return int(head_dim * share), source + words
