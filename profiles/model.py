"""Model profiles: the sizes and routing rules of published models, each value with its source.

A profile is a TOML file. `name` and `summary` are plain strings; every other key is a table of
`value` and `source`, where a source begins `verified:` and says what was read, or
`from memory, unverified:` and says what it is believed from.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rocmoe.ops.core.errors import RocmoeError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCORING_FUNCS = ("softmax", "sigmoid", "sqrtsoftplus")
SOURCE_MARKS = ("verified:", "from memory, unverified:")
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

_BUNDLED = importlib.resources.files("rocmoe.profiles") / "models"
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
    files = [file.name for file in _BUNDLED.iterdir()]
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def load_model(name_or_path: str) -> Model:
    """The bundled model of that name, or the profile at a path that ends in `.toml`.

    An unknown name, an unreadable file, and a key that is unknown, has no source or contradicts
    the others are `RocmoeError`, naming the file, the key, what was found and what is wanted.
    """
    if name_or_path.endswith(".toml"):
        return parse_toml(_read(Path(name_or_path)), name_or_path)
    if name_or_path not in list_models():
        raise unknown("model", name_or_path, list_models())
    file = f"{name_or_path}.toml"
    return parse_toml((_BUNDLED / file).read_text(encoding="utf-8"), file)


def parse_toml(text: str, file: str) -> Model:
    """The model that the text of a profile describes; `file` names it in errors."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RocmoeError(f"{file}: found no TOML ({_one_line(error)}); wanted a profile") from None
    about = {key: _take_text(document, key, file) for key in ("name", "summary")}
    entries = {key: _take_entry(key, entry, file) for key, entry in document.items()}
    values = {key: value for key, (value, _) in entries.items()}
    sources = {key: source for key, (_, source) in entries.items()}
    return build_model(about["name"], about["summary"], values, sources, file)


def build_model(
    name: str,
    summary: str,
    values: Mapping[str, object],
    sources: Mapping[str, str],
    file: str,
) -> Model:
    """The checked record of values that any format was read into; `file` names it in errors."""
    typed = {key: _check_value(key, value, file) for key, value in values.items()}
    for key in typed:
        _check_source(key, sources.get(key), file)
    for key, found, wanted in _contradictions(typed):
        raise _wrong(file, key, found, wanted)
    return Model(name=name, summary=summary, sources={key: sources[key] for key in typed}, **typed)


@dataclass(frozen=True)
class _Kind:
    """What a value has to be, in words and as a test."""

    wanted: str
    accepts: Callable[[object], bool]
    convert: Callable[[Any], Any] = lambda value: value


def _at_least(low: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 < value <= sys.float_info.max


_COUNT = _Kind("an integer of at least 1", _at_least(1))
_COUNT_OR_NONE = _Kind("an integer of at least 0", _at_least(0))
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_POSITIVE = _Kind("a number above 0", _is_positive, float)
_SCORING = _Kind(f"one of {', '.join(SCORING_FUNCS)}", lambda value: value in SCORING_FUNCS)

_KINDS: Mapping[str, _Kind] = {
    "num_experts": _COUNT,
    "topk": _COUNT,
    "hidden_size": _COUNT,
    "moe_intermediate_size": _COUNT,
    "scoring_func": _SCORING,
    "correction_bias": _FLAG,
    "num_expert_group": _COUNT,
    "topk_group": _COUNT,
    "renormalize": _FLAG,
    "routed_scaling_factor": _POSITIVE,
    "num_fused_shared_experts": _COUNT_OR_NONE,
    "vocab_size": _COUNT,
    "num_heads_q": _COUNT,
    "num_heads_kv": _COUNT,
    "head_dim": _COUNT,
    "qk_norm": _FLAG,
    "rotary_dim": _COUNT,
    "rms_norm_eps": _POSITIVE,
}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RocmoeError(f"{path}: found bytes that are not UTF-8; wanted a profile") from None
    except OSError as error:
        reason = error.strerror or _one_line(error)
        raise RocmoeError(f"{path}: found no readable file ({reason}); wanted a profile") from None


def _take_text(document: dict[str, Any], key: str, file: str) -> str:
    found = document.pop(key, None)
    if not isinstance(found, str) or not found.strip():
        raise _wrong(file, key, found, "a string that is not empty")
    return found


def _take_entry(key: str, entry: object, file: str) -> tuple[object, str]:
    if key not in _KINDS:
        raise _unknown_key(file, key)
    if not isinstance(entry, dict):
        raise _wrong(file, key, entry, "a table of value and source")
    for part in entry:
        if part not in ("value", "source"):
            raise _wrong(file, key, part, "value and source alone")
    for part in ("value", "source"):
        if part not in entry:
            raise _wrong(file, f"{key}.{part}", None, "a table of value and source")
    return entry["value"], entry["source"]


def _check_value(key: str, value: object, file: str) -> Any:
    if key not in _KINDS:
        raise _unknown_key(file, key)
    kind = _KINDS[key]
    if not kind.accepts(value):
        raise _wrong(file, key, value, kind.wanted)
    return kind.convert(value)


def _check_source(key: str, source: object, file: str) -> None:
    marked = isinstance(source, str) and source.startswith(SOURCE_MARKS)
    if not marked or not str(source).partition(":")[2].strip():
        wanted = " or ".join(f"'{mark} ...'" for mark in SOURCE_MARKS)
        raise _wrong(file, f"{key}.source", source, wanted)


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


def _unknown_key(file: str, key: str) -> RocmoeError:
    return RocmoeError(f"{file}: found {unknown('key', key, _KINDS)}")


def _wrong(file: str, key: str, found: object, wanted: str) -> RocmoeError:
    shown = "nothing" if found is None else repr(found)
    return RocmoeError(f"{file}: {key}: found {shown}; wanted {wanted}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
