"""Sweeps: the cases that a benchmark runs, as NAME=VALUE,... over sizes, params and the rest."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rocmoe.ops.core.case import Case, parse_value
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.suites import find_axis

#: What can be swept beside the sizes and params of an op.
FIELDS = ("dtype", "pattern", "layout")
#: Tokens, or rows, where nothing is asked for: a decode step, a decode batch, two of prefill.
LADDER = (1, 64, 1024, 4096)


def parse_sweep(texts: Iterable[str]) -> dict[str, list[str]]:
    """Values by name, of texts such as `T=1,64`, or several of them with `;` in between.

    Raises `RocmoeError` for what is not of this form, and for a name that is given twice.
    """
    swept: dict[str, list[str]] = {}
    for part in (part.strip() for text in texts for part in text.split(";")):
        name, sign, listed = part.partition("=")
        values = [value.strip() for value in listed.split(",")]
        if not (name and sign and all(values)):
            raise RocmoeError(f"--sweep {part!r} is not NAME=VALUE,VALUE,...; as T=1,64,1024")
        if name in swept:
            raise RocmoeError(f"--sweep names {name} twice")
        swept[name] = values
    return swept


def expand_sweep(spec: OpSpec, base: Case, swept: Mapping[str, Sequence[str]]) -> list[Case]:
    """The case for each combination, the last name varying fastest; the rest is that of `base`.

    Raises `RocmoeError` for a name that the op has nothing of, and for what is no case of it.
    """
    names = (*spec.sizes, *spec.params, *FIELDS)
    if strange := [name for name in swept if name not in names]:
        raise unknown(f"name in a sweep of {spec.name}", strange[0], names)
    combinations = itertools.product(*swept.values())
    cases = [_change(spec, base, dict(zip(swept, each, strict=True))) for each in combinations]
    return list({case.id: case for case in cases}.values())


def _change(spec: OpSpec, base: Case, values: Mapping[str, str]) -> Case:
    sizes = {name: _parse_size(name, text) for name, text in values.items() if name in spec.sizes}
    params = {name: parse_value(text) for name, text in values.items() if name in spec.params}
    changed = replace(
        base,
        sizes={**base.sizes, **sizes},
        params={**base.params, **params},
        dtype=values.get("dtype", base.dtype),
        pattern=values.get("pattern", base.pattern),
        layout=values.get("layout", base.layout),
    )
    return spec.check_case(changed)


def _parse_size(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RocmoeError(f"--sweep {name}={text}: wanted whole numbers") from None


def list_default_cases(spec: OpSpec, seed: int) -> list[Case]:
    """The op's first declared case over a few tokens, or rows."""
    base = spec.make_case(spec.cases[0], seed)
    return expand_sweep(spec, base, {find_axis(spec): list(map(str, LADDER))})
