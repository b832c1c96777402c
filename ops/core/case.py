"""A case: everything that decides what an implementation is given, in one word."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from rocmoe.ops.core.errors import RocmoeError

Value = bool | int | float | str | None

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_SHAPE = "OP:SIZE=N,...:DTYPE:PARAM=VALUE,...|-:PATTERN:LAYOUT[:seed=N][:TENSOR=VALUES,...]"
_CONSTANTS: Mapping[str, Value] = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Case:
    """One point of an op's input space.

    `id` is a single word that holds all of it, parses back with `parse_case`, and seeds the draw:
    `topk_softmax:T=64,E=256,k=8:bf16:renormalize=true:normal:contiguous`.
    A seed other than 0 is appended as `:seed=N`, and values that are given instead of drawn as
    `:gating_output=1/3x0` (see `given`): the pattern draws the other tensors, and every draw is the
    first.
    """

    op: str
    sizes: Mapping[str, int]
    dtype: str
    params: Mapping[str, Value]
    pattern: str
    layout: str = "contiguous"
    seed: int = 0
    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", MappingProxyType(dict(self.sizes)))
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        object.__setattr__(self, "given", MappingProxyType(dict(self.given)))

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """The word that says everything."""
        given = f":{_join(self.given)}" if self.given else ""
        return self._drawn_id + given

    @property
    def _drawn_id(self) -> str:
        """The word without the values that are given, which seeds the draw of the others."""
        parts = [self.op, _join(self.sizes), self.dtype, _join(self.params)]
        parts += [self.pattern, self.layout]
        if self.seed:
            parts.append(f"seed={self.seed}")
        return ":".join(parts)

    def entropy(self, draw: int = 0) -> list[int]:
        """Seed words for the `draw`-th set of inputs of this case."""
        return [zlib.crc32(self._drawn_id.encode()), self.seed, draw]

    def with_seed(self, seed: int) -> Case:
        """The same case, drawn from another seed."""
        return replace(self, seed=seed)


def parse_case(text: str) -> Case:
    """The case that a word stands for; `RocmoeError` says what does not parse.

    Only the form is checked here; `OpSpec.check_case` checks it against the op.
    """
    parts = text.split(":")
    seed = 0
    if len(parts) in (7, 8) and parts[6].startswith("seed="):
        seed = _parse_int(parts.pop(6)[5:], text)
        if seed < 0:
            raise RocmoeError(f"case {text!r}: seed {seed} is negative")
    given = dict(_split(parts.pop(), text)) if len(parts) == 7 and "=" in parts[6] else {}
    if len(parts) != 6:
        raise RocmoeError(f"case {text!r}: found {len(text.split(':'))} parts, wanted {_SHAPE}")
    op, sizes, dtype, params, pattern, layout = parts
    for word in (op, dtype, pattern, layout):
        if not _WORD.match(word):
            raise RocmoeError(f"case {text!r}: {word!r} is not a name; wanted {_SHAPE}")
    counts = {name: _parse_int(value, text) for name, value in _split(sizes, text)}
    values = {name: parse_value(value) for name, value in _split(params, text)}
    return Case(op, counts, dtype, values, pattern, layout, seed, given)


def parse_value(text: str) -> Value:
    """A parameter's value from its written form: true, false, none, a number or a name."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def format_value(value: Value) -> str:
    """The written form of a parameter's value, the inverse of `parse_value`."""
    for word, constant in _CONSTANTS.items():
        if value is constant:
            return word
    return repr(value) if isinstance(value, (int, float)) else str(value)


def _join(values: Mapping[str, Value]) -> str:
    return ",".join(f"{name}={format_value(value)}" for name, value in values.items()) or "-"


def _split(text: str, whole: str) -> list[tuple[str, str]]:
    if text == "-":
        return []
    pairs = [item.partition("=") for item in text.split(",")]
    for name, sign, value in pairs:
        if not (_WORD.match(name) and sign and value):
            raise RocmoeError(f"case {whole!r}: {name + sign + value!r} is not NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _parse_int(text: str, whole: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RocmoeError(f"case {whole!r}: {text!r} is not a whole number") from None
