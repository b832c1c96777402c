"""Limits that several of FlashInfer's functions have."""

from __future__ import annotations

import math
from collections.abc import Callable

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.guard import STRIDED_GAP
from rocmoe.ops.core.limits import only_if
from rocmoe.ops.core.peer import Kind, Limit
from rocmoe.ops.families.gating import ITEM_BYTES


def some_rows(source: str, kind: Kind = "checked") -> Limit:
    """A grid has blocks by the rows: CUDA refuses one of none, and keeps that as its last error."""

    def has_rows(case: Case) -> bool:
        return next(iter(case.sizes.values())) > 0

    return only_if(has_rows, "wants rows: a grid of none is an error", source, kind)


def aligned_vectors(
    size: str, source: str, loads: Callable[[Case], bool] = lambda case: True
) -> Limit:
    """Rows of `size` elements are loaded 16 bytes at a time, or the largest part that divides them.

    loads: whether a case's kernel does so.  CUDA faults where a row begins elsewhere.
    """

    def is_misaligned(case: Case, arch: str) -> bool:
        vector = math.gcd(16 // ITEM_BYTES[case.dtype], case.sizes[size])
        steps = {"offset": 1, "strided": STRIDED_GAP}.get(case.layout, 0)
        return arch.startswith("sm") and steps % vector != 0 and loads(case)

    reason = "loads vectors of up to 16 bytes, which fault at other addresses"
    return Limit(is_misaligned, reason, source)
