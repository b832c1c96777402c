"""What the differential tests share: element types, inputs with edge values, runs, comparisons.

Values are torch tensors, whose arithmetic, casts and printing know every element type of Triton;
NumPy computes what is expected.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton.language as tl
from hypothesis import HealthCheck, settings

from rocmoe.ops.core.launch import simulating
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch

ARCHS = ("gfx90a", "gfx942", "gfx950")
#: Draws of one test, each for one architecture; unset, they are few and always the same.
EXAMPLES = os.environ.get("ROCMOE_DIFFERENTIAL_EXAMPLES")
#: Every so many runs all sanitizers watch; none may find anything.
WATCHED = 4

#: Kernels that were run, by family and architecture.
runs: Counter[tuple[str, str]] = Counter()


def few(examples: int) -> settings:
    """The profile of a test that draws so many kernels."""
    return settings(
        max_examples=int(EXAMPLES) if EXAMPLES else examples,
        derandomize=EXAMPLES is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def name_check(parameter: Any) -> str:
    """A name for the tests of a family, from the function that checks a draw."""
    return getattr(parameter, "__name__", "drawn")


@dataclass(frozen=True)
class Type:
    """An element type: Triton's, torch's, and the one in which NumPy computes it."""

    name: str
    triton: Any
    torch: torch.dtype
    numpy: np.dtype[Any]

    @property
    def bits(self) -> int:
        return self.torch.itemsize * 8

    @property
    def is_float(self) -> bool:
        return self.torch.is_floating_point

    @property
    def is_signed(self) -> bool:
        return self.torch.is_signed

    @property
    def is_exact(self) -> bool:
        """Whether NumPy has the type itself."""
        return self.bits == self.numpy.itemsize * 8


def _make_type(name: str, torch_dtype: torch.dtype, numpy: str) -> Type:
    return Type(name, getattr(tl, name), torch_dtype, np.dtype(numpy))


TYPES = {
    kind.name: kind
    for kind in (
        *(
            _make_type(f"{u}int{n}", getattr(torch, f"{u}int{n}"), f"{u}int{n}")
            for u in ("", "u")
            for n in (8, 16, 32, 64)
        ),
        _make_type("float16", torch.float16, "float16"),
        _make_type("bfloat16", torch.bfloat16, "float32"),
        _make_type("float32", torch.float32, "float32"),
        _make_type("float64", torch.float64, "float64"),
        _make_type("float8e4nv", torch.float8_e4m3fn, "float32"),
        _make_type("float8e5", torch.float8_e5m2, "float32"),
        _make_type("float8e4b8", torch.float8_e4m3fnuz, "float32"),
        _make_type("float8e5b16", torch.float8_e5m2fnuz, "float32"),
    )
}
INTEGERS = tuple(kind for kind in TYPES.values() if not kind.is_float)
FLOATS = tuple(TYPES[name] for name in ("float16", "bfloat16", "float32", "float64"))
SMALL = tuple(kind for kind in TYPES.values() if kind.is_float and kind.bits == 8)


def to_numpy(tensor: torch.Tensor, kind: Type) -> np.ndarray:
    """The values in the type NumPy computes in."""
    if kind.is_exact:
        return tensor.numpy()
    return tensor.to(torch.float32).numpy()


def to_torch(values: np.ndarray, kind: Type) -> torch.Tensor:
    """Values that are those of the type, as a tensor of it."""
    values = np.ascontiguousarray(values, kind.numpy)
    if kind.is_exact:
        return torch.from_numpy(values)
    return torch.from_numpy(values).to(kind.torch)


def fit(values: np.ndarray, kind: Type) -> np.ndarray:
    """Computed values rounded to nearest even to the type, in the one NumPy computes in."""
    with np.errstate(all="ignore"):
        return to_numpy(to_torch(np.asarray(values).astype(kind.numpy), kind), kind)


_FLOAT_EDGES = (
    0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.inf, -np.inf, np.nan, 1e-8, -6e-8, 65504.0, 1e-40,
    -1e-39, 1.1754944e-38, 3.4e38, -3.4e38, 448.0, 57344.0, 2.0**31, -(2.0**31), 2.0**-126, 2.0**53,
)  # fmt: skip


def fill(random: np.random.Generator, kind: Type, shape: Any, edges: bool = True) -> torch.Tensor:
    """Numbers of all magnitudes; edges: with limits, denormals, infinities and NaNs among them."""
    size = int(np.prod(shape))
    if kind.is_float:
        values = random.standard_normal(size) * np.exp2(random.integers(-6, 7, size))
        special = np.array(_FLOAT_EDGES)
        values = values.astype(np.float64)
    else:
        limits = np.iinfo(kind.numpy)
        values = random.integers(limits.min, limits.max, size, kind.numpy, endpoint=True)
        values >>= random.integers(0, kind.bits, size).astype(kind.numpy)
        special = np.array([0, 1, 2, limits.min, limits.max, limits.max - 1], kind.numpy)
    if edges:
        places = random.random(size) < 0.2
        values[places] = random.choice(special, int(places.sum()))
    with np.errstate(all="ignore"):
        return to_torch(values.astype(kind.numpy).reshape(shape), kind)


class Finding(AssertionError):
    """The simulator and the expectation differ, or a sanitizer found what is not there."""


def simulate(
    kernel: Any,
    grid: tuple[int, ...],
    arch: str,
    /,
    *,
    family: str,
    watched: bool | None = None,
    fusion: bool = False,
    **arguments: Any,
) -> None:
    """Compile a kernel for `arch` and run it; options such as num_warps among the arguments."""
    runs[family, arch] += 1
    if watched is None:
        watched = runs[family, arch] % WATCHED == 0
    simulator = Simulator(arch, Watch(checks=CHECKS if watched else ("memcheck",), counts=False))
    with simulating(simulator):
        kernel[grid](**arguments, enable_fp_fusion=fusion)
    for simulated in simulator.take():
        wrong = [fault for fault in simulated.faults if not fault.is_note]
        if wrong:
            raise Finding(
                "\n".join(f"{f.check}: {f.message} at {f.where}, {f.place}" for f in wrong)
            )


def compare(found: torch.Tensor, wanted: np.ndarray, kind: Type, ulp: float = 0) -> None:
    """Equal, -0 and +0 being one value, NaN where NaN is; ulp: units in the last place of slack."""
    values = to_numpy(found, kind)
    assert values.shape == wanted.shape, (values.shape, wanted.shape)
    if not kind.is_float:
        _refuse(values != wanted, values, wanted)
        return
    nan = np.isnan(wanted)
    with np.errstate(all="ignore"):
        wrong = (values != wanted) & ~nan
        if ulp:
            distance = np.abs(values.astype(np.float64) - wanted.astype(np.float64))
            wrong &= ~(distance <= ulp * measure_ulp(wanted, kind))
    _refuse(wrong | (np.isnan(values) != nan), values, wanted)


def measure_ulp(values: np.ndarray, kind: Type) -> np.ndarray:
    """The distance of neighbours of a type at these values."""
    about = torch.finfo(kind.torch)
    magnitude = np.abs(np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0))
    return np.ldexp(about.eps, np.frexp(np.maximum(magnitude, about.tiny))[1] - 1)


def _refuse(wrong: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> None:
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0]) if wrong.ndim else ()
        raise Finding(
            f"{int(wrong.sum())} of {wrong.size} differ, first at {at}: "
            f"found {values[at]!r}, wanted {wanted[at]!r}"
        )
