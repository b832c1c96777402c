"""Values that a case gives instead of drawing them: `1/3x0/-2.5` is 1, 0, 0, 0, -2.5.

The elements of a tensor in C order; none of its characters means anything to a shell or Markdown.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.errors import RocmoeError

_RUN = re.compile(r"(?:(\d{1,9})x)?([^x]+)\Z")


def write_values(values: NDArray[Any]) -> str:
    """Float64 or int64 values as text; `read_values` gives the same bits, but for those of NaN."""
    words = [_write(value) for value in values.reshape(-1).tolist()]
    runs = [(word, len(list(run))) for word, run in groupby(words)]
    return "/".join(word if count == 1 else f"{count}x{word}" for word, count in runs)


def read_values(name: str, text: str, shape: tuple[int, ...], *, floats: bool) -> NDArray[Any]:
    """The values of a tensor; `RocmoeError` for other text, or another number of them."""
    wanted, kind = int(np.prod(shape)), float if floats else int
    runs = []
    for word in text.split("/"):
        found = _RUN.match(word)
        try:
            assert found is not None
            runs.append((int(found[1] or 1), kind(found[2])))
        except (ValueError, AssertionError):
            what = "a number" if floats else "a whole number"
            raise RocmoeError(f"{name}: {word[:40]!r} is not {what}, or COUNTx of it") from None
    count = sum(count for count, _ in runs)
    if count != wanted:
        raise RocmoeError(f"{name}: found {count} values, wanted {wanted} for {list(shape)}")
    flat = [value for count, value in runs for _ in range(count)]
    try:
        return np.array(flat, dtype=np.float64 if floats else np.int64).reshape(shape)
    except OverflowError:
        raise RocmoeError(f"{name}: a value does not fit 64 bits") from None


def _write(value: float | int) -> str:
    return repr(value).removesuffix(".0")
