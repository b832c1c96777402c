"""Limits that many functions have, said once."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.peer import Kind, Limit, PeerVariant


def dense_rows(source: str, kind: Kind = "unchecked") -> Limit:
    """Rows are taken to follow each other, whatever the stride says."""

    def is_strided(case: Case, arch: str) -> bool:
        del arch
        rows = next(iter(case.sizes.values()))
        return case.layout in ("strided", "qkv_views") and rows > 1

    return Limit(is_strided, "takes rows to be contiguous", source, kind)


def aligned_rows(source: str) -> Limit:
    """Vectors are loaded from where the rows begin; only NVIDIA's GPUs fault where that is odd."""

    def is_offset(case: Case, arch: str) -> bool:
        return case.layout == "offset" and arch.startswith("sm")

    return Limit(is_offset, "loads vectors of 16 bytes, which fault at other addresses", source)


def only_dtypes(source: str, *dtypes: str, kind: Kind = "checked") -> Limit:
    """Only some dtypes of the case."""
    wanted = ", ".join(dtypes)
    return Limit(lambda case, arch: case.dtype not in dtypes, f"wants {wanted}", source, kind)


def only_arch(source: str, *prefixes: str, reason: str = "") -> Limit:
    """Only architectures whose names begin so; where it is not known, none is excluded."""

    def is_other(case: Case, arch: str) -> bool:
        del case
        return bool(arch) and not arch.startswith(prefixes)

    return Limit(is_other, reason or f"runs on {', '.join(prefixes)}", source, "checked")


def everywhere(limit: Limit, *variants: PeerVariant) -> tuple[PeerVariant, ...]:
    """Functions with a limit that all of a library have, ahead of their own."""
    return tuple(replace(each, limits=(limit, *each.limits)) for each in variants)


def only_param(name: str, wanted: Container[Value], reason: str, source: str, kind: Kind) -> Limit:
    """Only some values of a parameter."""
    return Limit(lambda case, arch: case.params[name] not in wanted, reason, source, kind)


def at_most(size: str, most: int, source: str, kind: Kind = "checked") -> Limit:
    """A size no larger than a number."""
    return Limit(
        lambda case, arch: case.sizes[size] > most, f"wants {size} <= {most}", source, kind
    )


def only_if(
    holds: Callable[[Case], bool], reason: str, source: str, kind: Kind = "checked"
) -> Limit:
    """Only cases of which something holds."""
    return Limit(lambda case, arch: not holds(case), reason, source, kind)


def is_power_of_two(number: int) -> bool:
    """1, 2, 4, 8 ..."""
    return number > 0 and number & (number - 1) == 0


NO_BIAS = (None,)
YES = (True,)
NO = (False,)
