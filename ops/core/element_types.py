"""The types of scalar arguments and of tensor elements in launch files, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Types of scalar arguments, which tensors have too: name to bytes.
SCALARS: Mapping[str, int] = {
    "i32": 4,
    "u32": 4,
    "i64": 8,
    "u64": 8,
    "f32": 4,
    "f64": 8,
    "bf16": 2,
    "f16": 2,
}
ELEMENTS: Mapping[str, int] = {**SCALARS, "i8": 1, "u8": 1, "i16": 2, "u16": 2}


def is_float(kind: str) -> bool:
    """Whether a type is one of floats."""
    return kind.lstrip("b").startswith("f")


def numpy_dtype(kind: str) -> np.dtype[np.generic]:
    """The little-endian dtype of a type; of bf16, which NumPy has none for, that of its bits."""
    return np.dtype("<u2" if kind == "bf16" else f"<{kind[0]}{ELEMENTS[kind]}")


def integer_limits(kind: str) -> tuple[int, int]:
    """The least and the greatest number of a type of integers."""
    bits = 8 * ELEMENTS[kind]
    return (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def encode(values: ArrayLike, kind: str) -> NDArray[np.uint8]:
    """The bytes of numbers in a type: floats to nearest even, integers cut to their width."""
    with np.errstate(over="ignore"):
        if kind == "bf16":
            import torch

            rounded = torch.as_tensor(np.asarray(values, np.float64)).to(torch.bfloat16)
            bits = rounded.reshape(-1).view(torch.int16).numpy()
        else:
            bits = np.asarray(values).astype(numpy_dtype(kind)).reshape(-1)
    return np.frombuffer(bits.tobytes(), np.uint8)


def decode(octets: NDArray[np.uint8], kind: str) -> NDArray[np.generic]:
    """The numbers that bytes hold, bf16 as float32."""
    bits = np.frombuffer(octets.tobytes(), numpy_dtype(kind))
    return (bits.astype(np.uint32) << 16).view(np.float32) if kind == "bf16" else bits
